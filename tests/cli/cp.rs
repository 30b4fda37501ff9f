//! `envbox cp`: docker's rules for what a copy is called, links, owners and
//! streams.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::process::eventually;
use crate::harness::{Output, Room, for_everyone};

/// A kept container `box` that has `/data/{one,deep/two}` and a few links.
fn kept(room: &Room) {
    let tree = room.rootfs();
    room.envbox(&["import", tree.to_str().unwrap(), "base"]).succeeds();
    let script = "mkdir -p /data/deep /empty; echo one >/data/one; echo two >/data/deep/two;
        chmod 750 /data/deep; ln -s /data/one /data/absolute; ln -s ../../../../data /data/up;
        ln -s /etc /out; ln -s /new/made /dangling; chown 1000:1000 /data/one";
    room.envbox(&["run", "--name", "box", "base", "sh", "-ec", script]).succeeds();
}

fn cp(room: &Room, words: &[&str]) -> Output {
    room.envbox(&[&["cp", "-q"], words].concat())
}

/// Members of the tar of a path in the container, with owners: `1000/1000 one`.
fn listed(room: &Room, path: &str) -> Vec<String> {
    let mut copy = room.command(&["cp", path, "-"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "-tv"]).stdin(copy.stdout.take().unwrap());
    let list = String::from_utf8(tar.output().unwrap().stdout).unwrap();
    assert!(copy.wait().unwrap().success());
    let field = |line: &str, at: usize| line.split_whitespace().nth(at).unwrap_or("").to_owned();
    list.lines().map(|line| format!("{} {}", field(line, 1), field(line, 5))).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

for_everyone! {
    fn a_file_is_copied_out_by_dockers_rules(room) {
        kept(room);
        let work = room.work();
        fs::create_dir(work.join("dir")).unwrap();
        fs::write(work.join("old"), "old").unwrap();
        room.give(&work);
        for (to, made) in [("new", "new"), ("old", "old"), ("dir", "dir/one"), ("dir/", "dir/one")] {
            cp(room, &["box:/data/one", to]).succeeds().quietly();
            assert_eq!(text(&work.join(made)), "one\n", "{to}");
            assert_eq!(fs::metadata(work.join(made)).unwrap().uid(), owner(room), "{to}");
        }
        for (words, error) in [
            (["box:/data/one", "gone/"], "does not exist"),
            (["box:/data/one", "no/such/parent"], "No such file"),
            (["box:/data/one", "old/"], "is not a directory"),
            (["box:/data/one/", "x"], "is not a directory"),
            (["box:/data", "old"], "cannot copy a directory to the file"),
            (["box:/gone", "x"], "could not find the file /gone in container box"),
            (["box:/data/one", "/dev/null"], "neither a directory nor a regular file"),
            (["gone:/x", "x"], "no such container: gone"),
            (["a", "b"], "one end of a copy is a container"),
            (["box:/a", "box:/b"], "between containers"),
            (["box:", "x"], "is not CONTAINER:PATH"),
        ] {
            cp(room, &words).exits(1).warns(error);
        }
        let said = room.envbox(&["cp", "box:data/one", "again"]).succeeds();
        said.warns("Successfully copied 4B to again");
    }

    fn a_directory_is_copied_by_dockers_rules(room) {
        kept(room);
        let work = room.work();
        fs::create_dir(work.join("there")).unwrap();
        room.give(&work);
        cp(room, &["box:/data", "fresh"]).succeeds().quietly();
        cp(room, &["box:/data", "there"]).succeeds().quietly();
        cp(room, &["box:/data/.", "there"]).succeeds().quietly();
        cp(room, &["box:/empty", "there/"]).succeeds().quietly();
        for made in ["fresh", "there/data", "there"] {
            assert_eq!(text(&work.join(made).join("deep/two")), "two\n", "{made}");
            let link = fs::read_link(work.join(made).join("absolute")).unwrap();
            assert_eq!(link, Path::new("/data/one"));
        }
        assert!(work.join("there/empty").is_dir());
        assert_eq!(fs::metadata(work.join("fresh/deep")).unwrap().mode() & 0o7777, 0o750);
        fs::create_dir(work.join("there/one")).unwrap_err();
        fs::remove_file(work.join("there/one")).unwrap();
        fs::create_dir(work.join("there/one")).unwrap();
        cp(room, &["box:/data/.", "there"]).exits(1).warns("cannot overwrite \"one\", a directory");
        fs::create_dir(work.join("in")).unwrap();
        fs::write(work.join("in/a"), "a").unwrap();
        fs::set_permissions(work.join("in"), PermissionsExt::from_mode(0o711)).unwrap();
        room.give(&work.join("in"));
        cp(room, &["in", "box:/new"]).succeeds().quietly();
        cp(room, &["in", "box:/tmp"]).succeeds().quietly();
        cp(room, &["./in/.", "box:/tmp"]).succeeds().quietly();
        let made = ["0/0 new/", "0/0 new/a"];
        assert_eq!(listed(room, "box:/new"), made);
        assert_eq!(listed(room, "box:/tmp/."), ["0/0 ./", "0/0 a", "0/0 in/", "0/0 in/a"]);
        let tmp = room.envbox(&["diff", "box"]).succeeds();
        assert!(!tmp.stdout().lines().any(|line| line == "A /tmp"), "{tmp}");
        cp(room, &["in", "box:/data/one"]).exits(1).warns("cannot copy a directory to the file");
    }

    fn links_in_the_container_are_resolved_inside(room) {
        kept(room);
        let work = room.work();
        fs::write(work.join("passwd"), "from outside").unwrap();
        room.give(&work.join("passwd"));
        cp(room, &["box:/out/passwd", "copy"]).succeeds().quietly();
        assert!(text(&work.join("copy")).starts_with("root:x:0:0:root:/root:/bin/sh"));
        cp(room, &["box:/data/absolute", "link"]).succeeds();
        assert!(work.join("link").is_symlink());
        cp(room, &["-L", "box:/data/absolute", "file"]).succeeds();
        assert_eq!(text(&work.join("file")), "one\n");
        cp(room, &["-L", "box:/data/up/up/absolute", "."]).succeeds();
        assert_eq!(text(&work.join("absolute")), "one\n");
        cp(room, &["passwd", "box:/out"]).succeeds();
        assert_eq!(listed(room, "box:/etc/passwd"), ["0/0 passwd"]);
        cp(room, &["box:/etc/passwd", "back"]).succeeds();
        assert_eq!(text(&work.join("back")), "from outside");
        cp(room, &["passwd", "box:/dangling"]).exits(1).warns("/new");
        cp(room, &["./passwd", "box:/data/absolute"]).succeeds();
        assert_eq!(listed(room, "box:/data/absolute"), ["0/0 absolute"]);
        assert_eq!(listed(room, "box:/data/one"), ["0/0 one"]);
        symlink("passwd", work.join("mine")).unwrap();
        cp(room, &["mine", "box:/linked"]).succeeds();
        cp(room, &["-L", "mine", "box:/followed"]).succeeds();
        cp(room, &["box:/linked", "linked"]).succeeds();
        cp(room, &["box:/followed", "followed"]).succeeds();
        assert!(work.join("linked").is_symlink() && !work.join("followed").is_symlink());
    }

    fn owners_are_kept_where_that_is_asked_for(room) {
        kept(room);
        assert_eq!(listed(room, "box:/data/one"), ["1000/1000 one"]);
        let tar = room.work().join("one.tar");
        let mut out = room.command(&["cp", "box:/data/one", "-"]);
        out.stdout(fs::File::create(&tar).unwrap());
        room.run(out).succeeds().quietly();
        for (words, owner) in [(&["-q", "-", "box:/empty"][..], "0/0"), (&["-aq", "-", "box:/empty"], "1000/1000")]
        {
            let mut into = room.command(&[&["cp"], words].concat());
            into.stdin(fs::File::open(&tar).unwrap());
            room.run(into).succeeds().quietly();
            assert_eq!(listed(room, "box:/empty/one"), [format!("{owner} one")]);
        }
        let mut into = room.command(&["cp", "-", "box:/gone"]);
        into.stdin(fs::File::open(&tar).unwrap());
        room.run(into).exits(1).warns("a tar is copied into a directory");
        let events = ["events", "--since", "1h", "--until", "0s", "-f", "container=box"];
        room.envbox(&events).succeeds().says("container extract-to-dir").says("path=/empty");
    }

    fn one_that_runs_sees_what_is_copied_and_its_volumes_are_seen(room) {
        kept(room);
        let work = room.work();
        fs::create_dir(work.join("src")).unwrap();
        fs::write(work.join("in"), "in\n").unwrap();
        room.give(&work);
        let script = "for d in / /vol/ /src/ /mem/; do echo live >${d}made; done; echo ready; \
            read line; cat /in /vol/in /mem/in";
        let flags = ["-i", "-v", "data:/vol", "-v", "./src:/src", "-v", "/etc:/ro:ro", "--tmpfs",
            "/mem", "base", "sh", "-c", script];
        for (name, more) in [("live", &[][..]), ("gone", &["--rm"])] {
            let words = [&["run", "--name", name], more, &flags[..]].concat();
            let mut run = room.command(&words);
            run.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut live = run.spawn().unwrap();
            let mut lines = BufReader::new(live.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "ready");
            // It may print before its file is written.
            eventually("it is listed", || {
                !room.envbox(&["ps", "-q", "-f", &format!("name={name}")]).stdout().is_empty()
            });
            let inside = |path: &str| format!("{name}:{path}");
            for folder in ["/", "/vol/", "/src/", "/mem/"] {
                cp(room, &[&inside(&format!("{folder}made")), "made"]).succeeds().quietly();
                assert_eq!(text(&work.join("made")), "live\n", "{folder}");
                cp(room, &["in", &inside(folder)]).succeeds().quietly();
            }
            cp(room, &[&inside("/vol"), "tree"]).succeeds().quietly();
            assert_eq!(text(&work.join("tree/made")), "live\n");
            fs::remove_dir_all(work.join("tree")).unwrap();
            cp(room, &["in", &inside("/ro/in")]).exits(1).warns("Read-only file system");
            cp(room, &[&inside("/none"), "x"]).exits(1).warns("could not find the file /none");
            live.stdin.take().unwrap().write_all(b"end\n").unwrap();
            let rest: Vec<String> = lines.map(Result::unwrap).collect();
            assert_eq!(rest, ["in", "in", "in"], "{name}");
            assert!(live.wait().unwrap().success());
            assert_eq!(text(&work.join("src/in")), "in\n");
        }
        // Of one that has ended the root is there, and nothing that was mounted.
        cp(room, &["live:/in", "out"]).succeeds();
        cp(room, &["live:/mem/in", "out"]).exits(1).warns("could not find");
        cp(room, &["gone:/in", "out"]).exits(1).warns("no such container: gone");
    }

    fn nobody_starts_what_is_copied(room) {
        kept(room);
        room.envbox(&["create", "--name", "next", "base", "cat", "/copied/file"]).succeeds();
        let mut copy = room.command(&["cp", "-q", "-", "next:/"]);
        let mut copy = copy.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = copy.stdin.take().unwrap();
        let id = room.envbox(&["ps", "-aq", "--no-trunc", "-f", "name=next"]).stdout();
        let directory = room.path().join("store/containers").join(id.trim());
        let directory = fs::File::open(directory).unwrap();
        eventually("the copy has its turn", || {
            let flags = rustix::fs::FlockOperation::NonBlockingLockExclusive;
            let taken = rustix::fs::flock(&directory, flags).is_err();
            if !taken {
                rustix::fs::flock(&directory, rustix::fs::FlockOperation::Unlock).unwrap();
            }
            taken
        });
        let start = room.command(&["start", "-a", "next"]).stdout(Stdio::piped()).spawn().unwrap();
        let files = room.work().join("copied");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("file"), "copied\n").unwrap();
        let tar = Command::new("tar").arg("-C").arg(room.work()).args(["-c", "copied"]).output();
        input.write_all(&tar.unwrap().stdout).unwrap();
        drop(input);
        assert!(copy.wait().unwrap().success());
        let output = start.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "copied\n");
    }

    fn what_the_file_system_refuses_is_told(room) {
        kept(room);
        let tree = room.work().join("odd");
        fs::create_dir(&tree).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        fs::write(tree.join(".wh.name"), "").unwrap();
        room.give(&tree);
        cp(room, &["odd", "box:/odd"]).succeeds().warns("1 socket was left out");
        drop(socket);
        assert_eq!(listed(room, "box:/odd"), ["0/0 odd/", "0/0 odd/.wh.name"]);
        let tar = room.work().join("device");
        let mut header = vec![0; 512];
        header[..7].copy_from_slice(b"odd.dev");
        header[100..108].copy_from_slice(b"0000644\0");
        for (at, text) in [(108, "0000000\0"), (116, "0000000\0"), (124, "00000000000\0"),
            (136, "00000000000\0"), (329, "0000000\0"), (337, "0000000\0")] {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        header[156] = b'3';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header.resize(512 * 3, 0);
        fs::write(&tar, &header).unwrap();
        let mut into = room.command(&["cp", "-q", "-", "box:/odd"]);
        into.stdin(fs::File::open(&tar).unwrap());
        room.run(into).succeeds().warns("refused").warns("odd.dev");
    }

    fn a_hostile_tar_stays_in_its_directory(room) {
        kept(room);
        let work = room.work();
        fs::create_dir_all(work.join("evil/sub")).unwrap();
        symlink("/etc", work.join("evil/link")).unwrap();
        fs::write(work.join("evil/sub/x"), "x").unwrap();
        for (name, rename) in [("up", "s,sub/x,../../x,"), ("through", "s,sub/x,link/x,")] {
            let tar = work.join(name);
            let mut make = Command::new("tar");
            make.args(["-C", "evil", "-P", "--transform", rename, "-cf"]).arg(&tar);
            make.args(["link", "sub/x"]).current_dir(&work);
            assert!(make.status().unwrap().success());
            let mut into = room.command(&["cp", "-", "box:/empty"]);
            into.stdin(fs::File::open(&tar).unwrap());
            room.run(into).exits(1);
        }
        cp(room, &["box:/etc/x", "x"]).exits(1).warns("could not find");
        cp(room, &["box:/x", "x"]).exits(1).warns("could not find");
    }
}

/// The user ID of whom the room's commands run as.
fn owner(room: &Room) -> u32 {
    fs::metadata(room.path().join("home")).unwrap().uid()
}
