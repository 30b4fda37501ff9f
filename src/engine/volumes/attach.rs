//! The volumes of one container: from what was asked for to what is mounted.
//!
//! A volume's directory is found by its validated name below the store, which
//! no container can write to. A part of a volume is opened by descriptor,
//! through no link, and stays open until it is mounted: a container that has
//! the volume may turn the path into a link at any moment (CVE-2021-30465).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use crate::engine::options::mount::{self, MountKind, MountOption, Volume};
use crate::engine::request::MountRequest;
use crate::error::{Context, Error, Result};
use crate::fs::{Dir, Rootfs, Timestamp};
use crate::id::VolumeName;
use crate::oci::NameSet;
use crate::runtime::spec::{Access, Links, MountSource, Propagation, Restrictions};
use crate::store::{Store, VolumeHolder, VolumeRecord, VolumeUse};

use super::copy;
use super::inherit::InheritedMounts;
use super::local::LocalVolume;

/// What is mounted for the volumes of a container, by target. Parts of volumes
/// are open for as long as it lives.
#[derive(Debug, Default)]
pub(in crate::engine) struct AttachedVolumes {
    sources: BTreeMap<String, (MountSource, Access)>,
    open_parts: Vec<Dir>,
}

impl AttachedVolumes {
    /// Makes the volumes among `mounts` for `holder`, where they are missing,
    /// and fills empty ones with what `rootfs` has there.
    ///
    /// # Errors
    /// `Invalid` for options or parts of a volume that are none; those of the
    /// store.
    pub(in crate::engine) fn attach(
        store: &Store,
        mounts: &[MountRequest],
        (holder, rootfs): (VolumeHolder<'_>, &Rootfs),
    ) -> Result<Self> {
        let mut attached = Self::default();
        let volumes: Vec<(&MountOption, &Volume)> = mounts
            .iter()
            .filter_map(|mount| match &mount.option.kind {
                MountKind::Volume(volume) => Some((&mount.option, volume)),
                MountKind::Bind(_) | MountKind::Tmpfs(_) => None,
            })
            .collect();
        if volumes.is_empty() {
            return Ok(attached);
        }
        let had = store.volume_users()?;
        let had: Vec<VolumeUse> = had
            .into_iter()
            .filter(|user| user.container == *holder.id)
            .map(|user| user.used)
            .collect();
        let wanted: Vec<(VolumeRecord, VolumeUse)> =
            volumes.iter().map(|&volume| wanted(volume, &had)).collect::<Result<_>>()?;
        let records = store.hold_volumes(holder, &wanted)?;
        for ((option, volume), record) in volumes.into_iter().zip(records) {
            let local = LocalVolume::parse(&record.options)?;
            let copies = !volume.no_copy && volume.subpath.is_none();
            if local == LocalVolume::Directory && copies && store.is_volume_empty(&record.name)? {
                let target = Path::new(&option.target);
                copy::fill(store, (&record.name, holder.id), (rootfs, target))?;
            }
            attached.add(store, (option, volume), (&record, local))?;
        }
        Ok(attached)
    }

    /// What is mounted at `target`, and how, if it is a volume; `asked` is what
    /// the container was to be let.
    pub(in crate::engine) fn source(
        &self,
        target: &str,
        asked: Access,
    ) -> Result<(MountSource, Access)> {
        let found = self.sources.get(target).cloned();
        let (source, own) =
            found.ok_or_else(|| Error::internal(format!("no volume is ready for {target}")))?;
        Ok((source, if asked == Access::Writable { own } else { asked }))
    }

    fn add(
        &mut self,
        store: &Store,
        (option, volume): (&MountOption, &Volume),
        (record, local): (&VolumeRecord, LocalVolume),
    ) -> Result<()> {
        let name = &record.name;
        let part = volume.subpath.as_deref();
        let (source, access) = match local {
            LocalVolume::Tmpfs { .. } if part.is_some() => {
                return Err(Error::invalid(format!("volume {name} is in memory and has no parts"))
                    .hint("leave `volume-subpath` out"));
            }
            LocalVolume::Nfs(export) if part.is_some() => {
                return Err(Error::invalid(format!("volume {name} is mounted as a whole")).hint(
                    format!(
                        "leave `volume-subpath` out, and make a volume of the part: \
                         `-o device={}/PART`",
                        export.device.trim_end_matches('/')
                    ),
                ));
            }
            LocalVolume::Nfs(export) => (MountSource::Nfs(export), Access::Writable),
            LocalVolume::Tmpfs { options } => (MountSource::Tmpfs { options }, Access::Writable),
            LocalVolume::Directory => {
                (self.directory(store.volume_data(name), part, Links::Refuse)?, Access::Writable)
            }
            LocalVolume::Bind { device, read_only, recursive } => {
                let mut source = self.directory(device, part, Links::Follow)?;
                if let MountSource::Bind { recursive: below, .. } = &mut source {
                    *below = recursive;
                }
                (source, if read_only { Access::ReadOnly } else { Access::Writable })
            }
        };
        self.sources.insert(option.target.clone(), (source, access));
        Ok(())
    }

    fn directory(
        &mut self,
        path: PathBuf,
        part: Option<&str>,
        links: Links,
    ) -> Result<MountSource> {
        let (path, links) = match part {
            None => (path, links),
            Some(part) => {
                let dir = Dir::open(&path)?
                    .open_dir(OsStr::new(part))
                    .context(|| format!("cannot mount the part {part:?} of a volume"))?;
                let path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
                self.open_parts.push(dir);
                (PathBuf::from(path), Links::Follow)
            }
        };
        Ok(MountSource::Bind {
            path,
            recursive: false,
            propagation: Propagation::RPrivate,
            owner: None,
            links,
            restrictions: Restrictions::default(),
        })
    }
}

/// The volume that is to be at a place: by its name, or the anonymous one that
/// the container `had` there, or a new one.
fn wanted(
    (option, volume): (&MountOption, &Volume),
    had: &[VolumeUse],
) -> Result<(VolumeRecord, VolumeUse)> {
    let name = match &volume.name {
        Some(name) => name.parse()?,
        None => match had.iter().find(|used| used.target == option.target) {
            Some(used) => used.volume.clone(),
            None => random_name()?,
        },
    };
    let record = VolumeRecord {
        name,
        labels: volume.labels.iter().cloned().collect(),
        options: volume.driver_options.iter().cloned().collect(),
        created_at: Timestamp::now(),
        anonymous: volume.name.is_none(),
    };
    LocalVolume::parse(&record.options)?;
    let used = VolumeUse {
        volume: record.name.clone(),
        target: option.target.clone(),
        read_only: option.read_only,
    };
    Ok((record, used))
}

/// `mounts`, those of `inherited` where none of them stands, and an anonymous
/// volume at each of the image's `Volumes` where neither does; those that lie
/// deeper come later, as in docker. `inherited` keeps what is used of it.
///
/// # Errors
/// `Invalid` for a path of the image's that cannot be mounted at.
pub(in crate::engine) fn with_image_volumes(
    mounts: &[MountOption],
    inherited: &mut InheritedMounts,
    volumes: &NameSet,
) -> Result<Vec<MountRequest>> {
    let own = |target: &String| mounts.iter().any(|mount| mount.target == *target);
    inherited.inherited.targets.retain(|target| !own(target));
    let lent = std::mem::take(&mut inherited.mounts).into_iter();
    let lent = lent.filter(|mount| !own(&mount.option.target));
    let plain = |option| MountRequest { option, owner: None, links: Links::Follow };
    let mut all: Vec<MountRequest> = mounts.iter().cloned().map(plain).chain(lent).collect();
    for path in volumes.keys() {
        let target = mount::clean_target(path).map_err(|fault| {
            Error::invalid(format!("the image has a volume at {path:?}: {fault}"))
        })?;
        if all.iter().all(|mount| mount.option.target != target) {
            let kind = MountKind::Volume(Volume::default());
            all.push(plain(MountOption { target, read_only: false, kind }));
        }
    }
    all.sort_by_key(|mount| mount.option.target.matches('/').count());
    Ok(all)
}

/// A name for an anonymous volume.
pub(super) fn random_name() -> Result<VolumeName> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io_named("cannot draw a random volume name", error))?;
    Ok(VolumeName::from_random(bytes))
}
