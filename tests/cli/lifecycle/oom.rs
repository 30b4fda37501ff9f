//! Containers that run out of memory, and who is told.

use super::*;
use crate::harness::for_everyone;

const LITTLE: [&str; 4] = ["-m", "16m", "--memory-swap", "16m"];

const NOTE: &str = "the container ran out of memory: the kernel killed processes of it";

fn run(room: &Room, words: &[&str]) -> Output {
    room.envbox(&[&["run", "--name", "web"], &LITTLE[..], words].concat())
}

for_everyone! {
    fn whoever_runs_out_of_memory_is_told(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        run(room, &["base", "tail", "/dev/zero"]).exits(137).warns(NOTE).warns("hint: ");
        let state = "{{.State.OOMKilled}} {{.State.ExitCode}}";
        assert_eq!(told(room, "web", state), "true 137");
        assert_eq!(actions(room, "web", "")[3..], ["oom", "die"]);
        quietly(room, &["rm", "web"]);
        // One that goes when it ends tells as much.
        run(room, &["--rm", "base", "tail", "/dev/zero"]).exits(137).warns(NOTE);
    }

    fn a_child_that_was_killed_is_told_of_at_the_end(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let line = "tail /dev/zero; echo ends $?; exit 5";
        let output = run(room, &["base", "sh", "-c", line]).exits(5).warns(NOTE);
        assert_eq!(output.stdout(), "ends 137\n");
        assert_eq!(told(room, "web", "{{.State.OOMKilled}}"), "true");
        quietly(room, &["rm", "web"]);
        // A kill by hand is none for want of memory.
        let output = run(room, &["base", "sh", "-c", "kill -9 $$; sh -c 'kill -9 $$'; exit 6"]);
        assert!(!output.exits(6).stderr().contains(NOTE));
        assert_eq!(told(room, "web", "{{.State.OOMKilled}}"), "false");
    }

    fn each_run_is_counted_by_itself(room) {
        base(room);
        if !room.has_groups() {
            return;
        }
        let line = "test -e /var/tmp/again && exit 0; touch /var/tmp/again; tail /dev/zero; exit 1";
        let flags = ["--name", "web", "--restart", "on-failure"];
        background(room, &[&flags[..], &LITTLE[..]].concat(), line);
        eventually("it succeeds", || status(room, "web") == "Exited (0)");
        let state = "{{.State.OOMKilled}} {{.RestartCount}}";
        assert_eq!(told(room, "web", state), "false 1");
        let told = actions(room, "web", "");
        assert_eq!(told[1..], ["start", "oom", "die", "start", "die"]);
    }
}
