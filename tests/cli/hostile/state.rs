//! The run directory, where it lies in a place that others can write to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::Attack;
use crate::harness::{Output, for_everyone, skip};

/// A user that is neither root nor the room's.
const SOMEBODY: u32 = 54_321;

#[track_caller]
fn list(attack: &Attack<'_>, run: &Path) -> Output {
    let mut command = attack.limited(env!("CARGO_BIN_EXE_envbox"));
    command.arg("ps").env("ENVBOX_RUN", run);
    attack.watched(command)
}

for_everyone! {
    fn a_run_directory_that_others_can_write_to_is_refused(room) {
        let attack = Attack::new(room);
        let run = room.work().join("evil-run");
        fs::create_dir(&run).unwrap();
        symlink(attack.outside("dir"), run.join("containers")).unwrap();
        fs::set_permissions(&run, PermissionsExt::from_mode(0o777)).unwrap();
        room.give(&run);
        list(&attack, &run).exits(1).warns("others can write");
        fs::set_permissions(&run, PermissionsExt::from_mode(0o755)).unwrap();
        if chown(&run, Some(SOMEBODY), None).is_err() {
            return skip("only root can give a directory away");
        }
        list(&attack, &run).exits(1).warns("others can write");
    }
}
