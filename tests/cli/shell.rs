//! `envbox shell` in a directory.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::harness::{Output, Room, for_everyone};

/// The builddir of the room's user, made at the first call.
fn project(room: &Room) -> PathBuf {
    let project = room.work().join("project");
    if !project.exists() {
        std::fs::create_dir(&project).unwrap();
        room.give(&project);
    }
    project
}

/// Runs `line` by the shell of the room's rootfs, with its project as the
/// builddir.
fn shell(room: &Room, line: &str) -> Output {
    let (rootfs, project) = (room.rootfs(), project(room));
    room.envbox(&["shell", text(&rootfs), "--mount", text(&project), "-c", line])
}

fn text(path: &impl AsRef<std::path::Path>) -> &str {
    path.as_ref().to_str().unwrap()
}

for_everyone! {
    fn the_status_is_the_commands_own(room) {
        shell(room, "exit 7").exits(7);
        shell(room, "kill -9 $$").exits(137);
        shell(room, "true").succeeds();
    }

    fn a_missing_command_is_127_and_one_that_cannot_run_126(room) {
        let rootfs = room.rootfs();
        room.envbox(&["shell", text(&rootfs), "--", "no-such"]).exits(127);
        room.envbox(&["shell", text(&rootfs), "--", "/etc"]).exits(126);
    }

    fn a_missing_rootfs_or_builddir_is_125(room) {
        let rootfs = room.rootfs();
        room.envbox(&["shell", "./no-such"]).exits(125);
        room.envbox(&["shell", text(&rootfs), "--mount", "/no/such", "--", "true"]).exits(125);
    }

    fn the_environment_is_clean_and_fixed(room) {
        let output = shell(room, "echo $HOME $TZ $(hostname) $(umask) $(pwd)").succeeds();
        assert!(output.stdout().contains("UTC envbox 0022 /builddir"), "{}", output.stdout());
    }

    fn what_is_written_in_the_builddir_belongs_to_the_caller(room) {
        shell(room, "echo made > made; echo thrown > /thrown").succeeds();
        let made = std::fs::metadata(project(room).join("made")).unwrap();
        let own = std::fs::metadata(project(room)).unwrap();
        assert_eq!((made.uid(), made.gid()), (own.uid(), own.gid()));
        assert!(!room.rootfs().join("thrown").exists());
    }

    fn there_is_no_network_but_loopback(room) {
        let output = shell(room, "cat /proc/net/dev | grep -c :").succeeds();
        assert_eq!(output.stdout().trim(), "1");
    }

    fn no_descriptor_of_the_caller_leaks_in(room) {
        let output = shell(room, "ls /proc/self/fd | wc -l").succeeds();
        // stdin, stdout, stderr, and the one that ls lists with.
        assert_eq!(output.stdout().trim(), "4");
    }

    fn kernel_settings_cannot_be_written(room) {
        shell(room, "echo 1 > /proc/sys/kernel/panic").exits(1);
    }
}
