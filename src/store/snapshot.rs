//! Snapshots: the state of a filesystem, read-only by the name of its stack
//! of layers or writable on top of one. Everybody gets a [`Mount`], which is
//! described here and mounted elsewhere.

use std::path::{Path, PathBuf};

use crate::digest::ChainId;
use crate::error::{Error, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::mount::{Lower, Mount};

use super::driver;
use super::layer::Stacked;
use super::overlay;
use super::workspace::{Item, Workspace};
use super::{Store, layout};

/// Where a writable snapshot keeps what is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scratch<'a> {
    /// It goes with the process: no sync is ever worth its time.
    ThrowAway(&'a Path),
    /// It lasts.
    Kept(&'a Path),
}

impl Scratch<'_> {
    /// The directory.
    pub(super) fn path(&self) -> &Path {
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
        Ok(overlay::view(self.lower(&self.stacked(chain)?), self.paths.root.join(layout::EMPTY)))
    }

    /// A throw-away writable snapshot on top of `chain`; without one, on top
    /// of nothing.
    ///
    /// # Errors
    /// `NotFound` if the layers are not, or no longer, in the store.
    pub fn prepare(&self, chain: Option<ChainId>) -> Result<EphemeralSnapshot> {
        let chains = self.stack(chain)?;
        let workspace = self.workspace(&chains)?;
        // Looked up once more now that the lock file names them: whoever
        // removed a row before did not see it, whoever does so later will.
        // What a layer is on the disk does not change from here on, either.
        let lower = self.lower(&self.stacked(chain)?);
        snapshot(lower, workspace)
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
        let workspace = self.workspace(&[])?;
        snapshot(vec![Lower::Directory(lower)], workspace)
    }

    /// The writable mount of the kept container `id`, which is in the store.
    ///
    /// # Errors
    /// `NotFound` if it is not.
    pub fn container_mount(&self, id: &ContainerId) -> Result<Mount> {
        let record = self.container(id.as_str())?;
        let lower = self.lower(&self.stacked(record.chain)?);
        let path = self.path_of(&Item::Container(record.id));
        overlay::prepare(lower, Scratch::Kept(&path))
    }

    /// The directory of the kept container `id`, for files that go with it.
    pub fn container_path(&self, id: &ContainerId) -> PathBuf {
        self.path_of(&Item::Container(id.clone()))
    }

    /// The layers of `chain`, topmost first, by the stacks that they top.
    ///
    /// # Errors
    /// `NotFound` if they are not in the store.
    pub fn stack(&self, chain: Option<ChainId>) -> Result<Vec<ChainId>> {
        Ok(self.stacked(chain)?.into_iter().map(|layer| layer.chain).collect())
    }

    fn stacked(&self, chain: Option<ChainId>) -> Result<Vec<Stacked>> {
        chain.map_or(Ok(Vec::new()), |chain| self.stack_of(chain))
    }

    fn lower(&self, stack: &[Stacked]) -> Vec<Lower> {
        let lower =
            |layer: &Stacked| driver::lower(&self.path_of(&Item::Layer(layer.chain)), layer.form);
        stack.iter().map(lower).collect()
    }
}

fn snapshot(lower: Vec<Lower>, workspace: Workspace) -> Result<EphemeralSnapshot> {
    let mount = overlay::prepare(lower, Scratch::ThrowAway(workspace.path()))?;
    Ok(EphemeralSnapshot { mount, workspace })
}
