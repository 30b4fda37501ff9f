//! Where profiles are found, and how `extends` is followed. The order of
//! search is the user's folder, the site's, then the built-in ones.

use std::path::{Path, PathBuf};

use super::document::{Document, Value};
use super::{Profile, apply};
use crate::engine::options::suggest;
use crate::error::{Error, Result};

/// The profile that every other one extends unless it says otherwise.
const ROOT: &str = "default";
/// A longer chain of `extends` is a mistake.
const LONGEST_CHAIN: usize = 16;

/// The built-in profiles.
const EMBEDDED: &[(&str, &str)] = &[
    ("default", include_str!("../../../profiles/default.toml")),
    ("vmibuild", include_str!("../../../profiles/vmibuild.toml")),
];

/// Finds the files of a profile's name, the one to prefer first; none where
/// there is no such profile.
pub type Lookup<'a> = dyn Fn(&str) -> Result<Vec<Source>> + 'a;

/// A file of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What errors call it: a path, or `built-in NAME.toml`.
    pub label: String,
    /// Its content.
    pub text: String,
}

/// The folders that are searched before the built-in profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// The folder to prefer first.
    pub folders: Vec<PathBuf>,
}

impl SearchPath {
    /// Every file of the profile `name`, the one to prefer first. `read`
    /// returns a file's text, `None` where there is no file.
    pub fn sources(
        &self,
        name: &str,
        read: &dyn Fn(&Path) -> Result<Option<String>>,
    ) -> Result<Vec<Source>> {
        check_name(name)?;
        let mut sources = Vec::new();
        for folder in &self.folders {
            let file = folder.join(format!("{name}.toml"));
            if let Some(text) = read(&file)? {
                sources.push(Source { label: file.display().to_string(), text });
            }
        }
        sources.extend(embedded_source(name));
        Ok(sources)
    }

    /// The profile's name that a file of a folder stands for, if any.
    pub fn name_of(file: &Path) -> Option<&str> {
        let name = file.file_name()?.to_str()?.strip_suffix(".toml")?;
        check_name(name).is_ok().then_some(name)
    }
}

/// Names and texts of the built-in profiles.
pub fn embedded() -> &'static [(&'static str, &'static str)] {
    EMBEDDED
}

/// Checks that `name` can be a profile's: letters, digits, `.`, `_` and `-`,
/// the first a letter or a digit, at most 64.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() <= 64 && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid profile name \"{name}\""))
        .hint("write the name alone, without folder and `.toml`, as in `vmibuild`"))
}

pub(super) fn embedded_source(name: &str) -> Option<Source> {
    let (name, text) = EMBEDDED.iter().find(|(known, _)| *known == name)?;
    Some(Source { label: format!("built-in {name}.toml"), text: (*text).to_owned() })
}

/// A file in the order of search: the profile's name, and how many files of
/// that name come before it.
type Step = (String, usize);

/// What a file says about its parent.
enum Parent<'d> {
    None,
    Implied,
    Named(&'d str, Value<'d>),
}

pub(super) fn resolve(name: &str, lookup: &Lookup<'_>) -> Result<Profile> {
    check_name(name)?;
    let source = find(&(name.to_owned(), 0), lookup)?.ok_or_else(|| unknown(name))?;
    build(&mut vec![(name.to_owned(), 0)], &source, lookup)
}

/// Builds the profile of the last step of `chain`, whose file is `source`.
fn build(chain: &mut Vec<Step>, source: &Source, lookup: &Lookup<'_>) -> Result<Profile> {
    let document = Document::parse(&source.label, &source.text)?;
    let root = document.root();
    let parent = parent_of(&root)?;
    let mut profile = match next_step(chain, &parent) {
        None => Profile::blank(""),
        Some(step) => match (find(&step, lookup)?, &parent) {
            (Some(source), _) => {
                check_chain(chain, &step, &parent)?;
                chain.push(step);
                let built = build(chain, &source, lookup)?;
                chain.pop();
                built
            }
            // Below the last `default` there is nothing left to extend.
            (None, Parent::Named(name, place)) => return Err(no_parent(name, step.1, place)),
            (None, _) => Profile::blank(""),
        },
    };
    let own_name = chain.last().map_or("", |(name, _)| name.as_str());
    profile.name = own_name.to_owned();
    apply::apply(&mut profile, &root)?;
    profile.sources.insert(0, source.label.clone());
    Ok(profile)
}

fn find(step: &Step, lookup: &Lookup<'_>) -> Result<Option<Source>> {
    Ok(lookup(&step.0)?.into_iter().nth(step.1))
}

fn parent_of<'d>(root: &super::document::Table<'d>) -> Result<Parent<'d>> {
    let Some(value) = root.value("extends") else { return Ok(Parent::Implied) };
    if value.is_false() {
        return Ok(Parent::None);
    }
    let name = value.text()?;
    check_name(name).map_err(|error| value.wrap(error))?;
    Ok(Parent::Named(name, value))
}

fn next_step(chain: &[Step], parent: &Parent<'_>) -> Option<Step> {
    let wanted = match parent {
        Parent::None => return None,
        Parent::Implied => ROOT,
        Parent::Named(name, _) => name,
    };
    match chain.last() {
        Some((own, index)) if own == wanted => Some((own.clone(), index + 1)),
        _ => Some((wanted.to_owned(), 0)),
    }
}

fn check_chain(chain: &[Step], step: &Step, parent: &Parent<'_>) -> Result<()> {
    let circle = chain.contains(step);
    if !circle && chain.len() < LONGEST_CHAIN {
        return Ok(());
    }
    let names: Vec<&str> = chain.iter().chain([step]).map(|(name, _)| name.as_str()).collect();
    let what = if circle { "the profiles extend each other" } else { "the chain is too long" };
    let error = Error::invalid(format!("{what}: {}", names.join(" -> ")))
        .hint("write `extends = false` in the one that is to stand alone");
    Err(match parent {
        Parent::Named(_, place) => place.wrap(error),
        Parent::None | Parent::Implied => error,
    })
}

fn no_parent(name: &str, index: usize, place: &Value<'_>) -> Error {
    if index == 0 {
        return place.wrap(unknown(name));
    }
    place
        .invalid(format!("there is no further profile \"{name}\" to extend"))
        .hint(format!("write `extends = \"{ROOT}\"`, or leave the key out"))
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
    Error::not_found(format!("there is no profile \"{name}\"")).hint(suggest::hint(name, &known))
}
