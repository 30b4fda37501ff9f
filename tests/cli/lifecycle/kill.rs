//! `kill -9` from any side, and many at a time.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};

use super::*;
use crate::harness::{for_everyone, process::eventually, process::state};

const MANY: usize = 30;

for_everyone! {
    fn a_killed_monitor_takes_its_container_along(room) {
        let id = ready(room, &["--name", "web"], DEAF);
        let init = process(room, &id);
        let wait = room.command(&["wait", "web"]).stdout(Stdio::piped()).spawn().unwrap();
        kill(parent(init), Signal::SIGKILL).unwrap();
        let output = wait.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "137\n");
        eventually("the container's end", || matches!(state(init), 'X' | 'Z'));
        assert_eq!(status(room, "web"), "Exited (137)");
        assert!(run_files(room).is_empty());
        quietly(room, &["start", "web"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn a_killed_monitor_of_one_that_goes_leaves_nothing(room) {
        let id = ready(room, &["--rm", "--name", "web"], DEAF);
        kill(parent(process(room, &id)), Signal::SIGKILL).unwrap();
        eventually("it is gone", || states(room).is_empty());
        assert!(run_files(room).is_empty());
        assert!(!room.path().join("store/containers").join(id).exists());
    }

    fn a_killed_init_is_an_end_like_any_other(room) {
        let id = ready(room, &["--name", "web", "--init"], DEAF);
        kill(process(room, &id), Signal::SIGKILL).unwrap();
        quietly(room, &["wait", "web"]).says("137\n");
        assert_eq!(status(room, "web"), "Exited (137)");
        assert!(run_files(room).is_empty());
    }

    fn a_killed_stop_leaves_a_container_that_can_be_stopped(room) {
        ready(room, &["--name", "web", "--stop-timeout", "-1"], DEAF);
        let mut stop = room.command(&["stop", "web"]).stdout(Stdio::null()).spawn().unwrap();
        eventually("it waits", || state(nix::unistd::Pid::from_raw(stop.id() as i32)) == 'S');
        stop.kill().unwrap();
        stop.wait().unwrap();
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["stop", "-t", "0", "web"]);
        assert_eq!(status(room, "web"), "Exited (137)");
    }

    fn commands_killed_at_any_moment_leave_true_states(room) {
        base(room);
        quietly(room, &["create", "--name", "web", "base", "sleep", "1000"]);
        for round in 0..25 {
            let verb = if round % 3 == 2 { ["stop", "-t0", "web"] } else { ["start", "web", "web"] };
            let mut command = room.command(&verb);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_micros(700 * round));
            let _ = child.kill();
            let _ = child.wait();
            let state = states(room);
            assert!(state[0].starts_with("web "), "{state:?}");
        }
        // A start whose command was killed goes on or has failed by now.
        eventually("it can be removed", || {
            room.envbox(&["rm", "-f", "web"]).stdout() == "web\n" && states(room).is_empty()
        });
        assert!(run_files(room).is_empty());
        let left = std::fs::read_dir(room.path().join("store/containers")).unwrap();
        assert_eq!(left.count(), 0);
    }

    fn many_start_at_the_same_time_and_none_is_lost(room) {
        base(room);
        let names: Vec<String> = (10..10 + MANY).map(|number| format!("c{number}")).collect();
        let starts: Vec<_> = names
            .iter()
            .map(|name| {
                let words = ["run", "-d", "--name", name, "base", "sleep", "1000"];
                room.command(&words).stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut start in starts {
            assert!(start.wait().unwrap().success());
        }
        let running: Vec<String> = names.iter().map(|name| format!("{name} running")).collect();
        assert_eq!(states(room), running);
        let stops: Vec<_> = names
            .iter()
            .map(|name| {
                let words = ["stop", "-t", "0", name];
                room.command(&words).stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut stop in stops {
            assert!(stop.wait().unwrap().success());
        }
        let exited: Vec<String> = names.iter().map(|name| format!("{name} exited")).collect();
        assert_eq!(states(room), exited);
        assert!(run_files(room).is_empty());
        quietly(room, &["container", "prune", "-f"]);
        assert!(states(room).is_empty());
    }
}
