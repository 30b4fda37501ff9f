//! Checks of health: what they say, what becomes of it, and what hostile ones
//! can do.

use serde_json::Value;

use super::*;
use crate::harness::for_everyone;

/// A container `web` whose health `check` tells, often; its ID.
fn checked(room: &Room, check: &str, flags: &[&str]) -> String {
    let own = ["--name", "web", "--health-cmd", check, "--health-interval", "2ms"];
    ready(room, &[&own[..], &["--health-retries", "2"], flags].concat(), OBEYS)
}

fn health(room: &Room) -> Value {
    quietly(room, &["inspect", "web"]).json()[0]["State"]["Health"].take()
}

fn becomes(room: &Room, status: &str) {
    eventually(status, || health(room)["Status"] == status);
}

/// The first result.
fn result(room: &Room) -> Value {
    let mut found = Value::Null;
    eventually("a result", || {
        found = health(room);
        found = found["Log"].get_mut(0).map_or(Value::Null, Value::take);
        !found.is_null()
    });
    found
}

fn end(room: &Room) {
    quietly(room, &["rm", "-f", "web"]);
    assert!(run_files(room).is_empty());
}

for_everyone! {
    fn health_follows_what_the_checks_say(room) {
        let well = data(room).join("well");
        let late = ["--health-start-period", "1h", "--health-start-interval", "10ms"];
        checked(room, "echo said; test -e /data/well", &[&late[..], &SHARED[..]].concat());
        eventually("many have failed", || health(room)["Log"].as_array().unwrap().len() == 5);
        // None of them counts.
        let found = health(room);
        assert_eq!((&found["Status"], &found["FailingStreak"]), (&"starting".into(), &0.into()));
        let first = &found["Log"][0];
        assert_eq!((&first["ExitCode"], &first["Output"]), (&1.into(), &"said\n".into()));
        assert!(first["Start"].as_str().unwrap() < first["End"].as_str().unwrap());
        let line = || quietly(room, &["ps", "--format", "{{.Status}}"]).stdout();
        assert!(line().contains("(health: starting)"));
        std::fs::write(&well, "").unwrap();
        becomes(room, "healthy");
        assert!(line().contains("(healthy)"));
        std::fs::remove_file(&well).unwrap();
        becomes(room, "unhealthy");
        assert!(line().contains("(unhealthy)"));
        let words = ["ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"];
        quietly(room, &words).says("web\n");
        assert!(health(room)["FailingStreak"].as_u64().unwrap() >= 2);
        std::fs::write(&well, "").unwrap();
        becomes(room, "healthy");
        assert_eq!(health(room)["FailingStreak"], 0);
        assert_eq!(health(room)["Log"].as_array().unwrap().len(), 5);
        let mut told = actions(room, "web", "");
        told.retain(|action| action.starts_with("health_status"));
        let expected = ["healthy", "unhealthy", "healthy"].map(|word| format!("health_status: {word}"));
        assert_eq!(told, expected);
        quietly(room, &["stop", "web"]);
        // The last word on it stays, until it is started again.
        assert_eq!(health(room)["Status"], "healthy");
        quietly(room, &["start", "web"]);
        becomes(room, "healthy");
        end(room);
    }

    fn what_a_check_prints_is_kept_up_to_a_limit(room) {
        checked(room, "head -c 100000 /dev/zero | tr '\\0' x >&2", &[]);
        let result = result(room);
        assert_eq!(result["ExitCode"], 0);
        assert_eq!(result["Output"], format!("{}...", "x".repeat(4096)));
        end(room);
    }

    fn a_check_has_the_user_and_the_environment_of_the_container(room) {
        let flags = ["-u", "builder", "-e", "NAME=of the container", "-w", "/var/tmp"];
        checked(room, "id -un; echo $NAME; pwd; cat", &flags);
        let result = result(room);
        assert_eq!(result["Output"], "builder\nof the container\n/var/tmp\n");
        end(room);
    }

    fn a_check_that_takes_too_long_has_failed(room) {
        checked(room, "echo begun; exec sleep 1000", &["--health-timeout", "300ms"]);
        becomes(room, "unhealthy");
        let result = result(room);
        assert_eq!(result["ExitCode"], -1);
        let output = result["Output"].as_str().unwrap();
        assert!(output.starts_with("Health check exceeded timeout (300ms)"), "{output}");
        eventually("none goes on for longer", || {
            // One more is about to begin.
            let text = quietly(room, &["top", "web"]).stdout();
            text.lines().filter(|line| line.contains("sleep 1000")).count() == 0
        });
        end(room);
    }

    fn a_check_that_ends_with_the_container_says_nothing(room) {
        let data = data(room);
        let own = ["--name", "web", "--health-interval", "2ms", "--health-retries", "1"];
        let check = ["--health-cmd", "touch /data/begun; sleep 1000; exit 1"];
        for end in ["stop", "kill"] {
            ready(room, &[&own[..], &check[..], &SHARED[..]].concat(), OBEYS);
            eventually("a check runs", || data.join("begun").exists());
            quietly(room, &[end, "web"]);
            assert_eq!(health(room)["Status"], "starting");
            let told = actions(room, "web", "");
            assert!(!told.iter().any(|action| action.contains("health_status")), "{told:?}");
            quietly(room, &["rm", "web"]);
            std::fs::remove_file(data.join("begun")).unwrap();
        }
    }

    fn a_check_without_end_of_output_keeps_nobody_waiting(room) {
        checked(room, "yes", &["--health-timeout", "300ms"]);
        becomes(room, "unhealthy");
        assert!(result(room)["Output"].as_str().unwrap().contains("y\ny\n"));
        quietly(room, &["stop", "web"]);
        assert_eq!(status(room, "web"), "Exited (7)");
        assert!(run_files(room).is_empty());
    }

    fn what_a_check_leaves_behind_is_not_waited_for(room) {
        data(room);
        let check = "test -e /data/one || { touch /data/one; sleep 1000 & }; echo said";
        checked(room, check, &[&SHARED[..], &["--health-timeout", "1000s"]].concat());
        becomes(room, "healthy");
        assert_eq!(result(room)["Output"], "said\n");
        end(room);
    }

    fn a_check_that_cannot_be_executed_has_failed(room) {
        let rootfs = room.rootfs();
        let change = "HEALTHCHECK --interval=10ms --retries=2 CMD [\"/none\", \"-x\"]";
        let words = ["import", "-c", change, rootfs.to_str().unwrap(), "base"];
        room.envbox(&words).succeeds();
        ready(room, &["--name", "web"], OBEYS);
        becomes(room, "unhealthy");
        assert_eq!(result(room)["ExitCode"], -1);
        let output = result(room)["Output"].as_str().unwrap().to_owned();
        assert!(output.contains("/none") && output.contains("no such file"), "{output}");
        end(room);
        // The flag has the last word.
        ready(room, &["--name", "web", "--no-healthcheck"], OBEYS);
        assert_eq!(health(room), Value::Null);
        end(room);
        checked(room, "true", &[]);
        becomes(room, "healthy");
        // And a container its own shell.
        quietly(room, &["exec", "web", "rm", "/bin/sh"]);
        becomes(room, "unhealthy");
        end(room);
    }

    fn a_container_that_is_not_kept_is_checked_too(room) {
        checked(room, "true", &["--rm"]);
        becomes(room, "healthy");
        quietly(room, &["stop", "web"]);
        assert!(states(room).is_empty() && run_files(room).is_empty());
        assert!(actions(room, "web", "").contains(&"health_status: healthy".to_owned()));
    }

    fn health_begins_anew_with_each_run(room) {
        let data = data(room);
        let check = "test -e /data/well";
        let flags = [&["--restart", "always", "--health-start-period", "1h"], &SHARED[..]].concat();
        let own = ["--name", "web", "--health-cmd", check, "--health-start-interval", "10ms"];
        let line = "rm -f /data/well; echo run; until test -e /data/end; do sleep 0.02; done; \
            rm /data/well /data/end";
        let id = ready(room, &[&own[..], &["--health-interval", "10ms"], &flags[..]].concat(), line);
        std::fs::write(data.join("well"), "").unwrap();
        becomes(room, "healthy");
        std::fs::write(data.join("end"), "").unwrap();
        eventually("a second run", || log(room, &id) == "run\nrun\n");
        becomes(room, "starting");
        end(room);
    }

    fn many_checks_leave_no_descriptor_behind(room) {
        let count = data(room).join("count");
        let check = "echo >>/data/count; test $(($(wc -l </data/count) % 2)) = 0";
        let id = checked(room, check, &SHARED);
        let monitor = monitor(room, &id);
        let checks = || std::fs::read(&count).unwrap_or_default().len();
        let open = || std::fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().count();
        eventually("some", || checks() > 20);
        let before = open();
        eventually("many", || checks() > 220);
        // One that runs has a few.
        eventually("no more than at first", || open() < before + 10);
        end(room);
    }
}
