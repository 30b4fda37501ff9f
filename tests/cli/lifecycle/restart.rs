//! `--restart`: who is started again, how often, and what ends it.

use std::process::Stdio;

use super::*;
use crate::harness::for_everyone;

/// Runs until `/data/end` is there, and fails then.
const ENDS: &str = "echo run; while [ ! -e /data/end ]; do sleep 0.02; done; rm /data/end; exit 5";

/// So many runs and the next pause takes more than ten seconds.
const MANY_RUNS: usize = 8;

fn runs(room: &Room, id: &str) -> usize {
    log(room, id).lines().count()
}

fn end(room: &Room) {
    std::fs::write(data(room).join("end"), "").unwrap();
    eventually("it has seen that", || !data(room).join("end").exists());
}

for_everyone! {
    fn one_that_fails_is_started_again_so_often(room) {
        let id = background(room, &["--name", "web", "--restart", "on-failure:2"], "echo run; exit 3");
        eventually("it gives up", || status(room, "web") == "Exited (3)");
        assert_eq!(log(room, &id), "run\nrun\nrun\n");
        assert_eq!(told(room, "web", "{{.RestartCount}} {{.State.Restarting}}"), "2 false");
        assert!(run_files(room).is_empty());
        // Somebody's start begins anew, with the verb or without.
        quietly(room, &["start", "web"]);
        eventually("it gives up", || runs(room, &id) == 6 && status(room, "web") == "Exited (3)");
        assert_eq!(told(room, "web", "{{.RestartCount}}"), "2");
        quietly(room, &["restart", "web"]);
        eventually("it gives up", || runs(room, &id) == 9 && status(room, "web") == "Exited (3)");
        let died = actions(room, "web", "").iter().filter(|action| *action == "die").count();
        assert_eq!(died, 9);
    }

    fn success_ends_what_is_restarted_on_failure(room) {
        data(room);
        let line = "test -e /data/again && exit 0; touch /data/again; exit 1";
        let flags = [&["--name", "web", "--restart", "on-failure"], &SHARED[..]].concat();
        background(room, &flags, line);
        eventually("it succeeds", || status(room, "web") == "Exited (0)");
        assert_eq!(told(room, "web", "{{.RestartCount}}"), "1");
        assert!(run_files(room).is_empty());
    }

    fn what_is_restarted_always_goes_on_until_it_is_stopped(room) {
        let id = background(room, &["--name", "web", "--restart", "always"], "echo run; exit 0");
        eventually("some runs", || runs(room, &id) > 4);
        eventually("a pause", || status(room, "web") == "Restarting (0)");
        quietly(room, &["stop", "web"]).says("web\n");
        assert_eq!(status(room, "web"), "Exited (0)");
        assert!(run_files(room).is_empty());
    }

    fn in_a_long_pause_it_is_ended_at_once(room) {
        let line = "echo run; exit 3";
        let ids = ["stopped", "killed", "removed"]
            .map(|name| background(room, &["--name", name, "--restart", "always"], line));
        for id in &ids {
            eventually("many runs", || runs(room, id) == MANY_RUNS);
        }
        quietly(room, &["stop", "stopped"]);
        quietly(room, &["kill", "killed"]);
        quietly(room, &["rm", "-f", "removed"]);
        assert_eq!(states(room), ["killed exited", "stopped exited"]);
        // None of them had to wait for another run.
        assert_eq!((runs(room, &ids[0]), runs(room, &ids[1])), (MANY_RUNS, MANY_RUNS));
        assert_eq!(status(room, "stopped"), "Exited (3)");
        assert!(run_files(room).is_empty());
    }

    fn between_two_runs_there_is_no_process_to_join(room) {
        let id = background(room, &["--name", "web", "--restart", "always"], "echo run; exit 3");
        // Where the test is slow it runs meanwhile: ask again.
        let refused = |words: &[&str], reason: &str| {
            eventually(reason, || {
                let output = room.envbox(words);
                output.stderr().contains(reason) && output.stdout().is_empty()
            });
        };
        eventually("some runs", || runs(room, &id) > 4);
        let reason = "is restarting, wait until the container is running";
        refused(&["exec", "web", "true"], reason);
        refused(&["pause", "web"], reason);
        refused(&["attach", "web"], "is restarting, wait until it is running");
        refused(&["rm", "web"], "cannot remove container \"web\": it is restarting");
        eventually("it is listed so", || {
            let words = ["ps", "--filter", "status=restarting", "--format", "{{.Status}}"];
            let text = quietly(room, &words).stdout();
            text.starts_with("Restarting (3) ") && text.ends_with(" ago\n")
        });
        eventually("it is told so", || {
            told(room, "web", "{{.State.Status}} {{.State.Restarting}}") == "restarting true"
        });
        quietly(room, &["rm", "-f", "web"]);
        assert!(states(room).is_empty() && run_files(room).is_empty());
    }

    fn a_stop_as_it_ends_never_leaves_it_restarting(room) {
        base(room);
        for step in 0..20 {
            let line = format!("sleep 0.0{}; exit 1", step % 10);
            background(room, &["--name", "web", "--restart", "always"], &line);
            let words: &[&str] = match step % 4 {
                0 => &["stop", "web"],
                1 => &["kill", "web"],
                2 => &["stop", "-t", "0", "web"],
                _ => &["kill", "-s", "TERM", "web"],
            };
            quietly(room, words);
            // Its shell does not heed SIGTERM: that is waited for by nobody.
            assert!(step % 4 == 3 || states(room) == ["web exited"]);
            eventually("it has ended for good", || {
                states(room) == ["web exited"] && run_files(room).is_empty()
            });
            quietly(room, &["rm", "web"]);
        }
    }

    fn whoever_runs_it_in_the_foreground_leaves_at_its_first_end(room) {
        base(room);
        let line = "echo run; exit 4";
        let words = ["run", "--name", "web", "--restart", "on-failure:3", "base", "sh", "-c", line];
        let output = room.envbox(&words).exits(4).quietly();
        assert_eq!(output.stdout(), "run\n");
        eventually("it gives up", || status(room, "web") == "Exited (4)");
        assert_eq!(quietly(room, &["logs", "web"]).stdout(), "run\n".repeat(4));
        let words = ["run", "--rm", "--restart", "always", "base", "true"];
        room.envbox(&words).exits(125).warns("--restart").warns("--rm");
    }

    fn whoever_waits_sees_each_end(room) {
        data(room);
        let flags = [&["--name", "web", "--restart", "always"], &SHARED[..]].concat();
        ready(room, &flags, ENDS);
        for _ in 0..2 {
            let mut wait = room.command(&["wait", "web"]);
            let mut wait = wait.stdout(Stdio::piped()).spawn().unwrap();
            // It may come too late for one end, and sees the next.
            eventually("it has seen an end", || {
                let _ = std::fs::write(data(room).join("end"), "");
                wait.try_wait().unwrap().is_some()
            });
            assert_eq!(wait.wait_with_output().unwrap().stdout, b"5\n");
        }
        quietly(room, &["rm", "-f", "web"]);
    }

    fn another_policy_counts_from_the_next_end(room) {
        data(room);
        let flags = [&["--name", "web", "--restart", "always"], &SHARED[..]].concat();
        let id = ready(room, &flags, ENDS);
        end(room);
        eventually("a second run", || runs(room, &id) == 2);
        quietly(room, &["update", "--restart", "no", "web"]);
        assert_eq!(states(room), ["web running"]);
        end(room);
        eventually("it stays so", || status(room, "web") == "Exited (5)");
        assert_eq!((runs(room, &id), run_files(room).len()), (2, 0));
    }

    fn a_signal_that_does_not_end_it_for_good_keeps_the_policy(room) {
        let line = "trap 'exit 6' HUP; echo ready; while :; do sleep 0.02; done";
        let id = ready(room, &["--name", "web", "--restart", "unless-stopped"], line);
        quietly(room, &["kill", "-s", "HUP", "web"]);
        eventually("a second run", || runs(room, &id) == 2);
        assert_eq!(told(room, "web", "{{.RestartCount}} {{.State.Running}}"), "1 true");
        quietly(room, &["kill", "web"]);
        assert_eq!(status(room, "web"), "Exited (137)");
        assert_eq!(runs(room, &id), 2);
    }

    fn what_cannot_be_started_again_says_why_and_stays_so(room) {
        data(room);
        let flags = ["--restart", "always", "--name"];
        let line = "echo run; rm /bin/sh; exit 1";
        let id = background(room, &[&flags[..], &["program"]].concat(), line);
        eventually("it has no program", || status(room, "program") == "Exited (127)");
        assert!(told(room, "program", "{{.State.Error}}").contains("executable file not found"));
        quietly(room, &["wait", "program"]).says("127\n");
        assert_eq!(log(room, &id), "run\n");
        let mount = ["--mount", "type=bind,source=./data,target=/data"];
        let id = ready(room, &[&flags[..], &["mount"], &mount[..]].concat(), ENDS);
        // Not there when it is started again; seen to end it through the mount.
        std::fs::rename(room.work().join("data"), room.work().join("gone")).unwrap();
        std::fs::write(room.work().join("gone/end"), "").unwrap();
        eventually("it has no mount", || status(room, "mount") == "Exited (128)");
        let error = told(room, "mount", "{{.State.Error}}");
        assert!(error.contains("data"), "{error}");
        assert_eq!(log(room, &id), "run\n");
        assert!(run_files(room).is_empty());
    }

    fn a_monitor_killed_in_the_pause_leaves_an_ended_container(room) {
        let line = "echo run; sleep 0.1; exit 3";
        let id = background(room, &["--name", "web", "--restart", "always"], line);
        let monitor = monitor(room, &id);
        eventually("some runs", || runs(room, &id) > 5);
        eventually("a pause", || status(room, "web") == "Restarting (3)");
        lose(monitor);
        assert_eq!(status(room, "web"), "Exited (3)");
        assert!(run_files(room).is_empty());
        quietly(room, &["stop", "web"]);
        quietly(room, &["start", "web"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn a_monitor_keeps_nothing_of_a_run_that_is_over(room) {
        data(room);
        let flags = [&["--name", "web", "--restart", "always"], &SHARED[..]].concat();
        let id = ready(room, &flags, ENDS);
        let monitor = monitor(room, &id);
        let open = || std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().count();
        let mut counts = Vec::new();
        for run in 1..=5 {
            eventually("a run", || runs(room, &id) == run && states(room) == ["web running"]);
            // A command that has gone is let go.
            let mut count = open();
            eventually("it is quiet", || std::mem::replace(&mut count, open()) == count);
            counts.push(count);
            end(room);
        }
        // The first run is another's: its caller has gone since.
        assert!(counts[1..].windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
        quietly(room, &["rm", "-f", "web"]);
    }
}
