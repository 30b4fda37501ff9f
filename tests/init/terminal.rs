//! Init as a session's leader, with a terminal.

use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::{ControlCode, Expect, Session};

use super::{LIMIT, PROGRAM};

/// Starts init as the leader of a terminal's session, with `sh -c SCRIPT`.
fn session(script: &str) -> expectrl::session::OsSession {
    let mut command = Command::new("/bin/sh");
    let start = "exec 3>/dev/null; exec \"$0\" 3 /bin/sh sh -c \"$1\"";
    command.args(["-c", start, PROGRAM, script]);
    let mut session = Session::spawn(command).expect("a terminal");
    session.set_expect_timeout(Some(LIMIT));
    session
}

fn exit_code(session: &expectrl::session::OsSession) -> i32 {
    match session.get_process().wait().expect("a child") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_s_group_is_the_foreground_one() {
    let mut session = session("cut -d' ' -f5,8 /proc/$$/stat; echo end");
    let seen = session.expect("end").expect("runs");
    let text = String::from_utf8_lossy(seen.before()).into_owned();
    let line = text.lines().next().expect("a line").to_owned();
    let (group, foreground) = line.split_once(' ').expect("two numbers");
    assert_eq!(group, foreground, "{text}");
    assert_eq!(exit_code(&session), 0);
}

#[test]
fn ctrl_c_ends_the_command() {
    let mut session = session("echo ready; exec sleep 300");
    session.expect("ready").expect("runs");
    session.send(ControlCode::EndOfText).expect("is typed");
    assert_eq!(exit_code(&session), 128 + 2);
}

#[test]
fn ctrl_z_cannot_leave_the_terminal_dead() {
    let mut session = session("echo ready; read line; echo got $line");
    session.expect("ready").expect("runs");
    session.send(ControlCode::Substitute).expect("is typed");
    session.send_line("on").expect("is typed");
    session.expect("got on").expect("goes on");
    assert_eq!(exit_code(&session), 0);
}
