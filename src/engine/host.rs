//! How this process may act on the host.

use crate::error::Result;
use crate::runtime::idmap::{self, IdMap, UserNamespace};

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

    /// True if there is one user and one group: everybody else's files are
    /// recorded as theirs, and shown as the caller's.
    pub fn has_single_id(&self) -> bool {
        self.id_map == Some(IdMap::Single)
    }
}
