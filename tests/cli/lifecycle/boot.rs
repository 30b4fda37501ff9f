//! `system boot` and `system shutdown`. That all monitors are killed stands for
//! a host that goes down without a word.

use std::process::Stdio;
use std::time::Instant;

use super::*;
use crate::harness::for_everyone;

const POLICIES: [&str; 4] = ["always", "unless-stopped", "on-failure", "no"];

fn boot(room: &Room) -> Output {
    quietly(room, &["system", "boot"])
}

/// Kills every monitor.
fn crash(room: &Room) {
    let names = run_files(room);
    for id in names.iter().filter_map(|name| name.strip_suffix(".json")) {
        lose(monitor(room, id));
    }
}

for_everyone! {
    fn policies_say_who_comes_back(room) {
        let ids = POLICIES.map(|name| {
            let flags = ["--restart", name, "--name"];
            let stopped = format!("{name}-stopped");
            ready(room, &[&flags[..], &[&stopped]].concat(), OBEYS);
            quietly(room, &["create", "--restart", name, "base", "true"]);
            ready(room, &[&flags[..], &[name]].concat(), OBEYS)
        });
        let stopped = POLICIES.map(|name| format!("{name}-stopped"));
        quietly(room, &[&["stop"], &stopped.each_ref().map(String::as_str)[..]].concat());
        ready(room, &["--rm", "--name", "gone"], OBEYS);
        crash(room);
        // docker: what is to run always does, whoever stopped it; what has
        // never been started does not.
        let output = boot(room).stdout();
        let mut told: Vec<&str> = output.lines().collect();
        told.sort_unstable();
        let expected = ["always", "always-stopped", "on-failure", "unless-stopped"];
        assert_eq!(told, expected);
        let running = || {
            let text = quietly(room, &["ps", "--format", "{{.Names}}"]).stdout();
            let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(running(), expected);
        // They run: there is nothing to do.
        assert_eq!(boot(room).stdout(), "");
        eventually("it is ready", || log(room, &ids[0]) == "ready\nready\n");
        // One that was stopped and started by hand is no more a stopped one.
        quietly(room, &["start", "unless-stopped-stopped"]);
        crash(room);
        boot(room).says("unless-stopped-stopped\n");
        quietly(room, &["system", "shutdown"]);
        assert!(running().is_empty() && run_files(room).is_empty());
    }

    fn a_shutdown_stops_all_at_the_same_time_and_none_for_good(room) {
        let names = ["one", "two", "three", "four"];
        let flags = ["--restart", "unless-stopped", "--stop-timeout", "3", "--name"];
        let line = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done";
        let ids = names.map(|name| ready(room, &[&flags[..], &[name]].concat(), line));
        ready(room, &["--name", "obeys"], OBEYS);
        let begun = Instant::now();
        let output = quietly(room, &["system", "shutdown"]).stdout();
        // One after the other it would take twelve.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert_eq!(output.lines().count(), 5, "{output}");
        for (name, id) in names.iter().zip(&ids) {
            assert_eq!(status(room, name), "Exited (137)");
            // Twice means "at once" to many programs.
            assert_eq!(log(room, id), "ready\nasked\n");
        }
        assert_eq!(status(room, "obeys"), "Exited (7)");
        assert!(run_files(room).is_empty());
        assert_eq!(boot(room).stdout().lines().count(), 4);
        quietly(room, &[&["rm", "-f"], &names[..]].concat());
    }

    fn two_boots_at_once_start_each_container_once(room) {
        let names = ["one", "two", "three"];
        let ids = names.map(|name| ready(room, &["--restart", "always", "--name", name], OBEYS));
        crash(room);
        let boots: Vec<_> = (0..4)
            .map(|_| room.command(&["system", "boot"]).stdout(Stdio::null()).spawn().unwrap())
            .collect();
        for mut boot in boots {
            assert!(boot.wait().unwrap().success());
        }
        for id in &ids {
            eventually("it is ready", || log(room, id) == "ready\nready\n");
        }
        for name in names {
            let starts = actions(room, name, "").iter().filter(|action| *action == "start").count();
            assert_eq!(starts, 2);
        }
        quietly(room, &[&["rm", "-f"], &names[..]].concat());
    }

    fn one_that_does_not_start_keeps_no_other_from_it(room) {
        data(room);
        let flags = ["--restart", "always", "--name"];
        let mount = ["--mount", "type=bind,source=./data,target=/data"];
        ready(room, &[&flags[..], &["old"]].concat(), OBEYS);
        ready(room, &[&flags[..], &["broken"], &mount[..]].concat(), OBEYS);
        ready(room, &[&flags[..], &["new"]].concat(), OBEYS);
        crash(room);
        std::fs::remove_dir(room.work().join("data")).unwrap();
        let output = room.envbox(&["system", "boot"]).exits(1).warns("data");
        assert_eq!(output.stdout(), "old\nnew\n");
        assert_eq!(states(room), ["broken exited", "new running", "old running"]);
        quietly(room, &["rm", "-f", "old", "new"]);
    }

    fn a_container_between_two_runs_is_shut_down_and_comes_back(room) {
        let line = "echo run; exit 3";
        let id = background(room, &["--name", "web", "--restart", "always"], line);
        eventually("some runs", || log(room, &id).lines().count() > 3);
        quietly(room, &["system", "shutdown"]).says("web\n");
        assert_eq!(status(room, "web"), "Exited (3)");
        let before = log(room, &id);
        boot(room).says("web\n");
        eventually("it runs again", || log(room, &id).len() > before.len());
        quietly(room, &["rm", "-f", "web"]);
        boot(room);
    }
}
