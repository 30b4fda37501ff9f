//! No room on the disk, no process left, nothing that can be written: every
//! command says so and what to do, and what can be done is done.

use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::*;
use crate::harness::{Output, Who, for_everyone, skip};

/// Runs a script whose `$@` is envbox, with the store in a mount namespace as
/// `mount` makes it; both are a shell's words.
fn with_store(room: &Room, mount: &str, script: &str) -> Output {
    let inner = room.command(&[]);
    let script = format!("set -e; {mount}; set +e; {script}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear().current_dir(room.work()).stdin(Stdio::null());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    room.run(command)
}

fn a_full_disk(room: &Room) {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    room.rootfs();
    let mount = "mkdir -p $ENVBOX_ROOT; mount -t tmpfs -o mode=0777,size=6m none $ENVBOX_ROOT";
    let script = "
        fill() { head -c 9m /dev/zero >$ENVBOX_ROOT/full 2>/dev/null; }
        \"$@\" import rootfs base >/dev/null
        \"$@\" create --name kept base echo kept >/dev/null
        \"$@\" run --name job base sh -c 'head -c 9m /dev/zero >/big'; echo job $?
        fill
        \"$@\" run base true; echo run $?
        \"$@\" create base true; echo create $?
        \"$@\" start -a kept; echo start $?
        \"$@\" ps -a --format '{{.Names}} {{.State}}'; echo ps $?
        rm $ENVBOX_ROOT/full; \"$@\" rm job; echo rm $?
        \"$@\" start -a kept; echo start $?
        fill; \"$@\" rm kept; echo rm $?
        rm $ENVBOX_ROOT/full; \"$@\" ps -aq; ls $ENVBOX_ROOT/containers $ENVBOX_ROOT/tmp";
    let output = with_store(room, mount, script);
    let said = output.stdout();
    println!("{output}");
    assert!(said.contains("job 1\nrun 125\ncreate 1\n"), "{output}");
    assert!(said.contains("kept created\n"), "{output}");
    output.warns("hint: free space");
}

fn a_read_only_store(room: &Room) {
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
    let output = with_store(room, mount, script);
    println!("{output}");
    expect_nothing_left(room);
}

#[test]
fn a_full_disk_is_told_and_harms_nothing_as_root() {
    Room::with(Who::Root, a_full_disk);
}

#[test]
fn a_full_disk_is_told_and_harms_nothing_as_user() {
    Room::with(Who::User, a_full_disk);
}

#[test]
fn a_read_only_store_is_told_and_can_be_read_as_root() {
    Room::with(Who::Root, a_read_only_store);
}

#[test]
fn a_read_only_store_is_told_and_can_be_read_as_user() {
    Room::with(Who::User, a_read_only_store);
}

/// The limit is the user's, whatever else runs of him: none is left at one.
fn no_process_is_left(room: &Room) {
    import(room);
    for (words, status) in
        [(&["run", "base", "true"][..], 125), (&["run", "-d", "base", "true"], 125)]
    {
        let inner = room.command(words);
        let mut command = room.program("prlimit");
        command.arg("--nproc=1").arg(env!("CARGO_BIN_EXE_envbox")).args(words);
        drop(inner);
        let output = room.run(command);
        println!("{output}");
        output.exits(status).warns("\nhint: ");
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
        println!("{:?}", list(room));
        println!("{}", room.envbox(&["start", "box"]));
        println!("{:?}", list(room));
        println!("{}", room.envbox(&["stop", "-t", "0", "box"]));
        println!("{}", room.envbox(&["rm", "-f", "box"]));
        println!("{:?} {}", list(room), state(first));
        panic!();
    }
}
