//! The values of options as JSON: in the form in which they are typed, so that
//! a kept container's record can be read by a person, and by a later envbox
//! whose types look different.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};
use crate::runtime::spec::{HostOwner, Links};

use super::super::options::mount::{MountKind, MountOption, parse_any, parse_tmpfs};
use super::super::request::MountRequest;

/// Stands in a mount's text for its host path, which lies beside the text: not
/// every path can be said there (`--volume` has no way to name a colon).
const PLACEHOLDER: &str = "/source";

/// The text of `value`.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The value that a text means.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = Error>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(custom)
}

fn custom<E: de::Error>(error: Error) -> E {
    E::custom(error.chain())
}

/// As the module, for what may be missing.
pub mod optional {
    use super::*;

    /// The text of `value`, or null.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    /// The value that a text means; null is none.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = Error>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(custom)).transpose()
    }
}

/// The security options as the list of what was typed.
pub mod security {
    use super::super::super::options::security::{SecurityOption, SecurityOptions};
    use super::*;

    /// Every option that is not the default.
    pub fn serialize<S: Serializer>(
        options: &SecurityOptions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = vec![
            SecurityOption::NoNewPrivileges(options.no_new_privileges),
            SecurityOption::Seccomp(options.seccomp.clone()),
        ];
        if options.unmasked_paths {
            list.push(SecurityOption::SystemPathsUnconfined);
        }
        serializer.collect_seq(list.iter().map(ToString::to_string))
    }

    /// The options of such a list.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecurityOptions, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        list.iter().map(|text| text.parse::<SecurityOption>().map_err(custom)).collect()
    }
}

/// A mount as a record holds it.
#[derive(Serialize, Deserialize)]
pub struct StoredMount {
    /// `--tmpfs`'s form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tmpfs: Option<String>,
    /// `--mount`'s or `--volume`'s form, with a placeholder for the host path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    /// The host path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<PathBuf>,
    owner: Option<HostOwner>,
    links: Links,
}

impl From<MountRequest> for StoredMount {
    fn from(request: MountRequest) -> Self {
        let MountRequest { mut option, owner, links } = request;
        let mut source = None;
        if let MountKind::Bind(bind) = &mut option.kind {
            source = Some(std::mem::replace(&mut bind.source, PLACEHOLDER.into()));
        }
        let tmpfs = option.tmpfs_value();
        let mount = tmpfs.is_none().then(|| option.to_string());
        Self { tmpfs, mount, source, owner, links }
    }
}

impl TryFrom<StoredMount> for MountRequest {
    type Error = String;

    fn try_from(stored: StoredMount) -> Result<Self, String> {
        let mut option = parse(&stored).map_err(|error| error.chain())?;
        if let MountKind::Bind(bind) = &mut option.kind
            && bind.source == Path::new(PLACEHOLDER)
        {
            bind.source = stored.source.ok_or("a bind without a source")?;
        }
        Ok(Self { option, owner: stored.owner, links: stored.links })
    }
}

fn parse(stored: &StoredMount) -> Result<MountOption> {
    match (&stored.tmpfs, &stored.mount) {
        (Some(tmpfs), _) => parse_tmpfs(tmpfs),
        (None, Some(mount)) => parse_any(mount),
        (None, None) => Err(Error::invalid("a mount that says nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::options::mount::{parse_mount, parse_volume};
    use super::*;

    #[test]
    fn every_form_of_a_mount_comes_back_as_it_was() {
        let colon = parse_mount("type=bind,source=/a:b,target=/c").unwrap();
        for option in [
            parse_volume("/host dir:/target:ro,rshared").unwrap(),
            parse_volume("./here:/target").unwrap(),
            parse_volume("data:/target:z").unwrap(),
            parse_volume("/anonymous").unwrap(),
            parse_mount("type=bind,source=/a,target=/b,readonly").unwrap(),
            parse_mount("type=volume,source=v-1,target=/b,volume-nocopy").unwrap(),
            parse_mount("type=tmpfs,target=/b,tmpfs-size=1m").unwrap(),
            parse_tmpfs("/run:size=1m,mode=0700,exec").unwrap(),
            MountOption { target: "/as-typed-by-volume".into(), ..colon },
        ] {
            let mount = MountRequest { option, owner: None, links: Links::Refuse };
            let json = serde_json::to_string(&mount).unwrap();
            let again: MountRequest = serde_json::from_str(&json).unwrap();
            assert_eq!(again, mount, "{json}");
        }
        for wrong in [
            r#"{"owner":null,"links":"follow"}"#,
            r#"{"mount":"/source:/x","owner":null,"links":"follow"}"#,
            r#"{"mount":"nonsense","source":"/a","owner":null,"links":"follow"}"#,
        ] {
            assert!(serde_json::from_str::<MountRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
