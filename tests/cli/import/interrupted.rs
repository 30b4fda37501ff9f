//! Imports that end before their time, or at the same one: nothing of them is
//! ever visible, and the next one sweeps.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::{identity_of, import, named, tar, text, tree, unfinished};
use crate::harness::{Room, for_everyone, skip};

/// An import from a pipe that has got half of an archive and waits for more.
fn half_done(room: &Room, archive: &Path) -> Child {
    let mut command = room.command(&["import", "-", "half"]);
    let mut import = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let whole = fs::read(archive).unwrap();
    let pipe = import.stdin.as_mut().unwrap();
    pipe.write_all(&whole[..whole.len() / 2]).unwrap();
    wait_for_work(room);
    import
}

/// Until something lies in the store that is not finished.
fn wait_for_work(room: &Room) {
    let is_filled = |path: &Path| {
        let files = walkdir::WalkDir::new(path).min_depth(4);
        files.into_iter().next().is_some()
    };
    while !unfinished(room).iter().any(|path| is_filled(path)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A tree that is more than a pipe holds.
fn archive(room: &Room) -> std::path::PathBuf {
    let tree = tree(room);
    fs::write(tree.join("bin/program"), vec![b'x'; 1 << 20]).unwrap();
    room.give(&tree.join("bin/program"));
    tar(room, &tree, &["."])
}

for_everyone! {
    fn a_killed_import_is_invisible_and_swept_by_the_next(room) {
        let archive = archive(room);
        let mut import_half = half_done(room, &archive);
        import_half.kill().unwrap();
        assert_eq!(import_half.wait().unwrap().signal(), Some(9));
        assert!(!unfinished(room).is_empty());
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
        import(room, &[text(&archive), "whole"]);
        assert_eq!(unfinished(room), Vec::<std::path::PathBuf>::new());
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout().lines().count(), 1);
    }

    fn it_may_be_killed_at_any_instant(room) {
        let tree = tree(room);
        let mut expected = None;
        for delay in (0..120).step_by(8) {
            let mut killed = room.command(&["import", text(&tree), "x"]);
            let mut killed = killed.stdout(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            killed.kill().unwrap();
            killed.wait().unwrap();
            // Either all of it is there, or nothing.
            let images = room.envbox(&["images", "-q", "--no-trunc"]).succeeds().stdout();
            let id = import(room, &[text(&tree)]);
            assert!(images.is_empty() || images.trim() == id, "{images}");
            assert_eq!(expected.get_or_insert(id.clone()), &id);
            assert_eq!(unfinished(room), Vec::<std::path::PathBuf>::new());
            fs::remove_dir_all(room.path().join("store")).unwrap();
        }
    }

    fn the_unfinished_work_of_others_is_not_swept(room) {
        let archive = archive(room);
        let mut slow = half_done(room, &archive);
        let id = import(room, &[text(&archive), "fast"]);
        let whole = fs::read(&archive).unwrap();
        let mut pipe = slow.stdin.take().unwrap();
        pipe.write_all(&whole[whole.len() / 2..]).unwrap();
        drop(pipe);
        assert!(slow.wait().unwrap().success());
        assert_eq!(named(room, "half", "latest"), id);
    }

    fn an_interrupt_ends_it_at_once(room) {
        let archive = archive(room);
        let pipe = room.work().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        room.give(&pipe);
        let mut session = room.terminal(&["import", text(&pipe), "half"]);
        let mut feed = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        let whole = fs::read(&archive).unwrap();
        feed.write_all(&whole[..whole.len() / 2]).unwrap();
        wait_for_work(room);
        session.expect("files, ");
        session.send("\x03");
        assert_eq!(session.wait(), 128 + Signal::SIGINT as i32);
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
        import(room, &[text(&archive)]);
        assert_eq!(unfinished(room), Vec::<std::path::PathBuf>::new());
    }

    fn a_make_that_is_terminated_terminates_it(room) {
        let archive = archive(room);
        let mut import = half_done(room, &archive);
        kill(Pid::from_raw(import.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert_eq!(import.wait().unwrap().signal(), Some(15));
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout(), "");
    }

    fn two_imports_of_one_name_both_succeed(room) {
        let first = tree(room);
        let archive = tar(room, &first, &["--exclude=var", "."]);
        let start = |source: &str| {
            let mut command = room.command(&["import", source, "same:tag"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        for _ in 0..5 {
            let both = [start(text(&first)), start(text(&archive)), start(text(&first))];
            let mut ids: Vec<String> = both.into_iter().map(|child| {
                let output = child.wait_with_output().unwrap();
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{words}");
                String::from_utf8(output.stdout).unwrap().trim().to_owned()
            }).collect();
            assert_eq!(ids[0], ids[2]);
            ids.pop();
            let last = named(room, "same", "tag");
            assert!(ids.contains(&last), "{last} of {ids:?}");
        }
    }
}

for_everyone! {
    fn a_full_disk_is_told_and_leaves_nothing(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        let tree = tree(room);
        fs::write(tree.join("bin/program"), vec![b'x'; 8 << 20]).unwrap();
        room.give(&tree.join("bin/program"));
        let archive = tar(room, &tree, &["."]);
        for source in [&tree, &archive] {
            let script = "{ \"$@\"; echo status $?; find \"$ENVBOX_ROOT/tmp\" -mindepth 1; }";
            let command = room.small_store("4m", script, &["import", text(source), "x"]);
            let output = room.run(command).succeeds();
            assert_eq!(output.stdout(), "status 1\n", "{output}");
            output.warns("No space left on device").warns("hint: free space");
        }
        let enough = room.small_store("32m", "exec \"$@\"", &["import", text(&tree), "x"]);
        identity_of(&room.run(enough).succeeds());
    }
}
