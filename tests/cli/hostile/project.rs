//! An `envbox.toml` that somebody else has put in the way.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::Attack;
use crate::harness::{Output, Room, for_everyone, skip};

/// A user that is neither root nor the room's.
const SOMEBODY: u32 = 54_321;

/// The file in a folder above the caller's.
fn above(attack: &Attack<'_>) -> PathBuf {
    let below = attack.project().join("mine/deep");
    fs::create_dir_all(&below).unwrap();
    attack.room.give(&attack.project());
    attack.project().join("envbox.toml")
}

#[track_caller]
fn shell(attack: &Attack<'_>, room: &Room) -> Output {
    let mut command = attack.limited(env!("CARGO_BIN_EXE_envbox"));
    command
        .args(["shell", "-c", "echo entered"])
        .current_dir(room.work().join("project/mine/deep"));
    attack.watched(command)
}

for_everyone! {
    fn a_file_of_somebody_else_is_refused(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let file = above(&attack);
        fs::write(&file, "image = \"evil\"\n").unwrap();
        if chown(&file, Some(SOMEBODY), None).is_err() {
            return skip("only root can give a file away");
        }
        shell(&attack, room).exits(125).warns("belongs to somebody else");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "image = \"evil\"\n").unwrap();
        room.give(&file);
        shell(&attack, room).succeeds().says("entered");
    }

    fn a_link_of_somebody_else_to_a_trusted_file_is_refused(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let file = above(&attack);
        let trusted = room.work().join("trusted.toml");
        fs::write(&trusted, "image = \"evil\"\n").unwrap();
        room.give(&trusted);
        symlink(&trusted, &file).unwrap();
        room.give(&file);
        shell(&attack, room).succeeds().says("entered");
        if lchown(&file, Some(SOMEBODY), None).is_err() {
            return skip("only root can give a link away");
        }
        shell(&attack, room).exits(125).warns("belongs to somebody else");
    }

    fn what_is_no_file_is_passed_by_and_blocks_nothing(room) {
        let attack = Attack::new(room);
        let file = above(&attack);
        mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        shell(&attack, room).exits(125).warns("envbox.toml here or above");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        shell(&attack, room).exits(125).warns("envbox.toml here or above");
    }
}
