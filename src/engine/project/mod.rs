//! `envbox.toml`: what a directory's own build shell is, kept beside the
//! sources, so that everyone opens the same one with a bare `envbox shell`.
//! `docs/profiles.md` documents every key.
//!
//! Paths are kept as written; they are relative to the file's folder, which
//! the caller knows ([`Project::absolute`]). `find` looks for the file; nothing else
//! here reads one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::options::mount::{self, ShellMount};
use crate::engine::options::network::NetworkMode;
use crate::engine::profile::document::{Document, Table, Value};
use crate::engine::profile::{Variable, check_name, read_command, read_variable};
use crate::error::{Error, Result};

mod find;
#[cfg(test)]
mod tests;

pub use find::FoundProject;

/// The file's name.
pub const FILE_NAME: &str = "envbox.toml";

const KEYS: &[&str] =
    &["image", "profile", "command", "network", "mounts", "pass_environment", "environment"];

/// What a project's file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// The image, as a user writes a reference: `vmibuild`, `vmibuild:2`,
    /// `vmibuild@sha256:...`.
    pub image: String,
    /// The profile; chosen by the image's name where it is left out.
    pub profile: Option<String>,
    /// The command with its arguments; the profile's where it is left out.
    pub command: Option<Vec<String>>,
    /// The network; the profile's where it is left out.
    pub network: Option<NetworkMode>,
    /// Mounts besides the profile's, at most one of them a
    /// [`ShellMount::Builddir`].
    pub mounts: Vec<ShellMount>,
    /// Names of variables whose values come from the caller.
    pub pass_environment: Vec<String>,
    /// Variables over those of the profile.
    pub environment: BTreeMap<String, Variable>,
}

/// The files that a project's may be, from the one in `start` (an absolute
/// path) up to the one in `/`.
pub fn candidates(start: &Path) -> impl Iterator<Item = PathBuf> {
    start.ancestors().map(|folder| folder.join(FILE_NAME))
}

impl Project {
    /// Parses a project's file; `label` names it in errors.
    ///
    /// # Errors
    ///
    /// `Invalid` with `FILE:LINE:COLUMN` for what is wrong in the file;
    /// `Unsupported` likewise for a network or a mount type that is not there.
    pub fn parse(label: &str, text: &str) -> Result<Self> {
        let document = Document::parse(label, text)?;
        let root = document.root();
        root.check_keys(KEYS)?;
        let Some(image) = root.value("image") else {
            return Err(Error::invalid(format!("{label}: there is no `image`"))
                .hint("add a line as in `image = \"vmibuild\"`"));
        };
        let named =
            |value: Value<'_>| value.parsed_by(|name| check_name(name).map(|()| name.to_owned()));
        let project = Self {
            image: read_image(&image)?,
            profile: root.value("profile").map(named).transpose()?,
            command: root.value("command").as_ref().map(read_command).transpose()?,
            network: root.value("network").map(|value| value.parsed()).transpose()?,
            mounts: read_mounts(&root)?,
            pass_environment: read_names(&root)?,
            environment: read_environment(&root)?,
        };
        Ok(project)
    }

    /// The same with every host path made absolute: relative ones are joined
    /// to `folder`, the file's.
    #[must_use]
    pub fn absolute(mut self, folder: &Path) -> Self {
        self.mounts = self.mounts.into_iter().map(|mount| mount.absolute(folder)).collect();
        self
    }

    /// The directory that is mounted at the profile's builddir: the one that
    /// the file names, else the file's own `folder`.
    pub fn builddir<'a>(&'a self, folder: &'a Path) -> &'a Path {
        let named = self.mounts.iter().find_map(|mount| match mount {
            ShellMount::Builddir(path) => Some(path.as_path()),
            ShellMount::Other(_) => None,
        });
        named.unwrap_or(folder)
    }
}

fn read_image(value: &Value<'_>) -> Result<String> {
    let text = value.text()?;
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(value
            .invalid(format!("{text:?} is no image"))
            .hint("write a name with a tag or a digest, as in `vmibuild:latest`"));
    }
    Ok(text.to_owned())
}

fn read_mounts(root: &Table<'_>) -> Result<Vec<ShellMount>> {
    let mut mounts = Vec::new();
    let Some(list) = root.value("mounts") else { return Ok(mounts) };
    for value in list.list()? {
        let mount = value.parsed_by(parse_mount)?;
        let directory = |mount: &ShellMount| matches!(mount, ShellMount::Builddir(_));
        if directory(&mount) && mounts.iter().any(directory) {
            return Err(value
                .invalid("a second directory is to be mounted at the builddir")
                .hint("write SOURCE:TARGET for all directories but one"));
        }
        mounts.push(mount);
    }
    Ok(mounts)
}

/// Parses a bare directory, `--volume`'s form (told by its colon) or
/// `--mount`'s.
fn parse_mount(text: &str) -> Result<ShellMount> {
    if text.contains(':') {
        return mount::parse_any(text).map(ShellMount::Other);
    }
    text.parse()
}

fn read_names(root: &Table<'_>) -> Result<Vec<String>> {
    let Some(list) = root.value("pass_environment") else { return Ok(Vec::new()) };
    let read = |value: &Value<'_>| {
        let name = value.text()?;
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(value
                .invalid(format!("{name:?} is no name of a variable"))
                .hint("write the name alone; values go into `[environment]`"));
        }
        Ok(name.to_owned())
    };
    list.list()?.iter().map(read).collect()
}

fn read_environment(root: &Table<'_>) -> Result<BTreeMap<String, Variable>> {
    let Some(table) = root.table("environment")? else { return Ok(BTreeMap::new()) };
    let read =
        |(name, value): (&str, Value<'_>)| Ok((name.to_owned(), read_variable(name, &value)?));
    table.entries().map(read).collect()
}

/// Writes a project's file with a comment on every key, for `envbox init`. A
/// key that is not set stands there as a comment. The text parses to the same
/// project.
pub fn render(project: &Project) -> String {
    let mut text = String::from(
        "# The build shell of this directory: `envbox shell` here or in any folder\n\
         # below opens it.\n\n\
         # The image: a name, with a tag (`vmibuild:2`) or, to pin it for good, a\n\
         # digest (`vmibuild@sha256:...`).\n",
    );
    text.push_str(&format!("image = {}\n", quote(&project.image)));
    let section = |comment: &str, key: &str, value: Option<String>, example: &str| {
        let line = match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("#{key} = {example}"),
        };
        format!("\n{comment}\n{line}\n")
    };
    text.push_str(&section(
        "# The profile; without it the one that is for the image's name.",
        "profile",
        project.profile.as_deref().map(quote),
        "\"default\"",
    ));
    text.push_str(&section(
        "# What is run; without it the profile's shell.",
        "command",
        project.command.as_deref().map(quote_list),
        "[\"/bin/bash\"]",
    ));
    text.push_str(&section(
        "# \"none\", or \"host\" for a build that has to reach the network.",
        "network",
        project.network.map(|network| quote(network.as_str())),
        "\"none\"",
    ));
    let mounts: Vec<String> = project.mounts.iter().map(ToString::to_string).collect();
    text.push_str(&section(
        "# What is mounted; paths are relative to this folder. A bare directory goes to\n\
         # the profile's builddir (without one, this folder does); others are written\n\
         # SOURCE:TARGET[:ro] or \"type=bind,source=...,target=...\".",
        "mounts",
        (!mounts.is_empty()).then(|| quote_list(&mounts)),
        "[\".\", \"../shared:/shared:ro\"]",
    ));
    text.push_str(&section(
        "# Variables that are taken from whoever opens the shell.",
        "pass_environment",
        (!project.pass_environment.is_empty()).then(|| quote_list(&project.pass_environment)),
        "[\"MAKEFLAGS\"]",
    ));
    text.push_str("\n# Variables; `false` takes one of the image or the profile away.\n");
    text.push_str("[environment]\n");
    for (name, variable) in &project.environment {
        let value = match variable {
            Variable::Set(value) => quote(value),
            Variable::Unset => "false".to_owned(),
        };
        text.push_str(&format!("{} = {value}\n", quote(name)));
    }
    if project.environment.is_empty() {
        text.push_str("#TZ = \"UTC\"\n");
    }
    text
}

/// Writes a basic string of one line, which a key can be as well.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn quote_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
    format!("[{}]", quoted.join(", "))
}
