//! `stop`, `kill`, `restart`, `wait` and `rm -f`.

use std::process::Stdio;
use std::time::Instant;

use super::*;
use crate::harness::for_everyone;

for_everyone! {
    fn stop_asks_and_then_kills(room) {
        ready(room, &["--name", "obeys"], OBEYS);
        ready(room, &["--name", "deaf", "--stop-timeout", "0"], DEAF);
        quietly(room, &["stop", "obeys", "deaf"]).says("obeys\ndeaf\n");
        assert_eq!(status(room, "obeys"), "Exited (7)");
        assert_eq!(status(room, "deaf"), "Exited (137)");
        // One that has ended is stopped.
        quietly(room, &["stop", "obeys"]).says("obeys\n");
        room.envbox(&["stop", "none"]).exits(1).warns("no such container: none");
        quietly(room, &["start", "deaf"]);
        quietly(room, &["stop", "-t", "1", "deaf"]);
        assert_eq!(status(room, "deaf"), "Exited (137)");
    }

    fn stop_sends_the_signal_of_flag_container_and_image(room) {
        let line = "trap 'exit 1' USR1; trap 'exit 2' USR2; trap 'exit 3' HUP; echo ready; \
            while :; do sleep 0.05; done";
        let rootfs = room.rootfs();
        let words = ["import", rootfs.to_str().unwrap(), "base", "-c", "STOPSIGNAL SIGUSR1"];
        room.envbox(&words).succeeds();
        ready(room, &["--name", "image"], line);
        quietly(room, &["stop", "image"]);
        assert_eq!(status(room, "image"), "Exited (1)");
        let id = ready(room, &["--name", "flag", "--stop-signal", "USR2"], line);
        quietly(room, &["stop", "flag"]);
        assert_eq!(status(room, "flag"), "Exited (2)");
        quietly(room, &["start", "flag"]);
        crate::harness::process::eventually("ready again", || log(room, &id).lines().count() == 2);
        quietly(room, &["stop", "-s", "SIGHUP", "flag"]);
        assert_eq!(status(room, "flag"), "Exited (3)");
    }

    fn one_in_the_foreground_is_stopped_by_its_own_signal(room) {
        base(room);
        let line = "trap 'exit 4' USR2; echo ready; while :; do sleep 0.05; done";
        let flags = ["run", "--rm", "--name", "web", "--stop-signal", "USR2"];
        let mut command = room.command(&[&flags[..], &["base", "sh", "-c", line]].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut String::new()).unwrap();
        crate::harness::process::eventually("it runs", || states(room) == ["web running"]);
        room.envbox(&["restart", "web"]).exits(1).warns("cannot be restarted");
        quietly(room, &["stop", "web"]);
        assert_eq!(child.wait().unwrap().code(), Some(4));
        assert!(states(room).is_empty());
    }

    fn kill_sends_any_signal(room) {
        let line = "trap 'echo one' USR1; trap 'exit 9' RTMIN+3; trap 'exit 9' 37; echo ready; \
            while :; do sleep 0.05; done";
        let id = ready(room, &["--name", "web"], line);
        quietly(room, &["kill", "-s", "USR1", "web"]);
        crate::harness::process::eventually("a handler", || log(room, &id).contains("one"));
        quietly(room, &["kill", "--signal", "RTMIN+3", "web"]);
        quietly(room, &["wait", "web"]).says("9\n");
        room.envbox(&["kill", "web"]).exits(1).warns("is not running");
        room.envbox(&["kill", "-s", "NONE", "web"]).exits(1);
    }

    fn wait_sees_the_end_of_several(room) {
        ready(room, &["--name", "one"], OBEYS);
        ready(room, &["--name", "two", "--rm"], OBEYS);
        let mut command = room.command(&["wait", "one", "two"]);
        let waits: Vec<_> =
            (0..3).map(|_| command.stdout(Stdio::piped()).spawn().unwrap()).collect();
        quietly(room, &["kill", "-s", "TERM", "one"]);
        for wait in waits {
            // Each has seen the first, and may not see the second any more.
            if wait.id() % 2 == 0 {
                quietly(room, &["wait", "one"]).says("7\n");
            }
            if states(room).contains(&"two running".to_owned()) {
                quietly(room, &["stop", "two"]);
            }
            let output = wait.wait_with_output().unwrap();
            assert!(String::from_utf8_lossy(&output.stdout).starts_with("7\n"));
        }
        quietly(room, &["wait", "one"]).says("7\n");
        room.envbox(&["wait", "none"]).exits(1).warns("no such container");
    }

    fn restart_stops_and_starts(room) {
        let id = ready(room, &["--name", "web"], OBEYS);
        let before = process(room, &id);
        quietly(room, &["restart", "web"]).says("web\n");
        assert_ne!(process(room, &id), before);
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["stop", "-t", "0", "web"]);
        quietly(room, &["restart", "web"]);
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn what_runs_is_removed_by_force_alone(room) {
        ready(room, &["--name", "web"], DEAF);
        room.envbox(&["rm", "web"]).exits(1).warns("it is running");
        quietly(room, &["rm", "-f", "web"]).says("web\n");
        ready(room, &["--rm", "--name", "web"], DEAF);
        quietly(room, &["rm", "-f", "web"]).says("web\n");
        room.envbox(&["rm", "web"]).exits(1).warns("no such container");
        room.envbox(&["rm", "-f", "web"]).exits(0);
        assert!(states(room).is_empty() && run_files(room).is_empty());
    }

    fn stop_does_not_wait_for_a_fixed_time(room) {
        ready(room, &["--name", "web", "--stop-timeout", "-1"], OBEYS);
        let start = Instant::now();
        quietly(room, &["stop", "web"]);
        // Far from the ten seconds that it may take one that does not obey.
        assert!(start.elapsed().as_secs() < 8);
    }

    fn prune_removes_what_does_not_run(room) {
        ready(room, &["--name", "runs"], OBEYS);
        let id = quietly(room, &["create", "--name", "made", "base", "true"]).stdout();
        quietly(room, &["create", "--name", "kept", "-l", "keep", "base", "true"]);
        // Where nobody can be asked it needs no force.
        let words = ["container", "prune", "--filter", "label!=keep"];
        quietly(room, &words).says(&format!("Deleted Containers:\n{id}\n")).says("reclaimed");
        assert_eq!(states(room), ["kept created", "runs running"]);
        quietly(room, &["rm", "-f", "runs"]);
    }
}
