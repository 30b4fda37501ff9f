//! What a device's file says, put into a container's spec. Everything that is
//! asked for is given or refused by its name; nothing is left out.

use std::path::{Path, PathBuf};

use super::file::{ContainerEdits, DeviceNode, Hook, Mount};
use crate::engine::Host;
use crate::engine::options::device::check_permissions;
use crate::error::{Error, Result};
use crate::fs;
use crate::runtime::idmap::UserNamespace;
use crate::runtime::spec::{
    Access, DeviceSpec, HookSpec, Links, MountSource, MountSpec, NodeAttributes, Propagation,
    Restrictions, RuntimeSpec,
};

/// Makes the edits.
///
/// # Errors
/// `Invalid` for what makes no sense, `NotFound` for a node that the host has
/// not, `Unsupported` for what envbox does not do.
pub(super) fn apply(edits: &ContainerEdits, host: Host, spec: &mut RuntimeSpec) -> Result<()> {
    let ContainerEdits {
        env,
        device_nodes,
        hooks,
        mounts,
        intel_rdt,
        additional_gids,
        net_devices,
    } = edits;
    let later = "ask its vendor's tool for a file without it, or give the nodes by --device PATH";
    if intel_rdt.is_some() {
        return Err(Error::unsupported("intelRdt is not supported").hint(later));
    }
    if !net_devices.is_empty() {
        return Err(Error::unsupported("netDevices are not supported").hint(later));
    }
    for variable in env {
        set_variable(variable, &mut spec.process.env)?;
    }
    for node in device_nodes {
        let device = device(node)?;
        spec.devices.retain(|other| other.target != device.target);
        spec.devices.push(device);
    }
    for mount in mounts {
        let mount = mount_spec(mount, host)?;
        spec.mounts.retain(|other| other.target != mount.target);
        spec.mounts.push(mount);
    }
    for hook in hooks {
        spec.hooks.create_container.push(hook_spec(hook)?);
    }
    add_groups(additional_gids, host, &mut spec.process.groups)
}

/// Puts a mount behind those above it, the rest as they are: a device's mounts
/// come in the order of its file, which need not be one that works.
pub(super) fn order(mounts: &mut [MountSpec]) {
    mounts.sort_by_key(|mount| mount.target.components().count());
}

fn set_variable(variable: &str, env: &mut Vec<String>) -> Result<()> {
    let name = name_of(variable)?;
    env.retain(|other| other.split_once('=').is_none_or(|(other, _)| other != name));
    env.push(variable.to_owned());
    Ok(())
}

/// The name of `NAME=value`.
fn name_of(variable: &str) -> Result<&str> {
    let name = variable.split_once('=').map(|(name, _)| name).filter(|name| !name.is_empty());
    name.filter(|_| !variable.contains('\0'))
        .ok_or_else(|| Error::invalid(format!("invalid environment variable {variable:?}")))
}

/// A path as it may stand in a file: absolute.
fn absolute(what: &str, path: &Path) -> Result<PathBuf> {
    if !path.is_absolute() || path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::invalid(format!("{what} {path:?} is not an absolute path")));
    }
    Ok(path.to_owned())
}

fn device(node: &DeviceNode) -> Result<DeviceSpec> {
    let target = fs::clean(&absolute("path", &node.path)?);
    let source = absolute("hostPath", node.host_path.as_ref().unwrap_or(&node.path))?;
    check_permissions(node.permissions.as_deref().filter(|all| !all.is_empty()).unwrap_or("rwm"))
        .map_err(|error| error.context(format!("device node {}", target.display())))?;
    let shown = source.display();
    let found = fs::metadata(&source)?.ok_or_else(|| {
        Error::not_found(format!("the host has no device node {shown}"))
            .hint("load the driver, or make the file anew: it may be of another machine or driver")
    })?;
    let right = match node.kind.as_deref().unwrap_or_default() {
        "" => found.kind.is_device(),
        "b" => found.kind == fs::FileKind::BlockDevice,
        "c" | "u" => found.kind == fs::FileKind::CharDevice,
        "p" => return Err(Error::unsupported(format!("FIFO {shown}: only devices are given"))),
        other => return Err(Error::invalid(format!("device type {other:?} of {shown}"))),
    };
    if !right {
        let wanted = node.kind.as_deref().unwrap_or("b or c");
        return Err(Error::invalid(format!("{shown} is no device node of type {wanted}")));
    }
    let attributes = NodeAttributes { uid: node.uid, gid: node.gid, mode: node.file_mode };
    Ok(DeviceSpec { source, target, attributes })
}

fn mount_spec(mount: &Mount, host: Host) -> Result<MountSpec> {
    let target = fs::clean(&absolute("containerPath", &mount.container_path)?);
    let mut options = Options::default();
    for option in &mount.options {
        let known = options.take(option);
        let is_tmpfs = mount.kind.as_deref() == Some("tmpfs");
        if !known && !is_tmpfs {
            return Err(Error::unsupported(format!(
                "mount option {option:?} of {}",
                target.display()
            )));
        }
    }
    let source = match mount.kind.as_deref().unwrap_or_default() {
        "" | "bind" | "none" => MountSource::Bind {
            path: absolute("hostPath", &mount.host_path)?,
            // In a user namespace nothing can be uncovered.
            recursive: options.recursive || host.user_namespace == UserNamespace::Entered,
            propagation: options.propagation,
            owner: None,
            links: Links::Follow,
            restrictions: options.restrictions,
        },
        "tmpfs" => MountSource::Tmpfs { options: mount.options.clone() },
        other => {
            return Err(Error::unsupported(format!(
                "mount of type {other:?} at {}",
                target.display()
            )));
        }
    };
    Ok(MountSpec { source, target, access: options.access })
}

/// What the words of a bind mount come to.
#[derive(Default)]
struct Options {
    access: Access,
    recursive: bool,
    propagation: Propagation,
    restrictions: Restrictions,
}

impl Options {
    /// Takes a word; false if it is not known.
    fn take(&mut self, option: &str) -> bool {
        match option {
            "bind" => self.recursive = false,
            "rbind" => self.recursive = true,
            "ro" => self.access = Access::ReadOnly,
            "rw" => self.access = Access::Writable,
            "nosuid" => self.restrictions.no_suid = true,
            "nodev" => self.restrictions.no_devices = true,
            "noexec" => self.restrictions.no_exec = true,
            "private" => self.propagation = Propagation::Private,
            "rprivate" => self.propagation = Propagation::RPrivate,
            "slave" => self.propagation = Propagation::Slave,
            "rslave" => self.propagation = Propagation::RSlave,
            "shared" => self.propagation = Propagation::Shared,
            "rshared" => self.propagation = Propagation::RShared,
            _ => return false,
        }
        true
    }
}

fn hook_spec(hook: &Hook) -> Result<HookSpec> {
    let path = absolute("hook path", &hook.path)?;
    match hook.hook_name.as_str() {
        "createContainer" => {}
        "prestart" | "createRuntime" | "startContainer" | "poststart" | "poststop" => {
            return Err(Error::unsupported(format!(
                "hook {} {} is not run: envbox has createContainer hooks alone",
                hook.hook_name,
                path.display()
            ))
            .hint("ask the vendor's tool for a file without it: nvidia-ctk needs no other hook"));
        }
        other => return Err(Error::invalid(format!("invalid hook name {other:?}"))),
    }
    hook.env.iter().try_for_each(|variable| name_of(variable).map(drop))?;
    if let Some(argument) = hook.args.iter().find(|argument| argument.contains('\0')) {
        return Err(Error::invalid(format!("hook argument {argument:?} contains a NUL byte")));
    }
    Ok(HookSpec { path, args: hook.args.clone(), env: hook.env.clone(), timeout: hook.timeout })
}

/// As the specification's library, which leaves group 0 out.
fn add_groups(more: &[u32], host: Host, groups: &mut Vec<u32>) -> Result<()> {
    let new: Vec<u32> =
        more.iter().copied().filter(|gid| *gid != 0 && !groups.contains(gid)).collect();
    if !new.is_empty() && host.has_single_id() {
        return Err(Error::unsupported(
            "additionalGids: this user has no sub-IDs, so no other group",
        )
        .hint("apt-get install uidmap, and add a range to /etc/subuid and /etc/subgid"));
    }
    groups.extend(new);
    Ok(())
}
