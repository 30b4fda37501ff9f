//! What an instruction does to an image config, variables expanded and values
//! checked. Does not know the config's type: the engine writes it.

use crate::error::{Context, Error, Result};

use super::expand::Word;
use super::instruction::{CommandForm, Healthcheck, Instruction};
use super::port::PortRange;
use super::signal::StopSignal;

/// What the config that is to be changed says so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// Its `Env`: entries `NAME=value`, of which the last one of a name counts.
    pub env: &'a [String],
    /// Its `WorkingDir`; empty means `/`.
    pub working_dir: &'a str,
}

/// A change of an image config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Replaces `Cmd`; the shell form goes through the config's shell.
    Cmd(CommandForm),
    /// Replaces `Entrypoint`, an empty exec form with nothing; `Cmd` falls with
    /// the old entrypoint unless it was set by the same hand.
    Entrypoint(CommandForm),
    /// Sets variables, in order; names are never empty.
    Env(Vec<(String, String)>),
    /// Adds to `ExposedPorts`.
    Expose(Vec<PortRange>),
    /// Replaces `Healthcheck`.
    Healthcheck(Healthcheck),
    /// Sets labels, in order; names are never empty.
    Label(Vec<(String, String)>),
    /// Adds to `OnBuild`.
    OnBuild(String),
    /// Replaces `StopSignal`.
    StopSignal(StopSignal),
    /// Replaces `User`; never empty.
    User(String),
    /// Adds absolute paths to `Volumes`.
    Volume(Vec<String>),
    /// Replaces `WorkingDir` with an absolute path without `.`, `..` and
    /// doubled slashes.
    Workdir(String),
}

impl Instruction {
    /// Expands the variables in those arguments in which docker does it, and
    /// checks the result. All variables of one instruction have the values from
    /// before it. `CMD`, `ENTRYPOINT`, `HEALTHCHECK` and `ONBUILD` are taken as
    /// they are.
    ///
    /// # Errors
    ///
    /// `Invalid` where an argument cannot be expanded, or is then no port,
    /// signal, user, path or name; `Unsupported` as [`Word::expand`].
    pub fn resolve(&self, scope: Scope<'_>) -> Result<ConfigChange> {
        let expand = |word: &Word| word.expand(scope.env);
        Ok(match self {
            Self::Cmd(form) => ConfigChange::Cmd(form.clone()),
            Self::Entrypoint(form) => ConfigChange::Entrypoint(form.clone()),
            Self::Env(pairs) => ConfigChange::Env(expand_pairs(pairs, scope)?),
            Self::Expose(ports) => ConfigChange::Expose(resolve_ports(ports, scope)?),
            Self::Healthcheck(check) => ConfigChange::Healthcheck(check.clone()),
            Self::Label(pairs) => ConfigChange::Label(expand_pairs(pairs, scope)?),
            Self::OnBuild(trigger) => ConfigChange::OnBuild(trigger.clone()),
            Self::StopSignal(word) => ConfigChange::StopSignal(
                StopSignal::parse(&expand(word)?).context(|| "invalid STOPSIGNAL instruction")?,
            ),
            Self::User(word) => ConfigChange::User(not_empty(word, expand(word)?, "USER")?),
            Self::Volume(words) => {
                let paths = words.iter().map(|word| volume_path(word, expand(word)?));
                ConfigChange::Volume(paths.collect::<Result<_>>()?)
            }
            Self::Workdir(word) => {
                let path = not_empty(word, expand(word)?, "WORKDIR")?;
                ConfigChange::Workdir(join(scope.working_dir, &path))
            }
        })
    }
}

fn expand_pairs(pairs: &[(Word, Word)], scope: Scope<'_>) -> Result<Vec<(String, String)>> {
    let expanded = pairs.iter().map(|(name, value)| {
        let expanded_name = not_empty(name, name.expand(scope.env)?, "name")?;
        Ok((expanded_name, value.expand(scope.env)?))
    });
    expanded.collect()
}

/// A variable may hold several ports, so that a word can become many.
fn resolve_ports(words: &[Word], scope: Scope<'_>) -> Result<Vec<PortRange>> {
    let mut ports = Vec::new();
    for word in words {
        for text in word.expand(scope.env)?.split_whitespace() {
            ports.push(PortRange::parse(text).context(|| "invalid EXPOSE instruction")?);
        }
    }
    Ok(ports)
}

fn volume_path(word: &Word, path: String) -> Result<String> {
    let path = not_empty(word, path.trim().to_owned(), "VOLUME")?;
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(Error::invalid(format!("VOLUME {path} is not an absolute path"))
        .hint(format!("write VOLUME /{path}")))
}

fn not_empty(word: &Word, text: String, what: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::invalid(format!("{what} {} is empty", word.as_written()))
            .hint("check the variables in it"));
    }
    Ok(text)
}

/// The path, seen from `base` where it is relative, resolved lexically; `..`
/// does not leave the root.
fn join(base: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
