//! `envbox run`, `ps` and `rm`: docker's flags and exit statuses.

use std::io::Write;
use std::process::Stdio;

use crate::harness::{Output, Room, for_everyone};

/// Imports the room's rootfs as `base` at the first call.
fn base(room: &Room) {
    if !room.work().join("rootfs").exists() {
        let rootfs = room.rootfs();
        let changes = ["-c", "ENV FROM_IMAGE=yes", "-c", "CMD [\"echo\", \"of the image\"]"];
        let words = ["import", rootfs.to_str().unwrap(), "base"];
        room.envbox(&[&words[..], &changes[..]].concat()).succeeds();
    }
}

/// `envbox run --rm` with `words`.
fn run(room: &Room, words: &[&str]) -> Output {
    base(room);
    room.envbox(&[&["run", "--rm"], words].concat())
}

/// Runs `line` by the image's shell, with `flags`.
fn line(room: &Room, flags: &[&str], line: &str) -> Output {
    run(room, &[flags, &["base", "sh", "-c", line]].concat())
}

for_everyone! {
    fn the_status_is_dockers(room) {
        run(room, &["base", "true"]).succeeds().quietly();
        line(room, &[], "exit 7").exits(7);
        line(room, &[], "kill -TERM $$; sleep 1").exits(0);
        line(room, &["--init"], "kill -KILL $$").exits(137);
        run(room, &["base", "/no/such"]).exits(127);
        run(room, &["base", "/etc/passwd"]).exits(126);
        run(room, &["base", "/etc"]).exits(126);
        run(room, &["no-such-image", "true"]).exits(125).warns("no-such-image");
        run(room, &["--no-such-flag", "base"]).exits(125);
    }

    fn the_images_command_runs_unless_another_is_given(room) {
        run(room, &["base"]).succeeds().says("of the image");
        run(room, &["base", "echo", "mine"]).succeeds().says("mine");
        run(room, &["--entrypoint", "echo", "base", "-n", "-x"]).succeeds().says("-x");
    }

    fn the_environment_is_the_images_the_files_and_the_flags(room) {
        let file = room.work().join("env");
        std::fs::write(&file, "# mine\nA=file\nB=file\nFROM_CALLER\n").unwrap();
        room.give(&file);
        base(room);
        let words = ["run", "--rm", "--env-file", "env", "-e", "B=flag", "base", "env"];
        let mut command = room.command(&words);
        command.env("FROM_CALLER", "caller").env("SECRET", "no");
        let output = room.run(command).succeeds().stdout();
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        let hostname = lines.iter().position(|line| line.starts_with("HOSTNAME="));
        lines.remove(hostname.expect("docker sets HOSTNAME"));
        assert_eq!(lines, [
            "A=file",
            "B=flag",
            "FROM_CALLER=caller",
            "FROM_IMAGE=yes",
            "HOME=/root",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]);
    }

    fn a_bad_line_of_an_environment_file_is_named(room) {
        std::fs::write(room.work().join("env"), "A=1\nB C=2\n").unwrap();
        room.give(&room.work().join("env"));
        run(room, &["--env-file", "env", "base", "true"]).exits(125).warns("env:2: ");
        run(room, &["--env-file", "none", "base", "true"]).exits(125).warns("none");
    }

    fn user_directory_and_host_name_are_as_asked(room) {
        let ids = |user: &str| line(room, &["-u", user], "id -u; id -g").succeeds().stdout();
        assert_eq!(ids("builder"), "1000\n1000\n");
        assert_eq!(ids("1:2"), "1\n2\n");
        run(room, &["-u", "nobody-here", "base", "true"]).exits(125).warns("nobody-here");
        line(room, &["-w", "/new/place", "-h", "build-1"], "pwd; hostname")
            .succeeds()
            .says("/new/place\nbuild-1\n");
    }

    fn input_comes_in_by_i_alone(room) {
        base(room);
        for (flags, expected) in [(&["-i"][..], "typed"), (&[][..], "")] {
            let words = [&["run", "--rm"], flags, &["base", "cat"]].concat();
            let mut command = room.command(&words);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // Nobody may read it: then the pipe breaks, or keeps it.
            let _ = child.stdin.take().unwrap().write_all(b"typed");
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }
        run(room, &["-it", "base", "true"]).exits(125).warns("not a TTY");
    }

    fn limits_are_set_or_refused(room) {
        line(room, &["--ulimit", "nofile=100:200"], "ulimit -Sn; ulimit -Hn")
            .succeeds()
            .says("100\n200\n");
        run(room, &["--ulimit", "nofile=9:1", "base", "true"]).exits(125).warns("nofile");
        run(room, &["--ulimit", "files=9", "base", "true"]).exits(125).warns("files");
    }

    fn capabilities_are_dockers_and_can_be_chosen(room) {
        let bounding = |flags: &[&str]| {
            let text = line(room, flags, "grep CapBnd /proc/self/status").succeeds().stdout();
            u64::from_str_radix(text.split_whitespace().last().unwrap(), 16).unwrap()
        };
        // The fourteen of docker's default (capabilities(7) has the numbers).
        assert_eq!(bounding(&[]), 0xa804_25fb);
        assert_eq!(bounding(&["--cap-drop", "ALL"]), 0);
        assert_eq!(bounding(&["--cap-drop", "all", "--cap-add", "CAP_CHOWN"]), 1);
        assert_eq!(bounding(&["--cap-add", "sys_ptrace"]), 0xa804_25fb | 1 << 19);
        run(room, &["--cap-add", "SYS_PTRACES", "base", "true"]).exits(125);
    }

    fn security_options_act(room) {
        let status = |flags: &[&str], key: &str| {
            let line = line(room, flags, &format!("grep {key}: /proc/self/status"));
            line.succeeds().stdout().split_whitespace().last().unwrap().to_owned()
        };
        assert_eq!(status(&[], "Seccomp"), "2");
        assert_eq!(status(&["--security-opt", "seccomp=unconfined"], "Seccomp"), "0");
        assert_eq!(status(&[], "NoNewPrivs"), "0");
        assert_eq!(status(&["--security-opt", "no-new-privileges"], "NoNewPrivs"), "1");
        run(room, &["--security-opt", "apparmor=mine", "base", "true"]).exits(125);
    }

    fn a_root_that_is_read_only_takes_nothing_but_in_mounts(room) {
        let flags = ["--read-only", "--tmpfs", "/run:size=1m"];
        line(room, &flags, "touch /x 2>/dev/null && exit 1; touch /run/x /dev/shm/x").succeeds();
    }

    fn binds_show_the_hosts_files(room) {
        std::fs::create_dir(room.work().join("data")).unwrap();
        std::fs::write(room.work().join("data/file"), "of the host\n").unwrap();
        room.give(&room.work().join("data"));
        line(room, &["-v", "./data:/data"], "cat /data/file; echo x >/data/new")
            .succeeds()
            .says("of the host");
        assert!(room.work().join("data/new").exists());
        line(room, &["-v", "./data:/data:ro"], "echo x >/data/newer").exits(1);
        let mount = "type=bind,source=./data,target=/data,readonly";
        line(room, &["--mount", mount], "echo x >/data/newer").exits(1);
        let missing = "type=bind,source=./none,target=/data";
        run(room, &["--mount", missing, "base", "true"]).exits(125).warns("none");
    }

    fn no_network_is_loopback_alone_and_host_is_the_hosts(room) {
        let names = |flags: &[&str]| {
            line(room, flags, "ls /sys/class/net | wc -l").succeeds().stdout()
        };
        let inside = |flags: &[&str]| {
            line(room, flags, "readlink /proc/self/ns/net").succeeds().stdout()
        };
        assert_eq!(names(&["--network", "none"]).trim(), "1");
        let host = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(inside(&["--net", "host"]).trim(), host.to_str().unwrap());
        assert_ne!(inside(&[]).trim(), host.to_str().unwrap());
    }

    fn what_is_not_removed_is_listed_until_it_is(room) {
        base(room);
        room.envbox(&["run", "--name", "first", "base", "sh", "-c", "exit 3"]).exits(3);
        room.envbox(&["run", "base"]).succeeds();
        assert_eq!(room.envbox(&["ps", "-q"]).succeeds().stdout(), "");
        let list = room.envbox(&["ps", "-a"]).succeeds().stdout();
        assert!(list.starts_with("CONTAINER ID   IMAGE     COMMAND"), "{list}");
        assert!(list.contains("Exited (3)") && list.contains("first"), "{list}");
        let words = ["ps", "-a", "--format", "{{.Names}} {{.Image}} {{.State}}"];
        room.envbox(&words).succeeds().says("first base exited\n");
        room.envbox(&["run", "--name", "first", "base"]).exits(125).warns("envbox rm first");
        room.envbox(&["run", "--rm", "--name", "first", "base"]).exits(125).warns("in use");
        let latest = room.envbox(&["ps", "-lq"]).succeeds().stdout();
        assert_eq!(latest.trim().len(), 12);
        let output = room.envbox(&["rm", "first", "none", latest.trim()]).exits(1);
        output.says(&format!("first\n{latest}")).warns("no such container: none");
        assert_eq!(room.envbox(&["ps", "-aq"]).succeeds().stdout(), "");
    }

    fn a_kept_container_that_cannot_start_is_listed_as_created(room) {
        base(room);
        room.envbox(&["run", "--name", "bad", "-u", "nobody-here", "base"]).exits(125);
        let words = ["ps", "-a", "--format", "{{.Names}} {{.Status}}"];
        room.envbox(&words).succeeds().says("bad Created\n");
        room.envbox(&["rm", "bad"]).succeeds();
    }

    fn devices_in_a_tmpfs_are_refused(room) {
        run(room, &["--tmpfs", "/x:dev", "base", "true"]).exits(125).warns("leave `dev` out");
        run(room, &["--tmpfs", "/x:nodev", "base", "true"]).succeeds();
    }

    fn a_kept_shell_keeps_what_it_changed(room) {
        base(room);
        room.envbox(&["shell", "base", "--keep", "mine", "-c", "echo x >/kept"]).succeeds();
        room.envbox(&["ps", "-a", "--format", "{{.Names}}"]).succeeds().says("mine\n");
        room.envbox(&["rm", "mine"]).succeeds().says("mine\n");
    }

    fn a_running_container_is_listed_and_not_removed(room) {
        base(room);
        let mut command = room.command(&["run", "-i", "--name", "busy", "base", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"ready\n").unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let words = ["ps", "--format", "{{.Names}} {{.State}}"];
        room.envbox(&words).succeeds().says("busy running\n");
        room.envbox(&["rm", "busy"]).exits(1).warns("it is running");
        drop(input);
        assert!(child.wait().unwrap().success());
        room.envbox(&["ps", "-q"]).succeeds().quietly();
        room.envbox(&["rm", "busy"]).succeeds();
    }
}
