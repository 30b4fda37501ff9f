//! From a spec to a list of steps: the pure half of a start, but for the
//! mounts that are made ready here so that their errors have words.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs;
use crate::sys::process::Namespaces;
use crate::sys::seccomp::Instruction;
use nix::sys::resource::Resource;

use super::capability::CapabilitySet;
use super::cgroup::Cgroup;
use super::credentials::Credentials;
use super::exec::{self, Program, Role};
use super::hook::Hook;
use super::idmap::{IdMap, UserNamespace};
use super::join::{self, Doors};
use super::nfs;
use super::seccomp::{self, CHOWN_SYSCALLS, KernelVersion, Overrides, Subject};
use super::source::{self, BindOptions};
use super::spec::{
    Access, DeviceSpec, IpcNamespace, Links, MountSource, MountSpec, NetworkNamespace,
    NodeAttributes, PidNamespace, ProcessSpec, Propagation, Restrictions, RuntimeSpec, SeccompSpec,
};
use super::step::{Attachable, Place, Step};
use super::terminal::Console;

/// Everything a start needs, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The namespaces of the first process.
    pub namespaces: Namespaces,
    /// The cgroup that it is born in: on v1 it goes there by a step.
    pub group: Option<OwnedFd>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// Where it is to live among another container's processes, the number of
    /// the step before which it is born there: those before are a joiner's.
    pub born_at: Option<usize>,
    /// Descriptors that the program gets under their own numbers.
    pub passed: Vec<i32>,
    /// What it executes at the end.
    pub program: Program,
    /// Paths of the host on a file system that cannot show their owner as
    /// root: what is written there belongs to the container's user.
    pub unmapped: Vec<PathBuf>,
}

/// What a plan depends on beside the spec.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// Whether the process is in a user namespace of ours.
    pub user_namespace: UserNamespace,
    /// The map of that namespace.
    pub id_map: Option<IdMap>,
    /// Any directory that exists: the root is hung upon it, out of sight.
    pub anchor: &'a Path,
    /// The container's cgroup, if it has one.
    pub group: Option<&'a Cgroup>,
    /// Whose namespaces it shares, where the spec says that it joins one.
    pub doors: &'a Doors,
}

/// Plans the start of `spec` on the detached mount `rootfs`.
///
/// # Errors
/// `Invalid` for a spec that makes no sense; those of preparing the mounts.
pub fn plan(spec: &RuntimeSpec, rootfs: OwnedFd, environment: &Environment<'_>) -> Result<Plan> {
    let group = environment.group.map(Cgroup::directory).transpose()?.flatten();
    let mut steps = vec![Step::FollowParent];
    let mut namespaces = namespaces(spec);
    match environment.group {
        Some(own) if group.is_none() => steps.push(Step::EnterGroup(own.entrance()?)),
        _ => namespaces = namespaces.with(Namespaces::CGROUP),
    }
    steps.extend(spec.process.oom_score_adj.map(Step::OomScore));
    steps.extend([Step::Hide, Step::NewSession]);
    join_steps(spec, environment.doors, &mut steps)?;
    steps.extend(spec.hostname.clone().map(Step::Hostname));
    steps.extend(spec.domain.clone().map(Step::DomainName));
    if spec.network == NetworkNamespace::Isolated {
        steps.push(Step::Loopback);
    }
    steps.extend(spec.sysctls.iter().cloned().map(Step::Sysctl));
    steps.push(Step::PrivateMounts);
    steps.push(Step::AttachRoot { mount: rootfs, at: environment.anchor.to_owned() });
    let mut unmapped = Vec::new();
    for mount in &spec.mounts {
        unmapped.extend(mount_steps(mount, (spec, environment), &mut steps)?);
    }
    more_devices(spec, environment.user_namespace, &mut steps)?;
    for hook in &spec.hooks.create_container {
        steps.push(Step::Hook(Hook::new(hook, &spec.hooks)));
    }
    steps.extend(spec.readonly_paths.iter().cloned().map(Step::ReadOnly));
    steps.extend(spec.masked_paths.iter().cloned().map(Step::Mask));
    steps.push(Step::WorkingDirectory(spec.process.cwd.clone()));
    steps.push(Step::PivotRoot);
    let born_at = birth(spec, environment.doors, &mut steps)?;
    if spec.process.terminal {
        let console = Console::Container;
        steps.push(Step::Terminal { uid: spec.process.uid, console });
    }
    if spec.read_only_root {
        steps.push(Step::ReadOnlyRoot);
    }
    let process = &spec.process;
    let filtered = filter(&process.seccomp, process.capabilities)?;
    let may_set_groups = environment.id_map != Some(IdMap::Single);
    process_steps(process, filtered, may_set_groups, &mut steps)?;
    let launcher = exec::sealed_program(crate::sys::init::INIT)?;
    let role = if process.init { Role::Init } else { Role::Launcher };
    let program = Program::new(&process.args, &process.env, (launcher, role))?;
    let passed = process.keep_descriptors.clone();
    Ok(Plan { namespaces, group, steps, born_at, passed, program, unmapped })
}

/// Other containers' namespaces, but the PID one.
fn join_steps(spec: &RuntimeSpec, doors: &Doors, steps: &mut Vec<Step>) -> Result<()> {
    if spec.network == NetworkNamespace::Joined {
        steps.push(door(doors.network.as_ref())?.step(Namespaces::NETWORK, "network")?);
    }
    if spec.ipc == IpcNamespace::Joined {
        steps.push(door(doors.ipc.as_ref())?.step(Namespaces::IPC, "IPC")?);
    }
    Ok(())
}

/// Where the container is born among another one's processes, if it is: the
/// number of the first step that is not the joiner's.
fn birth(spec: &RuntimeSpec, doors: &Doors, steps: &mut Vec<Step>) -> Result<Option<usize>> {
    if spec.pid != PidNamespace::Joined {
        return Ok(None);
    }
    steps.push(door(doors.pid.as_ref())?.step(Namespaces::PID, "PID")?);
    let born_at = steps.len();
    steps.extend([Step::FollowParent, Step::NewSession, Step::OpenRoot]);
    Ok(Some(born_at))
}

fn door(target: Option<&join::Target>) -> Result<&join::Target> {
    target.ok_or_else(|| Error::internal("there is no container to join"))
}

/// All but the cgroup's, which depends on the group.
fn namespaces(spec: &RuntimeSpec) -> Namespaces {
    let mut namespaces = Namespaces::MOUNT;
    if spec.pid == PidNamespace::Private {
        namespaces = namespaces.with(Namespaces::PID);
    }
    if spec.hostname.is_some() {
        namespaces = namespaces.with(Namespaces::UTS);
    }
    if matches!(spec.ipc, IpcNamespace::Private | IpcNamespace::None) {
        namespaces = namespaces.with(Namespaces::IPC);
    }
    match spec.network {
        NetworkNamespace::Isolated => namespaces.with(Namespaces::NETWORK),
        NetworkNamespace::Host | NetworkNamespace::Joined => namespaces,
    }
}

/// The path, if its owner cannot be shown as root.
fn mount_steps(
    mount: &MountSpec,
    (spec, environment): (&RuntimeSpec, &Environment<'_>),
    steps: &mut Vec<Step>,
) -> Result<Option<PathBuf>> {
    let attach = |mount, target, place| Step::Attach { mount, target, place };
    let target = fs::clean(&mount.target);
    if target == Path::new("/") {
        return Err(Error::invalid("cannot mount over the root directory of the container"));
    }
    match &mount.source {
        MountSource::Proc => {
            steps.push(attach(procfs(spec, environment)?, target, Place::PlainDirectory));
        }
        MountSource::Sysfs => {
            steps.push(attach(Attachable::Sysfs(mount.access), target, Place::PlainDirectory));
        }
        MountSource::Tmpfs { options } => {
            let mut options = options.clone();
            if mount.access != Access::Writable {
                options.push("ro".into());
            }
            let tmpfs = source::tmpfs(&options)?;
            steps.push(attach(Attachable::Ready(tmpfs), target, Place::Directory));
        }
        MountSource::Nfs(export) => {
            let mounted = nfs::mount(export, mount.access, environment.user_namespace)?;
            steps.push(attach(Attachable::Ready(mounted), target, Place::Directory));
        }
        MountSource::Bind { path, recursive, propagation, owner, links, restrictions } => {
            let options = BindOptions {
                recursive: *recursive,
                access: mount.access,
                propagation: *propagation,
                owner: *owner,
                links: *links,
                restrictions: *restrictions,
                user_namespace: environment.user_namespace,
            };
            let bound = source::bind(path, options)?;
            let place = if bound.is_dir { Place::Directory } else { Place::File };
            steps.push(attach(Attachable::Ready(bound.tree), target, place));
            return Ok((!bound.is_mapped).then(|| path.clone()));
        }
        MountSource::Devices { shm_size } => {
            device_steps((&target, *shm_size), spec, environment, steps)?;
        }
    }
    Ok(None)
}

/// procfs of the PID namespace. The host's is not an ordinary user's to mount,
/// but there to be bound.
fn procfs(spec: &RuntimeSpec, environment: &Environment<'_>) -> Result<Attachable> {
    match (spec.pid, environment.user_namespace) {
        (PidNamespace::Joined, _) => {
            join::proc(door(environment.doors.pid.as_ref())?).map(Attachable::Ready)
        }
        (PidNamespace::Host, UserNamespace::Entered) => {
            source::clone_tree(Path::new("/proc"), true).map(Attachable::Ready)
        }
        _ => Ok(Attachable::Proc),
    }
}

fn device_steps(
    (dev, shm_size): (&Path, u64),
    spec: &RuntimeSpec,
    environment: &Environment<'_>,
    steps: &mut Vec<Step>,
) -> Result<()> {
    let user_namespace = environment.user_namespace;
    let mut attach = |mount: Attachable, target: PathBuf, place: Place| {
        steps.push(Step::Attach { mount, target, place });
    };
    let devices = source::devices()?;
    let devices = match user_namespace {
        UserNamespace::Inherited => {
            let more: Vec<fs::Metadata> =
                spec.devices.iter().map(device_metadata).collect::<Result<_>>()?;
            Attachable::Devices(devices, source::device_nodes(&more)?, more.len())
        }
        UserNamespace::Entered => Attachable::Ready(devices),
    };
    attach(devices, dev.to_owned(), Place::PlainDirectory);
    attach(Attachable::Ready(source::devpts()?), dev.join("pts"), Place::PlainDirectory);
    if spec.ipc == IpcNamespace::Private {
        let size = format!("size={shm_size}");
        let options = ["nosuid", "nodev", "noexec", "mode=1777", &size].map(str::to_owned);
        let shm = source::tmpfs(&options)?;
        attach(Attachable::Ready(shm), dev.join("shm"), Place::PlainDirectory);
    }
    if spec.ipc == IpcNamespace::Joined {
        let shm = join::shared_memory(door(environment.doors.ipc.as_ref())?)?;
        attach(Attachable::Ready(shm), dev.join("shm"), Place::PlainDirectory);
    }
    if spec.ipc == IpcNamespace::Host {
        for name in ["shm", "mqueue"] {
            let path = Path::new("/dev").join(name);
            if fs::metadata(&path)?.is_some() {
                let bound = source::bind(&path, host_ipc(user_namespace))?;
                attach(Attachable::Ready(bound.tree), dev.join(name), Place::PlainDirectory);
            }
        }
    } else {
        attach(Attachable::Mqueue, dev.join("mqueue"), Place::PlainDirectory);
    }
    if user_namespace == UserNamespace::Entered {
        for (name, ..) in source::DEVICES {
            let node = source::clone_tree(&Path::new("/dev").join(name), false)?;
            attach(Attachable::Ready(node), dev.join(name), Place::File);
        }
    }
    Ok(())
}

/// How the host's file systems of an IPC namespace are bound.
fn host_ipc(user_namespace: UserNamespace) -> BindOptions {
    BindOptions {
        recursive: true,
        access: Access::Writable,
        propagation: Propagation::RPrivate,
        owner: None,
        links: Links::Follow,
        restrictions: Restrictions::default(),
        user_namespace,
    }
}

/// Hangs the spec's devices upon their places: nodes that came with `/dev`, or
/// the host's own where none can be made.
fn more_devices(
    spec: &RuntimeSpec,
    user_namespace: UserNamespace,
    steps: &mut Vec<Step>,
) -> Result<()> {
    let is_dev = |mount: &MountSpec| matches!(mount.source, MountSource::Devices { .. });
    let made = user_namespace == UserNamespace::Inherited && spec.mounts.iter().any(is_dev);
    for (number, device) in spec.devices.iter().enumerate() {
        let mount = if made {
            Attachable::Device(number)
        } else {
            Attachable::Ready(source::clone_tree(&device.source, false)?)
        };
        let target = fs::clean(&device.target);
        steps.push(Step::Attach { mount, target, place: Place::File });
    }
    Ok(())
}

fn device_metadata(device: &DeviceSpec) -> Result<fs::Metadata> {
    let path = &device.source;
    let found = fs::metadata(path)?.filter(|found| found.kind.is_device());
    let mut found =
        found.ok_or_else(|| Error::invalid(format!("{} is not a device node", path.display())))?;
    let NodeAttributes { uid, gid, mode } = device.attributes;
    found.uid = uid.unwrap_or(found.uid);
    found.gid = gid.unwrap_or(found.gid);
    found.mode = mode.unwrap_or(found.mode);
    Ok(found)
}

/// What makes a process no more than `process` may be. `may_set_groups` is
/// whether the user namespace allows setgroups(2).
pub(super) fn process_steps(
    process: &ProcessSpec,
    filter: Vec<Instruction>,
    may_set_groups: bool,
    steps: &mut Vec<Step>,
) -> Result<()> {
    for limit in &process.rlimits {
        let resource = resource(limit.resource)?;
        steps.push(Step::Limit { resource, soft: limit.soft, hard: limit.hard });
    }
    if process.personality_32bit {
        steps.push(Step::Personality32);
    }
    steps.push(Step::CloseDescriptors(process.keep_descriptors.clone()));
    steps.push(Step::Credentials(Credentials {
        uid: process.uid,
        gid: process.gid,
        groups: may_set_groups.then(|| process.groups.clone()),
        umask: process.umask,
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        filter,
    }));
    // A change of user clears the signal (prctl(2), PR_SET_PDEATHSIG).
    if (process.uid, process.gid) != (0, 0) {
        steps.push(Step::FollowParent);
    }
    Ok(())
}

/// The hard limit of this process for resource `number`.
///
/// # Errors
/// `Invalid` for an unknown number.
pub fn hard_limit(number: u32) -> Result<u64> {
    nix::sys::resource::getrlimit(resource(number)?)
        .map(|(_, hard)| hard)
        .map_err(|error| Error::io_named("cannot read a resource limit", error))
}

fn resource(number: u32) -> Result<Resource> {
    // glibc's enum of resources; the numbers are the kernel's.
    let all = [
        Resource::RLIMIT_CPU,
        Resource::RLIMIT_FSIZE,
        Resource::RLIMIT_DATA,
        Resource::RLIMIT_STACK,
        Resource::RLIMIT_CORE,
        Resource::RLIMIT_RSS,
        Resource::RLIMIT_NPROC,
        Resource::RLIMIT_NOFILE,
        Resource::RLIMIT_MEMLOCK,
        Resource::RLIMIT_AS,
        Resource::RLIMIT_LOCKS,
        Resource::RLIMIT_SIGPENDING,
        Resource::RLIMIT_MSGQUEUE,
        Resource::RLIMIT_NICE,
        Resource::RLIMIT_RTPRIO,
        Resource::RLIMIT_RTTIME,
    ];
    all.into_iter()
        .find(|resource| *resource as u32 == number)
        .ok_or_else(|| Error::invalid(format!("unknown resource limit {number}")))
}

/// The filter of `spec` for a process with `capabilities`; empty for none.
pub(super) fn filter(spec: &SeccompSpec, capabilities: CapabilitySet) -> Result<Vec<Instruction>> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = KernelVersion::from_release(&release).unwrap_or(Subject::USUAL.kernel);
    let subject = Subject { capabilities, kernel };
    let program = match spec {
        SeccompSpec::Unconfined => return Ok(Vec::new()),
        SeccompSpec::Default { chown_succeeds } => {
            let succeed: &[&str] = if *chown_succeeds { CHOWN_SYSCALLS } else { &[] };
            seccomp::program(seccomp::default_policy(), &subject, Overrides { succeed })?
        }
        SeccompSpec::Profile(json) => {
            let policy = seccomp::parse_profile(json.to_string().as_bytes())?;
            let owned = seccomp::program(&policy, &subject, Overrides::default())?;
            std::borrow::Cow::Owned(owned.into_owned())
        }
    };
    let instruction = |filter: &seccomp::SockFilter| Instruction {
        code: filter.code,
        jt: filter.jt,
        jf: filter.jf,
        k: filter.k,
    };
    Ok(program.iter().map(instruction).collect())
}
