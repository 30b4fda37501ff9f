//! Profiles: what a build shell and an import take as defaults for a kind of
//! image. A profile is a TOML file; `docs/profiles.md` documents every key.
//!
//! A file is not a profile but a list of changes to one: [`Profile::resolve`]
//! walks from the named file along `extends` to the one that extends nothing,
//! then applies the files to [`Profile::blank`], the farthest first. How two
//! files merge is therefore told in one place, `apply`. A file that does not
//! say what it extends extends `default`; one that extends its own name
//! extends the next file of that name in the search order, so that a user's
//! `default.toml` amends the built-in one.
//!
//! Nothing here reads a file: the caller hands over a [`Lookup`].

mod apply;
pub(in crate::engine) mod document;
mod matching;
mod search;
mod show;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::options::hostname::Hostname;
use crate::engine::options::mount::MountOption;
use crate::engine::options::network::NetworkMode;
use crate::engine::options::ulimit::Ulimit;
use crate::engine::options::user::UserSpec;
use crate::error::Result;

pub(in crate::engine) use apply::{read_command, read_variable};
pub use matching::ImagePattern;
pub use search::{Lookup, SearchPath, Source, check_name, embedded};

/// The defaults for a kind of image, all inheritance resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The name it is asked for by: the file's, without `.toml`.
    pub name: String,
    /// One line for people; not inherited.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The files that it was made of, its own first.
    pub sources: Vec<String>,
    /// How a shell is opened.
    pub shell: Shell,
    /// Variables of the shell, over those of the image.
    pub environment: BTreeMap<String, Variable>,
    /// What to fall back to where the image lacks something.
    pub fallback: Fallback,
    /// Resource limits by docker's names, at most one of a resource.
    #[serde(serialize_with = "show::limits")]
    pub limits: Vec<Ulimit>,
    /// How a root filesystem is imported.
    pub import: Import,
    /// Which images it is for; not inherited.
    #[serde(rename = "match")]
    pub matching: Match,
}

/// How a shell is opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shell {
    /// Commands with their arguments, in order of preference: the first whose
    /// program the image has is run. Never empty, and neither is a command.
    pub command: Vec<Vec<String>>,
    /// Where the caller's directory is mounted.
    pub builddir: String,
    /// Where the command starts; the builddir where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Where `tmp` of the caller's directory is mounted, which is made if
    /// missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp: Option<String>,
    /// The network.
    pub network: NetworkMode,
    /// The host name; `envbox` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The user; root where it is left out, to whom the caller's files belong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserSpec>,
    /// Whether an init runs as process 1, reaps orphans and forwards signals.
    pub init: bool,
    /// Further mounts; host paths are absolute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountOption>,
    /// File systems in memory.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "show::tmpfs")]
    pub tmpfs: Vec<MountOption>,
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Variable {
    /// It has this value.
    Set(String),
    /// It is taken out, even where the image sets it; written `false`.
    #[serde(serialize_with = "show::unset")]
    Unset,
}

/// What to fall back to where the image lacks something; each list in order of
/// preference, empty for no fallback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// Locales for `LANG`: the first that the image has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locale: Vec<String>,
    /// Terminal types for `TERM`: the first whose terminfo the image has,
    /// where it lacks that of the caller's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub term: Vec<String>,
}

/// How a root filesystem is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Patterns of what is left out, by GNU tar's rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Patterns of what is cleaned away, by the rules of a shell that stands
    /// in the root filesystem. The image lacks it; the directory imported
    /// keeps it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clean: Vec<String>,
    /// Dockerfile instructions for the image's configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// Which images a profile is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Match {
    /// Names of images; the profile's own name where the file gives none.
    pub images: Vec<ImagePattern>,
}

impl Profile {
    /// What a profile is before the first file: `/bin/sh` in `/builddir`, no
    /// network, an init, nothing else.
    pub fn blank(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            sources: Vec::new(),
            shell: Shell::default(),
            environment: BTreeMap::new(),
            fallback: Fallback::default(),
            limits: Vec::new(),
            import: Import::default(),
            matching: Match { images: Vec::new() },
        }
    }

    /// Parses one file as the profile `name`; what it extends comes from the
    /// built-in profiles. `label` names the file in errors.
    ///
    /// # Errors
    ///
    /// `Invalid` with `FILE:LINE:COLUMN` for what is wrong in the file.
    pub fn parse(name: &str, label: &str, text: &str) -> Result<Self> {
        let own = Source { label: label.to_owned(), text: text.to_owned() };
        Self::resolve(name, &|wanted| {
            let own = (wanted == name).then(|| own.clone());
            Ok(own.into_iter().chain(search::embedded_source(wanted)).collect())
        })
    }

    /// Finds the profile `name` and everything that it extends.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such profile, `Invalid` for what is wrong
    /// in a file, a cycle of `extends` included, and what `lookup` returns.
    pub fn resolve(name: &str, lookup: &Lookup<'_>) -> Result<Self> {
        search::resolve(name, lookup)
    }

    /// Whether the profile is for an image of this repository (as a user
    /// writes it: `centos`, `team/vmibuild`) and tag.
    pub fn is_for(&self, repository: &str, tag: Option<&str>) -> bool {
        self.matching.images.iter().any(|pattern| pattern.matches(repository, tag))
    }

    /// Prints the profile as a file that extends nothing and parses to the
    /// same.
    ///
    /// # Errors
    ///
    /// `Internal` where a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        show::to_toml(self)
    }
}

impl Shell {
    /// Where the command starts.
    pub fn workdir(&self) -> &str {
        self.workdir.as_deref().unwrap_or(&self.builddir)
    }
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            command: vec![vec!["/bin/sh".to_owned()]],
            builddir: "/builddir".to_owned(),
            workdir: None,
            tmp: None,
            network: NetworkMode::None,
            hostname: None,
            user: None,
            init: true,
            mounts: Vec::new(),
            tmpfs: Vec::new(),
        }
    }
}
