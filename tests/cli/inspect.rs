//! `envbox inspect` and `envbox export` of containers, and `rmi` of what they
//! stand on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone};

/// Imports a rootfs as `base`; returns the image's ID.
fn base(room: &Room) -> String {
    let rootfs = room.rootfs();
    let words = ["import", rootfs.to_str().unwrap(), "base"];
    room.envbox(&words).succeeds().stdout().trim().to_owned()
}

/// Starts envbox with a command that says `ready` and then reads a line.
fn started(room: &Room, words: &[&str]) -> Child {
    let mut command = room.command(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Lets that command read its line.
fn ended(mut child: Child) -> Option<i32> {
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap().code()
}

/// Every field of `wanted` is in `found`, as it is there.
fn contains(found: &Value, wanted: &Value) {
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&found[field], value, "{field}");
    }
}

for_everyone! {
    fn a_kept_container_is_inspected_exported_and_keeps_its_image(room) {
        let image = base(room);
        let line = "echo 12345 > /new; rm /etc/group; exit 3";
        room.envbox(&["run", "--name", "box", "base", "sh", "-c", line]).exits(3);
        let found = room.envbox(&["inspect", "-s", "box"]).succeeds().quietly().json()[0].clone();
        assert_eq!(found["Name"], "/box");
        assert_eq!(found["Image"], image);
        assert_eq!(found["Path"], "sh");
        assert_eq!(found["Args"], serde_json::json!(["-c", line]));
        assert_eq!(found["State"]["Status"], "exited");
        assert_eq!(found["State"]["Running"], false);
        assert_eq!(found["State"]["ExitCode"], 3);
        assert_ne!(found["State"]["FinishedAt"], "0001-01-01T00:00:00Z");
        assert_eq!(found["Config"]["Image"], "base");
        assert_eq!(found["SizeRw"], 6);
        let id = found["Id"].as_str().unwrap();
        let code = ["inspect", "-f", "{{.State.ExitCode}}", "--type", "container", &id[..8]];
        assert_eq!(room.envbox(&code).succeeds().stdout(), "3\n");

        room.envbox(&["rmi", "base"]).exits(1).warns("the stopped container box uses it");
        room.envbox(&["rmi", "-f", "base"]).succeeds().says("Deleted: ");
        room.envbox(&["export", "-o", "box.tar", "box"]).succeeds();
        let mut list = room.program("tar");
        list.args(["-tf", "box.tar"]);
        let members = room.run(list).succeeds().stdout();
        for (member, is_there) in [("new", true), ("etc/passwd", true), ("etc/group", false)] {
            assert_eq!(members.lines().any(|line| line == member), is_there, "{member}");
        }
        room.envbox(&["rm", "box"]).succeeds();
        room.envbox(&["inspect", "box"]).exits(1).warns("no such object: box");
    }

    fn a_running_container_is_inspected_and_exported(room) {
        let image = base(room);
        let line = "echo x > /while; echo ready; read line; exit 4";
        let kept = started(room, &["run", "-i", "--name", "kept", "base", "sh", "-c", line]);
        let running = started(room, &["run", "-i", "--rm", "--name", "gone", "base", "sh", "-c", line]);
        for name in ["kept", "gone"] {
            let found = room.envbox(&["inspect", name]).succeeds().json()[0].clone();
            assert_eq!(found["State"]["Status"], "running", "{name}");
            assert_eq!(found["State"]["Running"], true);
            assert_eq!(found["Image"], image);
            assert_eq!(found["Name"], format!("/{name}"));
        }
        room.envbox(&["export", "-o", "kept.tar", "kept"]).succeeds();
        let mut list = room.program("tar");
        list.args(["-tf", "kept.tar", "while"]);
        room.run(list).succeeds().says("while");
        room.envbox(&["rmi", "-f", &image]).exits(1).warns("the running container");
        assert_eq!(ended(kept), Some(4));
        assert_eq!(ended(running), Some(4));
        room.envbox(&["inspect", "gone"]).exits(1);
        let status = room.envbox(&["inspect", "-f", "{{.State.Status}}", "kept"]);
        assert_eq!(status.succeeds().stdout(), "exited\n");
    }

    fn a_container_has_dockers_fields(room) {
        base(room);
        std::fs::create_dir(room.work().join("src")).unwrap();
        room.give(&room.work().join("src"));
        room.envbox(&["create", "--name", "lender", "-v", "lent:/lent", "base", "true"]).succeeds();
        let flags = ["--name", "box", "-t", "-v", "./src:/src:ro", "-v", "data:/data", "-v", "/own",
            "--tmpfs", "/run:size=1m", "--mount", "type=bind,source=/etc,target=/host",
            "--volumes-from", "lender:ro", "-e", "A=b c", "-u", "1000:1000", "-w", "/tmp", "-h",
            "builder", "--network", "none", "--read-only", "--cap-add", "NET_ADMIN", "--cap-drop",
            "CHOWN", "--cap-drop", "MKNOD", "--security-opt", "no-new-privileges", "--ulimit", "nofile=100:200",
            "--stop-signal", "INT", "--stop-timeout", "3", "-l", "x=y", "--entrypoint", "sh"];
        let words = [&["create"], &flags[..], &["base", "-c", "true"]].concat();
        let id = room.envbox(&words).succeeds().stdout();
        let found = room.envbox(&["inspect", "box"]).succeeds().quietly().json()[0].clone();
        let volumes = room.path().join("store/volumes");
        let source = |name: &str| volumes.join(name).join("data").display().to_string();
        let src = room.work().join("src").display().to_string();
        let name = |at: usize| found["Mounts"][at]["Name"].as_str().unwrap().to_owned();
        let own = name(2);
        assert_eq!(own.len(), 64);
        let volume = |name: &str, to: &str, mode: &str, rw: bool| json!({
            "Type": "volume", "Name": name, "Source": source(name), "Destination": to,
            "Driver": "local", "Mode": mode, "RW": rw, "Propagation": ""
        });
        let bind = |from: &str, to: &str, mode: &str, rw: bool| json!({
            "Type": "bind", "Source": from, "Destination": to, "Mode": mode, "RW": rw,
            "Propagation": "rprivate"
        });
        assert_eq!(found["Mounts"], json!([
            bind(&src, "/src", "ro", false), volume("data", "/data", "", true),
            volume(&own, "/own", "", true), bind("/etc", "/host", "", true),
            volume("lent", "/lent", "ro,nocopy", false),
        ]));
        assert_eq!(found["Config"], json!({
            "Hostname": "builder", "Domainname": "", "User": "1000:1000", "Tty": true,
            "OpenStdin": false, "Env": ["TERM=xterm", "A=b c"], "Cmd": ["-c", "true"],
            "Image": "base", "Volumes": {"/own": {}}, "WorkingDir": "/tmp", "Entrypoint": ["sh"],
            "Labels": {"x": "y"}, "StopSignal": "SIGINT", "StopTimeout": 3
        }));
        contains(&found["HostConfig"], &json!({
            "Binds": [format!("{src}:/src:ro"), "data:/data"], "NetworkMode": "none",
            "AutoRemove": false, "VolumesFrom": ["lender:ro"], "CapAdd": ["CAP_NET_ADMIN"],
            "CapDrop": ["CAP_CHOWN", "CAP_MKNOD"], "ReadonlyRootfs": true,
            "SecurityOpt": ["no-new-privileges"], "Tmpfs": {"/run": "size=1m"},
            "Ulimits": [{"Name": "nofile", "Hard": 200, "Soft": 100}],
            "Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/host"}]
        }));
        let directory = |name: &str| found["GraphDriver"]["Data"][name].as_str().unwrap().to_owned();
        assert!(directory("UpperDir").contains(id.trim()));
        assert!(std::path::Path::new(&directory("LowerDir")).exists());
        assert_eq!(found["Platform"], "linux");
        assert_eq!(found["NetworkSettings"]["Networks"]["none"]["IPAddress"], "");
        assert_eq!(found["State"]["Status"], "created");
        assert_eq!(found["State"]["Error"], "");
        assert_eq!((&found["Path"], &found["Args"]), (&json!("sh"), &json!(["-c", "true"])));
    }

    fn limits_and_settings_of_a_container_are_dockers(room) {
        base(room);
        let flags = ["--annotation", "a=b", "--add-host", "db:10.0.0.1", "--dns", "10.0.0.2",
            "--group-add", "5", "--shm-size", "1m", "--oom-score-adj", "500", "--memory", "64m",
            "--cpus", "0.5", "--pids-limit", "9", "--sysctl", "net.ipv4.ip_forward=1",
            "--device", "/dev/null:/dev/nil", "--domainname", "example"];
        let create = |name: &str, flags: &[&str]| {
            let words = [&["create", "--name", name], flags, &["base", "true"]].concat();
            room.envbox(&words).succeeds();
            room.envbox(&["inspect", name]).succeeds().json()[0].clone()
        };
        let found = create("given", &flags);
        contains(&found["HostConfig"], &json!({
            "Annotations": {"a": "b"}, "ExtraHosts": ["db:10.0.0.1"], "Dns": ["10.0.0.2"],
            "GroupAdd": ["5"], "ShmSize": 1 << 20, "OomScoreAdj": 500, "Memory": 64 << 20,
            "MemorySwap": 128 << 20, "NanoCpus": 500_000_000, "PidsLimit": 9,
            "Sysctls": {"net.ipv4.ip_forward": "1"}, "Privileged": false, "IpcMode": "private",
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nil",
                "CgroupPermissions": "rwm"}]
        }));
        assert_eq!(found["Config"]["Domainname"], "example");
        contains(&create("bare", &[])["HostConfig"], &json!({
            "ExtraHosts": null, "Dns": [], "GroupAdd": null, "ShmSize": 64 << 20, "Memory": 0,
            "MemorySwap": 0, "NanoCpus": 0, "PidsLimit": null, "Devices": [], "UTSMode": ""
        }));
    }

    fn what_nobody_asked_for_is_null(room) {
        base(room);
        room.envbox(&["create", "--name", "bare", "base", "/none"]).succeeds();
        room.envbox(&["start", "bare"]).exits(1);
        let found = room.envbox(&["inspect", "bare"]).succeeds().json()[0].clone();
        assert_eq!(found["State"]["ExitCode"], 127);
        assert_eq!(found["State"]["Error"], "exec \"/none\": no such file or directory");
        for (field, of) in [("Binds", "HostConfig"), ("CapAdd", "HostConfig"),
            ("VolumesFrom", "HostConfig"), ("Volumes", "Config"), ("Entrypoint", "Config")]
        {
            assert!(found[of].as_object().unwrap().contains_key(field), "{field}");
            assert_eq!(found[of][field], Value::Null, "{field}");
        }
    }

    fn templates_answer_as_dockers_do(room) {
        base(room);
        let flags = ["-i", "-v", "data:/data", "-v", "/etc:/host:ro", "-e", "A=b"];
        let line = "echo ready; read line; exit 3";
        for (name, more) in [("kept", &[][..]), ("gone", &["--rm"])] {
            let words = [&["run", "--name", name], more, &flags, &["base", "sh", "-c", line]].concat();
            let running = started(room, &words);
            // It may print before its file is written.
            eventually("it is listed", || {
                !room.envbox(&["ps", "-q", "-f", &format!("name={name}")]).stdout().is_empty()
            });
            let source = room.path().join("store/volumes/data/data");
            let mounts = format!("{}:/data /etc:/host ", source.display());
            for (template, expected) in [
                ("{{range .Mounts}}{{.Source}}:{{.Destination}} {{end}}", mounts.as_str()),
                ("{{.State.ExitCode}} {{.State.Running}}", "0 true"),
                ("{{.Config.Cmd}}", "[sh -c echo ready; read line; exit 3]"),
                ("{{json .Config.Env}}", r#"["A=b"]"#),
                ("{{len .Mounts}} {{(index .Mounts 1).RW}}", "2 false"),
                ("{{.HostConfig.AutoRemove}}", if name == "gone" { "true" } else { "false" }),
                ("{{.HostConfig.Binds}}", "[data:/data /etc:/host:ro]"),
                ("{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Ports}}", "none 0"),
            ] {
                let output = room.envbox(&["inspect", "-f", template, name]).succeeds();
                assert_eq!(output.stdout(), format!("{expected}\n"), "{template}");
            }
            let mounts = room.envbox(&["inspect", "-f", "{{.Mounts}}", name]).succeeds();
            mounts.says("/etc").says("data");
            let pid = room.envbox(&["inspect", "-f", "{{.State.Pid}}", name]).succeeds().stdout();
            assert!(std::path::Path::new("/proc").join(pid.trim()).exists());
            assert_eq!(ended(running), Some(3));
        }
        let code = ["inspect", "-f", "{{.State.ExitCode}} {{.State.Pid}}", "kept"];
        room.envbox(&code).succeeds().says("3 0\n");
        room.envbox(&["inspect", "gone"]).exits(1).warns("no such object");
    }
}
