//! `tmp/<random>/`: the only place where anything unfinished or throw-away
//! lies. Its `lock` file is flocked by the process that works in it, so a
//! workspace whose lock is free belongs to nobody and may be swept.
//!
//! Whoever finds the lock free takes it and then owns the workspace; the one
//! that makes a workspace checks, once it has the lock, that no sweeper was
//! faster between mkdir(2) and flock(2), and starts over if one was.
//!
//! The text of the lock file names the layers that a snapshot in the
//! workspace stands on (64 hex digits a line, topmost first). The file
//! `intent` names what a dead owner may have left outside the workspace: see
//! [`Item`].

use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::digest::{ChainId, Digest};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, VolumeName};
use crate::sys::process;

const LOCK: &str = "lock";
const INTENT: &str = "intent";

/// The file that names volumes which go with the workspace. Only a store,
/// which knows their rows, can let them go: until it has, the workspace stays.
pub(super) const TRANSIENT: &str = "transient";

/// What was taken away and goes with the workspace.
pub(super) const TRASH: &str = "trash";

/// A directory of `tmp/` with its lock held. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Workspace {
    path: PathBuf,
    lock: Option<OwnedFd>,
}

impl Workspace {
    /// A new workspace in `tmp` for a snapshot of `stack`, topmost first;
    /// without layers for any other work.
    pub(super) fn create(tmp: &Path, stack: &[ChainId]) -> Result<Self> {
        loop {
            let path = tmp.join(random_hex()?);
            fs::create_dir(&path, 0o700)?;
            let lock = path.join(LOCK);
            // A sweeper that saw the directory without a lock made one, or is
            // done with both.
            let mut file = match fs::create_new(&lock) {
                Err(error) if matches!(error.kind(), Kind::AlreadyExists | Kind::NotFound) => {
                    continue;
                }
                other => other?,
            };
            if !fs::try_lock(&file, &lock)? || fs::metadata(&lock)?.is_none() {
                continue;
            }
            let names: String = stack.iter().map(|chain| chain.0.encoded() + "\n").collect();
            file.write_all(names.as_bytes()).map_err(|error| Error::io("write", &lock, error))?;
            return Ok(Self { path, lock: Some(file.into()) });
        }
    }

    /// Takes over the workspace at `path` if no living process holds it.
    fn adopt(path: &Path) -> Result<Option<Self>> {
        let lock = path.join(LOCK);
        let Some(file) = fs::absent_is_none(fs::open_or_create(&lock))? else { return Ok(None) };
        if !fs::try_lock(&file, &lock)? {
            return Ok(None);
        }
        Ok(Some(Self { path: path.to_owned(), lock: Some(file.into()) }))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// No longer names layers that it stands on.
    pub(super) fn forget_stack(&self) -> Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let path = self.path.join(LOCK);
        rustix::fs::ftruncate(lock, 0).map_err(|error| Error::io("write", &path, error))
    }

    /// Writes down what is about to appear, or to go, outside.
    pub(super) fn intend(&self, items: &[Item]) -> Result<()> {
        let text: String = items.iter().map(|item| format!("{item}\n")).collect();
        fs::write_volatile(&self.path.join(INTENT), text.as_bytes())
    }

    /// What [`Workspace::intend`] wrote; a line cut short by a crash of the
    /// host is nothing.
    pub(super) fn intents(&self) -> Result<Vec<Item>> {
        let text = fs::read_optional(&self.path.join(INTENT))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes the workspace. The lock file goes last: whoever finds the rest
    /// after a kill takes over.
    ///
    /// # Errors
    /// Of what could not be removed, the first; it is swept another time.
    pub(super) fn remove(mut self) -> Result<()> {
        self.clear()
    }

    /// Removes the workspace in a process of its own, which nobody waits for:
    /// to free what a build wrote can take seconds, and where the disk is told
    /// of each freed block (ext4's `discard`) even an empty snapshot takes as
    /// long as the rest of a start. The lock goes with that process, so that it
    /// may be killed like any other. A process with threads, which cannot fork,
    /// removes here.
    ///
    /// # Errors
    /// As [`Workspace::remove`], where it is removed here.
    pub(super) fn remove_behind(mut self) -> Result<()> {
        let forked = process::fork(|| {
            if let Some(lock) = &self.lock {
                process::close_all_except(lock.as_fd());
            }
            i32::from(self.clear().is_err())
        });
        match forked {
            Ok(_) => {
                self.abandon();
                Ok(())
            }
            Err(_) => self.remove(),
        }
    }

    fn clear(&mut self) -> Result<()> {
        let Some(lock) = self.lock.take() else { return Ok(()) };
        if fs::metadata(&self.path.join(TRANSIENT))?.is_some() {
            return Ok(());
        }
        let mut first = None;
        for name in fs::list(&self.path)?.into_iter().filter(|name| name != LOCK) {
            if let Err(error) = fs::remove_tree(&self.path.join(name)) {
                first.get_or_insert(error);
            }
        }
        if let Some(error) = first {
            return Err(error);
        }
        fs::remove_file(&self.path.join(LOCK))?;
        // A sweeper that found the directory without a lock has made one, and
        // removes both.
        let _ = fs::remove_dir(&self.path);
        drop(lock);
        Ok(())
    }

    /// Lets go without removing anything: the processes that inherited the
    /// lock's descriptor keep the workspace, or else the next sweep has it.
    pub(super) fn abandon(mut self) {
        self.lock = None;
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What cannot be removed now is garbage for the next sweep.
        let _ = self.clear();
    }
}

/// Something of the store outside `tmp/` that a workspace's owner was about
/// to add or to remove. If its row is not in the database it is not wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    /// `layers/<chain ID>`.
    Layer(ChainId),
    /// `containers/<ID>`.
    Container(ContainerId),
    /// `blobs/sha256/<digest>`.
    Blob(Digest),
    /// `volumes/<name>`.
    Volume(VolumeName),
}

impl fmt::Display for Item {
    /// The path in the store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(chain) => write!(f, "layers/{}", chain.0.encoded()),
            Self::Container(id) => write!(f, "containers/{id}"),
            Self::Blob(digest) => write!(f, "blobs/sha256/{}", digest.encoded()),
            Self::Volume(name) => write!(f, "volumes/{name}"),
        }
    }
}

impl FromStr for Item {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.rsplit_once('/') {
            Some(("layers", name)) => Ok(Self::Layer(ChainId(Digest::from_encoded(name)?))),
            Some(("containers", name)) => Ok(Self::Container(name.parse()?)),
            Some(("blobs/sha256", name)) => Ok(Self::Blob(Digest::from_encoded(name)?)),
            Some(("volumes", name)) => Ok(Self::Volume(name.parse()?)),
            _ => Err(Error::invalid(format!("{text:?} is no path of a store"))),
        }
    }
}

/// Takes over every workspace in `tmp` that no living process holds.
pub(super) fn orphans(tmp: &Path) -> Result<Vec<Workspace>> {
    let mut found = Vec::new();
    for name in fs::list(tmp)? {
        let path = tmp.join(name);
        match Workspace::adopt(&path) {
            // Not a directory: nothing of ours.
            Err(error) if error.kind() == Kind::Invalid => fs::remove_file(&path)?,
            other => found.extend(other?),
        }
    }
    Ok(found)
}

/// The layers that snapshots of living processes stand on.
pub(super) fn layers_in_use(tmp: &Path) -> Result<HashSet<ChainId>> {
    let mut used = HashSet::new();
    for name in fs::list(tmp)? {
        let path = tmp.join(name).join(LOCK);
        let Some(mut file) = fs::absent_is_none(fs::open(&path))? else { continue };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| Error::io("read", &path, error))?;
        if !text.is_empty() && !fs::try_lock(&file, &path)? {
            let chains = text.lines().filter_map(|line| Digest::from_encoded(line).ok());
            used.extend(chains.map(ChainId));
        }
    }
    Ok(used)
}

/// The directories of the workspaces with a file `name` that living processes
/// hold. Others are not even probed: that may disturb who is making one.
pub(super) fn held_with(tmp: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let mut held = Vec::new();
    for folder in fs::list(tmp)? {
        let path = tmp.join(folder);
        if fs::absent_is_none(fs::open(&path.join(name)))?.is_none() {
            continue;
        }
        let lock = path.join(LOCK);
        let Some(file) = fs::absent_is_none(fs::open(&lock))? else { continue };
        if !fs::try_lock(&file, &lock)? {
            held.push(path);
        }
    }
    Ok(held)
}

/// `N` bytes of the kernel's randomness.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // At most 256 bytes are never cut short (getrandom(2)).
    rustix::io::retry_on_intr(|| {
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
    })
    .map_err(|error| Error::io_named("cannot draw random bytes", error))?;
    Ok(bytes)
}

/// A name that nothing has.
pub(super) fn random_hex() -> Result<String> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> ChainId {
        ChainId(Digest::of(text.as_bytes()))
    }

    #[test]
    fn a_held_workspace_is_nobodys_orphan() {
        let room = tempfile::tempdir().unwrap();
        let held = Workspace::create(room.path(), &[chain("a")]).unwrap();
        assert!(orphans(room.path()).unwrap().is_empty());
        assert_eq!(layers_in_use(room.path()).unwrap(), HashSet::from([chain("a")]));
        held.abandon();
        assert!(layers_in_use(room.path()).unwrap().is_empty());
        assert_eq!(orphans(room.path()).unwrap().len(), 1);
        assert!(fs::list(room.path()).unwrap().is_empty());
    }

    #[test]
    fn a_second_descriptor_of_the_lock_keeps_the_workspace() {
        // As a forked child has one.
        let room = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(room.path(), &[]).unwrap();
        let inherited = workspace.lock.as_ref().unwrap().try_clone().unwrap();
        workspace.abandon();
        assert!(orphans(room.path()).unwrap().is_empty());
        drop(inherited);
        assert_eq!(orphans(room.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_directory_without_a_lock_is_an_orphan() {
        let room = tempfile::tempdir().unwrap();
        fs::ensure_dir(&room.path().join("half/tree/etc"), 0o700).unwrap();
        fs::write_volatile(&room.path().join("file"), b"").unwrap();
        drop(orphans(room.path()).unwrap());
        assert!(fs::list(room.path()).unwrap().is_empty());
    }

    #[test]
    fn makers_and_sweepers_do_not_hurt_each_other() {
        let room = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let workspace = Workspace::create(room.path(), &[]).unwrap();
                            let inside = workspace.path().join("x");
                            fs::create_dir(&inside, 0o700).unwrap();
                            assert!(fs::metadata(&inside).unwrap().is_some());
                            workspace.remove().unwrap();
                        }
                    })
                })
                .collect();
            while !makers.iter().all(|maker| maker.is_finished()) {
                drop(orphans(room.path()).unwrap());
            }
        });
        drop(orphans(room.path()).unwrap());
        assert!(fs::list(room.path()).unwrap().is_empty());
    }

    #[test]
    fn intents_survive_and_torn_lines_are_nothing() {
        let room = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(room.path(), &[]).unwrap();
        let volume = Item::Volume("data".parse().unwrap());
        let items = [Item::Layer(chain("a")), Item::Blob(Digest::of(b"b")), volume];
        workspace.intend(&items).unwrap();
        assert_eq!(workspace.intents().unwrap(), items);
        fs::write_volatile(&workspace.path().join(INTENT), b"layers/abc\nvolumes/..\n../../etc\n")
            .unwrap();
        assert_eq!(workspace.intents().unwrap(), []);
    }
}
