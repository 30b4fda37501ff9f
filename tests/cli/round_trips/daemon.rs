//! A docker daemon of a room's own: its data and its socket lie in the room, and
//! it ends with its owner.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::Room;

/// How long a daemon may take to begin, and to end.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Dockerd {
    process: Child,
}

impl Dockerd {
    /// Starts one; none if it does not run here.
    pub fn start(room: &Room) -> Option<Self> {
        let mut command = room.program("dockerd");
        for (flag, place) in
            [("--data-root", "docker"), ("--exec-root", "docker-run"), ("--pidfile", "docker.pid")]
        {
            command.arg(flag).arg(room.work().join(place));
        }
        command.args(["--host", &socket(), "--storage-driver", "vfs"]);
        // What the machine tells its own daemon is not for this one.
        std::fs::write(room.work().join("docker.json"), "{}").ok()?;
        command.arg("--config-file").arg(room.work().join("docker.json"));
        // Nothing of the machine's network is touched.
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        let log = std::fs::File::create(room.work().join("docker.log")).ok()?;
        command.stdout(Stdio::null()).stderr(log);
        let mut daemon = Self { process: command.spawn().ok()? };
        let start = Instant::now();
        while start.elapsed() < LIMIT && matches!(daemon.process.try_wait(), Ok(None)) {
            let mut version = room.program("docker");
            version.args(["--host", &socket(), "version"]);
            if answers(&mut version) {
                return Some(daemon);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// A shell function `d` that speaks to it.
    pub fn client(&self) -> String {
        format!("d() {{ docker --host {} \"$@\"; }}", socket())
    }
}

/// A socket's address has little room: it is relative to the working directory.
fn socket() -> String {
    "unix://docker.sock".to_owned()
}

fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() > LIMIT {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
