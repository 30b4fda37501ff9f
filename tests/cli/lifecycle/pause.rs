//! `pause` and `unpause`: containers that stand still.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::*;
use crate::harness::for_everyone;

/// Counts for ever.
const COUNTS: &str = "echo ready; while :; do i=$((i+1)); echo $i >/data/count; done";

for_everyone! {
    fn a_paused_container_stands_still(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        data(room);
        ready(room, &[&["--name", "web"], &SHARED[..]].concat(), COUNTS);
        let count = || std::fs::read_to_string(room.work().join("data/count")).unwrap_or_default();
        let counts_on = || {
            let before = count();
            eventually("it counts", || count() != before);
        };
        counts_on();
        quietly(room, &["pause", "web"]).says("web\n");
        let before = count();
        assert_eq!(states(room), ["web paused"]);
        let words = ["ps", "--filter", "status=paused", "--format", "{{.Status}}"];
        let listed = quietly(room, &words).stdout();
        assert!(listed.starts_with("Up ") && listed.ends_with(" (Paused)\n"), "{listed}");
        assert_eq!(quietly(room, &["ps", "-q", "--filter", "status=running"]).stdout(), "");
        let state = "{{.State.Status}} {{.State.Running}} {{.State.Paused}}";
        assert_eq!(told(room, "web", state), "paused true true");
        room.envbox(&["pause", "web"]).exits(1).warns("container web is already paused");
        let reason = "container web is paused, unpause the container before exec";
        room.envbox(&["exec", "web", "true"]).exits(1).warns(reason);
        let reason = "you cannot attach to a paused container, unpause it first";
        room.envbox(&["attach", "web"]).exits(1).warns(reason);
        let reason = "cannot start a paused container, try unpause instead";
        room.envbox(&["start", "web"]).exits(1).warns(reason);
        room.envbox(&["rm", "web"]).exits(1).warns("it is paused");
        quietly(room, &["top", "web"]).says("sh -c");
        assert_eq!(quietly(room, &["logs", "web"]).stdout(), "ready\n");
        assert_eq!(count(), before);
        quietly(room, &["unpause", "web"]).says("web\n");
        assert_eq!(states(room), ["web running"]);
        counts_on();
        room.envbox(&["unpause", "web"]).exits(1).warns("container web is not paused");
        quietly(room, &["exec", "web", "true"]);
        quietly(room, &["rm", "-f", "web"]);
        assert_eq!(actions(room, "web", "exec")[2..4], ["pause", "unpause"]);
    }

    fn without_a_cgroup_nothing_is_paused(room) {
        ready(room, &["--name", "web"], OBEYS);
        let output = room.envbox(&["pause", "web"]);
        if output.stderr().is_empty() {
            skip("this user has cgroups here");
        } else {
            output.exits(1).warns("container web has no cgroup to pause it by").warns("hint: ");
            assert_eq!(states(room), ["web running"]);
        }
        quietly(room, &["rm", "-f", "web"]);
        room.envbox(&["pause", "web"]).exits(1).warns("no such container: web");
        quietly(room, &["create", "--name", "web", "base", "true"]);
        room.envbox(&["pause", "web"]).exits(1).warns("container web is not running");
        room.envbox(&["unpause", "web"]).exits(1).warns("container web is not running");
    }

    fn one_that_is_paused_ends_at_once(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        // Its own time is far away.
        for name in ["stopped", "killed", "removed"] {
            ready(room, &["--name", name, "--stop-timeout", "1000"], OBEYS);
        }
        quietly(room, &["pause", "stopped", "killed", "removed"]);
        quietly(room, &["stop", "stopped"]);
        quietly(room, &["kill", "killed"]);
        quietly(room, &["rm", "-f", "removed"]);
        assert_eq!(status(room, "stopped"), "Exited (7)");
        assert_eq!(status(room, "killed"), "Exited (137)");
        assert_eq!(states(room), ["killed exited", "stopped exited"]);
        assert!(run_files(room).is_empty());
        ready(room, &["--name", "web", "--restart", "always"], DEAF);
        quietly(room, &["pause", "web"]);
        quietly(room, &["restart", "-t", "0", "web"]);
        assert_eq!(told(room, "web", "{{.State.Status}} {{.State.Paused}}"), "running false");
        quietly(room, &["pause", "web"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn a_killed_monitor_leaves_nothing_that_stands_still(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let id = ready(room, &["--name", "web"], OBEYS);
        quietly(room, &["exec", "-d", "web", "sleep", "1000"]);
        let first = process(room, &id);
        quietly(room, &["pause", "web"]);
        lose(monitor(room, &id));
        assert_eq!(status(room, "web"), "Exited (137)");
        eventually("the process has gone", || ended(first));
        assert!(run_files(room).is_empty());
        quietly(room, &["start", "web"]);
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn a_check_that_was_paused_goes_on(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let data = data(room);
        let check = "touch /data/begun; while [ ! -e /data/go ]; do sleep 0.02; done";
        let flags = ["--name", "web", "--health-cmd", check, "--health-interval", "10ms"];
        let more = ["--health-retries", "1"];
        ready(room, &[&flags[..], &more[..], &SHARED[..]].concat(), OBEYS);
        eventually("a check runs", || data.join("begun").exists());
        quietly(room, &["pause", "web"]);
        std::fs::write(data.join("go"), "").unwrap();
        assert_eq!(told(room, "web", "{{.State.Health.Status}}"), "starting");
        quietly(room, &["unpause", "web"]);
        eventually("it ends", || told(room, "web", "{{.State.Health.Status}}") == "healthy");
        quietly(room, &["pause", "web"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn a_client_stays_while_it_is_paused(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let mut command = room.command(&["run", "--name", "web", "base", "sh", "-c", OBEYS]);
        let mut client = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(client.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        quietly(room, &["pause", "web"]);
        // A request to end lets it go on, from a client as well.
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(client.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(7));
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), status(room, "web").as_str()), ("", "Exited (7)"));
    }
}
