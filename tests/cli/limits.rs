//! What a container may use of the host: flags, cgroups, and their end.

use std::path::{Path, PathBuf};

use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone};

/// Imports the room's rootfs as `base`.
fn base(room: &Room) {
    let rootfs = room.rootfs();
    room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
}

/// The directories of the group of the container `id`.
fn groups(id: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    let entries = std::fs::read_dir("/sys/fs/cgroup").unwrap();
    folders.extend(entries.map(|entry| entry.unwrap().path()));
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder.join("envbox")) else { continue };
        let found = entries.filter_map(|entry| Some(entry.ok()?.path()));
        all.extend(found.filter(|path| path.to_string_lossy().ends_with(&format!("-{id}"))));
    }
    all
}

/// The content of the first of these files that is in one of `groups`.
fn value(groups: &[PathBuf], names: [&str; 2]) -> String {
    let paths = names.iter().flat_map(|name| groups.iter().map(move |group| group.join(name)));
    let path = paths.into_iter().find(|path| Path::exists(path)).expect("one of them is there");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

for_everyone! {
    fn limits_are_in_force_and_go_with_the_container(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let flags = ["-m", "64m", "--pids-limit", "50", "--memory-reservation", "32m"];
        let words = [&["run", "-d", "--name", "web"], &flags[..], &["base", "sleep", "1000"]];
        let id = room.envbox(&words.concat()).succeeds().stdout();
        let id = id.trim_end();
        let own = groups(id);
        assert_eq!(value(&own, ["memory.limit_in_bytes", "memory.max"]), "67108864");
        assert_eq!(value(&own, ["pids.max", "pids.max"]), "50");
        assert_eq!(value(&own, ["memory.soft_limit_in_bytes", "memory.low"]), "33554432");
        // It is the root of what the container sees, and exec joins it.
        let seen = ["exec", "web", "cat", "/proc/self/cgroup"];
        let seen = room.envbox(&seen).succeeds().stdout();
        assert!(!seen.contains("envbox") && !seen.contains(".."), "{seen}");
        room.envbox(&["exec", "-d", "web", "sleep", "1000"]).succeeds();
        let processes = value(&own, ["pids.current", "pids.current"]);
        assert!(processes.parse::<u32>().unwrap() >= 2, "{processes}");
        room.envbox(&["stop", "-t", "0", "web"]).succeeds();
        assert_eq!(groups(id), Vec::<PathBuf>::new());
        // It is asked to be the same when it is started again.
        room.envbox(&["start", "web"]).succeeds();
        assert_eq!(value(&groups(id), ["pids.max", "pids.max"]), "50");
        room.envbox(&["rm", "-f", "web"]).succeeds();
        assert_eq!(groups(id), Vec::<PathBuf>::new());
    }

    fn stats_shows_what_is_used(room) {
        base(room);
        room.envbox(&["create", "--name", "new", "base", "true"]).succeeds();
        let stats = |words: &[&str]| {
            room.envbox(&[&["stats", "--no-stream"], words].concat())
        };
        let header = stats(&[]).succeeds().stdout();
        for title in ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "PIDS"] {
            assert!(header.contains(title), "{header}");
        }
        assert_eq!(header.lines().count(), 1);
        let unknown = "new -- --\n";
        let fields = "{{.Name}} {{.CPUPerc}} {{.PIDs}}";
        stats(&["-a", "--format", fields]).succeeds().says(unknown);
        stats(&["none"]).exits(1).warns("no such container: none");
        if !room.has_groups() {
            let line = "echo ready; exec sleep 1000";
            room.envbox(&["run", "-d", "--name", "web", "base", "sh", "-c", line]).succeeds();
            stats(&["web", "--format", fields]).succeeds().warns("has no cgroup").says("web -- --");
            room.envbox(&["rm", "-f", "web"]).succeeds();
            return;
        }
        let line = "while :; do :; done";
        let words = ["run", "-d", "--name", "web", "-m", "64m", "base", "sh", "-c", line];
        room.envbox(&words).succeeds();
        let found = stats(&["--format", "json"]).succeeds().json();
        assert_eq!(found["Name"], "web");
        assert_eq!(found["PIDs"], "1");
        let memory = found["MemUsage"].as_str().unwrap();
        assert!(memory.ends_with(" / 64MiB"), "{memory}");
        let processor = found["CPUPerc"].as_str().unwrap().trim_end_matches('%');
        assert!(processor.parse::<f64>().unwrap() > 1.0, "{processor}");
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn a_killed_monitor_leaves_no_group_to_the_next_command(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let words = ["run", "-d", "--name", "web", "base", "sleep", "1000"];
        let id = room.envbox(&words).succeeds().stdout();
        let id = id.trim_end();
        assert!(!groups(id).is_empty());
        let state = std::fs::read_to_string(room.path().join(format!("run/containers/{id}.json")));
        let state = state.unwrap();
        let state: serde_json::Value = serde_json::from_str(state.lines().last().unwrap()).unwrap();
        let first = state["pid"].as_i64().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        let monitor = nix::unistd::Pid::from_raw(parent.trim().parse().unwrap());
        nix::sys::signal::kill(monitor, nix::sys::signal::Signal::SIGKILL).unwrap();
        eventually("the group has gone", || {
            room.envbox(&["ps"]).succeeds();
            groups(id).is_empty()
        });
        room.envbox(&["rm", "web"]).succeeds();
    }

    fn what_is_no_cgroups_needs_none(room) {
        base(room);
        let line = "cat /proc/self/oom_score_adj; grep ' /dev/shm ' /proc/mounts";
        let flags = ["--oom-score-adj", "700", "--shm-size", "8m"];
        let words = [&["run", "--rm"], &flags[..], &["base", "sh", "-c", line]].concat();
        room.envbox(&words).succeeds().quietly().says("700\n").says("size=8192k");
        let words = ["run", "--rm", "base", "grep", " /dev/shm ", "/proc/mounts"];
        room.envbox(&words).succeeds().quietly().says("size=65536k");
        let rootfs = room.rootfs();
        let words = ["shell", "--shm-size", "8m", rootfs.to_str().unwrap(), "--", "sh", "-c", line];
        room.envbox(&words).succeeds().says("size=8192k");
        room.envbox(&["run", "-d", "--oom-score-adj", "600", "--name", "web", "base", "sleep", "99"])
            .succeeds();
        let words = ["exec", "web", "cat", "/proc/self/oom_score_adj"];
        room.envbox(&words).succeeds().says("600\n");
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn limits_that_make_no_sense_are_refused_before_anything_is_made(room) {
        base(room);
        for (flags, message) in [
            (&["-m", "1m"][..], "invalid --memory: the minimum memory limit allowed is 6MB"),
            (&["--cpus", "100000"], "invalid --cpus: the range is from 0.01 to"),
            (&["--memory-swap", "1g"], "invalid --memory-swap: it needs a memory limit"),
            (&["--cpuset-cpus", "8000"], "invalid --cpuset-cpus: requested CPUs are not"),
            (&["--pids-limit", "many"], "invalid limit of PIDs \"many\""),
        ] {
            let words = [&["create", "--name", "web"], flags, &["base", "true"]].concat();
            let output = room.envbox(&words).warns(message);
            assert!(output.stdout().is_empty(), "{output}");
        }
        assert_eq!(room.envbox(&["ps", "-aq"]).succeeds().stdout(), "");
    }
}
