//! The overlay of a root filesystem, as a detached mount.
//!
//! Two ways lead there. The first names the layers one by one, with neither
//! escapes nor a limit. Linux before 6.8 does not know it, and some of them say
//! so only when the whole is made; there the names go into one option of at
//! most 255 bytes (fsconfig(2), `FSCONFIG_SET_STRING`), so each has to be short:
//! the number of an open descriptor, looked up in `/proc/self/fd`.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::error::Error;
use crate::mount::{Lower, Overlay, Upper};

use super::archive;
use super::idmap::UserNamespace;

/// What an option's value must not exceed, without its end.
const MAX_VALUE: usize = 255;

/// Mounts `overlay`.
///
/// # Errors
/// Those of the kernel, with a hint where overlayfs itself is what is missing.
pub(super) fn mount(overlay: &Overlay, user_namespace: UserNamespace) -> Result<OwnedFd, Error> {
    let lower = overlay.lower.iter().map(layer).collect::<Result<Vec<_>, _>>()?;
    let mounted = match one_by_one((overlay, &lower), user_namespace) {
        // NOENT: backslashes in the upper directory's path were escapes.
        Err(Errno::INVAL | Errno::NOENT) => in_one_option((overlay, &lower), user_namespace),
        other => other,
    };
    mounted.map_err(|error| explain(error, overlay, user_namespace))
}

/// A layer to be named to the kernel.
enum Layer<'a> {
    Directory(&'a Path),
    /// An archive's mount: the overlay clones it.
    Mounted {
        path: PathBuf,
        _mount: OwnedFd,
    },
}

impl Layer<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Mounted { path, .. } => path,
        }
    }
}

fn layer(lower: &Lower) -> Result<Layer<'_>, Error> {
    Ok(match lower {
        Lower::Directory(path) => Layer::Directory(path),
        Lower::Archive(archive) => {
            let mount = archive::mount(archive)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
            Layer::Mounted { path, _mount: mount }
        }
    })
}

fn one_by_one(
    (overlay, lower): (&Overlay, &[Layer<'_>]),
    user_namespace: UserNamespace,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &CStr, value: &Path| fsconfig_set_string(context.as_fd(), key, value);
    for layer in lower {
        set(c"lowerdir+", layer.path())?;
    }
    if let Some(upper) = &overlay.upper {
        set(c"upperdir", &upper.upper)?;
        set(c"workdir", &upper.work)?;
    }
    finish(&context, overlay, user_namespace)
}

/// This process has one thread, so nobody misses its working directory.
fn in_one_option(
    (overlay, lower): (&Overlay, &[Layer<'_>]),
    user_namespace: UserNamespace,
) -> Result<OwnedFd, Errno> {
    let lower: Vec<OwnedFd> =
        lower.iter().map(|layer| open(layer.path())).collect::<Result<_, _>>()?;
    let names: Vec<String> = lower.iter().map(|open| open.as_raw_fd().to_string()).collect();
    let names = names.join(":");
    if names.len() > MAX_VALUE {
        return Err(Errno::TOOBIG);
    }
    let upper = match &overlay.upper {
        Some(upper) => Some((open(&upper.upper)?, open(&upper.work)?)),
        None => None,
    };
    let here = open(Path::new("."))?;
    rustix::process::chdir("/proc/self/fd")?;
    let make = || {
        let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &CStr, value: &str| fsconfig_set_string(context.as_fd(), key, value);
        set(c"lowerdir", &names)?;
        if let Some((upper, work)) = &upper {
            set(c"upperdir", &upper.as_raw_fd().to_string())?;
            set(c"workdir", &work.as_raw_fd().to_string())?;
        }
        finish(&context, overlay, user_namespace)
    };
    let made = make();
    rustix::process::fchdir(&here)?;
    made
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn finish(
    context: &OwnedFd,
    overlay: &Overlay,
    user_namespace: UserNamespace,
) -> Result<OwnedFd, Errno> {
    if overlay.upper.as_ref().is_some_and(|upper| upper.volatile) {
        // Linux 5.10; without it the mount only syncs more.
        let _ = fsconfig_set_flag(context.as_fd(), c"volatile");
    }
    if user_namespace == UserNamespace::Entered {
        // trusted.* attributes belong to the initial user namespace.
        fsconfig_set_flag(context.as_fd(), c"userxattr")?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// What does without an overlay that can be written to.
const COPY: &str = "do without one: envbox --storage-driver copy for once, envbox system migrate \
                    copy for good";

fn explain(error: Errno, overlay: &Overlay, user_namespace: UserNamespace) -> Error {
    let failed = Error::io_named("cannot mount the overlay of the root filesystem", error);
    let is_read_only = |upper: &Upper| {
        let found = rustix::fs::statvfs(&upper.upper);
        found.is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
    };
    match error {
        Errno::INVAL | Errno::ROFS if overlay.upper.as_ref().is_some_and(is_read_only) => failed
            .hint(
                "the store is on a file system that is read-only: make it writable, or choose \
                 another store with --root",
            ),
        Errno::NODEV => {
            failed.hint(format!("the kernel has no overlayfs: modprobe overlay, or {COPY}"))
        }
        Errno::PERM if user_namespace == UserNamespace::Entered => failed.hint(format!(
            "overlayfs in a user namespace needs Linux 5.11 or later; run as root, or {COPY}"
        )),
        Errno::TOOBIG => failed.hint(format!(
            "its {} layers are too many for this kernel: use Linux 6.8 or later, or flatten the \
             image: envbox export IMAGE | envbox import - NAME",
            overlay.lower.len()
        )),
        Errno::INVAL => failed.hint(format!(
            "the store's file system cannot hold an overlay's upper directory, as NFS or another \
             overlay: choose ext4, xfs, btrfs or tmpfs with --root, or {COPY}"
        )),
        _ => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::Upper;

    /// What is written in the overlay, by either way of making it.
    #[test]
    fn both_ways_make_the_same_mount() {
        if !rustix::process::geteuid().is_root() {
            let line = b"\nskipped: both_ways_make_the_same_mount: mounting is for root\n";
            std::io::Write::write_all(&mut std::io::stdout(), line).unwrap();
            return;
        }
        // The working directory of this thread alone.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        type Way = fn(&Overlay) -> OwnedFd;
        let any: Way = |overlay| mount(overlay, UserNamespace::Inherited).unwrap();
        let old: Way = |overlay| {
            let lower: Vec<Layer<'_>> = overlay.lower.iter().map(|l| layer(l).unwrap()).collect();
            in_one_option((overlay, &lower), UserNamespace::Inherited).unwrap()
        };
        for (name, make) in [("any", any), ("old", old)] {
            // A long path with what the one option would have to escape.
            let room = tempfile::Builder::new().prefix(&"a:b\\c,".repeat(30)).tempdir().unwrap();
            let dir = |name: &str| {
                let path = room.path().join(name);
                std::fs::create_dir(&path).unwrap();
                path
            };
            let (top, base) = (dir("top"), dir("base"));
            std::fs::write(top.join("both"), "top").unwrap();
            std::fs::write(base.join("both"), "base").unwrap();
            std::fs::write(base.join("below"), "base").unwrap();
            let upper = Upper { upper: dir("upper"), work: dir("work"), volatile: true };
            let lower = vec![Lower::Directory(top), Lower::Directory(base)];
            let overlay = Overlay { lower, upper: Some(upper) };
            let before = std::env::current_dir().unwrap();
            let mounted = make(&overlay);
            assert_eq!(std::env::current_dir().unwrap(), before);
            let read = |path: &str| {
                let at = format!("/proc/self/fd/{}/{path}", mounted.as_raw_fd());
                std::fs::read_to_string(at).unwrap()
            };
            assert_eq!((read("both"), read("below")), ("top".into(), "base".into()), "{name}");
        }
    }
}
