//! No room on the disk, no process left, nothing that can be written: every
//! command says so and what to do, and what can be done is done.

use nix::unistd::geteuid;

use super::*;
use crate::harness::{Who, for_everyone, skip};

for_everyone! {
    fn a_full_disk_is_told_and_harms_nothing(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        room.rootfs();
        let script = "
            say() { echo \"$@\"; }
            fill() { head -c 9m /dev/zero >$ENVBOX_ROOT/full 2>/dev/null; }
            \"$@\" import rootfs base >/dev/null
            \"$@\" create --name kept base echo kept >/dev/null
            # It fills the disk once its start is written down.
            runs() { \"$@\" ps --format '{{.Names}}' | grep -q job; }
            (until runs \"$@\"; do sleep 0.05; done; echo) |
                \"$@\" run -i --name job base sh -c 'read line; head -c 9m /dev/zero >/big'; say job $?
            fill
            \"$@\" run base true; say run $?
            \"$@\" create base true; say create $?
            \"$@\" start -a kept; say start $?
            \"$@\" ps -a --format '{{.Names}} {{.State}}'
            \"$@\" rm job >/dev/null; say rm $?
            \"$@\" start -a kept; say start $?
            fill
            \"$@\" container prune -f >/dev/null; say prune $?
            \"$@\" image rm base >/dev/null; say image rm $?
            \"$@\" ps -aq; \"$@\" images -q
            ls $ENVBOX_ROOT/containers $ENVBOX_ROOT/tmp $ENVBOX_ROOT/layers | grep -v :";
        let output = room.run(room.small_store("6m", script, &[]));
        let expected = "job 1\nrun 125\ncreate 1\nstart 1\njob exited\nkept created\nrm 0\n\
            kept\nstart 0\nprune 0\nimage rm 0\n";
        assert_eq!(output.stdout().trim(), expected.trim(), "{output}");
        let told = output.stderr().lines().filter(|line| line.starts_with("hint: free space")).count();
        assert_eq!(told, 3, "{output}");
    }
}

for_everyone! {
    fn a_read_only_store_is_told_and_can_be_read(room) {
        if !geteuid().is_root() {
            return skip("needs root");
        }
        import(room);
        room.envbox(&["create", "--name", "kept", "base", "true"]).succeeds();
        let mount = "mount --bind $ENVBOX_ROOT $ENVBOX_ROOT; \
            mount -o remount,bind,ro $ENVBOX_ROOT";
        let script = "
            for verb in 'run base true' 'run --rm base true' 'create base true' 'start kept' \
                'rm kept' 'rename kept new' 'import rootfs other' 'ps -a' 'inspect kept'; do
                \"$@\" $verb >/dev/null; echo $verb $?
            done";
        let output = room.run(room.mounted(mount, script, &[]));
        let expected = "run base true 125\nrun --rm base true 125\ncreate base true 1\n\
            start kept 1\nrm kept 1\nrename kept new 1\nimport rootfs other 1\n\
            ps -a 0\ninspect kept 0\n";
        assert_eq!(output.stdout(), expected, "{output}");
        let hints = output.stderr().lines().filter(|line| line.starts_with("hint: ")).count();
        assert_eq!(hints, 7, "{output}");
        expect_nothing_left(room);
    }
}

/// The limit is the user's, whatever else runs of him: none is left at one.
fn no_process_is_left(room: &Room) {
    import(room);
    for words in [&["run", "base", "true"][..], &["run", "-d", "base", "true"]] {
        let mut command = room.program("prlimit");
        command.arg("--nproc=1").arg(env!("CARGO_BIN_EXE_envbox")).args(words);
        room.run(command).exits(125).warns("\nhint: no more processes are allowed");
    }
    expect_true_states(room);
    expect_nothing_left(room);
}

#[test]
fn no_process_left_is_told() {
    Room::with(Who::User, no_process_is_left);
}

for_everyone! {
    fn a_run_directory_that_is_taken_away_makes_no_second_of_one(room) {
        import(room);
        let words = ["run", "-d", "--name", "box", "base", "sh", "-c", OBEYS];
        let id = room.envbox(&words).succeeds().stdout();
        let first = first_process(room, id.trim_end()).unwrap();
        std::fs::remove_dir_all(room.path().join("run/containers")).unwrap();
        assert_eq!(list(room)[0][2], "running");
        for words in [&["start", "box"][..], &["stop", "box"], &["rm", "-f", "box"]] {
            let output = room.envbox(words).exits(1).warns("files in the run directory are gone");
            output.warns("\nhint: end its monitor");
        }
        assert!(!matches!(state(first), 'X' | 'Z'));
        // What the hint says, but without fuser(1), which may not be installed.
        assert!(end(own_processes(room)[0].0));
        eventually("it has ended", || list(room)[0][2] == "exited");
        eventually("it has gone", || matches!(state(first), 'X' | 'Z'));
        room.envbox(&["start", "box"]).succeeds();
        expect_true_states(room);
        expect_nothing_left(room);
    }
}
