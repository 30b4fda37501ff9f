//! `--device`: a device node of the host's in the container, by
//! `HOST[:CONTAINER][:PERMISSIONS]` or by its CDI name. What cannot be held back
//! without a device cgroup is refused: a device is there to be read and written,
//! or it is not there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::cdi::CdiName;
use crate::error::{Error, Result};

/// A value of the option.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeviceOption {
    /// By its path.
    Node(NodeOption),
    /// By the name that a file of the host's gives it.
    Cdi(CdiName),
}

impl FromStr for DeviceOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if !text.starts_with('/') && text.contains('=') {
            return text.parse().map(Self::Cdi);
        }
        text.parse().map(Self::Node)
    }
}

impl fmt::Display for DeviceOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Cdi(name) => name.fmt(f),
        }
    }
}

/// One device, or a directory of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeOption {
    /// The path on the host, absolute.
    pub source: PathBuf,
    /// The path in the container, absolute.
    pub target: PathBuf,
}

impl FromStr for NodeOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hint = "write HOST[:CONTAINER][:rwm], as in `/dev/fuse`";
        let bad = |what: &str| Error::invalid(format!("{what}: {text}")).hint(hint);
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [source] => (source, source, "rwm"),
            [source, mode] if is_mode(mode) => (source, source, mode),
            [source, target] => (source, target, "rwm"),
            [source, target, mode] if is_mode(mode) => (source, target, mode),
            [_, _, mode] => return Err(bad(&format!("bad mode specified: {mode}"))),
            _ => return Err(bad("invalid device specification")),
        };
        if !source.starts_with('/') || !target.starts_with('/') || text.contains('\0') {
            return Err(bad("invalid device specification"));
        }
        check_permissions(mode).map_err(|error| {
            error.hint("leave them out: who is in the container can read and write the device")
        })?;
        Ok(Self { source: Path::new(source).to_owned(), target: Path::new(target).to_owned() })
    }
}

impl fmt::Display for NodeOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:rwm", self.source.display(), self.target.display())
    }
}

/// Refuses permissions that are less than to read and write.
///
/// # Errors
/// `Unsupported`, with them.
pub fn check_permissions(mode: &str) -> Result<()> {
    if mode.contains('r') && mode.contains('w') {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "device permissions \"{mode}\" cannot be held: envbox sets no device cgroup"
    )))
}

/// docker's `ValidDeviceMode`: each of the letters at most once.
fn is_mode(text: &str) -> bool {
    let once = |letter: char| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && once(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    #[test]
    fn takes_dockers_forms() {
        for (text, source, target) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse"),
            ("/dev/fuse:rw", "/dev/fuse", "/dev/fuse"),
            ("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x"),
            ("/dev/fuse:/dev/x:mrw", "/dev/fuse", "/dev/x"),
            ("/dev/snd", "/dev/snd", "/dev/snd"),
        ] {
            let device: NodeOption = text.parse().unwrap();
            assert_eq!((device.source, device.target), (source.into(), target.into()));
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        for (text, kind) in [
            ("", Kind::Invalid),
            ("dev/fuse", Kind::Invalid),
            ("/dev/fuse:x", Kind::Invalid),
            ("/dev/fuse:/x:rr", Kind::Invalid),
            ("/dev/fuse:/x:rw:", Kind::Invalid),
            ("/dev/fuse:r", Kind::Unsupported),
            ("/dev/fuse:/x:rm", Kind::Unsupported),
            ("nvidia.com/gpu=", Kind::Invalid),
        ] {
            assert_eq!(text.parse::<DeviceOption>().unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn tells_a_name_from_a_path() {
        let name: DeviceOption = "nvidia.com/gpu=all".parse().unwrap();
        assert!(matches!(&name, DeviceOption::Cdi(_)) && name.to_string() == "nvidia.com/gpu=all");
        let path: DeviceOption = "/dev/a=b".parse().unwrap();
        assert!(matches!(path, DeviceOption::Node(_)));
    }

    proptest! {
        #[test]
        fn never_panics_and_comes_back(text in "(/[a-z]{0,3})?:?(/\\PC{0,3})?:?[rwm]{0,4}") {
            if let Ok(device) = text.parse::<DeviceOption>() {
                prop_assert_eq!(device.to_string().parse::<DeviceOption>().unwrap(), device);
            }
        }
    }
}
