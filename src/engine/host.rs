//! How this process may act on the host.

use crate::error::Result;
use crate::runtime::idmap::{self, IdMap, UserNamespace};
use crate::runtime::join::Target;

use super::Settings;

/// Rights and ID map of this process.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Whether a user namespace was entered.
    pub user_namespace: UserNamespace,
    /// Its map, if one was.
    pub id_map: Option<IdMap>,
}

impl Host {
    pub(super) fn prepare(settings: &Settings) -> Result<Self> {
        if settings.is_root() {
            return Ok(Self { user_namespace: UserNamespace::Inherited, id_map: None });
        }
        let map = idmap::plan(&settings.caller)?;
        idmap::enter(&settings.caller, map)?;
        Ok(Self { user_namespace: UserNamespace::Entered, id_map: Some(map) })
    }

    /// As [`Host::prepare`], in the user namespace of another container: only
    /// there its other namespaces can be joined.
    pub(super) fn prepare_beside(settings: &Settings, target: &Target) -> Result<Self> {
        if settings.is_root() {
            return Self::prepare(settings);
        }
        let map = idmap::plan(&settings.caller)?;
        idmap::enter_beside(&settings.caller, map, target)?;
        Ok(Self { user_namespace: UserNamespace::Entered, id_map: Some(map) })
    }

    /// True if there is one user and one group: everybody else's files are
    /// recorded as theirs, and shown as the caller's.
    pub fn has_single_id(&self) -> bool {
        self.id_map == Some(IdMap::Single)
    }
}
