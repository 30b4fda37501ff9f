//! A group of a test's own in the host's trees, and the processes in it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

use super::super::{Cgroup, Controller, Demand, Hierarchy, Resources, Version};
use crate::error::Result;
use crate::id::ContainerId;

/// A group of its own, and the processes in it: gone at the end of the test,
/// whichever it is.
pub struct Room {
    pub hierarchy: Hierarchy,
    pub group: Cgroup,
    pub id: ContainerId,
    pub children: Vec<Child>,
}

impl Room {
    /// In the trees that containers use; `None`, said in one line, where there
    /// are none.
    pub fn host(test: &str) -> Option<Self> {
        let version = Hierarchy::detect(Path::new("/store")).map(|found| found.version());
        Self::new((test, version.unwrap_or(Version::V2)), Hierarchy::detect)
    }

    /// In the host's v1 trees; `None`, said in one line, where there are none.
    pub fn legacy(test: &str) -> Option<Self> {
        Self::new((test, Version::V1), Hierarchy::detect)
    }

    /// In the host's v2 tree, whatever controllers it has.
    pub fn unified(test: &str) -> Option<Self> {
        Self::new((test, Version::V2), |store| {
            let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let unified = |line: &&str| line.contains(" - cgroup2 ");
            let table: Vec<&str> = table.lines().filter(unified).collect();
            let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            Hierarchy::from_tables(&table.join("\n"), &own, store)
        })
    }

    fn new(
        (test, version): (&str, Version),
        detect: impl FnOnce(&Path) -> Result<Hierarchy>,
    ) -> Option<Self> {
        let mut bytes = [0; 32];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
        let id = ContainerId::from_random(bytes);
        let mut hierarchy = match detect(Path::new("/store")) {
            Ok(hierarchy) if hierarchy.version() == version => hierarchy,
            other => {
                let reason = other.err().map_or_else(|| "another version".into(), |e| e.chain());
                skip(test, &reason);
                return None;
            }
        };
        // Out of reach of every sweep, and of other tests' ends.
        hierarchy.folder = format!("envbox-test-{}", id.short());
        let group = Cgroup::create(&hierarchy, &id).unwrap();
        Some(Self { hierarchy, group, id, children: Vec::new() })
    }

    pub fn has(&self, test: &str, controller: Controller) -> bool {
        let has = self.group.controllers().any(|there| there == controller);
        if !has {
            skip(test, controller.legacy_name());
        }
        has
    }

    pub fn apply(&self, resources: &Resources) {
        self.group.apply(resources, Demand::Asked).unwrap();
    }

    /// Runs `script` in the group.
    pub fn run(&mut self, script: &str) -> &mut Child {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let attached = self.group.attach(pid(&child));
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        self.children.push(child);
        attached.unwrap();
        self.children.last_mut().unwrap()
    }

    /// The content of the file that is called so on v1, and so on v2.
    pub fn content_of(&self, controller: Controller, [v1, v2]: [&str; 2]) -> String {
        self.content(controller, if self.hierarchy.version() == Version::V1 { v1 } else { v2 })
    }

    pub fn content(&self, controller: Controller, file: &str) -> String {
        let text = self.group.files(controller).unwrap().text(file).unwrap();
        text.unwrap().trim().to_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.group.kill();
        for child in &mut self.children {
            let _ = child.wait();
        }
        let removed = self.group.remove();
        for base in self.hierarchy.bases() {
            let _ = std::fs::remove_dir(base.directory.join(&self.hierarchy.folder));
        }
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// The line that `scripts/test` counts.
fn skip(test: &str, reason: &str) {
    let line = format!("\nskipped: {test}: the host's cgroups: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The signal that ended `child`.
pub fn signal(child: &mut Child) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap())
}
