//! `sudo envbox shell`: root, for somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use crate::harness::{Room, Who, skip};

/// Whom `sudo` names; nobody has to have this number.
const CALLER: u32 = 54_321;

/// `envbox shell` as sudo runs it, with `builddir` as the builddir.
fn shell(room: &Room, builddir: &Path, line: &str) -> Command {
    let mut command = room.command(&["shell", room.rootfs().to_str().unwrap(), "--mount"]);
    command.arg(builddir).args(["-c", line]);
    as_sudo(&mut command);
    command
}

fn as_sudo(command: &mut Command) {
    command.env("SUDO_UID", CALLER.to_string()).env("SUDO_GID", CALLER.to_string());
}

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let metadata = fs::symlink_metadata(&path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn directory(room: &Room, name: &str, owner: u32) -> std::path::PathBuf {
    let directory = room.work().join(name);
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(owner), Some(owner)).unwrap();
    directory
}

mod as_root {
    use super::*;

    #[test]
    fn what_is_written_in_the_callers_directory_is_the_callers() {
        Room::with(Who::Root, |room| {
            let builddir = directory(room, "own", CALLER);
            let line = "mkdir sub && echo x >sub/file && ln -s x link && stat -c %u . sub link \
                && echo x >/var/tmp/temporary && chown 7:8 sub/file";
            let output = room.run(shell(room, &builddir, line)).succeeds().quietly();
            assert_eq!(output.stdout(), "0\n0\n0\n");
            for name in ["sub", "link", "tmp", "tmp/temporary"] {
                assert_eq!(owner(builddir.join(name)), (CALLER, CALLER), "{name}");
            }
            // A number that was asked for stays what it is.
            assert_eq!(owner(builddir.join("sub/file")), (7, 8));
        });
    }

    #[test]
    fn a_volume_is_the_callers_too() {
        Room::with(Who::Root, |room| {
            let own = directory(room, "own", CALLER);
            let mut command = room.command(&["shell", room.rootfs().to_str().unwrap(), "-v"]);
            command.arg(format!("{}:/mnt", own.display())).args(["-c", "echo x >/mnt/file"]);
            as_sudo(&mut command);
            room.run(command).succeeds().quietly();
            assert_eq!(owner(own.join("file")), (CALLER, CALLER));
        });
    }

    #[test]
    fn roots_own_directory_stays_roots() {
        Room::with(Who::Root, |room| {
            let builddir = directory(room, "roots", 0);
            room.run(shell(room, &builddir, "echo x >file")).succeeds().quietly();
            assert_eq!(owner(builddir.join("file")), (0, 0));
        });
    }

    #[test]
    fn a_file_system_without_id_maps_is_told() {
        Room::with(Who::Root, |room| {
            let builddir = directory(room, "ramfs", CALLER);
            let shell = shell(room, &builddir, "stat -c %u . && echo x >file");
            // In a mount namespace of its own, which ends with it.
            let mut command = room.program("unshare");
            as_sudo(&mut command);
            let script = format!(
                "mount -t ramfs none '{0}' || exit 99; chown {CALLER}:{CALLER} '{0}'; \"$@\"; \
                 status=$?; stat -c %u '{0}/file'; exit $status",
                builddir.display()
            );
            command.args(["--mount", "sh", "-c", &script, "sh"]).arg(shell.get_program());
            let output = room.run({
                command.args(shell.get_args());
                command
            });
            if output.stderr().contains("ramfs") && output.stdout().is_empty() {
                return skip("no ramfs can be mounted");
            }
            let output = output.succeeds().warns("note: ").warns("will belong to root");
            assert_eq!(output.stdout(), format!("{CALLER}\n0\n"));
        });
    }
}
