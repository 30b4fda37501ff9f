//! The devices of the host that a container is given: those that `--device`
//! names by their paths, and with `--privileged` all of `/dev`. It looks, and opens none.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, FileKind};
use crate::runtime::idmap::UserNamespace;
use crate::runtime::source::DEVICES;
use crate::runtime::spec::DeviceSpec;

use super::options::device::{DeviceOption, NodeOption};
use super::options::isolation::IsolationOptions;

/// Names in `/dev` that are a container's own, or no device of the machine's
/// (docker's list).
const OWN: [&str; 6] = ["pts", "shm", "fd", "mqueue", "console", "ptmx"];

/// What `options` ask for.
///
/// # Errors
/// `NotFound` and `Invalid`, with docker's words, for what is no device.
pub(super) fn find(
    options: &IsolationOptions,
    user_namespace: UserNamespace,
) -> Result<Vec<DeviceSpec>> {
    let mut devices = Vec::new();
    if options.privileged {
        let dev = Path::new("/dev");
        collect(dev, dev, &mut devices)?;
        if user_namespace == UserNamespace::Entered {
            devices.retain(|device| may_use(&device.source));
        }
    }
    for option in &options.devices {
        let DeviceOption::Node(option) = option else { continue };
        let mut named = Vec::new();
        add(option, &mut named)?;
        // One that is named stands before all the others.
        devices.retain(|other| named.iter().all(|device| device.target != other.target));
        devices.append(&mut named);
    }
    Ok(devices)
}

fn add(option: &NodeOption, devices: &mut Vec<DeviceSpec>) -> Result<()> {
    let NodeOption { source, target } = option;
    let message =
        format!("error gathering device information while adding custom device {source:?}");
    let Some(found) = fs::metadata(source)? else {
        return Err(Error::not_found(format!("{message}: no such file or directory"))
            .hint("list what there is: ls -l /dev"));
    };
    if found.kind.is_device() {
        devices.push(DeviceSpec::new(source, target));
        return Ok(());
    }
    let before = devices.len();
    if found.kind == FileKind::Directory {
        collect(source, target, devices)?;
    }
    if devices.len() == before {
        return Err(Error::invalid(format!("{message}: not a device node"))
            .hint("mount a file or directory that is none by -v"));
    }
    Ok(())
}

/// The devices in a directory and below, without those behind links.
fn collect(folder: &Path, target: &Path, devices: &mut Vec<DeviceSpec>) -> Result<()> {
    let is_dev = folder == Path::new("/dev");
    let mut names = fs::list(folder)?;
    names.sort_unstable();
    for name in names {
        let standard = DEVICES.iter().any(|(device, ..)| name == *device);
        if is_dev && (standard || OWN.iter().any(|own| name == *own)) {
            continue;
        }
        let (source, target): (PathBuf, PathBuf) = (folder.join(&name), target.join(&name));
        match fs::link_metadata(&source)?.map(|found| found.kind) {
            Some(FileKind::Directory) => match collect(&source, &target, devices) {
                // What the caller may not look into the container gets no more.
                Err(error) if error.kind() == Kind::Denied => {}
                other => other?,
            },
            Some(kind) if kind.is_device() => devices.push(DeviceSpec::new(&source, &target)),
            _ => {}
        }
    }
    Ok(())
}

fn may_use(path: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(device: &str) -> IsolationOptions {
        IsolationOptions { devices: vec![device.parse().unwrap()], ..Default::default() }
    }

    #[test]
    fn a_device_is_found_and_nothing_else_is_one() {
        let find = |text: &str| find(&options(text), UserNamespace::Inherited);
        let one = DeviceSpec::new("/dev/null", "/dev/x");
        assert_eq!(find("/dev/null:/dev/x").unwrap(), [one]);
        assert!(find("/etc/passwd").unwrap_err().chain().ends_with("not a device node"));
        assert!(find("/etc").unwrap_err().chain().ends_with("not a device node"));
        assert!(find("/dev/none-here").unwrap_err().chain().ends_with("no such file or directory"));
    }

    #[test]
    fn privileged_has_no_device_twice_and_none_of_the_containers_own() {
        let all = IsolationOptions { privileged: true, ..options("/dev/null:/dev/fuse") };
        let found = find(&all, UserNamespace::Inherited).unwrap();
        let mut targets: Vec<&PathBuf> = found.iter().map(|device| &device.target).collect();
        targets.sort_unstable();
        targets.dedup();
        assert_eq!(targets.len(), found.len());
        let own = ["/dev/null", "/dev/ptmx", "/dev/console"];
        assert!(targets.iter().all(|target| own.iter().all(|own| *target != Path::new(own))));
        assert!(targets.iter().all(|target| !target.starts_with("/dev/pts")));
    }
}
