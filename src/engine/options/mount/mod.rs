//! `--volume`, `--mount`, `--tmpfs` and the shell's `--mount`: what a
//! container sees at a path besides its image. A host path is kept as typed:
//! the caller makes it absolute ([`MountOption::absolute`]), and nothing here
//! looks whether it exists.

mod csv;
mod fields;
mod tmpfs;
mod volume;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

pub use fields::parse_mount;
pub use tmpfs::parse_tmpfs;
pub use volume::parse_volume;

use crate::error::{Error, Result};

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MountOption {
    /// Where, inside the container: absolute, without `.`, `..` and doubled or
    /// trailing slashes, never `/` itself.
    pub target: String,
    /// Whether it cannot be written through.
    pub read_only: bool,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind(Bind),
    /// A directory that the store keeps.
    Volume(Volume),
    /// A file system in memory.
    Tmpfs(Tmpfs),
}

/// A file or directory of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bind {
    /// As typed: absolute, or relative to what the caller says.
    pub source: PathBuf,
    /// How later mounts travel between host and container.
    pub propagation: Propagation,
    /// What happens to mounts below the source.
    pub recursion: Recursion,
    /// What to do where the source does not exist.
    pub missing: MissingSource,
    /// The SELinux label wanted; without SELinux on the host there is nothing
    /// to do, as in docker.
    pub relabel: Option<Relabel>,
}

/// A directory that the store keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Volume {
    /// Its name; an anonymous volume has none until it is created.
    pub name: Option<String>,
    /// Whether a new volume stays empty instead of taking the image's content
    /// of the target.
    pub no_copy: bool,
    /// A directory of the volume to mount instead of the whole.
    pub subpath: Option<String>,
    /// Labels for a volume that is created.
    pub labels: Vec<(String, String)>,
    /// Options of the `local` driver for a volume that is created.
    pub driver_options: Vec<(String, String)>,
    /// The SELinux label wanted.
    pub relabel: Option<Relabel>,
}

/// A file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tmpfs {
    /// Options as tmpfs(5) and mount(8) name them (`size=64m`, `mode=1777`,
    /// `exec`), in the order given, `ro` and `rw` apart.
    pub options: Vec<String>,
}

/// How mounts made later travel (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// Not at all, for this mount alone.
    Private,
    /// Not at all.
    #[default]
    RPrivate,
    /// Both ways, for this mount alone.
    Shared,
    /// Both ways.
    RShared,
    /// From the host into the container, for this mount alone.
    Slave,
    /// From the host into the container.
    RSlave,
}

/// What happens to mounts below a bind's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recursion {
    /// They come along, and are read-only with it where the kernel can.
    #[default]
    Enabled,
    /// They stay out.
    Disabled,
    /// They come along and stay writable below a read-only bind.
    Writable,
    /// They come along and are read-only, or the container does not start.
    ReadOnly,
}

/// What to do where a bind's source does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissingSource {
    /// Make a directory: docker's rule for `--volume`.
    Create,
    /// Fail: docker's rule for `--mount`.
    Refuse,
}

/// SELinux labels for a mount's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relabel {
    /// `z`: every container may use it.
    Shared,
    /// `Z`: this container alone.
    Private,
}

/// A value of the shell's `--mount`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShellMount {
    /// A directory of the host, to be seen at the profile's builddir.
    Builddir(PathBuf),
    /// docker's `--mount` form.
    Other(MountOption),
}

impl MountOption {
    /// The same with a relative host path joined to `base`; `.` components go.
    #[must_use]
    pub fn absolute(mut self, base: &Path) -> Self {
        if let MountKind::Bind(bind) = &mut self.kind {
            bind.source = absolute_path(base, &bind.source);
        }
        self
    }

    /// The value of `--tmpfs` that says the same, for a tmpfs.
    pub fn tmpfs_value(&self) -> Option<String> {
        match &self.kind {
            MountKind::Tmpfs(tmpfs) => Some(tmpfs::print(self, tmpfs)),
            MountKind::Bind(_) | MountKind::Volume(_) => None,
        }
    }

    /// The host path of a bind that is relative still.
    pub fn relative_source(&self) -> Option<&Path> {
        match &self.kind {
            MountKind::Bind(bind) if bind.source.is_relative() => Some(&bind.source),
            _ => None,
        }
    }
}

impl fmt::Display for MountOption {
    /// Prints the form that parses to the same: `--volume`'s or `--tmpfs`'s for
    /// what only they can say, `--mount`'s for the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MountKind::Bind(bind) if bind.missing == MissingSource::Create => {
                f.write_str(&volume::print_bind(self, bind))
            }
            MountKind::Volume(volume) if volume.relabel.is_some() => {
                f.write_str(&volume::print_volume(self, volume))
            }
            MountKind::Tmpfs(tmpfs) if !fields::can_say(tmpfs) => {
                f.write_str(&tmpfs::print(self, tmpfs))
            }
            _ => f.write_str(&fields::print(self)),
        }
    }
}

impl ShellMount {
    /// The same with a relative host path joined to `base`.
    #[must_use]
    pub fn absolute(self, base: &Path) -> Self {
        match self {
            Self::Builddir(path) => Self::Builddir(absolute_path(base, &path)),
            Self::Other(mount) => Self::Other(mount.absolute(base)),
        }
    }
}

impl FromStr for ShellMount {
    type Err = Error;

    /// Parses a bare directory, or docker's `--mount` form.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("the mount is empty")
                .hint("name a directory, or write type=bind,source=DIR,target=DIR"));
        }
        if fields::looks_like_fields(text) {
            return parse_mount(text).map(Self::Other);
        }
        if text.contains(":/") {
            return Err(Error::invalid(format!(
                "invalid mount \"{text}\": this is the form of --volume"
            ))
            .hint(format!("write `--volume {text}`, or name the directory alone")));
        }
        check_nul(text)?;
        Ok(Self::Builddir(PathBuf::from(text)))
    }
}

impl fmt::Display for ShellMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builddir(path) => write!(f, "{}", path.display()),
            Self::Other(mount) => mount.fmt(f),
        }
    }
}

/// Parses `--mount`'s form or `--volume`'s, whichever `text` is: profiles and
/// projects take both.
pub fn parse_any(text: &str) -> Result<MountOption> {
    if fields::looks_like_fields(text) { parse_mount(text) } else { parse_volume(text) }
}

const PROPAGATIONS: &[(&str, Propagation)] = &[
    ("private", Propagation::Private),
    ("rprivate", Propagation::RPrivate),
    ("shared", Propagation::Shared),
    ("rshared", Propagation::RShared),
    ("slave", Propagation::Slave),
    ("rslave", Propagation::RSlave),
];

impl Propagation {
    /// docker's word for it.
    pub fn as_str(self) -> &'static str {
        let known = PROPAGATIONS.iter().find(|(_, propagation)| *propagation == self);
        known.map_or("rprivate", |(name, _)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        let known = PROPAGATIONS.iter().find(|(name, _)| *name == text);
        known.map(|(_, propagation)| *propagation)
    }
}

fn absolute_path(base: &Path, path: &Path) -> PathBuf {
    let kept = |component: &Component<'_>| *component != Component::CurDir;
    base.join(path).components().filter(kept).collect()
}

fn check_nul(text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("invalid mount {text:?}: it holds a NUL byte"))
            .hint("take the NUL byte out; no path can hold one"));
    }
    Ok(())
}

/// Cleans a path of the container as Go's `path.Clean` does; says what is
/// wrong where it cannot be a mount's target.
pub(in crate::engine) fn clean_target(target: &str) -> Result<String, &'static str> {
    if !target.starts_with('/') {
        return Err("the target is not an absolute path");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("the target is `/`, which is the image itself");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Checks a volume's name by docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn check_volume_name(text: &str, name: &str) -> Result<()> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() > 1 && name.bytes().all(inner) {
        return Ok(());
    }
    let error = Error::invalid(format!(
        "invalid volume \"{text}\": \"{name}\" is neither a host path nor a volume's name"
    ));
    Err(match name.strip_prefix("~/") {
        Some(rest) => error.hint(format!(
            "write `$HOME/{rest}`; the shell expands `~` only at the start of a word"
        )),
        None if name.contains('/') => {
            error.hint(format!("write `./{name}` for a directory of the host"))
        }
        None => error.hint(
            "a name has two or more of `a-z A-Z 0-9 _ . -` and starts with a letter or digit",
        ),
    })
}
