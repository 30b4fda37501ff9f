//! Snapshots: the state of a filesystem, read-only by the name of its stack
//! of layers or writable on top of one. What a layer is on disk is known to
//! the driver alone; everybody else gets a [`Mount`], which is described here
//! and mounted elsewhere.

use std::path::{Path, PathBuf};

use crate::digest::ChainId;
use crate::error::{Error, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::mount::Mount;

use super::overlay::OverlayDriver;
use super::workspace::{Item, Workspace};
use super::{Store, layout};

/// The driver of new layers; each layer's row keeps the name of its own.
pub(super) const DRIVER: OverlayDriver = OverlayDriver;

/// What a snapshot stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lower {
    /// A committed layer: where the driver put it.
    Layer(PathBuf),
    /// A directory that is not the store's.
    Directory(PathBuf),
}

/// What a driver finds its layers by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Topmost first; may be empty.
    pub layers: Vec<Lower>,
    /// An empty directory, for where a mount needs one.
    pub empty: PathBuf,
}

/// How committed layers are kept on disk, and what is mounted of them. Every
/// driver passes one suite of tests.
pub trait Driver {
    /// The name in the layers' rows.
    fn name(&self) -> &'static str;

    /// A read-only mount of `stack`.
    ///
    /// # Errors
    /// Those of the disk.
    fn view(&self, stack: &Stack) -> Result<Mount>;

    /// A writable mount of `stack`. All that is written lands in `scratch`,
    /// an existing directory that is this snapshot's alone; calling it again
    /// for the same `scratch` gives the same mount.
    ///
    /// # Errors
    /// Those of the disk.
    fn prepare(&self, stack: &Stack, scratch: Scratch<'_>) -> Result<Mount>;

    /// Makes the filled directory `pending` the layer at `target`, in one
    /// step: nothing is at `target` before it.
    ///
    /// # Errors
    /// Those of the disk.
    fn commit(&self, pending: &Path, target: &Path) -> Result<()>;

    /// Takes the layer at `target` away to `trash`, in one step.
    ///
    /// # Errors
    /// Those of the disk; a layer that is gone is success.
    fn remove(&self, target: &Path, trash: &Path) -> Result<()>;
}

/// Where a writable snapshot keeps what is written.
#[derive(Clone, Copy, Debug)]
pub enum Scratch<'a> {
    /// It goes with the process: no sync is ever worth its time.
    ThrowAway(&'a Path),
    /// It lasts.
    Kept(&'a Path),
}

impl Scratch<'_> {
    /// The directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::ThrowAway(path) | Self::Kept(path) => path,
        }
    }
}

/// A throw-away writable snapshot. Dropping it removes what was written; it
/// must not be mounted any more.
///
/// It stays for as long as any process has its lock's descriptor. That is not
/// closed by fork(2), and flock(2) is shared with children, so that a monitor
/// or init forked from here keeps it after this process has gone; it is
/// closed by execve(2). After a fork exactly one process is to drop it; the
/// others call [`EphemeralSnapshot::abandon`].
#[derive(Debug)]
pub struct EphemeralSnapshot {
    mount: Mount,
    pub(super) workspace: Workspace,
}

impl EphemeralSnapshot {
    /// What to mount.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// A directory of this snapshot's own, for files that go with it.
    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// Removes what was written; from a process without threads in the
    /// background, so that it may still be there for a moment. All stays, for
    /// the next opener, while volumes are to go with it: see
    /// [`EphemeralSnapshot::release_volumes`].
    ///
    /// # Errors
    /// Of what could not be removed, the first, where this process does it. The
    /// next opener of the store tries again in any case.
    pub fn remove(self) -> Result<()> {
        // The process that frees the rest holds the lock for a while: whoever
        // is told that the container has ended may remove its volumes at once.
        self.unclaim()?;
        self.workspace.remove_behind()
    }

    /// Lets go without removing: another process has it, or, if none has, the
    /// next opener of the store removes it.
    pub fn abandon(self) {
        self.workspace.abandon();
    }
}

impl Store {
    /// A read-only mount of `chain`; without one, of nothing at all. It lasts
    /// as long as the image or container that keeps the layers.
    ///
    /// # Errors
    /// `NotFound` if the layers are not in the store.
    pub fn view(&self, chain: Option<ChainId>) -> Result<Mount> {
        DRIVER.view(&self.stack(&self.chains(chain)?))
    }

    /// A throw-away writable snapshot on top of `chain`; without one, on top
    /// of nothing.
    ///
    /// # Errors
    /// `NotFound` if the layers are not, or no longer, in the store.
    pub fn prepare(&self, chain: Option<ChainId>) -> Result<EphemeralSnapshot> {
        let chains = self.chains(chain)?;
        let workspace = self.workspace(&chains)?;
        // Looked up once more now that the lock file names them: whoever
        // removed a row before did not see it, whoever does so later will.
        self.chains(chain)?;
        self.snapshot(&self.stack(&chains), workspace)
    }

    /// A throw-away writable snapshot on top of the directory `lower`, which
    /// is not written to. It must not change meanwhile (overlayfs, "Changes
    /// to underlying filesystems").
    ///
    /// # Errors
    /// `NotFound` if there is no such directory; `Invalid` if it is none, or
    /// if the store lies in it.
    pub fn prepare_over(&self, lower: &Path) -> Result<EphemeralSnapshot> {
        let lower = fs::Dir::open(lower).and_then(|_| fs::canonical(lower))?;
        let root = fs::canonical(&self.paths.root)?;
        if root.starts_with(&lower) {
            return Err(Error::invalid(format!(
                "the store at {} lies inside {}",
                root.display(),
                lower.display()
            ))
            .hint("put the store elsewhere with --root, outside the directory"));
        }
        let stack = Stack { layers: vec![Lower::Directory(lower)], empty: self.empty() };
        let workspace = self.workspace(&[])?;
        self.snapshot(&stack, workspace)
    }

    /// The writable mount of the kept container `id`, which is in the store.
    ///
    /// # Errors
    /// `NotFound` if it is not.
    pub fn container_mount(&self, id: &ContainerId) -> Result<Mount> {
        let record = self.container(id.as_str())?;
        let stack = self.stack(&self.chains(record.chain)?);
        let path = self.path_of(&Item::Container(record.id));
        DRIVER.prepare(&stack, Scratch::Kept(&path))
    }

    /// The directory of the kept container `id`, for files that go with it.
    pub fn container_path(&self, id: &ContainerId) -> PathBuf {
        self.path_of(&Item::Container(id.clone()))
    }

    fn snapshot(&self, stack: &Stack, workspace: Workspace) -> Result<EphemeralSnapshot> {
        let mount = DRIVER.prepare(stack, Scratch::ThrowAway(workspace.path()))?;
        Ok(EphemeralSnapshot { mount, workspace })
    }

    fn chains(&self, chain: Option<ChainId>) -> Result<Vec<ChainId>> {
        chain.map_or(Ok(Vec::new()), |chain| self.stack_of(chain))
    }

    fn stack(&self, chains: &[ChainId]) -> Stack {
        let path = |&chain: &ChainId| Lower::Layer(self.path_of(&Item::Layer(chain)));
        let layers = chains.iter().map(path).collect();
        Stack { layers, empty: self.empty() }
    }

    fn empty(&self) -> PathBuf {
        self.paths.root.join(layout::EMPTY)
    }
}
