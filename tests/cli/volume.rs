//! `envbox volume`, and volumes in containers.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::{children, eventually};
use crate::harness::{Output, Room, for_everyone};

/// What the image has at `/data`: owners, modes, times, links and attributes.
const FILL: &str = "mkdir -p /data/deep /empty && cd /data && echo of-the-image >file \
    && ln file hard && ln -s file soft && chmod 4750 file && chmod 2711 deep \
    && touch -d '2001-02-03 04:05:06' deep && chmod 1777 . && chmod 700 /empty";

/// Imports an image with content at `/data` and `/empty`, and links that lead
/// elsewhere, as `base`; with volumes at `paths`.
fn base(room: &Room, paths: &[&str]) {
    let rootfs = room.rootfs();
    let outside = room.work().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "of the host").unwrap();
    std::os::unix::fs::symlink(&outside, rootfs.join("away")).unwrap();
    let up = format!("../../../../../..{}", outside.display());
    std::os::unix::fs::symlink(up, rootfs.join("up")).unwrap();
    std::os::unix::fs::symlink("/data", rootfs.join("within")).unwrap();
    let shell = rootfs.to_str().unwrap();
    room.give(&room.work());
    room.envbox(&["import", shell, "plain"]).succeeds();
    room.envbox(&["run", "--name", "maker", "plain", "sh", "-c", FILL]).succeeds();
    room.envbox(&["export", "maker", "-o", "made.tar"]).succeeds();
    room.envbox(&["rm", "maker"]).succeeds();
    let changes = paths.iter().flat_map(|path| ["-c".to_owned(), format!("VOLUME {path}")]);
    let changes: Vec<String> = changes.collect();
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    room.envbox(&[&["import", "made.tar", "base"], &changes[..]].concat()).succeeds();
}

/// Runs `line` by the image's shell, with `flags`.
fn line(room: &Room, flags: &[&str], line: &str) -> Output {
    room.envbox(&[&["run", "--rm"], flags, &["base", "sh", "-c", line]].concat())
}

/// The names of all volumes, a line each.
fn names(room: &Room) -> String {
    room.envbox(&["volume", "ls", "-q"]).succeeds().quietly().stdout()
}

/// `run --rm` with `flags` that lives until it is killed, or its input ends.
fn living(room: &Room, flags: &[&str]) -> Child {
    let words = [&["run", "--rm", "-i"], flags, &["base", "cat"]].concat();
    let mut command = room.command(&words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
    let mut text = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    child
}

/// Every process below `ancestor`, and itself.
fn family(ancestor: Pid) -> Vec<Pid> {
    let mut all = vec![ancestor];
    for child in children(ancestor) {
        all.extend(family(child));
    }
    all
}

for_everyone! {
    fn volume_verbs_are_dockers(room) {
        assert_eq!(names(room), "");
        let create = ["volume", "create", "data", "--label", "team=build", "--label", "old"];
        room.envbox(&create).succeeds().quietly().says("data\n");
        room.envbox(&create).succeeds().says("data\n");
        room.envbox(&["volume", "create", "data"]).succeeds().says("data\n");
        let other = ["volume", "create", "data", "--label", "team=test"];
        room.envbox(&other).exits(1).warns("exists with other options or labels");
        let random = room.envbox(&["volume", "create"]).succeeds().stdout();
        assert_eq!(random.trim().len(), 64);
        let list = room.envbox(&["volume", "ls"]).succeeds().stdout();
        let expected = "DRIVER    VOLUME NAME\n";
        assert!(list.starts_with(expected) && list.contains("local     data\n"), "{list}");
        let json = room.envbox(&["volume", "ls", "-f", "name=dat", "--format", "json"]).json();
        assert_eq!(json["Labels"], "old=,team=build");
        let found = room.envbox(&["volume", "inspect", "data"]).succeeds().json();
        let fields: Vec<&str> = found[0].as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"];
        assert_eq!(fields, expected);
        assert_eq!(found[0]["Options"], serde_json::Value::Null);
        assert!(found[0]["Mountpoint"].as_str().unwrap().ends_with("volumes/data/data"));
        let words = ["volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}}", "data"];
        room.envbox(&words).succeeds().says("data local local\n");
        room.envbox(&["volume", "inspect", "none"]).exits(1).warns("no such volume: none");
        for (filter, found) in [
            ("label=team", "data\n"),
            ("label=team=build", "data\n"),
            ("label=team=x", ""),
            ("name=at", "data\n"),
            ("driver=nfs", ""),
        ] {
            let words = ["volume", "ls", "-q", "-f", filter];
            assert_eq!(room.envbox(&words).succeeds().stdout(), found, "{filter}");
        }
        room.envbox(&["volume", "ls", "-f", "colour=red"]).exits(1).warns("no filter \"colour\"");
        let output = room.envbox(&["volume", "rm", "none", "data"]).exits(1);
        output.says("data\n").warns("no such volume: none");
        room.envbox(&["volume", "rm", "-f", "data", random.trim()]).succeeds().quietly();
        assert_eq!(names(room), "");
    }

    fn a_volume_takes_the_images_content_and_outlives_containers(room) {
        base(room, &[]);
        let look = "cd /data && stat -c '%a %u:%g %h %Y %N' . file hard deep && readlink soft";
        let image = line(room, &[], look).succeeds().stdout();
        assert!(image.contains("4750") && image.contains("2711"), "{image}");
        assert_eq!(line(room, &["-v", "data:/data"], look).succeeds().stdout(), image);
        line(room, &["-v", "data:/data"], "echo new >/data/file && rm /data/hard").succeeds();
        line(room, &["-v", "data:/other"], "cat /other/file; ls /other/hard").warns("hard");
        let mount = "type=volume,source=data,target=/data,readonly";
        for flags in [["-v", "data:/data:ro"], ["--mount", mount]] {
            line(room, &flags, "cat /data/file; echo x >/data/file").exits(1).says("new\n");
        }
        line(room, &["-v", "bare:/data:nocopy"], "ls /data | wc -l").says("0\n");
        let mount = "type=volume,source=bare2,target=/data,volume-nocopy";
        line(room, &["--mount", mount], "ls /data | wc -l").says("0\n");
        room.envbox(&["volume", "create", "made"]).succeeds();
        line(room, &["-v", "made:/within"], "cat /within/file").says("of-the-image\n");
        line(room, &["-v", "hollow:/empty"], "stat -c %a /empty").says("700\n");
        line(room, &["-v", "fresh:/no/such/place"], "stat -c %a /no/such/place").says("755\n");
        // A shell has them as well.
        let words = ["shell", "base", "-v", "data:/data", "-c", "cat /data/file"];
        room.envbox(&words).succeeds().says("new\n");
        assert_eq!(names(room), "bare\nbare2\ndata\nfresh\nhollow\nmade\n");
    }

    fn owners_are_those_that_the_container_sees(room) {
        base(room, &[]);
        let fill = "chown 1:2 /data/file && echo x >/data/mine && chown 3:4 /data/mine";
        let output = line(room, &["-v", "data:/data"], fill);
        if output.stderr().contains("sub-IDs") {
            return crate::harness::skip("needs subordinate IDs");
        }
        output.succeeds();
        let look = "stat -c %u:%g /data/file /data/mine";
        line(room, &["-v", "data:/data"], look).succeeds().says("1:2\n3:4\n");
        room.envbox(&["volume", "rm", "data"]).succeeds();
        assert!(!room.path().join("store/volumes/data").exists());
    }

    fn an_images_volumes_are_anonymous_and_go_with_rm(room) {
        base(room, &["/data", "/log"]);
        let mounts = "grep -c -E ' /(data|log|own) ' /proc/self/mountinfo";
        line(room, &[], mounts).says("2\n");
        line(room, &["-v", "/own"], mounts).says("3\n");
        assert_eq!(names(room), "");
        // A mount that stands there already is in place of it.
        line(room, &["-v", "named:/data", "--tmpfs", "/log"], mounts).says("2\n");
        assert_eq!(names(room), "named\n");
        for name in ["first", "second"] {
            let words = ["run", "--name", name, "base", "sh", "-c", "echo x >/data/new"];
            room.envbox(&words).succeeds();
        }
        assert_eq!(names(room).lines().filter(|name| name.len() == 64).count(), 4);
        let dangling = ["volume", "ls", "-q", "-f", "dangling=true"];
        assert_eq!(room.envbox(&dangling).succeeds().stdout(), "named\n");
        room.envbox(&["rm", "-v", "first"]).succeeds();
        assert_eq!(names(room).lines().count(), 3);
        room.envbox(&["rm", "second"]).succeeds();
        assert_eq!(names(room).lines().count(), 3);
        assert_eq!(room.envbox(&dangling).succeeds().stdout().lines().count(), 3);
        let pruned = room.envbox(&["volume", "prune"]).succeeds().stdout();
        // Twice 13 bytes of the image, of which one file has two names, and 2.
        assert!(pruned.starts_with("Deleted Volumes:\n"), "{pruned}");
        assert!(pruned.ends_with("\nTotal reclaimed space: 15B\n"), "{pruned}");
        assert_eq!(names(room), "named\n");
        room.envbox(&["volume", "create", "kept", "--label", "keep"]).succeeds();
        let words = ["volume", "prune", "-a", "-f", "--filter", "label!=keep"];
        room.envbox(&words).succeeds().says("named\n");
        assert_eq!(names(room), "kept\n");
        room.envbox(&["volume", "prune", "-f"]).says("Total reclaimed space: 0B\n");
    }

    fn what_is_used_is_not_removed(room) {
        base(room, &[]);
        room.envbox(&["run", "--name", "kept", "-v", "data:/data", "base", "true"]).succeeds();
        let mut child = living(room, &["--name", "busy", "-v", "data:/data", "-v", "/own"]);
        let own: String = names(room).lines().filter(|name| name.len() == 64).collect();
        room.envbox(&["volume", "rm", "data"]).exits(1).warns("in use by containers kept, busy");
        room.envbox(&["volume", "rm", "-f", &own]).exits(1).warns("in use by container busy");
        room.envbox(&["volume", "prune", "-a", "-f"]).succeeds().says("space: 0B\n");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert_eq!(names(room), "data\n");
        room.envbox(&["volume", "rm", "data"]).exits(1).warns("in use by container kept");
        room.envbox(&["rm", "kept"]).succeeds();
        room.envbox(&["volume", "rm", "data"]).succeeds();
    }

    fn anonymous_volumes_of_a_killed_container_are_swept(room) {
        base(room, &["/data"]);
        let mut child = living(room, &["-v", "named:/named", "-v", "/own"]);
        assert_eq!(names(room).lines().count(), 3);
        for process in family(Pid::from_raw(child.id().cast_signed())) {
            // One may have gone with another one.
            let _ = kill(process, Signal::SIGKILL);
        }
        child.wait().unwrap();
        eventually("the volumes are gone", || names(room) == "named\n");
        room.envbox(&["volume", "rm", "named"]).succeeds();
    }

    fn links_of_an_image_lead_nowhere_else(room) {
        base(room, &[]);
        for target in ["/away", "/up"] {
            let flags = ["-v", &format!("stolen:{target}")];
            let output = line(room, &flags, &format!("ls {target}/; echo x >{target}/mine"));
            assert!(!output.stdout().contains("secret"), "{output}");
            let data = room.path().join("store/volumes/stolen/data/secret");
            assert!(!data.exists());
        }
        let outside: Vec<_> = std::fs::read_dir(room.work().join("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1);
    }

    fn links_in_a_volume_lead_nowhere_else(room) {
        base(room, &[]);
        let links = format!("mkdir /v/part && echo x >/v/part/f && ln -s / /v/root && \
            ln -s {} /v/host && ln -s /etc /v/etc", room.work().join("outside").display());
        line(room, &["-v", "data:/v"], &links).succeeds();
        let part = |part: &str| format!("type=volume,source=data,target=/x,volume-subpath={part}");
        line(room, &["--mount", &part("part")], "cat /x/f").succeeds().says("x\n");
        for name in ["root", "host", "root/etc", "none"] {
            line(room, &["--mount", &part(name)], "ls /x").exits(125).warns("part");
        }
        line(room, &["--mount", &part("../../../blobs")], "ls /x").exits(125);
        // A mount below one of them lands inside the container.
        let flags = ["-v", "data:/v", "-v", "other:/v/host", "-v", "third:/v/etc:nocopy"];
        line(room, &flags, "echo x >/v/etc/passwd; echo x >/v/host/mine").succeeds();
        assert!(room.path().join("store/volumes/third/data/passwd").exists());
        let outside: Vec<_> = std::fs::read_dir(room.work().join("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1);
    }

    fn a_volume_goes_out_and_comes_back(room) {
        base(room, &[]);
        let look = "cd /v && stat -c '%a %u:%g %h %Y %N' . file hard deep && readlink soft";
        let there = line(room, &["-v", "data:/data", "-v", "data:/v"], look).succeeds().stdout();
        room.envbox(&["volume", "export", "data", "-o", "data.tar"]).succeeds().quietly();
        let import = |name: &str, file: &str| {
            let mut command = room.command(&["volume", "import", name]);
            command.stdin(std::fs::File::open(room.work().join(file)).unwrap());
            room.run(command)
        };
        import("copy", "data.tar").succeeds().quietly();
        assert_eq!(line(room, &["-v", "copy:/v"], look).succeeds().stdout(), there);
        room.envbox(&["volume", "export", "copy", "-o", "copy.tar"]).succeeds();
        let bytes = |file: &str| std::fs::read(room.work().join(file)).unwrap();
        assert!(bytes("data.tar") == bytes("copy.tar"));
        import("copy", "data.tar").exits(1).warns("volume copy is not empty");
        std::fs::write(room.work().join("half.tar"), &bytes("data.tar")[..1500]).unwrap();
        import("half", "half.tar").exits(1).warns("half");
        let data = room.path().join("store/volumes/half/data");
        assert!(std::fs::read_dir(data).unwrap().next().is_none());
        room.envbox(&["volume", "export", "half"]).exits(1).warns("volume half is empty");
        room.envbox(&["volume", "export", "none"]).exits(1).warns("no such volume: none");
        room.envbox(&["volume", "create", "memory", "-o", "type=tmpfs"]).succeeds();
        import("memory", "data.tar").exits(1).warns("not in the store");
    }

    fn names_do_not_leave_the_store(room) {
        base(room, &[]);
        for name in ["..", "../x", "a/b", "/x", ".x", "x", ""] {
            room.envbox(&["volume", "create", name]).exits(1);
            room.envbox(&["volume", "rm", name]).exits(1).warns("no such volume");
            room.envbox(&["volume", "inspect", name]).exits(1).warns("no such volume");
            let mount = format!("type=volume,source={name},target=/x");
            line(room, &["--mount", &mount], "true").exits(125);
        }
        room.envbox(&["volume", "create", "xy", "-d", "nfs"]).exits(1).warns("`local`");
        room.envbox(&["volume", "create", "xy", "-o", "type=nfs"]).exits(1).warns("is no export");
        assert_eq!(names(room), "");
    }

    fn options_of_a_volume_act(room) {
        base(room, &[]);
        let words = ["volume", "create", "memory", "-o", "type=tmpfs", "-o", "device=tmpfs",
            "-o", "o=size=1m,mode=0700"];
        room.envbox(&words).succeeds();
        line(room, &["-v", "memory:/m"], "stat -f -c %T /m; stat -c %a /m; echo x >/m/f")
            .succeeds()
            .says("tmpfs\n700\n");
        let device = format!("device={}", room.work().join("outside").display());
        let words = ["volume", "create", "bound", "-o", "type=none", "-o", "o=bind", "-o", &device];
        room.envbox(&words).succeeds();
        line(room, &["-v", "bound:/b"], "cat /b/secret").succeeds().says("of the host");
        let words = ["volume", "rm", "bound", "memory"];
        room.envbox(&words).succeeds();
        assert!(room.work().join("outside/secret").exists());
        let mount = "type=volume,source=made,target=/m,volume-opt=type=tmpfs,volume-label=a=b";
        line(room, &["--mount", mount], "stat -f -c %T /m").succeeds().says("tmpfs\n");
        let found = room.envbox(&["volume", "inspect", "made"]).succeeds().json();
        assert_eq!(found[0]["Options"]["type"], "tmpfs");
        assert_eq!(found[0]["Labels"]["a"], "b");
    }
}
