//! What each verb answers where a container is not as it should be: docker's
//! words and statuses, and what to do next.

use super::*;
use crate::harness::{Output, for_everyone};

/// A failure: docker's status, its words, and a hint.
#[track_caller]
fn fails(room: &Room, words: &[&str], status: i32, text: &str) -> Output {
    room.envbox(words).exits(status).warns(text).warns("\nhint: ")
}

/// Success, with one line on standard output and not a word on the other.
#[track_caller]
fn says(room: &Room, words: &[&str], line: &str) {
    let output = room.envbox(words).succeeds().quietly();
    assert_eq!(output.stdout(), format!("{line}\n"), "{output}");
}

fn running(room: &Room, name: &str) {
    let line = format!("touch /var/tmp/ready; {OBEYS}");
    let words = ["run", "-d", "--name", name, "base", "sh", "-c", &line];
    let id = room.envbox(&words).succeeds().quietly().stdout();
    expect_written(room, id.trim_end(), "var/tmp/ready");
}

for_everyone! {
    fn a_name_that_is_taken_is_refused(room) {
        import(room);
        running(room, "web");
        room.envbox(&["create", "--name", "other", "base", "true"]).succeeds();
        for name in ["web", "other"] {
            let taken = format!("the container name \"{name}\" is already in use by container");
            fails(room, &["create", "--name", name, "base", "true"], 1, &taken);
            fails(room, &["run", "--name", name, "base", "true"], 125, &taken);
            fails(room, &["run", "--rm", "--name", name, "base", "true"], 125, &taken);
            fails(room, &["run", "-d", "--name", name, "base", "true"], 125, &taken);
        }
        fails(room, &["rename", "web", "other"], 1, "already in use");
        fails(room, &["rename", "other", "web"], 1, "already in use");
        fails(room, &["rename", "web", "web"], 1, "same name");
        fails(room, &["rename", "none", "new"], 1, "no such container: none");
        expect_true_states(room);
        expect_nothing_left(room);
    }

    fn one_that_runs_is_not_removed_and_can_be_started_twice(room) {
        import(room);
        running(room, "web");
        says(room, &["start", "web"], "web");
        fails(room, &["rm", "web"], 1, "cannot remove container \"web\"").warns("envbox rm -f web");
        says(room, &["stop", "web"], "web");
        says(room, &["wait", "web"], "7");
        says(room, &["rm", "-f", "web"], "web");
        expect_nothing_left(room);
    }

    fn one_that_has_ended_is_stopped_and_waited_for_and_not_killed(room) {
        import(room);
        room.envbox(&["run", "--name", "job", "base", "sh", "-c", "exit 3"]).exits(3);
        says(room, &["stop", "job"], "job");
        says(room, &["wait", "job"], "3");
        fails(room, &["kill", "job"], 1, "container job is not running").warns("envbox start job");
        fails(room, &["exec", "job", "true"], 1, "is not running").warns("envbox start job");
        says(room, &["restart", "job"], "job");
        says(room, &["wait", "job"], "3");
        room.envbox(&["create", "--name", "new", "base", "true"]).succeeds();
        says(room, &["stop", "new"], "new");
        says(room, &["wait", "new"], "0");
        fails(room, &["exec", "new", "true"], 1, "is not running");
        fails(room, &["kill", "new"], 1, "is not running");
        expect_nothing_left(room);
    }

    fn one_that_is_not_there_is_an_error_but_for_rm_by_force(room) {
        import(room);
        room.envbox(&["create", "--name", "gone", "base", "true"]).succeeds();
        says(room, &["rm", "gone"], "gone");
        for verb in ["start", "stop", "restart", "kill", "wait", "rm", "logs", "top"] {
            fails(room, &[verb, "gone"], 1, "no such container: gone").warns("envbox ps -a");
        }
        fails(room, &["exec", "gone", "true"], 1, "no such container: gone");
        fails(room, &["inspect", "gone"], 1, "no such object: gone").warns("envbox ps -a");
        fails(room, &["cp", "gone:/etc", "."], 1, "no such container: gone");
        // docker: what is not there need not be removed.
        room.envbox(&["rm", "-f", "gone"]).succeeds().warns("no such container: gone");
        // What can be done is done.
        running(room, "web");
        let stop = fails(room, &["stop", "gone", "web"], 1, "no such container: gone");
        assert_eq!(stop.stdout(), "web\n");
        expect_nothing_left(room);
    }

    fn a_program_that_does_not_start_has_dockers_status(room) {
        import(room);
        fails(room, &["run", "base", "no-such-program"], 127, "no-such-program");
        fails(room, &["run", "base", "/etc/passwd"], 126, "passwd");
        let words = ["run", "-w", "/etc/passwd", "base", "true"];
        room.envbox(&words).exits(125).warns("working directory /etc/passwd: Not a directory");
        fails(room, &["run", "none", "true"], 125, "none");
        fails(room, &["run", "-d", "base", "no-such-program"], 127, "no-such-program");
        room.envbox(&["create", "--name", "bad", "base", "no-such-program"]).succeeds();
        fails(room, &["start", "bad"], 1, "no-such-program");
        expect_true_states(room);
        expect_nothing_left(room);
    }
}
