//! What a container has mounted beside its root, as `inspect` and `ps` tell of
//! it: where it lies on the host, and how it was asked for. What is in memory
//! lies nowhere, and is not told here.

use std::path::PathBuf;

use crate::engine::Engine;
use crate::engine::options::mount::{
    Bind, MissingSource, MountKind, MountOption, Propagation, Relabel, Volume,
};
use crate::engine::request::ContainerRequest;
use crate::error::Result;
use crate::id::VolumeName;
use crate::store::VolumeUse;

/// A directory or file of the host, or a volume, at a path of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Where it lies on the host.
    pub source: PathBuf,
    /// Where it is in the container.
    pub destination: String,
    /// The volume, if it is one.
    pub volume: Option<VolumeName>,
    /// Whether it cannot be written through.
    pub read_only: bool,
    /// The third part of `--volume` that says the same.
    pub mode: String,
    /// How later mounts spread, of what is no volume.
    pub propagation: Option<Propagation>,
    /// How it was asked for.
    pub origin: MountOrigin,
}

/// How a mount was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountOrigin {
    /// As `--volume` can say it.
    Volume,
    /// As only `--mount` can.
    Mount,
    /// As a volume without a name: `-v /PATH`, or the image's `VOLUME`.
    Anonymous,
    /// By `--volumes-from`.
    Inherited,
}

impl Engine {
    /// What a container has by `request`, with `uses` as its volumes. A volume
    /// that was never made is not among it.
    ///
    /// # Errors
    /// Those of the store.
    pub(in crate::engine) fn mount_points(
        &self,
        request: &ContainerRequest,
        uses: &[VolumeUse],
    ) -> Result<Vec<MountPoint>> {
        let store = self.existing_store()?;
        let points = request.mounts.iter().filter_map(|mount| {
            let option = &mount.option;
            let (source, volume) = match &option.kind {
                MountKind::Tmpfs(_) => return None,
                MountKind::Bind(bind) => (bind.source.clone(), None),
                MountKind::Volume(_) => {
                    let used = uses.iter().find(|used| used.target == option.target)?;
                    (store?.volume_data(&used.volume), Some(used.volume.clone()))
                }
            };
            let inherited = request.inherited.targets.contains(&option.target);
            Some(MountPoint {
                source,
                volume,
                destination: option.target.clone(),
                read_only: option.read_only,
                mode: mode(option),
                propagation: match &option.kind {
                    MountKind::Bind(bind) => Some(bind.propagation),
                    MountKind::Volume(_) | MountKind::Tmpfs(_) => None,
                },
                origin: if inherited { MountOrigin::Inherited } else { origin(&option.kind) },
            })
        });
        Ok(points.collect())
    }
}

fn origin(kind: &MountKind) -> MountOrigin {
    match kind {
        MountKind::Bind(Bind { missing: MissingSource::Create, .. }) => MountOrigin::Volume,
        MountKind::Volume(Volume { name: None, .. }) => MountOrigin::Anonymous,
        MountKind::Volume(volume)
            if volume.subpath.is_none()
                && volume.labels.is_empty()
                && volume.driver_options.is_empty() =>
        {
            MountOrigin::Volume
        }
        MountKind::Bind(_) | MountKind::Volume(_) | MountKind::Tmpfs(_) => MountOrigin::Mount,
    }
}

/// The words that `--volume` takes behind its second colon.
fn mode(option: &MountOption) -> String {
    let mut words = Vec::new();
    words.extend(option.read_only.then_some("ro"));
    let relabel = match &option.kind {
        MountKind::Bind(bind) => bind.relabel,
        MountKind::Volume(volume) => volume.relabel,
        MountKind::Tmpfs(_) => None,
    };
    words.extend(relabel.map(|label| if label == Relabel::Shared { "z" } else { "Z" }));
    match &option.kind {
        MountKind::Bind(bind) if bind.propagation != Propagation::default() => {
            words.push(bind.propagation.as_str());
        }
        MountKind::Volume(volume) if volume.no_copy => words.push("nocopy"),
        _ => {}
    }
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::mount::{parse_mount, parse_volume};

    #[test]
    fn a_mode_and_an_origin_are_those_that_were_typed() {
        let volume = |text: &str| parse_volume(text).unwrap();
        let mount = |text: &str| parse_mount(text).unwrap();
        for (option, expected, from) in [
            (volume("/a:/b"), "", MountOrigin::Volume),
            (volume("/a:/b:ro,z,rshared"), "ro,z,rshared", MountOrigin::Volume),
            (volume("data:/b:nocopy,ro"), "ro,nocopy", MountOrigin::Volume),
            (volume("/b"), "", MountOrigin::Anonymous),
            (mount("type=bind,source=/a,target=/b,readonly"), "ro", MountOrigin::Mount),
            (mount("type=volume,source=a1,target=/b,volume-subpath=x"), "", MountOrigin::Mount),
        ] {
            assert_eq!((mode(&option), origin(&option.kind)), (expected.to_owned(), from));
        }
    }
}
