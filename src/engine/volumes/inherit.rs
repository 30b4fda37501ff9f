//! `--volumes-from`: the volumes and bound directories of another container,
//! at the same places.
//!
//! They are looked up when the new container is made, and are mounts of its
//! own from then on: the other one may go, and who takes them from the new one
//! gets them as well. Anonymous volumes are named for that; what is in memory
//! belongs to one container and stays there. A volume is not filled from the
//! image of whoever takes it (moby, `daemon/volumes_unix.go`).

use std::str::FromStr;

use crate::engine::Engine;
use crate::engine::lifecycle::{Found, KeptSpec};
use crate::engine::options::mount::{MountKind, Volume};
use crate::engine::request::{ContainerRequest, Inherited, MountRequest};
use crate::error::{Context, Error, Kind, Result};
use crate::id::ContainerId;
use crate::store::VolumeUse;

/// A value of `--volumes-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumesFrom {
    /// The other container: a name, an ID or the beginning of one.
    pub container: String,
    /// Whether nothing can be written through the new mounts; what the other
    /// container may not write stays so in any case.
    pub read_only: bool,
}

impl FromStr for VolumesFrom {
    type Err = Error;

    /// Parses `CONTAINER[:ro|rw]`.
    fn from_str(text: &str) -> Result<Self> {
        let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if container.is_empty() {
            return Err(Error::invalid("volumes are taken from a container, and none is named")
                .hint("write --volumes-from CONTAINER[:ro]"));
        }
        let read_only = match mode {
            "ro" => true,
            "rw" => false,
            mode => {
                return Err(Error::invalid(format!("invalid mode for volumes-from: {mode}"))
                    .hint("it is ro or rw"));
            }
        };
        Ok(Self { container: container.to_owned(), read_only })
    }
}

impl std::fmt::Display for VolumesFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}{mode}", self.container)
    }
}

/// The mounts of a new container: its own, those of others where it has none,
/// and where they come from.
#[derive(Debug, Default)]
pub(in crate::engine) struct InheritedMounts {
    /// The mounts.
    pub mounts: Vec<MountRequest>,
    /// What is remembered of it.
    pub inherited: Inherited,
}

impl Engine {
    /// What the containers of `sources` have; of two at one place that of the
    /// later one.
    ///
    /// # Errors
    /// `NotFound` for no such container; `Unsupported` for one that an older
    /// envbox made; `Unavailable` where a volume of it has never been made.
    pub(in crate::engine) fn inherited_mounts(
        &self,
        sources: &[VolumesFrom],
    ) -> Result<InheritedMounts> {
        let mut all = InheritedMounts::default();
        for from in sources {
            let found = self.find_container(&from.container)?;
            for mount in self.lendable(&found, from)? {
                all.mounts.retain(|other| other.option.target != mount.option.target);
                all.mounts.push(mount);
            }
            all.inherited.from.push(from.to_string());
        }
        all.inherited.targets =
            all.mounts.iter().map(|mount| mount.option.target.clone()).collect();
        Ok(all)
    }

    fn lendable(&self, found: &Found, from: &VolumesFrom) -> Result<Vec<MountRequest>> {
        let request = request_of(found)?;
        let uses = self.volume_uses(&found.id, &request)?;
        let lent = request.mounts.into_iter().filter_map(|mount| lent(mount, &uses).transpose());
        lent.map(|mount| {
            let mut mount = mount.context(|| format!("cannot take volumes from {}", found.name))?;
            mount.option.read_only |= from.read_only;
            Ok(mount)
        })
        .collect()
    }

    /// The volumes that the container `id` has, if it has any by `request`.
    pub(in crate::engine) fn volume_uses(
        &self,
        id: &ContainerId,
        request: &ContainerRequest,
    ) -> Result<Vec<VolumeUse>> {
        let is_volume = |mount: &MountRequest| matches!(mount.option.kind, MountKind::Volume(_));
        if !request.mounts.iter().any(is_volume) {
            return Ok(Vec::new());
        }
        let Some(store) = self.existing_store()? else { return Ok(Vec::new()) };
        let users = store.volume_users()?.into_iter();
        Ok(users.filter(|user| user.container == *id).map(|user| user.used).collect())
    }
}

/// What a container was asked to be: its record tells, or its file while it
/// runs.
fn request_of(found: &Found) -> Result<ContainerRequest> {
    let spec = match (&found.record, &found.running) {
        (Some(record), _) => KeptSpec::of(record),
        (None, Some(running)) => KeptSpec::of_running(running),
        (None, None) => KeptSpec::default(),
    };
    spec.request(found.name.as_str()).map_err(|error| {
        Error::unsupported(format!("cannot take volumes from {}", found.name)).because(error)
    })
}

/// `mount` as another container has it; none for what is in memory.
fn lent(mount: MountRequest, uses: &[VolumeUse]) -> Result<Option<MountRequest>> {
    let MountRequest { mut option, owner, links } = mount;
    match &mut option.kind {
        MountKind::Tmpfs(_) => return Ok(None),
        MountKind::Bind(_) => {}
        MountKind::Volume(volume) => {
            let used = uses.iter().find(|used| used.target == option.target);
            let name = match (volume.name.take(), used) {
                (Some(name), _) => name,
                (None, Some(used)) => used.volume.to_string(),
                (None, None) => return Err(never_made(&option.target)),
            };
            // It is there: what it is to be made of no longer counts.
            *volume = Volume {
                name: Some(name),
                no_copy: true,
                labels: Vec::new(),
                driver_options: Vec::new(),
                ..std::mem::take(volume)
            };
        }
    }
    Ok(Some(MountRequest { option, owner, links }))
}

fn never_made(target: &str) -> Error {
    Error::new(Kind::Unavailable, format!("the volume at {target} has not been made yet"))
        .hint("start that container once: envbox start CONTAINER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::mount::{parse_tmpfs, parse_volume};
    use crate::runtime::spec::Links;

    #[test]
    fn a_value_is_a_container_and_a_mode() {
        let parse = |text: &str| text.parse::<VolumesFrom>();
        for (text, container, read_only) in
            [("db", "db", false), ("db:rw", "db", false), ("db:ro", "db", true)]
        {
            let expected = VolumesFrom { container: container.into(), read_only };
            assert_eq!(parse(text).unwrap(), expected);
        }
        for text in ["", ":ro", "db:", "db:z", "db:ro:rw"] {
            assert_eq!(parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn an_anonymous_volume_is_lent_by_its_name_and_memory_is_not() {
        let request = |option| MountRequest { option, owner: None, links: Links::Follow };
        let used =
            VolumeUse { volume: "abc".parse().unwrap(), target: "/db".into(), read_only: false };
        let lend = |option| lent(request(option), std::slice::from_ref(&used));
        let db = lend(parse_volume("/db").unwrap()).unwrap().unwrap();
        assert_eq!(db.option, parse_volume("abc:/db:nocopy").unwrap());
        let named = lend(parse_volume("own:/x:ro").unwrap()).unwrap().unwrap();
        assert_eq!(named.option, parse_volume("own:/x:ro,nocopy").unwrap());
        let bind = parse_volume("/host:/x").unwrap();
        assert_eq!(lend(bind.clone()).unwrap(), Some(request(bind)));
        assert_eq!(lend(parse_tmpfs("/run").unwrap()).unwrap(), None);
        let missing = lend(parse_volume("/other").unwrap()).unwrap_err();
        assert_eq!(missing.kind(), Kind::Unavailable);
    }
}
