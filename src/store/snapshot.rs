//! Snapshots: the state of a filesystem, read-only by the name of its stack
//! of layers or writable on top of one. Everybody gets a [`Mount`], which is
//! described here and mounted elsewhere.

use std::path::{Path, PathBuf};

use crate::digest::ChainId;
use crate::error::{Error, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::mount::{Lower, Mount, TreeCopy};

use super::driver::{self, Driver};
use super::layer::Stacked;
use super::overlay;
use super::workspace::{Item, Workspace};
use super::{Store, layout};

/// The folder of a copy, in that of its snapshot.
const COPY: &str = "copy";
/// Says from the first moment that a container is to have one.
const COPIED: &str = "copied";

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
    /// as long as the image or container that keeps the layers. It is a copy
    /// without a place where no overlay shows what they are.
    ///
    /// # Errors
    /// `NotFound` if the layers are not in the store.
    pub fn view(&self, chain: Option<ChainId>) -> Result<Mount> {
        let stack = self.stacked(chain)?;
        let lower = self.lower(&stack);
        if lower.len() > 1 && is_for_copies(&stack) {
            let stack = names(&stack);
            return Ok(Mount::Copy(TreeCopy { lower, stack, folder: None, read_only: true }));
        }
        Ok(overlay::view(lower, self.paths.root.join(layout::EMPTY)))
    }

    /// A throw-away copy of `chain`, whatever the driver, for who only looks.
    ///
    /// # Errors
    /// `NotFound` if the layers are not, or no longer, in the store.
    pub fn prepare_copy(&self, chain: Option<ChainId>) -> Result<EphemeralSnapshot> {
        let workspace = self.workspace(&self.stack(chain)?)?;
        let stack = self.stacked(chain)?;
        let mount = copied((self.lower(&stack), &stack), workspace.path());
        Ok(EphemeralSnapshot { mount, workspace })
    }

    /// A folder in which something can be made of the layers `stack` that is to be
    /// renamed to its place in the store; it goes when it is dropped. Meanwhile the
    /// layers stay as they are.
    ///
    /// # Errors
    /// Those of the system calls, with the path.
    pub fn room(&self, stack: &[ChainId]) -> Result<EphemeralSnapshot> {
        let workspace = self.workspace(stack)?;
        let source = workspace.path().to_owned();
        Ok(EphemeralSnapshot { mount: Mount::Bind { source, read_only: false }, workspace })
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
        self.snapshot(&self.stacked(chain)?, workspace)
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
        let lower = vec![Lower::Directory(lower)];
        let mount = match self.copies(&[])? {
            true => copied((lower, &[]), workspace.path()),
            false => overlay::prepare(lower, Scratch::ThrowAway(workspace.path()))?,
        };
        Ok(EphemeralSnapshot { mount, workspace })
    }

    /// The writable mount of the kept container `id`, which is in the store. What
    /// sort of mount that is was said when it was put there.
    ///
    /// # Errors
    /// `NotFound` if it is not.
    pub fn container_mount(&self, id: &ContainerId) -> Result<Mount> {
        let record = self.container(id.as_str())?;
        let stack = self.stacked(record.chain)?;
        let path = self.path_of(&Item::Container(record.id));
        let has = |name: &str| fs::metadata(&path.join(name)).map(|found| found.is_some());
        let is_copy = !stack.is_empty()
            && (has(COPIED)?
                || has(COPY)?
                || (!overlay::is_prepared(&path)? && is_for_copies(&stack)));
        let lower = self.lower(&stack);
        match is_copy {
            true => Ok(copied((lower, &stack), &path)),
            false => overlay::prepare(lower, Scratch::Kept(&path)),
        }
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
        Ok(names(&self.stacked(chain)?))
    }

    fn stacked(&self, chain: Option<ChainId>) -> Result<Vec<Stacked>> {
        chain.map_or(Ok(Vec::new()), |chain| self.stack_of(chain))
    }

    fn lower(&self, stack: &[Stacked]) -> Vec<Lower> {
        let lower = |layer: &Stacked| {
            driver::lower(&self.path_of(&Item::Layer(layer.chain)), layer.driver.form())
        };
        stack.iter().map(lower).collect()
    }

    fn snapshot(&self, stack: &[Stacked], workspace: Workspace) -> Result<EphemeralSnapshot> {
        let lower = self.lower(stack);
        let mount = match !stack.is_empty() && self.copies(stack)? {
            true => copied((lower, stack), workspace.path()),
            false => overlay::prepare(lower, Scratch::ThrowAway(workspace.path()))?,
        };
        Ok(EphemeralSnapshot { mount, workspace })
    }

    /// Says in `folder`, which becomes that of a container upon `chain`, what sort of
    /// mount it is to have.
    ///
    /// # Errors
    /// Those of the database and of writing.
    pub(super) fn decide_mount(&self, chain: Option<ChainId>, folder: &Path) -> Result<()> {
        let stack = self.stacked(chain)?;
        match !stack.is_empty() && self.copies(&stack)? {
            true => fs::write_plain(&folder.join(COPIED), b""),
            false => Ok(()),
        }
    }

    /// True if what is in `folder` lasts: it is a container's.
    pub fn is_kept(&self, folder: &Path) -> bool {
        folder.starts_with(self.paths.root.join(layout::CONTAINERS))
    }

    /// Whether a new writable snapshot on top of `stack` is a copy.
    fn copies(&self, stack: &[Stacked]) -> Result<bool> {
        if is_for_copies(stack) {
            return Ok(true);
        }
        let driver = match self.asked {
            Some(asked) => Some(asked),
            None => self.driver()?,
        };
        Ok(driver == Some(Driver::Copy))
    }
}

/// True if a mount would misunderstand a layer of `stack`.
fn is_for_copies(stack: &[Stacked]) -> bool {
    stack.iter().any(|layer| layer.driver == Driver::Copy)
}

fn names(stack: &[Stacked]) -> Vec<ChainId> {
    stack.iter().map(|layer| layer.chain).collect()
}

fn copied((lower, stack): (Vec<Lower>, &[Stacked]), scratch: &Path) -> Mount {
    let folder = Some(scratch.join(COPY));
    Mount::Copy(TreeCopy { lower, stack: names(stack), folder, read_only: false })
}
