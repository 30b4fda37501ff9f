//! The plan of a start as a list of plain steps, and their interpreter. The
//! list is made before the process exists; the process runs it and reports
//! the number of the step that failed, so that its parent, which has the same
//! list, can say what it was.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::resource::Resource;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount_change, open_tree,
    unmount,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::fs::{Dir, Rootfs};
use crate::sys::mount::{MountAttributes, READ_ONLY, set_attributes};
use crate::sys::net;
use crate::sys::process::{self, Namespaces, exit_now};

use super::cgroup::Entrance;
use super::credentials::Credentials;
use super::hook::Hook;
use super::spec::{Access, SysctlSpec};
use super::terminal::Console;
use super::{channel, source, sysctl, terminal};

/// linux/personality.h.
const PER_LINUX32: nix::sys::personality::Persona =
    nix::sys::personality::Persona::from_bits_retain(0x0008);

/// One step. Steps hold what they need: descriptors, C strings, numbers.
#[derive(Debug)]
pub enum Step {
    /// Die when the monitor does.
    FollowParent,
    /// Be in the container's cgroups, and see them as the root of all (v1; on v2
    /// it is born there).
    EnterGroup(Entrance),
    /// Say how readily the kernel may kill it for want of memory.
    OomScore(i16),
    /// Keep whoever joins the namespaces from looking: until execve(2) the
    /// process holds descriptors of the host. Its own files of `/proc` are root's
    /// from then on.
    Hide,
    /// Be in a namespace of another container; of its PID namespace, have the
    /// next child in it.
    Join {
        /// The other's first process.
        process: OwnedFd,
        /// Which.
        namespace: Namespaces,
        /// Its name in words.
        name: &'static str,
    },
    /// Be the leader of a new session.
    NewSession,
    /// Set the host name.
    Hostname(String),
    /// Set the NIS domain name.
    DomainName(String),
    /// Write a setting of the kernel's.
    Sysctl(SysctlSpec),
    /// Set `lo` up.
    Loopback,
    /// Detach this mount namespace from the host's.
    PrivateMounts,
    /// Hang the rootfs upon an existing directory and take it as the root.
    AttachRoot {
        /// Detached.
        mount: OwnedFd,
        /// Any directory; it is covered in this namespace only.
        at: PathBuf,
    },
    /// Take this process's root as it is.
    OpenRoot,
    /// Hang a mount upon a path in the root.
    Attach {
        /// What.
        mount: Attachable,
        /// Where.
        target: PathBuf,
        /// What has to be there, and is made if nothing is.
        place: Place,
    },
    /// Let a program of the host's do its part.
    Hook(Hook),
    /// Cover a path.
    Mask(PathBuf),
    /// Make a path read-only.
    ReadOnly(PathBuf),
    /// Open the working directory, created if missing.
    WorkingDirectory(PathBuf),
    /// Change to a directory that must be there.
    EnterDirectory(PathBuf),
    /// Make the rootfs the root and forget the host's.
    PivotRoot,
    /// Make the root mount read-only.
    ReadOnlyRoot,
    /// Make a terminal, hand its master out, take its slave as stdio.
    Terminal {
        /// Who owns the slave.
        uid: u32,
        /// What else it is.
        console: Console,
    },
    /// Set a resource limit.
    Limit {
        /// Which.
        resource: Resource,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
    /// Tell programs that the machine has 32 bits.
    Personality32,
    /// Give up privileges, and take up the filter where it belongs between.
    Credentials(Credentials),
    /// Mark all descriptors but these to be closed.
    CloseDescriptors(Vec<i32>),
}

/// What a mount is hung upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory,
    /// A directory to which no symbolic link leads. Were `/proc` a link, its
    /// way could lead elsewhere once `/dev` is mounted: procfs would be in one
    /// place, and what masks it in another.
    PlainDirectory,
    /// Anything else.
    File,
}

/// A mount that is ready, or one that only the new namespaces can make.
#[derive(Debug)]
pub enum Attachable {
    /// Made by the parent.
    Ready(OwnedFd),
    /// `/dev`, the file system of its device nodes, and how many of them are
    /// for [`Self::Device`].
    Devices(OwnedFd, OwnedFd, usize),
    /// One of the nodes that came with [`Self::Devices`], by its number.
    Device(usize),
    /// procfs of this PID namespace.
    Proc,
    /// sysfs of this network namespace.
    Sysfs(Access),
    /// POSIX message queues of this IPC namespace.
    Mqueue,
}

/// What the steps leave for one another.
#[derive(Debug)]
pub struct Progress {
    /// The socket to the parent.
    pub parent: OwnedFd,
    /// The root, once it is attached.
    rootfs: Option<Rootfs>,
    /// Device nodes that hang nowhere yet.
    devices: Vec<OwnedFd>,
}

impl Progress {
    /// At the beginning.
    pub fn new(parent: OwnedFd) -> Self {
        Self { parent, rootfs: None, devices: Vec::new() }
    }

    /// The socket alone; all that was opened is closed.
    pub fn into_parent(self) -> OwnedFd {
        self.parent
    }

    fn rootfs(&self) -> Result<&Rootfs, Errno> {
        self.rootfs.as_ref().ok_or(Errno::BADF)
    }
}

impl Step {
    /// Does it.
    ///
    /// # Errors
    /// The errno of the system call that failed.
    pub fn run(&self, progress: &mut Progress) -> Result<(), Errno> {
        match self {
            Self::FollowParent => match process::die_with_parent(&progress.parent) {
                Ok(true) => Ok(()),
                Ok(false) => exit_now(1),
                Err(error) => Err(errno_of(&error)),
            },
            Self::EnterGroup(entrance) => enter(entrance).map_err(|error| errno_of(&error)),
            Self::OomScore(adjustment) => {
                process::set_oom_score(*adjustment).map_err(|error| errno_of(&error))
            }
            Self::Hide => set_dumpable_behavior(DumpableBehavior::NotDumpable),
            Self::Join { process, namespace, .. } => {
                process::join(process.as_fd(), *namespace).map_err(|error| errno_of(&error))
            }
            Self::NewSession => rustix::process::setsid().map(drop),
            Self::Hostname(name) => rustix::system::sethostname(name.as_bytes()),
            Self::DomainName(name) => rustix::system::setdomainname(name.as_bytes()),
            Self::Sysctl(setting) => sysctl::set(&setting.path, &setting.value),
            Self::Loopback => net::raise_loopback().map_err(|error| errno_of(&error)),
            Self::PrivateMounts => {
                mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            }
            Self::AttachRoot { mount, at } => attach_root(mount.as_fd(), at, progress),
            Self::OpenRoot => open_root(rustix::fs::CWD, "/", progress),
            Self::Attach { mount, target, place } => {
                let rootfs = progress.rootfs()?;
                let target = match place {
                    Place::Directory => rootfs.ensure_dir(target),
                    Place::PlainDirectory => rootfs.ensure_plain_dir(target),
                    Place::File => rootfs.ensure_file(target),
                };
                let target = target.map_err(|error| errno_of_chain(&error))?;
                mount.attach(target.as_fd(), &mut progress.devices)
            }
            Self::Hook(hook) => hook.run().map_err(|error| errno_of(&error)),
            Self::Mask(path) => mask(progress.rootfs()?, path),
            Self::ReadOnly(path) => make_read_only(progress.rootfs()?, path),
            Self::WorkingDirectory(path) => enter_directory(progress.rootfs()?.ensure_dir(path)),
            Self::EnterDirectory(path) => enter_directory(progress.rootfs()?.locate(path)),
            Self::PivotRoot => pivot_root(progress.rootfs()?),
            Self::ReadOnlyRoot => {
                let root = progress.rootfs()?.root();
                change(root.as_fd(), READ_ONLY)
            }
            Self::Terminal { uid, console } => {
                let master = terminal::open(progress.rootfs()?, *uid, *console)?;
                channel::send_terminal(&progress.parent, master.as_fd())
                    .map_err(|error| errno_of(&error))
            }
            Self::Limit { resource, soft, hard } => {
                nix::sys::resource::setrlimit(*resource, *soft, *hard).map_err(from_nix)
            }
            Self::Personality32 => {
                nix::sys::personality::set(PER_LINUX32).map(drop).map_err(from_nix)
            }
            Self::Credentials(credentials) => credentials.apply(),
            Self::CloseDescriptors(keep) => {
                process::close_on_exec_except(keep).map_err(|error| errno_of(&error))
            }
        }
    }
}

fn enter_directory(directory: crate::error::Result<impl AsFd>) -> Result<(), Errno> {
    rustix::process::fchdir(directory.map_err(|error| errno_of_chain(&error))?)
}

/// A namespace has the cgroup as its root that its maker is in then
/// (cgroup_namespaces(7)).
fn enter(entrance: &Entrance) -> std::io::Result<()> {
    entrance.enter()?;
    process::unshare(Namespaces::CGROUP)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FollowParent => f.write_str("set the parent-death signal"),
            Self::EnterGroup(_) => f.write_str("enter the control group"),
            Self::OomScore(adjustment) => write!(f, "set the OOM score to {adjustment}"),
            Self::Hide => f.write_str("hide the process"),
            Self::Join { name, .. } => write!(f, "join the other container's {name} namespace"),
            Self::NewSession => f.write_str("start a new session"),
            Self::Hostname(name) => write!(f, "set the host name {name:?}"),
            Self::DomainName(name) => write!(f, "set the domain name {name:?}"),
            Self::Sysctl(setting) => {
                write!(f, "set {} to {:?}", setting.path.display(), setting.value)
            }
            Self::Loopback => f.write_str("set the loopback interface up"),
            Self::PrivateMounts => f.write_str("make the mounts private"),
            Self::AttachRoot { at, .. } => {
                write!(f, "attach the root filesystem at {}", at.display())
            }
            Self::OpenRoot => f.write_str("open the root filesystem"),
            Self::Attach { mount, target, .. } => {
                write!(f, "mount {mount} at {} in the container", target.display())
            }
            Self::Hook(hook) => write!(f, "run the hook {hook}"),
            Self::Mask(path) => write!(f, "mask {}", path.display()),
            Self::ReadOnly(path) => write!(f, "make {} read-only", path.display()),
            Self::WorkingDirectory(path) | Self::EnterDirectory(path) => {
                write!(f, "change to the working directory {}", path.display())
            }
            Self::PivotRoot => f.write_str("change the root"),
            Self::ReadOnlyRoot => f.write_str("make the root read-only"),
            Self::Terminal { .. } => f.write_str("make a terminal"),
            Self::Limit { resource, soft, hard } => {
                write!(f, "set the limit {resource:?} to {soft}:{hard}")
            }
            Self::Personality32 => f.write_str("set the 32-bit personality"),
            Self::Credentials(_) => f.write_str("set user, groups and capabilities"),
            Self::CloseDescriptors(_) => f.write_str("mark the descriptors"),
        }
    }
}

impl Attachable {
    fn attach(&self, target: BorrowedFd<'_>, nodes: &mut Vec<OwnedFd>) -> Result<(), Errno> {
        let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let made = match self {
            Self::Ready(mount) => return source::attach(mount.as_fd(), target),
            Self::Devices(dev, all, more) => {
                *nodes = source::attach_devices((dev.as_fd(), all.as_fd()), target, *more)?;
                return Ok(());
            }
            Self::Device(number) => {
                let node = nodes.get(*number).ok_or(Errno::NODEV)?;
                return source::attach(node.as_fd(), target);
            }
            Self::Proc => source::new_filesystem(c"proc", &[], quiet)?,
            Self::Mqueue => source::new_filesystem(c"mqueue", &[], quiet)?,
            Self::Sysfs(access) => {
                let mut attributes = quiet;
                attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, *access != Access::Writable);
                match source::new_filesystem(c"sysfs", &[], attributes) {
                    // Not ours to mount: the network namespace is the host's.
                    Err(Errno::PERM) => bind_sysfs(*access)?,
                    other => other?,
                }
            }
        };
        source::attach(made.as_fd(), target)
    }
}

impl fmt::Display for Attachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "a prepared mount",
            Self::Devices(..) => "the devices",
            Self::Proc => "proc",
            Self::Device(_) => "a device",
            Self::Sysfs(_) => "sysfs",
            Self::Mqueue => "mqueue",
        })
    }
}

/// The host's `/sys`.
fn bind_sysfs(access: Access) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(rustix::fs::CWD, "/sys", flags)?;
    if access != Access::Writable {
        change_tree(tree.as_fd(), READ_ONLY)?;
    }
    Ok(tree)
}

fn change(mount: BorrowedFd<'_>, set: u64) -> Result<(), Errno> {
    let attributes = MountAttributes { set, ..MountAttributes::default() };
    set_attributes(mount, &attributes).map_err(|error| errno_of(&error))
}

fn change_tree(mount: BorrowedFd<'_>, set: u64) -> Result<(), Errno> {
    let attributes = MountAttributes { set, recursive: true, ..MountAttributes::default() };
    set_attributes(mount, &attributes).map_err(|error| errno_of(&error))
}

fn attach_root(mount: BorrowedFd<'_>, at: &Path, progress: &mut Progress) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(at, flags, Mode::empty())?;
    source::attach(mount, target.as_fd())?;
    open_root(mount, ".", progress)
}

fn open_root(at: BorrowedFd<'_>, path: &str, progress: &mut Progress) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(at, path, flags, Mode::empty())?;
    progress.rootfs = Some(Rootfs::new(Dir::from((root, PathBuf::from("/")))));
    Ok(())
}

/// pivot_root(2) onto itself stacks the old root upon the new one, from where
/// it is taken off (pivot_root(2), "pivot_root(".", ".")").
fn pivot_root(rootfs: &Rootfs) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = rustix::fs::open(".", flags, Mode::empty())?;
    let old_root = rustix::fs::open("/", flags, Mode::empty())?;
    rustix::process::fchdir(rootfs.root())?;
    rustix::process::pivot_root(".", ".")?;
    rustix::process::fchdir(&old_root)?;
    unmount(".", UnmountFlags::DETACH)?;
    // Back to the working directory, which lies in the new root.
    rustix::process::fchdir(here)
}

/// Where in the root `path` is, or `None` if it is not there.
fn find(rootfs: &Rootfs, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    match rootfs.locate(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) => match errno_of_chain(&error) {
            Errno::NOENT | Errno::NOTDIR | Errno::ACCESS => Ok(None),
            errno => Err(errno),
        },
    }
}

fn mask(rootfs: &Rootfs, path: &Path) -> Result<(), Errno> {
    let Some(target) = find(rootfs, path)? else { return Ok(()) };
    let stat = rustix::fs::fstat(&target)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let options = [(c"size", c"4096"), (c"mode", c"0755")];
        let cover = source::new_filesystem(c"tmpfs", &options, attributes)?;
        return source::attach(cover.as_fd(), target.as_fd());
    }
    let Some(null) = find(rootfs, Path::new("/dev/null"))? else { return Err(Errno::NOENT) };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let cover = open_tree(null, "", flags)?;
    source::attach(cover.as_fd(), target.as_fd())
}

fn make_read_only(rootfs: &Rootfs, path: &Path) -> Result<(), Errno> {
    let Some(target) = find(rootfs, path)? else { return Ok(()) };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let cover = open_tree(&target, "", flags)?;
    change_tree(cover.as_fd(), READ_ONLY)?;
    source::attach(cover.as_fd(), target.as_fd())
}

/// The errno in an I/O error; `EIO` if it has none.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO))
}

/// The errno at the end of an error's chain.
fn errno_of_chain(error: &crate::error::Error) -> Errno {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return errno_of(io);
        }
        cause = error.source();
    }
    match error.kind() {
        // A directory where a file is wanted, or the reverse.
        crate::error::Kind::Invalid => Errno::NOTDIR,
        crate::error::Kind::Denied => Errno::LOOP,
        _ => Errno::IO,
    }
}

/// nix's errno as rustix's.
pub fn from_nix(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// A C string of `text`; a NUL byte in it is an error of the caller's input.
///
/// # Errors
/// `Invalid`, with the text.
pub fn c_string(text: &str) -> crate::error::Result<CString> {
    CString::new(text)
        .map_err(|_| crate::error::Error::invalid(format!("{text:?} contains a NUL byte")))
}
