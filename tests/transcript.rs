//! The transcripts in the README are true: every block marked `console` is run
//! in one room, in order, and its output compared. `[..]` stands for anything
//! in a line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use snapbox::assert::DEFAULT_ACTION_ENV;
use snapbox::{Assert, Data};

use crate::harness::{Room, for_everyone};

/// The commands of a document's blocks: a block, its commands, their outputs.
fn sessions(text: &str) -> Vec<Vec<(String, String)>> {
    let mut sessions = Vec::new();
    let mut open: Option<Vec<(String, String)>> = None;
    for line in text.lines() {
        match (&mut open, line) {
            (None, "```console") => open = Some(Vec::new()),
            (Some(_), "```") => sessions.extend(open.take()),
            (Some(session), line) => match (line.strip_prefix("$ "), session.last_mut()) {
                (Some(command), _) => session.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
                (None, None) => panic!("a block begins without a command: {line}"),
            },
            (None, _) => {}
        }
    }
    sessions
}

/// Runs `command` by the caller's shell in the room's work folder; both its
/// outputs together.
fn run(room: &Room, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_envbox")).parent().expect("is in a folder");
    let mut shell = room.program("sh");
    let line = format!("PATH={}:$PATH; {{ {command}\n}} 2>&1", binary.display());
    shell.args(["-c", &line]);
    room.run(shell).stdout()
}

for_everyone! {
    fn the_readme_tells_the_truth(room) {
        let text = include_str!("../README.md");
        let rootfs = room.work().join("centos6");
        std::fs::rename(room.rootfs(), &rootfs).unwrap();
        // What the profile runs; busybox has none.
        let bash = rootfs.join("bin/bash");
        std::fs::write(&bash, "#!/bin/sh\nexec /bin/sh \"$@\"\n").unwrap();
        std::fs::set_permissions(&bash, PermissionsExt::from_mode(0o755)).unwrap();
        room.give(&rootfs);
        std::fs::create_dir(room.work().join("rain")).unwrap();
        std::fs::write(room.work().join("rain/hello.txt"), "hello\n").unwrap();
        room.give(&room.work().join("rain"));
        let sessions = sessions(text);
        assert!(!sessions.is_empty(), "the README has transcripts");
        let assert = Assert::new().action_env(DEFAULT_ACTION_ENV);
        for (command, expected) in sessions.into_iter().flatten() {
            let actual = run(room, &command);
            let actual = format!("$ {command}\n{actual}");
            assert.eq(Data::text(actual), Data::text(format!("$ {command}\n{expected}")));
        }
    }
}
