//! From a request and a rootfs to the runtime's spec: everything that only
//! the rootfs can tell (users, locales, terminals, programs) is looked up
//! here, and docker's defaults are filled in.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, Rootfs};
use crate::id::ContainerId;
use crate::runtime::join::{Doors, Target};
use crate::runtime::spec::{
    Access, HooksSpec, Links, MountSource, MountSpec, NetworkNamespace, ProcessSpec, Propagation,
    Restrictions, RlimitSpec, RuntimeSpec, SeccompSpec, SysctlSpec,
};

use super::options::dns::resolv_conf;
use super::options::isolation::IsolationOptions;
use super::options::mount::{self as option, MissingSource, MountKind, Recursion};
use super::options::namespace::UtsMode;
use super::options::security::SeccompOption;
use super::options::user::ResolvedUser;
use super::request::{ContainerRequest, Limit, MountRequest};
use super::volumes::AttachedVolumes;
use super::{Host, Settings, cdi, devices, fallback, neighbors, users};

/// docker's `PATH` where an image sets none.
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Paths that tell or do too much (docker's list, `oci/defaults.go`; the
/// runtime spec leaves them to the caller).
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a spec depends on beside request and rootfs.
pub(super) struct Surroundings<'a> {
    /// The caller.
    pub settings: &'a Settings,
    /// The host.
    pub host: Host,
    /// The container.
    pub id: &'a ContainerId,
    /// A directory of this container's own on the host.
    pub scratch: &'a Path,
    /// What is mounted for the volumes of the request.
    pub volumes: &'a AttachedVolumes,
    /// Whose namespaces it shares.
    pub doors: &'a Doors,
    /// The architecture of the rootfs, if it is known.
    pub is_32bit: bool,
}

/// Makes the spec of `request` on `rootfs`, which is mounted but for what the
/// spec itself mounts.
///
/// # Errors
/// `Invalid` for what makes no sense in this rootfs; those of the files.
pub(super) fn spec(
    request: &ContainerRequest,
    rootfs: &Rootfs,
    around: &Surroundings<'_>,
) -> Result<RuntimeSpec> {
    let isolation = &request.isolation;
    let mut user = users::find(rootfs, &request.user)?;
    add_groups(&mut user, rootfs, isolation, around.host)?;
    if !request.read_only {
        let name = around.settings.caller.name.as_deref().unwrap_or("builder");
        users::ensure_entries(rootfs, &user, name)?;
    }
    let hostname = match &request.hostname {
        Some(hostname) => hostname.as_str().to_owned(),
        None if isolation.uts == UtsMode::Host => {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        }
        None => around.id.short().to_owned(),
    };
    let env = environment(request, rootfs, &user, &hostname);
    let path = variable(&env, "PATH").unwrap_or(DEFAULT_PATH).to_owned();
    let masked = !request.security.unmasked_paths && !isolation.privileged;
    let paths =
        |list: &[&str]| if masked { list.iter().map(PathBuf::from).collect() } else { Vec::new() };
    let (network, ipc, pid) = neighbors::namespaces(request, around.doors);
    let mut spec = RuntimeSpec {
        hooks: HooksSpec::default(),
        mounts: mounts(request, around, &hostname)?,
        hostname: (isolation.uts == UtsMode::Private).then_some(hostname),
        domain: isolation.domain.as_ref().map(|domain| domain.as_str().to_owned()),
        ipc,
        pid,
        sysctls: isolation
            .sysctls
            .iter()
            .map(|sysctl| SysctlSpec { path: sysctl.path(), value: sysctl.value().to_owned() })
            .collect(),
        devices: devices::find(isolation, around.host.user_namespace)?,
        read_only_root: request.read_only,
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READONLY_PATHS),
        network,
        process: ProcessSpec {
            args: fallback::command(rootfs, &request.commands, &path),
            env: env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            cwd: fs::clean(&request.working_directory),
            init: request.init,
            terminal: request.terminal.is_new(),
            uid: user.uid,
            gid: user.gid,
            groups: user.additional_gids,
            umask: 0o022,
            oom_score_adj: request.resources.oom_score_adj,
            rlimits: request.limits.iter().map(limit).collect::<Result<_>>()?,
            capabilities: request.capabilities,
            no_new_privileges: request.security.no_new_privileges,
            seccomp: seccomp(request, around)?,
            personality_32bit: around.is_32bit,
            keep_descriptors: request.keep_descriptors.clone(),
        },
    };
    cdi::apply(isolation, around, &mut spec)?;
    Ok(spec)
}

/// Puts the user into the groups of `--group-add`.
fn add_groups(
    user: &mut ResolvedUser,
    rootfs: &Rootfs,
    isolation: &IsolationOptions,
    host: Host,
) -> Result<()> {
    if isolation.groups.is_empty() {
        return Ok(());
    }
    if host.has_single_id() {
        return Err(Error::unsupported("--group-add: this user has no sub-IDs, so no other group")
            .hint("apt-get install uidmap, and add a range to /etc/subuid and /etc/subgid"));
    }
    users::add_groups(rootfs, user, &isolation.groups)
}

fn variable<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What was asked for, and what has to be there: `PATH`, `HOME`, `HOSTNAME`
/// where a terminal or docker has it, and the first locale and terminal that
/// the rootfs knows. Later entries of one name replace earlier ones.
fn environment(
    request: &ContainerRequest,
    rootfs: &Rootfs,
    user: &ResolvedUser,
    hostname: &str,
) -> Vec<(String, String)> {
    let home = if user.home.is_empty() { "/" } else { user.home.as_str() };
    let mut env: Vec<(String, String)> = vec![
        ("PATH".into(), DEFAULT_PATH.into()),
        ("HOSTNAME".into(), hostname.into()),
        ("HOME".into(), home.into()),
    ];
    if let Some(term) = fallback::terminal_type(rootfs, &request.terminal_types) {
        env.push(("TERM".into(), term.into()));
    }
    if let Some(locale) = fallback::locale(rootfs, &request.locales) {
        env.push(("LANG".into(), locale.into()));
    }
    for (name, value) in &request.environment {
        match env.iter_mut().find(|(key, _)| key == name) {
            Some(entry) => entry.1.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    env
}

/// A limit as the kernel takes it. What nobody asked for by name is lowered
/// to the hard limit of this process where that may not be raised.
fn limit(limit: &Limit) -> Result<RlimitSpec> {
    let number = limit.ulimit.resource.number();
    let (mut soft, mut hard) = (limit.ulimit.soft.raw(), limit.ulimit.hard.raw());
    if !limit.explicit {
        let ceiling = crate::runtime::hard_limit(number)?;
        hard = hard.min(ceiling);
        soft = soft.min(hard);
    }
    Ok(RlimitSpec { resource: number, soft, hard })
}

fn seccomp(request: &ContainerRequest, around: &Surroundings<'_>) -> Result<SeccompSpec> {
    match &request.security.seccomp {
        SeccompOption::Default if request.isolation.privileged => Ok(SeccompSpec::Unconfined),
        SeccompOption::Default => {
            Ok(SeccompSpec::Default { chown_succeeds: around.host.has_single_id() })
        }
        SeccompOption::Unconfined => Ok(SeccompSpec::Unconfined),
        SeccompOption::File(path) => {
            let path = around.settings.absolute(path);
            let json = serde_json::from_slice(&fs::read(&path)?).map_err(|error| {
                Error::invalid(format!("{} is not JSON", path.display())).because(error)
            })?;
            Ok(SeccompSpec::Profile(json))
        }
    }
}

fn mounts(
    request: &ContainerRequest,
    around: &Surroundings<'_>,
    hostname: &str,
) -> Result<Vec<MountSpec>> {
    let system = |source, target: &str| MountSpec {
        source,
        target: PathBuf::from(target),
        access: Access::Writable,
    };
    let mut mounts = vec![
        system(MountSource::Proc, "/proc"),
        system(MountSource::Devices { shm_size: request.shm_size }, "/dev"),
        MountSpec {
            access: match request.isolation.privileged {
                true => Access::Writable,
                false => Access::ReadOnly,
            },
            ..system(MountSource::Sysfs, "/sys")
        },
    ];
    mounts.extend(name_files(request, around, hostname)?);
    for mount in &request.mounts {
        // A mount over a file that envbox makes replaces it.
        mounts.retain(|other| other.target != Path::new(&mount.option.target));
        mounts.push(user_mount(mount, around)?);
    }
    Ok(mounts)
}

/// `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`: docker's three files
/// that belong to the container and not to its image. Without a network there
/// is no resolver, so the image's own file stays unless `--dns` or its kin say
/// what is in it.
fn name_files(
    request: &ContainerRequest,
    around: &Surroundings<'_>,
    hostname: &str,
) -> Result<Vec<MountSpec>> {
    let files = match &around.doors.network {
        Some(target) => joined_files(target, hostname)?,
        None => own_files(request, hostname)?,
    };
    let mut mounts = Vec::new();
    for (name, content) in files {
        let path = around.scratch.join(name);
        fs::write_plain(&path, &content)?;
        mounts.push(MountSpec {
            source: MountSource::Bind {
                path,
                recursive: false,
                propagation: Propagation::RPrivate,
                owner: None,
                links: Links::Refuse,
                restrictions: Restrictions::default(),
            },
            target: Path::new("/etc").join(name),
            access: Access::Writable,
        });
    }
    Ok(mounts)
}

/// A file of `/etc`: its name, and what is in it.
type NameFile = (&'static str, Vec<u8>);

/// The files of the container whose network is shared, as they are now.
fn joined_files(target: &Target, hostname: &str) -> Result<Vec<NameFile>> {
    let mut files = vec![("hostname", format!("{hostname}\n").into_bytes())];
    for (name, path) in [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")] {
        files.extend(neighbors::file(target, path)?.map(|content| (name, content)));
    }
    Ok(files)
}

fn own_files(request: &ContainerRequest, hostname: &str) -> Result<Vec<NameFile>> {
    let isolation = &request.isolation;
    let lists = (
        isolation.name_servers.as_slice(),
        isolation.search_domains.as_slice(),
        isolation.resolver_options.as_slice(),
    );
    let has_resolver = !(lists.0.is_empty() && lists.1.is_empty() && lists.2.is_empty());
    let mut files = vec![("hostname", format!("{hostname}\n").into_bytes())];
    let (mut hosts, resolver) = match request.network {
        NetworkNamespace::Isolated | NetworkNamespace::Joined => {
            let name = match &isolation.domain {
                Some(domain) => format!("{hostname}.{domain} {hostname}"),
                None => hostname.to_owned(),
            };
            let hosts = format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost {name}\n");
            (hosts.into_bytes(), has_resolver.then(Vec::new))
        }
        NetworkNamespace::Host => {
            let host = |path: &str| Ok(fs::read_optional(Path::new(path))?.unwrap_or_default());
            (host("/etc/hosts")?, Some(host("/etc/resolv.conf")?))
        }
    };
    if hosts.last().is_some_and(|&last| last != b'\n') {
        hosts.push(b'\n');
    }
    hosts.extend(isolation.extra_hosts.iter().flat_map(|host| host.line().into_bytes()));
    files.push(("hosts", hosts));
    let resolver = resolver.map(|host| match has_resolver {
        true => resolv_conf(&host, lists),
        false => host,
    });
    files.extend(resolver.map(|content| ("resolv.conf", content)));
    Ok(files)
}

fn user_mount(request: &MountRequest, around: &Surroundings<'_>) -> Result<MountSpec> {
    let mount = request.option.clone().absolute(&around.settings.working_directory);
    let target = PathBuf::from(&mount.target);
    let read_only = if mount.read_only { Access::ReadOnly } else { Access::Writable };
    match mount.kind {
        MountKind::Tmpfs(tmpfs) => Ok(MountSpec {
            source: MountSource::Tmpfs { options: tmpfs.mount_options() },
            target,
            access: read_only,
        }),
        MountKind::Volume(volume) => {
            if volume.relabel.is_some() {
                check_no_selinux()?;
            }
            let (source, access) = around.volumes.source(&mount.target, read_only)?;
            Ok(MountSpec { source, target, access })
        }
        MountKind::Bind(bind) => {
            if bind.relabel.is_some() {
                check_no_selinux()?;
            }
            if bind.missing == MissingSource::Create && fs::metadata(&bind.source)?.is_none() {
                fs::ensure_dir(&bind.source, 0o755)?;
            }
            let access = match (mount.read_only, bind.recursion) {
                (true, Recursion::Writable) => Access::ReadOnlyTop,
                _ => read_only,
            };
            Ok(MountSpec {
                source: MountSource::Bind {
                    path: bind.source,
                    recursive: bind.recursion != Recursion::Disabled,
                    propagation: propagation(bind.propagation),
                    owner: request.owner,
                    links: request.links,
                    restrictions: Restrictions::default(),
                },
                target,
                access,
            })
        }
    }
}

/// Without SELinux there is nothing to label, as in docker.
fn check_no_selinux() -> Result<()> {
    if fs::metadata(Path::new("/sys/fs/selinux/enforce"))?.is_none() {
        return Ok(());
    }
    Err(Error::unsupported("mount options z and Z: envbox sets no SELinux labels")
        .hint("label the directory once: chcon -Rt container_file_t DIRECTORY"))
}

fn propagation(option: option::Propagation) -> Propagation {
    match option {
        option::Propagation::Private => Propagation::Private,
        option::Propagation::RPrivate => Propagation::RPrivate,
        option::Propagation::Slave => Propagation::Slave,
        option::Propagation::RSlave => Propagation::RSlave,
        option::Propagation::Shared => Propagation::Shared,
        option::Propagation::RShared => Propagation::RShared,
    }
}
