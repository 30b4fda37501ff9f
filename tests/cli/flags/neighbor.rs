//! `container:NAME` of `--network`, `--ipc` and `--pid`, and `--pid host`: what is
//! shared, how it ends, and what a hostile neighbor gets of the one that comes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::line;
use crate::harness::process::{comm, eventually, state};
use crate::harness::{Output, Room, for_everyone};

/// Runs a container named `web` that stays, once `setup` has been done in it.
#[track_caller]
fn web(room: &Room, flags: &[&str], setup: &str) {
    line(room, &[], "true").succeeds();
    let work = format!("{setup}; touch /ready; exec sleep 100000");
    let words = [&["run", "-d", "--name", "web"], flags, &["base", "sh", "-c", &work]].concat();
    room.envbox(&words).succeeds();
    is_ready(room, "web");
}

#[track_caller]
fn is_ready(room: &Room, name: &str) {
    eventually("it is ready", || {
        room.envbox(&["exec", name, "test", "-e", "/ready"]).stderr().is_empty()
            && room.envbox(&["exec", name, "cat", "/ready"]).stderr().is_empty()
    });
}

/// What `line` prints in the container `web`.
#[track_caller]
fn in_web(room: &Room, line: &str) -> String {
    room.envbox(&["exec", "web", "sh", "-c", line]).succeeds().stdout()
}

#[track_caller]
fn id_of(room: &Room, name: &str) -> String {
    let words = ["inspect", "-f", "{{.Id}}", name];
    room.envbox(&words).succeeds().stdout().trim_end().to_owned()
}

/// Ends all that `names` name.
fn remove(room: &Room, names: &[&str]) -> Output {
    room.envbox(&[&["rm", "-f"], names].concat()).succeeds()
}

/// How many processes there are in whose command line `mark` stands.
fn count(mark: &str) -> usize {
    let words = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(words);
    all.filter(|words| String::from_utf8_lossy(words).replace('\0', " ").contains(mark)).count()
}

for_everyone! {
    fn a_network_is_joined_with_its_names(room) {
        web(room, &["-h", "front", "--add-host", "db:192.0.2.7", "--dns", "192.0.2.53"], "true");
        let text = "readlink /proc/self/ns/net; hostname; cat /etc/hostname /etc/hosts \
            /etc/resolv.conf; ls /sys/class/net";
        let joined = line(room, &["--network", "container:web"], text).succeeds().stdout();
        assert_eq!(joined, in_web(room, text));
        assert!(joined.contains("\nfront\n") && joined.contains("192.0.2.7\tdb\n"), "{joined}");
        let apart = line(room, &[], "readlink /proc/self/ns/net").succeeds().stdout();
        assert!(!joined.starts_with(&apart), "{joined}");
        remove(room, &["web"]);
    }

    fn what_the_neighbor_decides_is_refused(room) {
        web(room, &[], "true");
        for (flags, words) in [
            (["-h", "x"], "conflicting options: hostname and the network mode"),
            (["--domainname", "x"], "conflicting options: hostname and the network mode"),
            (["--dns", "192.0.2.53"], "conflicting options: dns and the network mode"),
            (["--dns-search", "a.b"], "conflicting options: dns and the network mode"),
            (["--add-host", "a:1.2.3.4"], "conflicting options: custom host-to-IP mapping"),
        ] {
            let flags = [&["--network", "container:web"], &flags[..]].concat();
            line(room, &flags, "echo ran").exits(125).warns(words);
        }
        remove(room, &["web"]);
        line(room, &["--network", "container:"], "true").exits(125).warns("container:<name|id>");
        line(room, &["--pid", "container:"], "true").exits(125).warns("invalid PID mode");
        line(room, &["--pid", "all"], "true").exits(125).warns("invalid PID mode: all");
        line(room, &["--ipc", "container:"], "true").exits(125).warns("invalid IPC mode");
    }

    fn who_does_not_run_is_not_joined(room) {
        line(room, &[], "true").succeeds();
        room.envbox(&["create", "--name", "web", "--ipc", "shareable", "base", "true"]).succeeds();
        let words = "cannot join network of a non running container";
        line(room, &["--network", "container:web"], "echo ran").exits(125).warns(words);
        for flag in ["--ipc", "--pid"] {
            let refused = line(room, &[flag, "container:web"], "echo ran").exits(125);
            refused.warns("is not running");
        }
        for flag in ["--network", "--ipc", "--pid"] {
            let refused = line(room, &[flag, "container:nobody"], "echo ran").exits(125);
            refused.warns("nobody");
        }
    }

    fn only_a_shareable_ipc_is_joined(room) {
        web(room, &[], "true");
        line(room, &["--ipc", "container:web"], "echo ran").exits(125).warns("non-shareable IPC");
        remove(room, &["web"]);
        web(room, &["--ipc", "shareable"], "echo hello >/dev/shm/note");
        let text = "readlink /proc/self/ns/ipc; cat /dev/shm/note; echo back >/dev/shm/answer";
        let joined = line(room, &["--ipc", "container:web"], text).succeeds().stdout();
        let own = in_web(room, "readlink /proc/self/ns/ipc; cat /dev/shm/note");
        assert_eq!(joined, own);
        assert_eq!(in_web(room, "cat /dev/shm/answer"), "back\n");
        remove(room, &["web"]);
    }

    fn a_neighbor_with_the_hosts_ipc_leads_to_that(room) {
        web(room, &["--ipc", "host"], "true");
        let joined = line(room, &["--ipc", "container:web"], "readlink /proc/self/ns/ipc");
        assert_eq!(joined.succeeds().stdout(), in_web(room, "readlink /proc/self/ns/ipc"));
        remove(room, &["web"]);
    }

    fn the_hosts_processes_are_seen_and_its_secrets_masked(room) {
        let text = "readlink /proc/self/ns/pid; [ $$ -ne 1 ] && echo other; \
            ls -d /proc/[0-9]* | wc -l; grep -c ' /proc/sys ro' /proc/self/mountinfo";
        let seen = line(room, &["--pid", "host"], text).succeeds().stdout();
        let lines: Vec<&str> = seen.lines().collect();
        let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
        assert_eq!(lines[0], own.to_str().unwrap());
        assert_eq!((lines[1], lines[3]), ("other", "1"), "{seen}");
        assert!(lines[2].parse::<u32>().unwrap() > 5, "{seen}");
        let private = line(room, &["--pid", "private"], "echo $$").succeeds();
        private.says("1\n");
    }

    fn one_among_the_hosts_processes_is_managed_as_any(room) {
        web(room, &["--pid", "host"], "true");
        let seen = room.envbox(&["top", "web", "-o", "pid,args"]).succeeds().stdout();
        assert_eq!(seen.lines().count(), 2, "{seen}");
        let pid = room.envbox(&["inspect", "-f", "{{.State.Pid}}", "web"]).succeeds().stdout();
        assert_eq!(in_web(room, &format!("cat /proc/{}/comm", pid.trim_end())), "sleep\n");
        let mode = room.envbox(&["inspect", "-f", "{{.HostConfig.PidMode}}", "web"]).succeeds();
        mode.says("host\n");
        room.envbox(&["stop", "-t", "60", "web"]).succeeds();
        let status = room.envbox(&["inspect", "-f", "{{.State.ExitCode}}", "web"]).succeeds();
        // It is no process 1, whom SIGTERM does not end.
        status.says("143\n");
    }

    fn what_a_program_leaves_ends_with_it(room) {
        // A time that no other test sleeps.
        let time = format!("9{:09}", std::process::id());
        let mark = format!("sleep {time}");
        web(room, &[], "true");
        for pid in ["host", "container:web"] {
            let flags = ["--pid", pid];
            let ended = line(room, &flags, &format!("{mark} >/dev/null 2>&1 & echo $!; exit 3")).exits(3);
            if ended.stderr().contains("may go on when that ends") {
                // Nobody else does it.
                let end = format!("kill {}", ended.stdout().trim_end());
                line(room, &flags, &end).succeeds();
            }
            eventually("all of it has ended", || count(&mark) == 0);
        }
        remove(room, &["web"]);
    }

    fn one_lives_among_its_neighbors_processes(room) {
        web(room, &[], "true");
        let text = "readlink /proc/self/ns/pid; tr '\\0' ' ' </proc/1/cmdline; echo; exec sleep 999";
        let words = ["run", "-d", "--name", "job", "--pid", "container:web", "base", "sh", "-c"];
        room.envbox(&[&words[..], &[text]].concat()).succeeds();
        eventually("it is seen", || in_web(room, "ps").contains("sleep 999"));
        let own = in_web(room, "readlink /proc/self/ns/pid; tr '\\0' ' ' </proc/1/cmdline; echo");
        eventually("it sees them", || room.envbox(&["logs", "job"]).stdout() == own);
        let seen = room.envbox(&["top", "job", "-o", "pid,args"]).succeeds().stdout();
        assert!(seen.contains("sleep 999") && !seen.contains("100000"), "{seen}");
        let there = room.envbox(&["exec", "job", "ps"]).succeeds().stdout();
        assert!(there.contains("sleep 999") && there.contains("100000"), "{there}");
        let mode = room.envbox(&["inspect", "-f", "{{.HostConfig.PidMode}}", "job"]).succeeds();
        mode.says(&format!("container:{}\n", id_of(room, "web")));
        // Again, under another name of the neighbor's.
        room.envbox(&["rename", "web", "front"]).succeeds();
        room.envbox(&["stop", "-t", "60", "job"]).succeeds();
        room.envbox(&["start", "job"]).succeeds();
        room.envbox(&["restart", "-t", "60", "job"]).succeeds();
        room.envbox(&["rename", "front", "web"]).succeeds();
        eventually("it is seen", || in_web(room, "ps").contains("sleep 999"));
        room.envbox(&["kill", "job"]).succeeds();
        assert!(!in_web(room, "ps").contains("sleep 999"));
        room.envbox(&["start", "job"]).succeeds();
        // The first process of them takes all along.
        room.envbox(&["stop", "-t", "0", "web"]).succeeds();
        room.envbox(&["wait", "job"]).succeeds().says("137\n");
        room.envbox(&["start", "job"]).exits(1).warns("is not running");
        remove(room, &["job", "web"]);
    }

    fn a_program_dies_with_its_monitor(room) {
        web(room, &[], "true");
        for pid in ["host", "container:web"] {
            let words = ["run", "-d", "--name", "job", "--pid", pid, "base", "sleep", "1000"];
            room.envbox(&words).succeeds();
            let number = room.envbox(&["inspect", "-f", "{{.State.Pid}}", "job"]).succeeds();
            let program = Pid::from_raw(number.stdout().trim_end().parse().unwrap());
            let stat = std::fs::read_to_string(format!("/proc/{program}/stat")).unwrap();
            let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap();
            let monitor = Pid::from_raw(parent.parse().unwrap());
            assert_eq!(comm(monitor), "envbox-monitor");
            kill(monitor, Signal::SIGKILL).unwrap();
            eventually("it has ended", || matches!(state(program), 'X' | 'Z'));
            remove(room, &["job"]);
        }
        remove(room, &["web"]);
    }

    fn a_terminal_descriptors_and_an_init_come_along(room) {
        web(room, &[], "true");
        let text = "tty; ls /proc/self/fd | wc -l; cat /proc/$PPID/comm";
        let flags = ["--pid", "container:web", "--init", "-t"];
        let output = line(room, &flags, text).succeeds().stdout().replace('\r', "");
        assert_eq!(output, "/dev/pts/0\n4\nenvbox-init\n");
        line(room, &["--pid", "container:web"], "cd /nowhere || exit 9").exits(9);
        let words = ["run", "--rm", "--pid", "container:web", "base", "/no/such"];
        room.envbox(&words).exits(127).warns("no such file");
        remove(room, &["web"]);
    }

    fn who_joins_two_needs_them_together(room) {
        web(room, &["--ipc", "shareable"], "true");
        let words = ["run", "-d", "--name", "job", "--network", "container:web", "base"];
        room.envbox(&[&words[..], &["sleep", "1000"]].concat()).succeeds();
        let both = ["--ipc", "container:web", "--network", "container:job", "--pid", "container:job"];
        let text = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc";
        let joined = line(room, &both, text).succeeds().stdout();
        assert_eq!(joined, in_web(room, text));
        let mode = room.envbox(&["inspect", "-f", "{{.HostConfig.NetworkMode}}", "job"]).succeeds();
        mode.says(&format!("container:{}\n", id_of(room, "web")));
        room.envbox(&["run", "-d", "--name", "apart", "base", "sleep", "1000"]).succeeds();
        let two = ["--ipc", "container:web", "--pid", "container:apart"];
        let other = line(room, &two, "echo ran");
        if other.stderr().is_empty() {
            other.says("ran\n");
        } else {
            other.exits(125).warns("another user namespace");
        }
        remove(room, &["job", "web", "apart"]);
    }

    fn a_shell_joins_nobody(room) {
        let rootfs = room.rootfs();
        let words = ["shell", rootfs.to_str().unwrap(), "--network", "container:x", "--", "true"];
        room.envbox(&words).exits(125).warns("a shell joins none");
    }

    fn a_setting_reaches_the_host_by_no_neighbor(room) {
        web(room, &["--network", "host", "--ipc", "host"], "true");
        for (flag, setting) in [("--network", "net.ipv4.ip_default_ttl=77"), ("--ipc", "kernel.shmmax=1")] {
            let flags = [flag, "container:web", "--sysctl", setting];
            line(room, &flags, "echo ran").exits(125).warns("not allowed in host");
        }
        remove(room, &["web"]);
    }

    fn a_neighbor_that_looks_sees_nothing_of_the_host(room) {
        // CVE-2016-9962, with a process that comes to stay.
        let look = "(while :; do for p in /proc/[0-9]*; do \
            ls -l $p/exe $p/cwd $p/root $p/fd; ls $p/root; done; done) >/seen 2>/dev/null & true";
        let seen = room.work().join("seen");
        std::fs::write(&seen, "").unwrap();
        room.give(&seen);
        let mount = format!("{}:/seen", seen.display());
        for flags in [&[][..], &["-u", "1000:1000"]] {
            if line(room, flags, "true").stderr().contains("sub-ID") {
                continue;
            }
            web(room, &["-v", &mount], look);
            for _ in 0..15 {
                let flags = [&["--pid", "container:web"], flags].concat();
                line(room, &flags, "true").succeeds();
            }
            remove(room, &["web"]);
            let listed = String::from_utf8_lossy(&std::fs::read(&seen).unwrap()).into_owned();
            assert!(listed.contains("-> /"), "the watcher sees: {listed}");
            let own = room.path().to_str().unwrap();
            for target in listed.lines().filter_map(|line| line.split_once(" -> ")) {
                let inside = ["/proc", "/dev", "/bin", "pipe:", "socket:", "/memfd:envbox-init", "/seen"];
                let is_inside = inside.iter().any(|start| target.1.starts_with(start));
                assert!(target.1 == "/" || is_inside, "{target:?}");
                assert!(!target.1.starts_with(own), "{target:?}");
            }
            // Directories of the host's root that no image here has.
            assert!(!listed.lines().any(|line| line == "boot" || line == "srv"), "{listed}");
        }
    }

    fn a_neighbor_that_kills_all_it_sees_ends_nothing_of_envboxs(room) {
        web(room, &[], "(while :; do kill -9 -1; done) & true");
        for _ in 0..5 {
            let ended = line(room, &["--pid", "container:web"], "sleep 5");
            assert!(ended.stdout().is_empty());
        }
        assert!(room.envbox(&["ps", "-q"]).succeeds().stdout().lines().count() == 1);
        remove(room, &["web"]);
    }
}
