//! Containers in pipes: every byte passes, and a side that ends ends the other.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::harness::{Output, Room, for_everyone};

/// A pipeline of a shell outside, in which `$SHELL_IN` is `envbox shell` in the
/// room's rootfs; its status is that of the last command that failed.
fn pipeline(room: &Room, line: &str) -> Output {
    let mut shell = room.program("bash");
    let inside = format!("{} shell {}", env!("CARGO_BIN_EXE_envbox"), room.rootfs().display());
    shell.args(["-c", &format!("set -o pipefail; {line}")]).env("SHELL_IN", inside);
    room.run(shell)
}

fn shell(room: &Room, words: &[&str]) -> Command {
    let mut command = room.command(&["shell", room.rootfs().to_str().unwrap()]);
    command.args(words);
    command
}

for_everyone! {
    fn every_byte_passes_both_ways(room) {
        let bytes: Vec<u8> = (0..=255).cycle().take(256 * 300).collect();
        let mut cat = shell(room, &["--", "cat"]);
        let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = cat.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
        let mut received = Vec::new();
        cat.stdout.take().unwrap().read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert!(cat.wait().unwrap().success());
        assert!(received == bytes);
    }

    fn a_hundred_megabytes_pass(room) {
        let data = "head -c 100000000 /dev/zero | tr '\\0' x";
        let direct = pipeline(room, &format!("{data} | sha256sum")).succeeds().stdout();
        let through = pipeline(room, &format!("{data} | $SHELL_IN -- cat | sha256sum")).succeeds();
        assert_eq!(through.stdout(), direct);
    }

    fn stdout_and_stderr_stay_apart(room) {
        let output = room.run(shell(room, &["-c", "echo out; echo err >&2"])).succeeds();
        assert_eq!((output.stdout().as_str(), output.stderr().as_str()), ("out\n", "err\n"));
    }

    fn a_reader_that_ends_ends_the_writer(room) {
        pipeline(room, "$SHELL_IN -- yes | head -c 1 >/dev/null").exits(141);
        // With a handler of its own the command decides.
        pipeline(room, "$SHELL_IN -c 'trap \"\" PIPE; yes; exit 3' | head -c 1 >/dev/null").exits(3);
    }

    fn a_reader_that_ends_ends_whoever_writes_a_tar(room) {
        room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
        let words = ["create", "--name", "box", "-v", "data:/bin", "base", "sh"];
        room.envbox(&words).succeeds();
        for verb in ["export base", "export box", "volume export data", "cp box:/ -"] {
            let line = format!("{} {verb} | head -c 1 >/dev/null", env!("CARGO_BIN_EXE_envbox"));
            pipeline(room, &line).exits(141).quietly();
        }
    }

    fn a_writer_that_ends_early_is_not_waited_for(room) {
        pipeline(room, "yes 2>/dev/null | $SHELL_IN -- head -c 1; exit ${PIPESTATUS[1]}").succeeds();
    }

    fn a_reader_that_ends_hangs_a_terminal_up(room) {
        room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
        let line = format!("{} run --rm -t base yes | head -c 1", env!("CARGO_BIN_EXE_envbox"));
        // `yes` is told of it, or sees that its terminal is dead.
        let output = pipeline(room, &line);
        assert_eq!(output.stdout(), "y");
    }

    fn a_full_device_is_the_command_s_error(room) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut echo = shell(room, &["-c", "echo x || exit 4"]);
        let status = echo.stdout(full.try_clone().unwrap()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(4));
        let status = room.command(&["profile", "ls"]).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }

    fn input_passes_by_i_and_ends(room) {
        room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
        let line = format!(
            "printf 'a\\000b\\r\\n' | {0} run --rm -i base sh -c 'cat; echo end' | od -An -c",
            env!("CARGO_BIN_EXE_envbox"),
        );
        let words = pipeline(room, &line).succeeds().stdout();
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(words, ["a", "\\0", "b", "\\r", "\\n", "e", "n", "d", "\\n"]);
        let line = format!("yes | {} run --rm base cat", env!("CARGO_BIN_EXE_envbox"));
        assert_eq!(pipeline(room, &format!("{line}; exit ${{PIPESTATUS[1]}}")).succeeds().stdout(), "");
    }
}
