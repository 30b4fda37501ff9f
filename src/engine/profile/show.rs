//! Profiles as text again, for `envbox profile show`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Profile;
use crate::engine::options::mount::MountOption;
use crate::engine::options::ulimit::{Bound, Ulimit};
use crate::error::{Error, Result};

/// Writes limits as a file has them: a number where both sides are one.
pub(super) fn limits<S: Serializer>(
    limits: &[Ulimit],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(limits.len()))?;
    for limit in limits {
        match (limit.soft, i64::try_from(limit.soft.raw())) {
            (Bound::At(_), Ok(number)) if limit.soft == limit.hard => {
                map.serialize_entry(limit.resource.name(), &number)?;
            }
            _ => map.serialize_entry(limit.resource.name(), &limit.value())?,
        }
    }
    map.end()
}

/// Writes file systems in memory in `--tmpfs`'s form, which says it all.
pub(super) fn tmpfs<S: Serializer>(
    mounts: &[MountOption],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(mounts.iter().filter_map(MountOption::tmpfs_value))
}

/// Writes a variable that is taken out.
pub(super) fn unset<S: Serializer>(serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_bool(false)
}

pub(super) fn to_toml(profile: &Profile) -> Result<String> {
    let failed = |error: toml::ser::Error| {
        Error::internal(format!("cannot write profile {} as TOML", profile.name)).because(error)
    };
    /// A file's keys: those of a profile without what the file's place says.
    #[derive(Serialize)]
    struct File<'a> {
        extends: bool,
        #[serde(flatten)]
        keys: &'a toml::Table,
    }
    let mut keys = toml::Table::try_from(profile).map_err(failed)?;
    keys.remove("name");
    keys.remove("sources");
    keys.retain(|_, value| !value.as_table().is_some_and(toml::Table::is_empty));
    let body = toml::to_string_pretty(&File { extends: false, keys: &keys }).map_err(failed)?;
    let mut text = format!("# Profile {}, made of:\n", profile.name);
    for source in &profile.sources {
        text.push_str(&format!("#   {}\n", source.escape_debug()));
    }
    text.push_str(&body);
    Ok(text)
}
