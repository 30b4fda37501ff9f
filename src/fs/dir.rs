//! An open directory and the names below it. Paths are resolved with openat2
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`: never out of it, never through a
//! symbolic link, whatever another process does to the tree meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom};

use crate::error::{Error, Result};

use super::{FileKind, Metadata, Timestamp};

/// An open directory; its path is kept for messages only.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Numeric owner and group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
}

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Dir {
    /// Opens the directory at `path`; symbolic links in it are followed, since
    /// the caller chose the path.
    ///
    /// # Errors
    /// Those of open(2), with the path.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::io("open the directory", path, error))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The path that was opened: for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in this directory: for messages.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    fn fail(&self, verb: &str, name: &OsStr, error: rustix::io::Errno) -> Error {
        Error::io(verb, self.path_of(name), error)
    }

    fn openat(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        rustix::fs::openat2(&self.fd, name, flags | OFlags::CLOEXEC, mode, BENEATH)
            .map_err(|error| self.fail("open", name, error))
    }

    /// Opens the directory `name`, which may have several components.
    ///
    /// # Errors
    /// Those of openat2(2): `ELOOP` at a symbolic link, `EXDEV` where the path
    /// leaves this directory.
    pub fn open_dir(&self, name: &OsStr) -> Result<Self> {
        let fd = self.openat(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { fd, path: self.path_of(name) })
    }

    /// Opens the file `name` for reading. Does not block on a FIFO.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open_file(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(self.openat(name, flags, Mode::empty())?))
    }

    /// Creates the regular file `name`, which must not exist, for writing.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn create_file(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(self.openat(name, flags, Mode::from_raw_mode(0o600))?))
    }

    /// Creates the directory `name` with mode 0700 and opens it.
    ///
    /// # Errors
    /// Those of mkdirat(2).
    pub fn create_dir(&self, name: &OsStr) -> Result<Self> {
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o700))
            .map_err(|error| self.fail("create the directory", name, error))?;
        self.open_dir(name)
    }

    /// Creates the symbolic link `name` to `target`.
    ///
    /// # Errors
    /// Those of symlinkat(2).
    pub fn create_symlink(&self, name: &OsStr, target: &OsStr) -> Result<()> {
        rustix::fs::symlinkat(target, &self.fd, name)
            .map_err(|error| self.fail("create the symbolic link", name, error))
    }

    /// Gives `name` in `from` the second name `new` here.
    ///
    /// # Errors
    /// Those of linkat(2).
    pub fn create_link(&self, new: &OsStr, from: &Dir, name: &OsStr) -> Result<()> {
        rustix::fs::linkat(&from.fd, name, &self.fd, new, AtFlags::empty())
            .map_err(|error| self.fail("create the hard link", new, error))
    }

    /// Creates a FIFO, a socket or a device; `kind` is one of these, `rdev` its
    /// numbers. A FIFO and a socket have mode 0600.
    ///
    /// # Errors
    /// Those of mknodat(2): `EPERM` for devices in a user namespace.
    pub fn create_node(&self, name: &OsStr, kind: FileKind, rdev: (u32, u32)) -> Result<()> {
        let file_type = match kind {
            FileKind::CharDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::Socket => FileType::Socket,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(rdev.0, rdev.1);
        rustix::fs::mknodat(&self.fd, name, file_type, Mode::from_raw_mode(0o600), device)
            .map_err(|error| self.fail("create the device", name, error))
    }

    /// What `name` is, itself if it is a symbolic link.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn metadata(&self, name: &OsStr) -> Result<Metadata> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.fail("look at", name, error))?;
        Ok(Metadata::from(&stat))
    }

    /// When anything was last done to `name`, itself if it is a symbolic link.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn change_time(&self, name: &OsStr) -> Result<Timestamp> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.fail("look at", name, error))?;
        let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
        Ok(Timestamp { seconds: stat.st_ctime, nanoseconds })
    }

    /// What this directory is.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn own_metadata(&self) -> Result<Metadata> {
        let stat =
            rustix::fs::fstat(&self.fd).map_err(|error| Error::io("look at", &self.path, error))?;
        Ok(Metadata::from(&stat))
    }

    /// The target of the symbolic link `name`.
    ///
    /// # Errors
    /// Those of readlinkat(2).
    pub fn read_link(&self, name: &OsStr) -> Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map_err(|error| self.fail("read the symbolic link", name, error))?;
        Ok(target.into_bytes())
    }

    /// The names in this directory, in byte order.
    ///
    /// # Errors
    /// Those of getdents(2).
    pub fn names(&self) -> Result<Names> {
        let mut buffer = [const { MaybeUninit::uninit() }; 32 * 1024];
        let mut names = Names::default();
        // This handle may have been listed before.
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))
            .map_err(|error| Error::io("list", &self.path, error))?;
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| Error::io("list", &self.path, error))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Sets the owner of `name`, itself if it is a symbolic link.
    ///
    /// # Errors
    /// Those of fchownat(2).
    pub fn set_owner(&self, name: &OsStr, owner: Owner) -> Result<()> {
        let (uid, gid) =
            (rustix::fs::Uid::from_raw(owner.uid), rustix::fs::Gid::from_raw(owner.gid));
        rustix::fs::chownat(&self.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.fail("set the owner of", name, error))
    }

    /// Sets the permission bits of `name`, which must not be a symbolic link:
    /// one that was put there meanwhile is not followed.
    ///
    /// # Errors
    /// Those of openat2(2) and chmod(2): `EOPNOTSUPP` for a symbolic link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> Result<()> {
        // fchmodat2(2), which can do that, came with Linux 6.6.
        let node = self.openat(name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", node.as_raw_fd());
        rustix::fs::chmod(path, Mode::from_raw_mode(mode))
            .map_err(|error| self.fail("set the mode of", name, error))
    }

    /// Sets the modification time of `name`, itself if it is a symbolic link;
    /// the access time becomes the same, so that no clock leaks in.
    ///
    /// # Errors
    /// Those of utimensat(2).
    pub fn set_mtime(&self, name: &OsStr, mtime: Timestamp) -> Result<()> {
        let time =
            rustix::fs::Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanoseconds) };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.fail("set the time of", name, error))
    }

    /// Removes the file `name`, or the empty directory if `is_dir`.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove(&self, name: &OsStr, kind: FileKind) -> Result<()> {
        let flags = match kind {
            FileKind::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        rustix::fs::unlinkat(&self.fd, name, flags)
            .map_err(|error| self.fail("remove", name, error))
    }

    /// A second handle on the same directory, with a position of its own: two
    /// processes that list what they got by dup(2) would each get some of the
    /// names.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn duplicate(&self) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.openat(OsStr::new("."), flags, Mode::empty())?;
        Ok(Self { fd, path: self.path.clone() })
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<(OwnedFd, PathBuf)> for Dir {
    fn from((fd, path): (OwnedFd, PathBuf)) -> Self {
        Self { fd, path }
    }
}

/// Names of a directory in one piece of memory: a million of them cost 20 MB.
#[derive(Clone, Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    spans: Vec<(u32, u16)>,
}

impl Names {
    fn push(&mut self, name: &[u8]) {
        // A name is at most 255 bytes (NAME_MAX); 4 GiB of names do not fit
        // one directory of any file system.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(name);
        self.spans.push((start, length));
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |&(start, length): &(u32, u16)| {
            &bytes[start as usize..start as usize + usize::from(length)]
        };
        self.spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    }

    /// The names of all `lists`, each once.
    pub fn union(lists: Vec<Self>) -> Self {
        let mut lists = lists.into_iter();
        let mut all = lists.next().unwrap_or_default();
        let mut is_union = false;
        for list in lists.filter(|list| !list.is_empty()) {
            list.iter().for_each(|name| all.push(name.as_bytes()));
            is_union = true;
        }
        if is_union {
            all.sort();
            let Self { bytes, spans } = &mut all;
            let name = |&(start, length): &(u32, u16)| {
                &bytes[start as usize..start as usize + usize::from(length)]
            };
            spans.dedup_by(|a, b| name(a) == name(b));
        }
        all
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The `index`th name.
    pub fn get(&self, index: usize) -> Option<&OsStr> {
        let &(start, length) = self.spans.get(index)?;
        let start = start as usize;
        Some(OsStr::from_bytes(&self.bytes[start..start + usize::from(length)]))
    }

    /// All names, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &OsStr> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_what_a_link_points_to_stays() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        let (file, link) = (OsStr::new("file"), OsStr::new("link"));
        dir.create_file(file).unwrap();
        dir.create_symlink(link, file).unwrap();
        dir.set_mode(file, 0o640).unwrap();
        assert!(dir.set_mode(link, 0o777).is_err());
        assert_eq!(dir.metadata(file).unwrap().mode, 0o640);
    }

    #[test]
    fn names_are_listed_from_the_start_each_time() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        for name in ["b", "a", "c"] {
            dir.create_file(OsStr::new(name)).unwrap();
        }
        for handle in [&dir, &dir.duplicate().unwrap(), &dir] {
            let names = handle.names().unwrap();
            assert_eq!(names.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        }
    }

    #[test]
    fn a_union_has_each_name_once() {
        let names = |of: &[&str]| {
            let mut names = Names::default();
            of.iter().for_each(|name| names.push(name.as_bytes()));
            names
        };
        let union = Names::union(vec![names(&["a", "c"]), names(&["a", "b"]), names(&[])]);
        assert_eq!(union.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(Names::union(Vec::new()).is_empty());
    }

    #[test]
    fn two_handles_are_listed_at_once() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        dir.create_file(OsStr::new("file")).unwrap();
        let other = dir.duplicate().unwrap();
        dir.names().unwrap();
        let position = |dir: &Dir| rustix::fs::seek(&dir.fd, SeekFrom::Current(0)).unwrap();
        assert_ne!(position(&dir), 0);
        assert_eq!(position(&other), 0);
    }
}
