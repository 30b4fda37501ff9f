//! How a save ends before its time, and what it leaves then: nothing.

use std::fs;

use nix::unistd::geteuid;

use super::{imported, large, listing, shell};
use crate::harness::{Terminal, for_everyone, skip};

/// A program that starts envbox, whose words it gets after that for SIGINT, with
/// one that waits: Ctrl-C at the very moment when it can be answered.
const PRESSED: &str = "
import os, signal, sys
signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
os.kill(os.getpid(), signal.SIGINT)
os.execv(sys.argv[2], sys.argv[2:])";

for_everyone! {
    fn a_reader_that_has_gone_ends_save_as_it_ends_docker(room) {
        large(room, 3);
        for words in ["", "--compress", "--format oci-archive"] {
            let script = format!("\"$0\" save {words} large | head -c 1 >byte");
            shell(room, &script).exits(141).quietly();
        }
        assert_eq!(fs::metadata(room.work().join("byte")).unwrap().len(), 1);
    }

    fn an_archive_is_not_written_to_a_terminal(room) {
        imported(room, "a:1", 1_000_000_000);
        for words in [&["save", "a:1"][..], &["save", "--format", "oci-archive", "a:1"]] {
            let mut session = room.terminal(words);
            session.expect("cowardly refusing to save to a terminal");
            session.expect("use the -o flag or redirect");
            assert_eq!(session.wait(), 1);
        }
    }

    fn ctrl_c_takes_away_what_is_half_made(room) {
        imported(room, "a:1", 1_000_000_000);
        fs::write(room.work().join("old.tar"), "old").unwrap();
        room.give(&room.work().join("old.tar"));
        let before = listing(room);
        let pressed = |action: &str, words: &str| {
            let script = format!("python3 -c '{PRESSED}' {action} \"$0\" save {words} a:1");
            shell(room, &format!("{script} || echo $?")).succeeds().stdout()
        };
        for words in [
            "-o old.tar",
            "-o new.tar",
            "--compress -o new.tar",
            "--format oci-dir -o new",
            "--format oci-dir --compress=zstd -o new",
        ] {
            // Nothing on stdout but the status of what a signal ended.
            assert_eq!(pressed("SIG_DFL", words), "130\n", "{words}");
            assert_eq!(listing(room), before, "{words}");
        }
        assert_eq!(fs::read(room.work().join("old.tar")).unwrap(), b"old");
        // Who ignores it, as in the background of a script, is not interrupted.
        assert_eq!(pressed("SIG_IGN", "-o new.tar"), "");
        room.envbox(&["load", "-i", "new.tar"]).succeeds();
    }

    fn a_file_is_replaced_in_one_step(room) {
        imported(room, "a:1", 1_000_000_000);
        let script = "echo old >a.tar; ln a.tar kept; \"$0\" save -o a.tar a:1
            test $(cat kept) = old; \"$0\" load -i a.tar; \"$0\" save -o a.tar a:1";
        shell(room, script).succeeds();
        let mut left = listing(room);
        left.retain(|name| name != "tree");
        assert_eq!(left, ["a.tar", "kept"]);
        fs::create_dir(room.work().join("folder")).unwrap();
        room.envbox(&["save", "-o", "folder", "a:1"]).exits(1).warns("is not a regular file");
        room.envbox(&["save", "-o", "none/a.tar", "a:1"]).exits(1).warns("none");
        room.envbox(&["save"]).exits(1);
        room.envbox(&["save", "-o", "b.tar", "a:1", "gone"]).exits(1).warns("no such image: gone");
        assert!(!room.work().join("b.tar").exists());
    }

    fn progress_is_shown_to_who_sees_it(room) {
        large(room, 3);
        let pipe = room.work().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        room.give(&pipe);
        let mut command = room.program("sh");
        command.args(["-c", "\"$0\" save large >pipe", env!("CARGO_BIN_EXE_envbox")]);
        let mut session = Terminal::start(&command);
        // Nobody takes more than the pipe holds until the line was seen.
        let mut reader = fs::File::open(&pipe).unwrap();
        session.expect(" of 3.15 MB");
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert_eq!(session.wait(), 0);
    }
}

for_everyone! {
    fn a_full_disk_is_told_and_leaves_nothing(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        large(room, 3);
        fs::create_dir(room.work().join("small")).unwrap();
        let mount = "mount -t tmpfs -o mode=0777,size=1m none small";
        let script = "
            echo old >small/a.tar
            for words in '-o small/a.tar' '-o small/b.tar' '--format oci-dir -o small/c'; do
                \"$@\" save $words large; echo status $?
            done
            ls -A small; cat small/a.tar
            \"$@\" save large >/dev/full; echo status $?";
        let output = room.run(room.mounted(mount, script, &[]));
        let expected = "status 1\n".repeat(3) + "a.tar\nold\nstatus 1\n";
        assert_eq!(output.stdout(), expected, "{output}");
        assert_eq!(output.stderr().matches("No space left on device").count(), 4, "{output}");
        output.warns("cannot save to small/a.tar: ").warns("cannot save to stdout: ");
    }
}
