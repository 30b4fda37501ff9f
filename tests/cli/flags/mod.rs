//! The flags of `run` and `create` that open or close a container: one file a
//! kind. What is refused is refused before anything runs.

mod cdi;
mod device;
mod health;
mod name;
mod namespace;
mod neighbor;
mod platform;
mod restart;

use crate::harness::{Output, Room};

/// `envbox run --rm FLAGS base sh -c LINE`; the image is made at the first call.
#[track_caller]
fn line(room: &Room, flags: &[&str], line: &str) -> Output {
    if !room.work().join("rootfs").exists() {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
    }
    room.envbox(&[&["run", "--rm"], flags, &["base", "sh", "-c", line]].concat())
}
