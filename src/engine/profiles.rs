//! Which profiles there are, and which one is for an image.

use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::oci::ImageConfig;
use crate::reference::ImageRef;

use super::profile::{self, Profile, SearchPath};
use super::{Engine, Settings};

/// The label by which an image remembers its profile.
pub(super) const LABEL: &str = "envbox.profile";

/// A profile in a list.
#[derive(Clone, Debug)]
pub struct ProfileSummary {
    /// Its name.
    pub name: String,
    /// Its file, or `built-in`.
    pub source: String,
    /// What it says of itself, or the error that keeps it from being used.
    pub description: String,
}

impl Engine {
    /// The profile `name`.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; `Invalid` with file, line and column.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        let path = &self.settings.profiles;
        Profile::resolve(name, &|name| path.sources(name, &Settings::read_profile))
    }

    /// Every profile, by name.
    ///
    /// # Errors
    /// Those of listing the folders.
    pub fn profiles(&self) -> Result<Vec<ProfileSummary>> {
        let mut all = Vec::new();
        for name in self.profile_names()? {
            let source = self
                .settings
                .profiles
                .sources(&name, &Settings::read_profile)?
                .first()
                .map(|source| source.label.clone())
                .unwrap_or_default();
            let description = match self.profile(&name) {
                Ok(profile) => profile.description,
                Err(error) => format!("error: {}", error.chain()),
            };
            all.push(ProfileSummary { name, source, description });
        }
        Ok(all)
    }

    /// Checks the file of a profile.
    ///
    /// # Errors
    /// `Invalid` with file, line and column.
    pub fn validate_profile(&self, file: &Path) -> Result<Profile> {
        let label = file.display().to_string();
        let text = fs::read_to_string(&self.settings.absolute(file))?;
        let name = SearchPath::name_of(file).ok_or_else(|| {
            Error::invalid(format!("{label} is not named like a profile"))
                .hint("name the file PROFILE.toml")
        })?;
        Profile::parse(name, &label, &text)?;
        let path = &self.settings.profiles;
        Profile::resolve(name, &|wanted| {
            let mut sources = path.sources(wanted, &Settings::read_profile)?;
            if wanted == name {
                let own = profile::Source { label: label.clone(), text: text.clone() };
                sources.insert(0, own);
            }
            Ok(sources)
        })
    }

    fn profile_names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> =
            profile::embedded().iter().map(|(name, _)| (*name).to_owned()).collect();
        for folder in &self.settings.profiles.folders {
            for file in fs::list(folder)? {
                names.extend(SearchPath::name_of(Path::new(&file)).map(str::to_owned));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The profile of an image: the one named, else the one in its label,
    /// else the first that is for its name, else `default`.
    ///
    /// # Errors
    /// As [`Engine::profile`].
    pub(super) fn profile_of(
        &self,
        named: Option<&str>,
        image: Option<(&str, &ImageConfig)>,
    ) -> Result<Profile> {
        if let Some(name) = named {
            return self.profile(name);
        }
        let Some((reference, config)) = image else { return self.profile("default") };
        if let Some(name) = config.config.labels.get(LABEL) {
            return self.profile(name).map_err(|error| {
                error.hint(format!(
                    "the image remembers this profile; name another one: --profile default, \
                     or put {name}.toml into a folder of profiles"
                ))
            });
        }
        self.profile_for_name(reference)
    }

    /// The first profile that is for the image name `reference`, else
    /// `default`.
    ///
    /// # Errors
    /// As [`Engine::profile`].
    pub(super) fn profile_for_name(&self, reference: &str) -> Result<Profile> {
        if let Ok(parsed) = reference.parse::<ImageRef>() {
            let repository = parsed.familiar_repository();
            for name in self.profile_names()? {
                let profile = self.profile(&name)?;
                if profile.is_for(&repository, parsed.tag_or_default()) {
                    return Ok(profile);
                }
            }
        }
        self.profile("default")
    }
}
