//! Mounts that are prepared before the container's process exists, as
//! detached mounts: descriptors of mounts that hang nowhere (fsmount(2),
//! open_tree(2)). Everything that can fail for a reason of the user's (a
//! missing directory, a file system without ID maps) fails here, with words.
//!
//! No device cgroup stands between root in a container, who may make device
//! nodes, and the host's disks. So every mount that a node can be made in, or
//! come along in, has `nodev`; in a user namespace the kernel sees to it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::error::{Error, Result};
use crate::fs;
use crate::mount::{Mount, TreeCopy};
use crate::sys::mount::{
    MountAttributes, NO_DEVICES, NO_PROGRAMS, NO_SET_ID, READ_ONLY, set_attributes,
};

use super::idmap::{self, UserNamespace};
use super::spec::{Access, HostOwner, Links, Propagation, Restrictions};
use super::step::c_string;
use super::{archive, overlay};

/// Device nodes of a minimal `/dev`: name, major, minor (devices.txt of the
/// kernel; the list is that of config-linux.md, "Default Devices").
pub const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Symbolic links of a minimal `/dev` (config-linux.md, "Default Filesystems"
/// and "Dev symbolic links").
const DEVICE_LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// A new file system of type `fstype`, detached. An option with an empty
/// value is a flag.
///
/// # Errors
/// Those of fsopen(2), fsconfig(2) and fsmount(2).
pub fn new_filesystem(
    fstype: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts what storage produced, detached; a copy must be there.
///
/// # Errors
/// Those of the kernel, with the directory named, and a hint where overlayfs
/// itself is what is missing.
pub fn rootfs(mount: &Mount, user_namespace: UserNamespace) -> Result<OwnedFd> {
    match mount {
        Mount::Bind { source, read_only } => bind_root(source, *read_only, user_namespace),
        Mount::Copy(TreeCopy { folder: Some(folder), read_only, .. }) => {
            bind_root(&TreeCopy::root(folder), *read_only, user_namespace)
        }
        Mount::Copy(_) => Err(Error::internal("a view has no copy of its own")),
        Mount::Archive(archive) => archive::mount(archive),
        Mount::Overlay(overlay) => overlay::mount(overlay, user_namespace),
    }
}

fn bind_root(path: &Path, read_only: bool, user_namespace: UserNamespace) -> Result<OwnedFd> {
    let tree = clone_tree(path, true)?;
    refuse_devices(tree.as_fd(), path, user_namespace)?;
    let access = if read_only { Access::ReadOnly } else { Access::Writable };
    set_read_only(tree.as_fd(), path, access)?;
    Ok(tree)
}

/// A detached copy of the mount at `path`, with those below it if
/// `recursive`.
///
/// # Errors
/// Those of open_tree(2), with the path.
pub fn clone_tree(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let flags = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    clone_by(path, flags).map_err(|error| Error::io("bind", path, error))
}

fn clone_by(path: &Path, flags: OpenTreeFlags) -> Result<OwnedFd, Errno> {
    let always = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, always | flags)
}

fn set_read_only(tree: BorrowedFd<'_>, path: &Path, access: Access) -> Result<()> {
    let recursive = match access {
        Access::Writable => return Ok(()),
        Access::ReadOnly => true,
        Access::ReadOnlyTop => false,
    };
    let attributes = MountAttributes { set: READ_ONLY, recursive, ..MountAttributes::default() };
    set_attributes(tree, &attributes).map_err(|error| Error::io("make read-only", path, error))
}

fn restrict(tree: BorrowedFd<'_>, path: &Path, restrictions: Restrictions) -> Result<()> {
    let Restrictions { no_suid, no_devices, no_exec } = restrictions;
    let set = [(no_suid, NO_SET_ID), (no_devices, NO_DEVICES), (no_exec, NO_PROGRAMS)];
    let set = set.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
    if set == 0 {
        return Ok(());
    }
    let attributes = MountAttributes { set, recursive: true, ..MountAttributes::default() };
    set_attributes(tree, &attributes).map_err(|error| Error::io("restrict", path, error))
}

/// Sets `nodev` on a tree of the host's. In a user namespace the caller may
/// open there what they may open outside, and make no node.
fn refuse_devices(tree: BorrowedFd<'_>, path: &Path, user_namespace: UserNamespace) -> Result<()> {
    if user_namespace == UserNamespace::Entered {
        return Ok(());
    }
    let attributes =
        MountAttributes { set: NO_DEVICES, recursive: true, ..MountAttributes::default() };
    set_attributes(tree, &attributes).map_err(|error| Error::io("set nodev on", path, error))
}

/// How a path of the host is bound.
#[derive(Clone, Copy, Debug)]
pub struct BindOptions {
    /// Whether mounts below come along.
    pub recursive: bool,
    /// Whether writes are refused.
    pub access: Access,
    /// How later mounts spread.
    pub propagation: Propagation,
    /// Whose files appear as root's.
    pub owner: Option<HostOwner>,
    /// What a symbolic link at the path means.
    pub links: Links,
    /// What its files are not good for.
    pub restrictions: Restrictions,
    /// Who sees to it that no device is opened.
    pub user_namespace: UserNamespace,
}

/// A path of the host, ready to be attached.
#[derive(Debug)]
pub struct Bound {
    /// Detached.
    pub tree: OwnedFd,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether the owner is shown as was asked. A file system without
    /// ID-mapped mounts cannot, and the files keep their owners.
    pub is_mapped: bool,
}

/// Binds a path of the host.
///
/// # Errors
/// Those of the kernel, with the path.
pub fn bind(path: &Path, options: BindOptions) -> Result<Bound> {
    let (tree, kind) = clone_source(path, options)?;
    let is_dir = kind == FileType::Directory;
    if is_dir {
        // A device that is named itself is meant.
        refuse_devices(tree.as_fd(), path, options.user_namespace)?;
    }
    let is_mapped = match options.owner {
        Some(owner) => map_owner(tree.as_fd(), path, owner)?,
        None => true,
    };
    set_read_only(tree.as_fd(), path, options.access)?;
    restrict(tree.as_fd(), path, options.restrictions)?;
    let (propagation, recursive) = match options.propagation {
        Propagation::Private => (libc::MS_PRIVATE, false),
        Propagation::RPrivate => (libc::MS_PRIVATE, true),
        Propagation::Slave => (libc::MS_SLAVE, false),
        Propagation::RSlave => (libc::MS_SLAVE, true),
        Propagation::Shared => (libc::MS_SHARED, false),
        Propagation::RShared => (libc::MS_SHARED, true),
    };
    let attributes = MountAttributes { propagation, recursive, ..MountAttributes::default() };
    set_attributes(&tree, &attributes)
        .map_err(|error| Error::io("set the propagation of", path, error))?;
    Ok(Bound { tree, is_dir, is_mapped })
}

/// What it is, is asked of the copy: who can write to the folder may put
/// something else at the path meanwhile.
fn clone_source(path: &Path, options: BindOptions) -> Result<(OwnedFd, FileType)> {
    let mut flags = OpenTreeFlags::empty();
    flags.set(OpenTreeFlags::AT_RECURSIVE, options.recursive);
    flags.set(OpenTreeFlags::AT_SYMLINK_NOFOLLOW, options.links == Links::Refuse);
    let tree = clone_by(path, flags).map_err(|error| match error {
        Errno::NOENT => Error::not_found(format!("mount source {} does not exist", path.display()))
            .hint(format!("create it: mkdir -p {}", path.display())),
        error => Error::io("bind", path, error),
    })?;
    let stat = rustix::fs::fstat(&tree).map_err(|error| Error::io("look at", path, error))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Err(Error::invalid(format!("{} is a symbolic link", path.display()))
            .hint("move it away: it may lead to a place of somebody else's choice")),
        kind => Ok((tree, kind)),
    }
}

/// False if the file system has no ID-mapped mounts (mount_setattr(2)).
fn map_owner(tree: BorrowedFd<'_>, path: &Path, owner: HostOwner) -> Result<bool> {
    let namespace = idmap::owner_namespace(owner)?;
    let attributes =
        MountAttributes { id_map: Some(namespace.as_fd()), ..MountAttributes::default() };
    match set_attributes(tree, &attributes) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => Ok(false),
        Err(error) => Err(Error::io("map the owner of", path, error)),
    }
}

/// An empty tmpfs with `options` as mount(8) names them, and `nodev` always.
///
/// # Errors
/// `Invalid`, with the options, if the kernel takes them not.
pub fn tmpfs(options: &[String]) -> Result<OwnedFd> {
    let (mut attributes, own) = split_options(options)?;
    attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    let own: Vec<(&CStr, &CStr)> =
        own.iter().map(|(key, value)| (key.as_c_str(), value.as_c_str())).collect();
    new_filesystem(c"tmpfs", &own, attributes).map_err(|error| {
        Error::io_named(format!("cannot mount a tmpfs with {}", options.join(",")), error)
    })
}

/// `options` as mount(8) names them: what they say of any mount, and the others
/// by name and value, which is empty for a flag.
///
/// # Errors
/// `Invalid` for a NUL byte.
pub(super) fn split_options(
    options: &[String],
) -> Result<(MountAttrFlags, Vec<(CString, CString)>)> {
    let mut attributes = MountAttrFlags::empty();
    let mut own = Vec::new();
    for option in options {
        if let Some((flags, on)) = mount_attribute(option) {
            attributes.set(flags, on);
        } else {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            own.push((c_string(key)?, c_string(value)?));
        }
    }
    Ok((attributes, own))
}

/// The attribute that a word of mount(8) stands for, and whether it sets it.
fn mount_attribute(option: &str) -> Option<(MountAttrFlags, bool)> {
    let (name, on) = match option.strip_prefix("no") {
        Some(name) => (name, true),
        None => (option, false),
    };
    Some(match name {
        "exec" => (MountAttrFlags::MOUNT_ATTR_NOEXEC, on),
        "suid" => (MountAttrFlags::MOUNT_ATTR_NOSUID, on),
        "dev" => (MountAttrFlags::MOUNT_ATTR_NODEV, on),
        "atime" => (MountAttrFlags::MOUNT_ATTR_NOATIME, on),
        "diratime" => (MountAttrFlags::MOUNT_ATTR_NODIRATIME, on),
        "strictatime" => (MountAttrFlags::MOUNT_ATTR_STRICTATIME, !on),
        // What a mount does when nothing is said.
        "relatime" => (MountAttrFlags::empty(), on),
        "ro" if !on => (MountAttrFlags::MOUNT_ATTR_RDONLY, true),
        _ => return None,
    })
}

/// A minimal `/dev`: links, directories, and a file for each device node to
/// be mounted upon.
///
/// # Errors
/// Those of the kernel.
pub fn devices() -> Result<OwnedFd> {
    let options = ["nosuid", "strictatime", "mode=755", "size=65536k"].map(str::to_owned);
    let dev = tmpfs(&options)?;
    fill_devices(dev.as_fd()).map_err(|error| Error::io_named("cannot fill /dev", error))?;
    Ok(dev)
}

fn fill_devices(dev: BorrowedFd<'_>) -> Result<(), Errno> {
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlinkat(target, dev, name)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
    }
    for (name, ..) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(dev, name, FileType::RegularFile, mode, 0)?;
    }
    Ok(())
}

/// The device nodes, made: the only mount of a container's in which one can
/// be opened. Where a user namespace forbids to make them the host's are bound
/// instead. Those like `more` are files named by their number in it.
///
/// # Errors
/// Those of the kernel.
pub fn device_nodes(more: &[fs::Metadata]) -> Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let made = make_nodes(attributes).and_then(|nodes| {
        (0..).zip(more).try_for_each(|(number, device)| copy_node(&nodes, number, device))?;
        Ok(nodes)
    });
    made.map_err(|error| Error::io_named("cannot make the devices", error))
}

/// Makes a node with the owner and mode of the host's: another one, so that a
/// container that changes it changes nothing of the host's.
fn copy_node(nodes: &OwnedFd, number: u32, device: &fs::Metadata) -> Result<(), Errno> {
    let kind = match device.kind {
        fs::FileKind::BlockDevice => FileType::BlockDevice,
        _ => FileType::CharacterDevice,
    };
    let (name, mode) = (number.to_string(), Mode::from_raw_mode(device.mode & 0o777));
    let rdev = rustix::fs::makedev(device.rdev.0, device.rdev.1);
    rustix::fs::mknodat(nodes, &name, kind, mode, rdev)?;
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    rustix::fs::chownat(nodes, &name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::chmodat(nodes, &name, mode, AtFlags::empty())
}

fn make_nodes(attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let nodes = new_filesystem(c"tmpfs", &[(c"size", c"4096"), (c"mode", c"0700")], attributes)?;
    let mode = Mode::from_raw_mode(0o666);
    for (name, major, minor) in DEVICES {
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&nodes, name, FileType::CharacterDevice, mode, device)?;
        // The umask has taken bits away.
        rustix::fs::chmodat(&nodes, name, mode, AtFlags::empty())?;
    }
    Ok(nodes)
}

/// Hangs `dev` upon `target` and the device nodes into it: single files of the
/// file system `nodes`, which ends up below `dev`, out of reach. The first
/// `more` of its numbered nodes come back, each as a mount of its own.
///
/// # Errors
/// Those of the kernel.
pub fn attach_devices(
    (dev, nodes): (BorrowedFd<'_>, BorrowedFd<'_>),
    target: BorrowedFd<'_>,
    more: usize,
) -> Result<Vec<OwnedFd>, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    // Only of what is attached can a part be had (open_tree(2)).
    attach(nodes, target)?;
    attach(dev, nodes)?;
    for (name, ..) in DEVICES {
        let node = open_tree(nodes, name, flags)?;
        let place = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::openat(dev, name, place, Mode::empty())?;
        attach(node.as_fd(), place.as_fd())?;
    }
    (0..more).map(|number| open_tree(nodes, number.to_string(), flags)).collect()
}

/// A new devpts. Terminals belong to group 5 (`tty`) where it is mapped.
///
/// # Errors
/// Those of the kernel.
pub fn devpts() -> Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let options = [(c"ptmxmode", c"0666"), (c"mode", c"0620")];
    let with_group = [options[0], options[1], (c"gid", c"5")];
    new_filesystem(c"devpts", &with_group, attributes)
        .or_else(|_| new_filesystem(c"devpts", &options, attributes))
        .map_err(|error| Error::io_named("cannot mount a devpts", error))
}

/// Hangs the detached mount `mount` upon what `target` refers to.
///
/// # Errors
/// Those of move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}
