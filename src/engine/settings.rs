//! What the engine is told about its caller and where things lie. The cli
//! gathers it from the environment and the flags; nothing below looks there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs::{self, Timestamp};
use crate::runtime::idmap::Caller;
use crate::runtime::spec::HostOwner;
use crate::store::{Driver, StorePaths};

use super::profile::SearchPath;

/// Everything that comes from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the store lies.
    pub store: StorePaths,
    /// How new layers are to be kept, if somebody says so.
    pub storage_driver: Option<Driver>,
    /// Folders of profiles, beside the built-in ones.
    pub profiles: SearchPath,
    /// Who runs the command.
    pub caller: Caller,
    /// Who ran sudo, if that is how the caller became root.
    pub sudo: Option<HostOwner>,
    /// The caller's environment.
    pub environment: BTreeMap<String, String>,
    /// The caller's working directory.
    pub working_directory: PathBuf,
    /// `SOURCE_DATE_EPOCH`, parsed.
    pub epoch: Option<Timestamp>,
}

impl Settings {
    /// Makes `path` absolute, as the caller sees it.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.working_directory.join(path)
    }

    /// A variable of the caller's environment; empty counts as unset.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where CDI files lie, the strongest folder last: `ENVBOX_CDI_SPEC_DIRS`,
    /// with colons between, or docker's `cdi-spec-dirs`.
    pub(super) fn cdi_folders(&self) -> Vec<PathBuf> {
        let list = self.variable("ENVBOX_CDI_SPEC_DIRS").unwrap_or("/etc/cdi:/var/run/cdi");
        let named = list.split(':').filter(|folder| !folder.is_empty());
        named.map(|folder| self.absolute(Path::new(folder))).collect()
    }

    /// True if the caller is root.
    pub fn is_root(&self) -> bool {
        self.caller.uid == 0
    }

    /// The text of a profile's file; `None` if there is none.
    pub(super) fn read_profile(path: &Path) -> Result<Option<String>> {
        let Some(bytes) = fs::read_optional(path)? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
