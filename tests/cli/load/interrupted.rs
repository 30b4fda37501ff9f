//! Loads that end before their time: nothing of them is ever visible.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::geteuid;

use super::{python, state};
use crate::harness::{Room, for_everyone, skip};

const MANY: &str = "
layers = [layer(*[('%d/%d' % (n, m), 'f', bytes(3000)) for m in range(30)]) for n in range(8)]
docker('a.tar', image(layers, ['a:1']))
docker('b.tar', image(layers[:4], ['b:1']), image([BASE], ['c:1']))";

/// What lies in a folder of the store.
fn count(room: &Room, folder: &str) -> usize {
    let folder = room.path().join("store").join(folder);
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

for_everyone! {
    fn a_load_may_be_killed_at_any_instant(room) {
        python(room, MANY);
        room.envbox(&["load", "-i", "b.tar"]).succeeds();
        let before = state(room);
        for delay in (0..160).step_by(8) {
            let mut command = room.command(&["load", "-i", "a.tar"]);
            let mut killed = command.stdout(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            killed.kill().unwrap();
            killed.wait().unwrap();
            // The next command sweeps; either all of it is there, or nothing.
            let images = room.envbox(&["images", "-q"]).succeeds().stdout();
            assert_eq!(count(room, "tmp"), 0);
            if images.lines().count() == 3 {
                assert_eq!(count(room, "layers"), 9);
                room.envbox(&["save", "--format", "oci-archive", "-o", "whole.tar", "a:1"]).succeeds();
                room.envbox(&["rmi", "a:1"]).succeeds();
            }
            assert_eq!(state(room), before);
        }
    }

    fn a_killed_pipe_leaves_nothing(room) {
        python(room, MANY);
        room.envbox(&["load", "-i", "b.tar"]).succeeds();
        let before = state(room);
        let whole = std::fs::read(room.work().join("a.tar")).unwrap();
        let mut command = room.command(&["load"]);
        let mut killed = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        killed.stdin.as_mut().unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(state(room), before);
        let mut cut = room.command(&["load"]);
        let mut cut = cut.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        cut.stdin.take().unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
        assert_eq!(cut.wait().unwrap().code(), Some(1));
        assert_eq!(state(room), before);
    }

    fn a_load_that_fails_takes_no_layer_from_another(room) {
        python(room, MANY);
        let whole = std::fs::read(room.work().join("a.tar")).unwrap();
        let mut first = room.command(&["load"]);
        let mut first = first.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut feed = first.stdin.take().unwrap();
        // All but the last layer has been read when the other begins.
        feed.write_all(&whole[..whole.len() * 7 / 8]).unwrap();
        room.envbox(&["load", "-i", "b.tar"]).succeeds().quietly();
        drop(feed);
        assert_eq!(first.wait().unwrap().code(), Some(1));
        assert_eq!((count(room, "layers"), count(room, "tmp")), (5, 0));
        room.envbox(&["save", "--format", "oci-archive", "-o", "b.oci", "b:1"]).succeeds();
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        assert_eq!(count(room, "layers"), 9);
    }

    fn progress_is_shown_on_a_terminal(room) {
        python(room, "docker('a.tar', image([layer(('a', 'f', bytes(3 << 20)))], ['a']))");
        let pipe = room.work().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        room.give(&pipe);
        let mut session = room.terminal(&["load", "-i", "pipe"]);
        let mut feed = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        let whole = std::fs::read(room.work().join("a.tar")).unwrap();
        feed.write_all(&whole[..whole.len() / 2]).unwrap();
        session.expect(" MB, ");
        feed.write_all(&whole[whole.len() / 2..]).unwrap();
        drop(feed);
        session.expect("Loaded image: a:latest");
        assert_eq!(session.wait(), 0);
    }

    fn a_layer_that_was_removed_by_hand_comes_back(room) {
        python(room, MANY);
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let layers = room.path().join("store/layers");
        for layer in std::fs::read_dir(&layers).unwrap() {
            std::fs::remove_dir_all(layer.unwrap().path()).unwrap();
        }
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "a:1"]).succeeds();
    }

    fn loads_of_the_same_at_once_all_succeed(room) {
        python(room, MANY);
        let start = |archive: &str| {
            let mut command = room.command(&["load", "-i", archive]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        for child in ["a.tar", "b.tar", "a.tar"].map(start) {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(room.envbox(&["images", "-q"]).succeeds().stdout().lines().count(), 3);
        assert_eq!((count(room, "layers"), count(room, "tmp")), (9, 0));
    }
}

for_everyone! {
    fn a_full_disk_is_told_and_leaves_nothing(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        python(room, "
import os
docker('a.tar', image([BASE, layer(('small', 'f', 's')), layer(('large', 'f', os.urandom(8 << 20)))], ['a']))");
        let script = "
            for how in '-i a.tar' '-i /dev/stdin'; do
                \"$@\" load $how <a.tar; echo status $?
                ls $ENVBOX_ROOT/tmp $ENVBOX_ROOT/layers $ENVBOX_ROOT/blobs/sha256 | grep -v ':$' | grep .
            done";
        let output = room.run(room.small_store("4m", script, &[]));
        assert_eq!(output.stdout(), "status 1\nstatus 1\n", "{output}");
        output.warns("large: No space left on device").warns("hint: free space");
    }
}
