//! A sealed room for end-to-end tests: own HOME, own store, own runtime folder,
//! no variable of the caller's, and at the end proof that nothing is left. A
//! test that is written once runs as root and as an ordinary user
//! ([`for_everyone`]).
//!
//! What a test cannot do on this machine it skips, with a line
//! `skipped: NAME: reason` that `scripts/test` counts.

mod fixture;
mod groups;
mod leftover;
mod mounted;
mod output;
pub mod process;
mod self_test;
mod terminal;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};
use tempfile::TempDir;

pub use fixture::probe;
pub use output::Output;
pub use terminal::Terminal;

/// The ordinary user that `scripts/test` makes, with subordinate ids.
const USER: &str = "envbox-test";

/// The path that commands are looked up in.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom a test wants envbox to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Root,
    User,
}

/// Writes one test for both: `for_everyone! { fn NAME(room) { ... } }` becomes
/// `NAME::as_root` and `NAME::as_user`, and `room` a `&Room`.
macro_rules! for_everyone {
    ($(fn $name:ident($room:ident) $body:block)+) => {$(
        fn $name($room: &$crate::harness::Room) $body

        mod $name {
            use $crate::harness::{Room, Who};

            #[test]
            fn as_root() {
                Room::with(Who::Root, super::$name);
            }

            #[test]
            fn as_user() {
                Room::with(Who::User, super::$name);
            }
        }
    )+};
}
pub(crate) use for_everyone;

/// A sealed room. Dropping it verifies that no process and no mount of it is
/// left, ends and removes what is, and fails the test in that case.
pub struct Room {
    folder: TempDir,
    /// The user that this process has to become; none if it is the right one.
    switch: Option<User>,
}

impl Room {
    /// A room for the user that runs the tests.
    pub fn new() -> Self {
        Self::build(None)
    }

    /// Runs a test in a room for `who`, or skips it where that cannot be.
    pub fn with(who: Who, test: impl FnOnce(&Self)) {
        let switch = match (who, geteuid().is_root()) {
            (Who::Root, false) => return skip("needs root"),
            (Who::Root, true) | (Who::User, false) => None,
            (Who::User, true) => match ordinary_user() {
                Ok(user) => Some(user),
                Err(reason) => return skip(&reason),
            },
        };
        test(&Self::build(switch));
    }

    fn build(switch: Option<User>) -> Self {
        let folder = tempfile::Builder::new().prefix("envbox-room-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let room = Self { folder, switch };
        // Others may pass, so that a container's root may, mapped to whom it be.
        fs::set_permissions(room.path(), PermissionsExt::from_mode(0o755)).expect("is mine");
        for name in ["home", "run", "tmp", "work"] {
            fs::create_dir(room.path().join(name)).expect("the room is empty");
        }
        fs::set_permissions(room.path().join("run"), PermissionsExt::from_mode(0o700))
            .expect("is mine");
        room.give(room.path());
        room
    }

    /// The room's folder: `home`, `store`, `run`, `tmp`, and `work`, the working
    /// directory of its commands.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that commands may fill, the working directory of each.
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Runs envbox to its end, without input.
    pub fn envbox(&self, arguments: &[&str]) -> Output {
        self.run(self.command(arguments))
    }

    /// Runs a command of this room to its end.
    pub fn run(&self, mut command: Command) -> Output {
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Output::new(&command, output)
    }

    /// Prepares envbox as a command that is not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_envbox"));
        command.args(arguments);
        command
    }

    /// Prepares any program in this room's environment and as its user.
    pub fn program(&self, program: &str) -> Command {
        let mut command = match &self.switch {
            None => Command::new(program),
            Some(user) => {
                let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid, "--regid", &gid, "--init-groups", program]);
                command
            }
        };
        command.env_clear().current_dir(self.work()).stdin(Stdio::null());
        command.env("PATH", PATH).env("LANG", "C.UTF-8").env("TERM", "xterm");
        let places = [
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
            ("ENVBOX_ROOT", "store"),
            ("ENVBOX_RUN", "run"),
            ("XDG_RUNTIME_DIR", "run"),
        ];
        command.envs(places.map(|(name, place)| (name, self.path().join(place))));
        // All tests by another storage driver.
        if let Some(driver) = std::env::var_os("ENVBOX_TEST_STORAGE_DRIVER") {
            command.env("ENVBOX_STORAGE_DRIVER", driver);
        }
        command
    }

    /// Runs envbox at a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(&self.command(arguments))
    }

    /// A minimal root filesystem around Debian's static busybox in
    /// `work/rootfs`, owned by the room's user; made at the first call.
    pub fn rootfs(&self) -> PathBuf {
        let rootfs = self.work().join("rootfs");
        if rootfs.exists() {
            return rootfs;
        }
        fixture::busybox_rootfs(&rootfs);
        self.give(&rootfs);
        rootfs
    }

    /// Puts a program of the host's, with its libraries, into the rootfs, under
    /// its own path. False, and a skipped test, where it does not run there.
    pub fn install(&self, program: &str) -> bool {
        let rootfs = self.rootfs();
        let runs = fixture::copy_program(Path::new(program), &rootfs).is_ok_and(|()| {
            self.give(&rootfs);
            let mut command = self.command(&["shell"]);
            command.arg(&rootfs).args(["--", program, "--version"]);
            command.output().is_ok_and(|output| output.status.success())
        });
        if !runs {
            skip(&format!("the host's {program} does not run in a room"));
        }
        runs
    }

    /// Gives a tree to the room's user.
    pub fn give(&self, tree: &Path) {
        let Some(user) = &self.switch else { return };
        for entry in walkdir::WalkDir::new(tree) {
            let entry = entry.expect("the tree can be read");
            lchown(entry.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give");
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let left = leftover::clear(self.path());
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind:\n{}", left.join("\n"));
        }
    }
}

/// Says why a test did not run.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // The line begins a line of its own, wherever the test runner's cursor is.
    writeln!(std::io::stdout(), "\nskipped: {name}: {reason}").expect("stdout is open");
}

/// The user of the tests' ordinary half, if it can run the binary.
fn ordinary_user() -> Result<User, String> {
    let user = User::from_name(USER).ok().flatten();
    let user = user.ok_or_else(|| format!("there is no user {USER} (scripts/test makes it)"))?;
    let binary = env!("CARGO_BIN_EXE_envbox");
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let words = ["--reuid", &uid, "--regid", &gid, "--clear-groups", "test", "-x", binary];
    match Command::new("setpriv").args(words).status() {
        Ok(status) if status.success() => Ok(user),
        Ok(_) => Err(format!("{USER} may not execute {binary}")),
        Err(error) => Err(format!("setpriv: {error}")),
    }
}
