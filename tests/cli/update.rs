//! Other limits for containers that exist, whether they run or not.

use std::path::{Path, PathBuf};

use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone, skip};

/// Imports the room's rootfs as `base`.
fn base(room: &Room) {
    let rootfs = room.rootfs();
    room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
}

/// Runs `web` in the background, with these flags, until it is killed: its ID.
fn web(room: &Room, flags: &[&str]) -> String {
    let words = [&["run", "-d", "--name", "web"], flags, &["base", "sleep", "1000"]].concat();
    room.envbox(&words).succeeds().stdout().trim_end().to_owned()
}

/// What the kernel has for the container `id`: the content of the first of these
/// files, v1's name and v2's, that is there.
fn in_force(id: &str, names: [&str; 2]) -> String {
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    let entries = std::fs::read_dir("/sys/fs/cgroup").unwrap();
    folders.extend(entries.map(|entry| entry.unwrap().path()));
    // An ordinary user's is below what was delegated.
    folders.push(PathBuf::from("/sys/fs/cgroup/session/run"));
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder.join("envbox")).ok());
    let groups = entries.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let own = groups.filter(|path| path.to_string_lossy().ends_with(&format!("-{id}")));
    let paths = own.flat_map(|group| names.map(|name| group.join(name)));
    let path = paths.into_iter().find(|path| Path::exists(path)).expect("it has a group");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn memory(id: &str) -> String {
    in_force(id, ["memory.limit_in_bytes", "memory.max"])
}

fn pids(id: &str) -> String {
    in_force(id, ["pids.max", "pids.max"])
}

/// What `inspect` says of the limits of the container `name`.
fn told(room: &Room, name: &str) -> String {
    let fields = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{json .HostConfig.PidsLimit}} \
        {{.HostConfig.CpuShares}}";
    let words = ["inspect", "--format", fields, name];
    room.envbox(&words).succeeds().stdout().trim_end().to_owned()
}

const MIB: u64 = 1 << 20;

fn mebibytes<const N: usize>(all: [u64; N]) -> [String; N] {
    all.map(|one| (one * MIB).to_string())
}

for_everyone! {
    fn a_container_that_runs_has_new_limits_at_once_and_when_it_starts_again(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let id = web(room, &["-m", "64m", "--pids-limit", "50"]);
        let [m64, m128, m100, m256, m512] = mebibytes([64, 128, 100, 256, 512]);
        assert_eq!(told(room, "web"), format!("{m64} {m128} 50 0"));
        let update = |flags: &[&str]| room.envbox(&[&["update"], flags, &["web"]].concat());
        update(&["-m", "100m", "--pids-limit", "40"]).succeeds().quietly().says("web\n");
        assert_eq!((memory(&id), pids(&id)), (m100.clone(), "40".into()));
        // Memory and swap together are as they were.
        assert_eq!(told(room, "web"), format!("{m100} {m128} 40 0"));
        update(&["-m", "256m"])
            .exits(1)
            .warns("smaller than the already set memoryswap limit")
            .warns("hint: update the memoryswap at the same time");
        assert_eq!(memory(&id), m100);
        room.envbox(&["container", "update", "-m", "256m", "--memory-swap", "512m", &id[..12]])
            .succeeds();
        update(&["--pids-limit", "-1"]).succeeds();
        assert_eq!((memory(&id), pids(&id)), (m256.clone(), "max".into()));
        let expected = format!("{m256} {m512} -1 0");
        assert_eq!(told(room, "web"), expected);
        room.envbox(&["restart", "-t", "0", "web"]).succeeds();
        assert_eq!((memory(&id), pids(&id)), (m256, "max".into()));
        assert_eq!(told(room, "web"), expected);
        // 0 is docker's word for what is not given.
        update(&["-m", "0"]).succeeds().says("web\n");
        assert_eq!(told(room, "web"), expected);
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn a_container_that_does_not_run_has_them_from_its_next_start(room) {
        base(room);
        let words = ["create", "--name", "web", "base", "sleep", "1000"];
        let id = room.envbox(&words).succeeds().stdout();
        let id = id.trim_end();
        let [m64, m128] = mebibytes([64, 128]);
        let flags = ["-m", "64m", "--pids-limit", "40", "-c", "512"];
        room.envbox(&[&["update"], &flags[..], &["web"]].concat()).succeeds().says("web\n");
        assert_eq!(told(room, "web"), format!("{m64} {m128} 40 512"));
        let copy = room.path().join(format!("store/containers/{id}/config.json"));
        let copy = std::fs::read_to_string(copy).unwrap();
        let copy: serde_json::Value = serde_json::from_str(&copy).unwrap();
        assert_eq!(copy["spec"]["request"]["resources"]["cpu_shares"], 512);
        let fields = ["--format", "{{.Action}}", "--until", "0s", "--since", "1h"];
        let words = [&["events"], &fields[..], &["--filter", "container=web"]].concat();
        assert_eq!(room.envbox(&words).succeeds().stdout(), "create\nupdate\n");
        if !room.has_groups() {
            return;
        }
        room.envbox(&["start", "web"]).succeeds();
        assert_eq!((memory(id), pids(id)), (m64, "40".into()));
        room.envbox(&["stop", "-t", "0", "web"]).succeeds();
        room.envbox(&["update", "--pids-limit", "30", "web"]).succeeds();
        room.envbox(&["start", "web"]).succeeds();
        assert_eq!(pids(id), "30");
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn a_container_that_is_not_kept_can_be_updated_too(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let line = "echo ready; exec sleep 1000";
        let mut command = room.command(&["run", "--rm", "--name", "web", "base", "sh", "-c", line]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut client = command.spawn().unwrap();
        eventually("it runs", || {
            room.envbox(&["ps", "--format", "{{.Names}}"]).succeeds().stdout() == "web\n"
        });
        let id = room.envbox(&["ps", "-q", "--no-trunc"]).succeeds().stdout();
        let flags = ["update", "-m", "64m", "--pids-limit", "40", "web"];
        room.envbox(&flags).succeeds().quietly().says("web\n");
        let [m64, m128] = mebibytes([64, 128]);
        assert_eq!((memory(id.trim_end()), pids(id.trim_end())), (m64.clone(), "40".into()));
        assert_eq!(told(room, "web"), format!("{m64} {m128} 40 0"));
        room.envbox(&["update", "-c", "512", "web"]).succeeds();
        assert_eq!(told(room, "web"), format!("{m64} {m128} 40 512"));
        room.envbox(&["kill", "web"]).succeeds();
        client.wait().unwrap();
        // One in the background has a record until its end.
        let id = web(room, &["--rm", "--pids-limit", "50"]);
        room.envbox(&["update", "--pids-limit", "40", "web"]).succeeds();
        assert_eq!((pids(&id), told(room, "web")), ("40".into(), "0 0 40 0".into()));
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn what_the_host_refuses_changes_nothing(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            skip("cgroup v2 refuses no limit of memory: it kills");
            return;
        }
        let line = "head -c 30000000 /dev/zero >/dev/shm/x; echo ready; exec sleep 1000";
        let flags = ["run", "-d", "--name", "web", "-m", "512m", "--pids-limit", "50"];
        let words = [&flags[..], &["base", "sh", "-c", line]].concat();
        let id = room.envbox(&words).succeeds().stdout();
        let id = id.trim_end();
        eventually("it uses its memory", || {
            room.envbox(&["logs", "web"]).succeeds().stdout() == "ready\n"
        });
        let before = told(room, "web");
        let flags = ["--pids-limit", "40", "-m", "8m", "--memory-swap", "8m"];
        let output = room.envbox(&[&["update"], &flags[..], &["web"]].concat()).exits(1);
        output.warns("cannot set --memory").warns("hint: the container uses more than that now");
        assert_eq!((memory(id), pids(id)), (mebibytes([512])[0].clone(), "50".into()));
        assert_eq!(told(room, "web"), before);
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn updates_at_the_same_time_are_all_kept(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let id = web(room, &[]);
        let flags = [["-m", "64m"], ["--pids-limit", "40"], ["-c", "512"]];
        let spawn = |flags: &[&str; 2]| {
            let mut command = room.command(&["update", flags[0], flags[1], "web"]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = flags.iter().map(spawn).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let [m64, m128] = mebibytes([64, 128]);
        assert_eq!(told(room, "web"), format!("{m64} {m128} 40 512"));
        assert_eq!((memory(&id), pids(&id)), (m64, "40".into()));
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn without_cgroups_what_runs_cannot_be_limited_and_nothing_changes(room) {
        base(room);
        web(room, &[]);
        let output = room.envbox(&["update", "--pids-limit", "40", "web"]);
        if !output.lacks_groups() {
            output.succeeds();
            room.envbox(&["rm", "-f", "web"]).succeeds();
            skip("this user has cgroups here");
            return;
        }
        output.exits(1).warns("cannot set --pids-limit: ").warns("hint: ");
        assert_eq!(told(room, "web"), "0 0 null 0");
        // To be without a limit needs no cgroup.
        room.envbox(&["update", "--pids-limit", "-1", "web"]).succeeds().says("web\n");
        assert_eq!(told(room, "web"), "0 0 -1 0");
        room.envbox(&["rm", "-f", "web"]).succeeds();
    }

    fn what_makes_no_sense_is_refused_and_the_others_are_updated(room) {
        base(room);
        room.envbox(&["create", "--name", "one", "-m", "64m", "base", "true"]).succeeds();
        room.envbox(&["create", "--name", "two", "base", "true"]).succeeds();
        let before = told(room, "one");
        for (flags, message) in [
            (&[][..], "you must provide one or more flags when using this command"),
            (&["-m", "1m"], "invalid --memory: the minimum memory limit allowed is 6MB"),
            (&["-m", "1g"], "smaller than the already set memoryswap limit"),
            (&["--memory-swap", "32m"], "invalid --memory-swap: the limit of memory and swap"),
            (&["--memory-reservation", "65m"], "invalid --memory-reservation: it is above"),
            (&["--cpus", "100000"], "invalid --cpus: the range is from 0.01 to"),
            (&["--cpuset-cpus", "8000"], "invalid --cpuset-cpus: requested CPUs are not"),
            (&["--pids-limit", "many"], "invalid limit of PIDs \"many\""),
        ] {
            let output = room.envbox(&[&["update"], flags, &["one"]].concat());
            let output = output.exits(1).warns(message);
            assert_eq!(output.stdout(), "", "{output}");
        }
        assert_eq!(told(room, "one"), before);
        room.envbox(&["update"]).exits(1).warns("<CONTAINER>");
        // 1g is above twice 64m, and no more than what "two" has: nothing.
        let output = room.envbox(&["update", "-m", "1g", "none", "one", "two"]).exits(1);
        output.warns("no such container: none").warns("memoryswap").says("two\n");
        assert!(told(room, "two").starts_with("1073741824 2147483648 "));
    }
}
