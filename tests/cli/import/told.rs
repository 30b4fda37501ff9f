//! What is printed: the ID alone on stdout, notes on stderr, and progress only
//! where somebody sees it.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::{identity_of, named, tar, text, tree};
use crate::harness::{Room, Terminal, for_everyone};

/// What a terminal shows of a command that ends.
fn shown(room: &Room, arguments: &[&str]) -> String {
    let mut session = room.terminal(arguments);
    session.wait();
    String::from_utf8_lossy(session.seen()).into_owned()
}

for_everyone! {
    fn a_terminal_sees_progress_and_a_last_line(room) {
        let tree = tree(room);
        // So much that it takes longer than a look at the counters.
        fs::write(tree.join("var/big"), vec![b'x'; 192 << 20]).unwrap();
        room.give(&tree.join("var/big"));
        let screen = shown(room, &["import", text(&tree), "x"]);
        assert!(screen.contains("MB, ") && screen.contains("files, "), "{screen}");
        assert!(screen.contains("MB/s"), "{screen}");
        assert!(screen.contains("imported 1.1TB, ") && screen.contains(" s\r\n"), "{screen}");
        assert!(!screen.contains("\x1b[?25l"), "the cursor is hidden: {screen:?}");
        let last = screen.lines().rfind(|line| !line.trim().is_empty()).unwrap();
        assert!(last.starts_with("sha256:"), "{screen:?}");
        let archive = tar(room, &tree, &["."]);
        let screen = shown(room, &["import", text(&archive)]);
        assert!(screen.contains(" of ") && screen.contains(" left"), "{screen}");
    }

    fn a_terminal_without_a_cursor_sees_no_progress(room) {
        let tree = tree(room);
        let mut command = room.command(&["import", text(&tree)]);
        command.env("TERM", "dumb");
        let mut session = Terminal::start(&command);
        session.wait();
        let screen = String::from_utf8_lossy(session.seen()).into_owned();
        assert_eq!(screen.lines().count(), 2, "{screen:?}");
        assert!(screen.starts_with("imported 1.1TB, "), "{screen:?}");
    }

    fn a_terminal_is_no_archive(room) {
        let screen = shown(room, &["import", "-", "x"]);
        assert!(screen.contains("stdin is a terminal, not an archive\r\nhint: "), "{screen:?}");
    }

    fn quiet_terminals_see_the_identity(room) {
        let tree = tree(room);
        let screen = shown(room, &["import", "--quiet", text(&tree)]);
        assert_eq!(screen.lines().count(), 1, "{screen:?}");
        assert!(screen.starts_with("sha256:"), "{screen:?}");
        room.envbox(&["import", "-q", text(&tree)]).succeeds().quietly();
    }

    fn an_output_that_nobody_reads_is_no_failure_of_the_import(room) {
        let tree = tree(room);
        let script = "\"$@\" > /dev/full";
        let mut full = room.program("sh");
        full.args(["-c", script, "sh", env!("CARGO_BIN_EXE_envbox"), "import", text(&tree), "x"]);
        room.run(full).exits(1).warns("cannot write to stdout: No space left on device");
        // The image is there.
        named(room, "x", "latest");
    }

    fn sockets_are_left_out_and_named(room) {
        let tree = tree(room);
        let names = ["a", "b", "c", "d"];
        let listeners = names.map(|name| UnixListener::bind(tree.join("var").join(name)).unwrap());
        room.give(&tree);
        let output = room.envbox(&["import", text(&tree)]).succeeds();
        let id = identity_of(&output);
        assert_eq!(
            output.stderr(),
            "envbox: note: 4 sockets were left out (var/a, var/b, var/c, ...)\n"
        );
        drop(listeners);
        // They are all that is missing.
        let archive = tar(room, &tree, &["--exclude=var/[a-d]", "."]);
        assert_eq!(identity_of(&room.envbox(&["import", text(&archive)]).succeeds()), id);
    }

    fn an_archive_without_its_root_is_told(room) {
        let tree = tree(room);
        let archive = tar(room, &tree, &["bin", "etc", "usr", "var", "tmp", "dangling"]);
        let output = room.envbox(&["import", text(&archive)]).succeeds();
        output.warns("does not say what its root directory is").warns("hint: ");
    }
}

#[test]
fn an_attribute_that_is_not_kept_is_told() {
    Room::with(crate::harness::Who::Root, |room| {
        let tree = tree(room);
        let mut command = Command::new("setfattr");
        command.args(["-n", "trusted.secret", "-v", "x"]).arg(tree.join("etc/passwd"));
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        if !child.wait().unwrap().success() {
            let mut reason = String::new();
            child.stderr.take().unwrap().read_to_string(&mut reason).unwrap();
            return crate::harness::skip(&reason);
        }
        let output = room.envbox(&["import", text(&tree)]).succeeds();
        output.warns("note: 1 extended attribute").warns("(etc/passwd)");
    });
}
