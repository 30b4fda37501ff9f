//! Hostile images: whatever an image, its config or a command in it makes of
//! the paths that envbox uses, nothing of the host's is read, changed or made,
//! no descriptor leaks in, and nothing hangs. What is promised and what is not
//! is `docs/security.md`; each fact here is one attack.

mod archive;
mod command;
mod config;
mod copy;
mod descriptor;
mod device;
mod kernel;
mod mount;
mod path;
mod program;
mod project;
mod state;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Output, Room};

/// Stands in the content and in a name of what lies outside.
const SECRET: &str = "canary-5f1c";

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A room with a root filesystem to make hostile, a builddir, and beside them
/// what no container may come to: `outside`, which its user may write to.
struct Attack<'a> {
    room: &'a Room,
    before: Vec<String>,
}

impl<'a> Attack<'a> {
    fn new(room: &'a Room) -> Self {
        room.rootfs();
        let attack = Self { room, before: Vec::new() };
        for folder in [attack.project(), attack.outside("dir"), attack.outside("bin")] {
            fs::create_dir_all(folder).unwrap();
        }
        let passwd = format!("root:x:0:0:{SECRET}:/root:/bin/sh\ncanary:x:0:0::/:/bin/sh\n");
        fs::write(attack.outside("passwd"), passwd).unwrap();
        fs::write(attack.outside("dir").join(SECRET), SECRET).unwrap();
        write_program(&attack.outside("bin/tool"), &format!("#!/bin/sh\necho {SECRET}\n"));
        fs::set_permissions(attack.outside("dir"), PermissionsExt::from_mode(0o777)).unwrap();
        room.give(&attack.project());
        room.give(&attack.outside(""));
        Self { before: snapshot(&attack.outside("")), ..attack }
    }

    /// A path of the host outside of everything that a container has.
    fn outside(&self, name: &str) -> PathBuf {
        self.room.path().join("outside").join(name)
    }

    fn rootfs(&self, path: &str) -> PathBuf {
        self.room.work().join("rootfs").join(path.trim_start_matches('/'))
    }

    fn project(&self) -> PathBuf {
        self.room.work().join("project")
    }

    /// Gives what was changed in the root filesystem to the room's user.
    fn give(&self) {
        self.room.give(&self.rootfs(""));
    }

    /// Runs `envbox WORDS` and asserts what holds for every attack.
    #[track_caller]
    fn envbox(&self, words: &[&str]) -> Output {
        let mut command = self.limited(env!("CARGO_BIN_EXE_envbox"));
        command.args(words);
        self.watched(command)
    }

    /// A program of the room's that cannot hang.
    fn limited(&self, program: &str) -> Command {
        let mut command = self.room.program("timeout");
        command.args(["-s", "KILL", &LIMIT.as_secs().to_string(), program]);
        command
    }

    #[track_caller]
    fn watched(&self, command: Command) -> Output {
        let start = Instant::now();
        let output = self.room.run(command);
        assert!(start.elapsed() < LIMIT, "hangs: {output}");
        assert!(!output.stdout().contains(SECRET), "reads outside: {output}");
        assert!(!output.stderr().contains(SECRET), "tells of outside: {output}");
        let after = snapshot(&self.outside(""));
        assert_eq!(self.before, after, "changes outside: {output}");
        output
    }

    /// A shell in the root filesystem, with the builddir mounted.
    #[track_caller]
    fn shell(&self, words: &[&str]) -> Output {
        let (rootfs, project) = (self.rootfs(""), self.project());
        let first = ["shell", text(&rootfs), "--mount", text(&project)];
        self.envbox(&[&first, words].concat())
    }

    /// Makes the image `evil` of the root filesystem.
    #[track_caller]
    fn import(&self, changes: &[&str]) {
        self.give();
        let rootfs = self.rootfs("");
        let changes = changes.iter().flat_map(|change| ["-c", change]);
        let words: Vec<&str> =
            ["import", text(&rootfs), "evil"].into_iter().chain(changes).collect();
        self.room.envbox(&words).succeeds();
    }

    /// `envbox run --rm WORDS`.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Output {
        self.envbox(&[&["run", "--rm"], words].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// All that can be seen of a tree but the time of the last reading.
fn snapshot(tree: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(tree).follow_root_links(false).sort_by_file_name();
    let entries = walk.into_iter();
    entries
        .map(|entry| {
            let path = entry.unwrap().into_path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
            let time = (metadata.mtime(), metadata.mtime_nsec());
            format!("{} {mode:o} {owner:?} {time:?} {content:?}", path.display())
        })
        .collect()
}
