//! The attacks: what a process in the container swaps while it is copied.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::fs::Dir;

const ROUNDS: usize = 400;

/// A room with a container's `root`, whose `dir` has a `file`, and a `secret`
/// folder of the host's beside it that has one as well.
fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    for (folder, text) in [("root/dir", "inside"), ("secret", "secret")] {
        let folder = room.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file"), text).unwrap();
    }
    std::fs::create_dir(room.path().join("out")).unwrap();
    symlink(room.path().join("secret"), room.path().join("root/link")).unwrap();
    room
}

fn rootfs(room: &Path) -> Rootfs {
    Rootfs::new(Dir::open(&room.join("root")).unwrap())
}

/// Runs `work` again and again while `root/dir` and `root/link` change places.
fn while_swapping(room: &Path, mut work: impl FnMut(usize)) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = Dir::open(&room.join("root")).unwrap();
            for count in 1_u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&root, "dir", &root, "link", flags).unwrap();
                // Both are in their places: now and then a copy comes through,
                // however the two threads are scheduled.
                if count.is_multiple_of(64) {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        });
        (0..ROUNDS).for_each(&mut work);
        stop.store(true, Ordering::Relaxed);
    });
}

fn request(archive: bool) -> CopyRequest {
    CopyRequest { from: CopyEnd::Stream, to: CopyEnd::Stream, archive, follow: false }
}

#[test]
fn what_is_swapped_for_a_link_is_not_read_outside() {
    let room = room();
    let root = rootfs(room.path());
    let host = Host { working_directory: room.path() };
    let mut inside = 0;
    while_swapping(room.path(), |round| {
        let path = ["/dir/file", "/dir", "/dir/.", "/"][round % 4];
        let out = PathBuf::from("out");
        let copied = copy_out(
            (&root, "box", Path::new(path)),
            (&CopyEnd::Host(out), host),
            (&request(false), &mut std::io::sink()),
        );
        let mut files = walkdir::WalkDir::new(room.path().join("out")).into_iter().flatten();
        let texts = files.by_ref().filter(|entry| entry.file_type().is_file());
        for file in texts {
            let text = std::fs::read_to_string(file.path()).unwrap();
            assert_eq!(text, "inside", "{path}");
            inside += usize::from(copied.is_ok());
        }
        std::fs::remove_dir_all(room.path().join("out")).unwrap();
        std::fs::create_dir(room.path().join("out")).unwrap();
    });
    assert!(inside > 0, "no copy came through");
}

#[test]
fn what_is_swapped_for_a_link_is_not_written_outside() {
    let room = room();
    let root = rootfs(room.path());
    let host = Host { working_directory: room.path() };
    let source = room.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "attack").unwrap();
    std::fs::write(source.join("new"), "attack").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        source.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let mut written = 0;
    while_swapping(room.path(), |round| {
        let (from, to) = [
            ("source/file", "/dir/file"),
            ("source/.", "/dir"),
            ("source/.", "/dir/"),
            ("source/new", "/dir/"),
        ][round % 4];
        let copied = copy_in(
            (&CopyEnd::Host(from.into()), host),
            (&root, Path::new(to)),
            (&request(false), None),
        );
        written += usize::from(copied.is_ok());
    });
    assert!(written > 0, "no copy came through");
    let secret = room.path().join("secret");
    let names: Vec<_> =
        std::fs::read_dir(&secret).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(std::fs::read_to_string(secret.join("file")).unwrap(), "secret");
}

#[test]
fn links_in_a_container_mean_what_they_mean_inside() {
    let room = room();
    let root = rootfs(room.path());
    let base = room.path().join("root");
    for (link, target) in [
        ("up", "../../../../dir"),
        ("absolute", "/dir/file"),
        ("chain", "up/file"),
        ("dangling", "/dir/made"),
        ("loop", "loop"),
    ] {
        symlink(target, base.join(link)).unwrap();
    }
    let read = |path: &str, follow| -> Result<(bool, OsString)> {
        let found = Source::find(&root, Path::new(path), follow)?;
        Ok((found.is_dir, found.base))
    };
    assert_eq!(read("/up", false).unwrap(), (false, "up".into()));
    assert_eq!(read("/up/", false).unwrap(), (true, "up".into()));
    assert_eq!(read("up/.", false).unwrap(), (true, "".into()));
    assert_eq!(read("/chain", true).unwrap(), (false, "chain".into()));
    assert_eq!(read("/", false).unwrap(), (true, "".into()));
    assert!(read("/dir/..", false).unwrap().0);
    assert_eq!(read("/absolute/", false).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(read("/loop", true).unwrap_err().kind(), Kind::Denied);
    assert!(read("/link/file", true).is_err(), "it leads to nothing inside");
    let made = Destination::find(&root, Path::new("/dangling")).unwrap();
    assert_eq!((made.name.as_os_str(), made.found), (OsStr::new("made"), None));
}
