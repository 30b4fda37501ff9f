//! Paths as a container sees them. Symbolic links are followed inside the
//! root only (openat2 `RESOLVE_IN_ROOT`), magic links never, so whatever an
//! image makes of `/etc/passwd` or a mount target, nothing outside is read,
//! made or changed through it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};

use super::{Dir, FileKind, Metadata, read_limited};

/// As many as the kernel follows (path_resolution(7)).
const MAX_SYMLINKS: u32 = 40;

/// openat2(2) answers `EAGAIN` to a path with `..` while anything is renamed
/// or mounted anywhere, since it cannot tell then whether the path escapes.
const MAX_RETRIES: u32 = 128;

const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// A root directory, open; paths given to it are absolute inside it.
#[derive(Debug)]
pub struct Rootfs {
    root: Dir,
}

impl Rootfs {
    /// Takes `root` as the root directory.
    pub fn new(root: Dir) -> Self {
        Self { root }
    }

    /// The root directory itself.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    fn fail(&self, verb: &str, path: &Path, error: Errno) -> Error {
        let message = format!("cannot {verb} {} in the root filesystem", path.display());
        Error::io_named(message, error)
    }

    /// Opens whatever lies at `path` as an `O_PATH` descriptor.
    ///
    /// # Errors
    /// Those of openat2(2), with the path inside the root.
    pub fn locate(&self, path: &Path) -> Result<OwnedFd> {
        self.openat(path, OFlags::PATH).map_err(|error| self.fail("find", path, error))
    }

    fn openat(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.resolve(path, flags, IN_ROOT)
    }

    fn resolve(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        let open = || {
            rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
        };
        for _ in 1..MAX_RETRIES {
            match open() {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        open()
    }

    /// What lies at `path`, symbolic links followed; `None` if nothing does.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        match self.openat(path, OFlags::PATH) {
            Ok(fd) => {
                metadata_of(fd.as_fd()).map(Some).map_err(|error| self.fail("look at", path, error))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(self.fail("look at", path, error)),
        }
    }

    /// Opens the directory at `path` for listing.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open_dir(&self, path: &Path) -> Result<Dir> {
        let fd = self
            .openat(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|error| self.fail("open the directory", path, error))?;
        Ok(Dir::from((fd, path.to_owned())))
    }

    /// The content of the regular file at `path`; `None` if there is none, or
    /// something else than a regular file. A FIFO or a device there is not
    /// even opened for reading.
    ///
    /// # Errors
    /// `Invalid` if the file is larger than `limit` bytes.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_regular(path, OFlags::RDONLY)? else { return Ok(None) };
        read_limited(file, limit, &path.display().to_string()).map(Some)
    }

    /// The first `count` bytes of the regular file at `path`; `None` as for
    /// [`Self::read_file`].
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read_head(&self, path: &Path, count: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_regular(path, OFlags::RDONLY)? else { return Ok(None) };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, count), &mut bytes)
            .map_err(|error| Error::io("read", path, error))?;
        Ok(Some(bytes))
    }

    /// Appends `bytes` to the regular file at `path`; tells whether there is
    /// one.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn append(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let flags = OFlags::WRONLY | OFlags::APPEND;
        let Some(mut file) = self.open_regular(path, flags)? else { return Ok(false) };
        file.write_all(bytes).map_err(|error| Error::io("write to", path, error))?;
        Ok(true)
    }

    fn open_regular(&self, path: &Path, flags: OFlags) -> Result<Option<File>> {
        // Looked at before it is opened: opening a device may already act.
        match self.metadata(path)? {
            Some(metadata) if metadata.kind == FileKind::Regular => {}
            _ => return Ok(None),
        }
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.openat(path, flags).map_err(|error| self.fail("open", path, error))?;
        let metadata =
            metadata_of(fd.as_fd()).map_err(|error| self.fail("look at", path, error))?;
        Ok((metadata.kind == FileKind::Regular).then(|| File::from(fd)))
    }

    /// The directory at `path`, created with its parents (mode 0755) where it
    /// is missing, as an `O_PATH` descriptor.
    ///
    /// # Errors
    /// `Invalid` if something else lies there.
    pub fn ensure_dir(&self, path: &Path) -> Result<OwnedFd> {
        let fd = match self.openat(path, OFlags::PATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => self.create(path, FileKind::Directory)?,
            Err(error) => return Err(self.fail("find", path, error)),
        };
        match metadata_of(fd.as_fd()).map(|metadata| metadata.kind) {
            Ok(FileKind::Directory) => Ok(fd),
            Ok(_) => Err(Error::invalid(format!(
                "{} in the root filesystem is not a directory",
                path.display()
            ))),
            Err(error) => Err(self.fail("look at", path, error)),
        }
    }

    /// As [`Self::ensure_dir`], with no symbolic link on the way: what is
    /// mounted there is found again by its path, whatever else is mounted.
    ///
    /// # Errors
    /// `ELOOP` at a symbolic link; `Invalid` if something else lies there.
    pub fn ensure_plain_dir(&self, path: &Path) -> Result<OwnedFd> {
        let plain = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            self.resolve(path, flags, IN_ROOT | ResolveFlags::NO_SYMLINKS)
        };
        let found = match plain() {
            Err(Errno::NOENT) => {
                self.create(path, FileKind::Directory)?;
                plain()
            }
            other => other,
        };
        found.map_err(|error| self.fail("find the directory", path, error))
    }

    /// What lies at `path`, which must not be a directory; an empty file is
    /// created there, with its parents, where nothing does. An `O_PATH`
    /// descriptor, to be mounted upon.
    ///
    /// # Errors
    /// `Invalid` if a directory lies there.
    pub fn ensure_file(&self, path: &Path) -> Result<OwnedFd> {
        let fd = match self.openat(path, OFlags::PATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => self.create(path, FileKind::Regular)?,
            Err(error) => return Err(self.fail("find", path, error)),
        };
        match metadata_of(fd.as_fd()).map(|metadata| metadata.kind) {
            Ok(FileKind::Directory) => Err(Error::invalid(format!(
                "{} in the root filesystem is a directory, not a file",
                path.display()
            ))),
            Ok(_) => Ok(fd),
            Err(error) => Err(self.fail("look at", path, error)),
        }
    }

    /// Walks `path` step by step with every step held open, and creates what
    /// is missing: directories on the way, `last` at its end. A dangling
    /// symbolic link leads to where it points, inside the root.
    fn create(&self, path: &Path, last: FileKind) -> Result<OwnedFd> {
        let fail = |error: Errno| self.fail("create", path, error);
        let mut walk = Walk::new(path);
        let mut stack: Vec<OwnedFd> = Vec::new();
        while let Some(name) = walk.pending.pop_front() {
            if name == ".." {
                stack.pop();
                continue;
            }
            let here = stack.last().map_or(self.root.as_fd(), AsFd::as_fd);
            let kind = if walk.pending.is_empty() { last } else { FileKind::Directory };
            let fd = step(here, &name, kind).map_err(fail)?;
            let metadata = metadata_of(fd.as_fd()).map_err(fail)?;
            if metadata.kind != FileKind::Symlink {
                stack.push(fd);
                continue;
            }
            refuse_magic_link(here, &name).map_err(fail)?;
            let target = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(fail)?;
            let target = OsString::from_vec(target.into_bytes());
            if walk.follow(&target).map_err(|error| error.context(path.display().to_string()))? {
                stack.clear();
            }
        }
        match stack.pop() {
            Some(fd) => Ok(fd),
            None => self.locate(Path::new("/")),
        }
    }
}

/// The components that are still to be walked.
struct Walk {
    pending: VecDeque<OsString>,
    links: u32,
}

impl Walk {
    fn new(path: &Path) -> Self {
        Self { pending: components(path.as_os_str()).collect(), links: 0 }
    }

    /// Puts the target of a symbolic link in front; true if it starts at the
    /// root again.
    fn follow(&mut self, target: &OsStr) -> Result<bool> {
        self.links += 1;
        if self.links > MAX_SYMLINKS {
            return Err(Error::new(Kind::Denied, "too many levels of symbolic links"));
        }
        let rest = std::mem::take(&mut self.pending);
        self.pending = components(target).chain(rest).collect();
        Ok(target.as_bytes().first() == Some(&b'/'))
    }
}

fn components(path: &OsStr) -> impl Iterator<Item = OsString> {
    path.as_bytes()
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(|part| OsStr::from_bytes(part).to_owned())
}

/// Opens `name` itself, creating it as `kind` if it is missing.
fn step(here: BorrowedFd<'_>, name: &OsStr, kind: FileKind) -> Result<OwnedFd, Errno> {
    let open = || {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(here, name, flags, Mode::empty())
    };
    match open() {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    if kind == FileKind::Directory {
        match rustix::fs::mkdirat(here, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::openat(here, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    open()
}

/// Fails with `ELOOP` if the symbolic link `name` is a magic one (proc(5)):
/// its text is a path of the host's.
fn refuse_magic_link(here: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(here, name, flags, Mode::empty(), resolve) {
        Err(Errno::LOOP) => Err(Errno::LOOP),
        // Where a plain link leads is not asked here.
        _ => Ok(()),
    }
}

fn metadata_of(fd: BorrowedFd<'_>) -> Result<Metadata, Errno> {
    rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH).map(|stat| Metadata::from(&stat))
}

/// `path` cleaned by its text alone: absolute, without `.`, `..` and doubled
/// slashes, as Go's `path.Clean("/" + path)`.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in components(path.as_os_str()) {
        if part == ".." {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn room() -> (tempfile::TempDir, Rootfs) {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("root/etc")).unwrap();
        std::fs::write(room.path().join("passwd"), "host").unwrap();
        let rootfs = Rootfs::new(Dir::open(&room.path().join("root")).unwrap());
        (room, rootfs)
    }

    #[test]
    fn reads_nothing_outside_through_a_link() {
        let (room, rootfs) = room();
        let link = room.path().join("root/etc/passwd");
        for target in ["../../passwd", "/../../passwd", "/proc/self/root/etc/passwd"] {
            symlink(target, &link).unwrap();
            assert_eq!(rootfs.read_file(Path::new("/etc/passwd"), 100).unwrap(), None, "{target}");
            std::fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn creates_nothing_outside_through_a_dangling_link() {
        let (room, rootfs) = room();
        symlink("../../escaped/file", room.path().join("root/etc/a")).unwrap();
        symlink("/up", room.path().join("root/b")).unwrap();
        rootfs.ensure_file(Path::new("/etc/a")).unwrap();
        rootfs.ensure_dir(Path::new("/b/../../c")).unwrap();
        assert!(room.path().join("root/escaped/file").is_file());
        assert!(room.path().join("root/c").is_dir());
        assert!(!room.path().join("escaped").exists());
    }

    #[test]
    fn does_not_open_a_fifo_or_a_device() {
        let (room, rootfs) = room();
        let fifo = room.path().join("root/etc/passwd");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(rootfs.read_file(Path::new("/etc/passwd"), 100).unwrap(), None);
        assert!(!rootfs.append(Path::new("/etc/passwd"), b"x").unwrap());
    }

    #[test]
    fn a_plain_directory_has_no_link_on_its_way() {
        let (room, rootfs) = room();
        rootfs.ensure_plain_dir(Path::new("/proc")).unwrap();
        assert!(room.path().join("root/proc").is_dir());
        symlink("etc", room.path().join("root/sys")).unwrap();
        symlink("missing", room.path().join("root/dev")).unwrap();
        std::fs::write(room.path().join("root/file"), "").unwrap();
        for path in ["/sys", "/dev", "/file", "/sys/below"] {
            assert!(rootfs.ensure_plain_dir(Path::new(path)).is_err(), "{path}");
        }
        assert!(!room.path().join("root/missing").exists());
    }

    #[test]
    fn creates_nothing_where_a_magic_link_points() {
        let room = tempfile::tempdir().unwrap();
        let rootfs = Rootfs::new(Dir::open(Path::new("/")).unwrap());
        let gone = std::fs::File::create(room.path().join("gone")).unwrap();
        std::fs::remove_file(room.path().join("gone")).unwrap();
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&gone));
        assert!(rootfs.create(Path::new(&link), FileKind::Directory).is_err());
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0);
    }

    #[test]
    fn loops_end() {
        let (room, rootfs) = room();
        symlink("b", room.path().join("root/a")).unwrap();
        symlink("a", room.path().join("root/b")).unwrap();
        assert!(rootfs.ensure_dir(Path::new("/a/x")).is_err());
        assert!(rootfs.ensure_file(Path::new("/a")).is_err());
    }

    #[test]
    fn cleans_as_go_does() {
        assert_eq!(clean(Path::new("a/../../b//./c")), Path::new("/b/c"));
        assert_eq!(clean(Path::new("..")), Path::new("/"));
    }
}
