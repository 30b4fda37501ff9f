//! `envbox volume export` and `import`: a volume's files as one tar, with all
//! that a file can have. The tar of equal files is equal.

use std::io::{BufReader, Read};
use std::sync::Arc;

use crate::engine::{Engine, TarOutput};
use crate::error::{Context, Error, Kind, Result};
use crate::fs::Dir;
use crate::id::VolumeName;
use crate::image::{self, ApplyOptions, Counters, ImportOptions, Report, TarReader};

use super::VolumeRequest;
use super::local::LocalVolume;

/// Of what an archive is read by, in bytes.
const BUFFER: usize = 256 * 1024;

impl Engine {
    /// Writes what is in the volume `name` as a canonical tar; says what a tar
    /// cannot hold. Who writes into it meanwhile is not stopped.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for a volume that is no directory of the
    /// store's; `Invalid` if nothing is in it; those of reading and of the
    /// output.
    pub fn export_volume(&self, name: &str, output: TarOutput<'_>) -> Result<Report> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        let volume = self.volume(name)?;
        self.check_directory(&volume.record.name)?;
        let dir = Dir::open(&volume.mountpoint)?;
        if dir.names()?.is_empty() {
            return Err(Error::invalid(format!("volume {name} is empty"))
                .hint("there is nothing to export"));
        }
        let options = ImportOptions { counters: Arc::new(Counters::default()), ..<_>::default() };
        output.fill(&self.settings, |output| image::write_canonical(&dir, &options, output))
    }

    /// Puts the tar that `reader` gives, compressed or not, into the volume
    /// `name`, which is made if it is missing: whole, or not at all. Says what
    /// the file system did not take.
    ///
    /// # Errors
    /// `AlreadyExists` if something is in the volume; `Invalid` for members that
    /// leave it; those of reading.
    pub fn import_volume(&self, name: &VolumeName, reader: Box<dyn Read + Send>) -> Result<Report> {
        let store = self.store()?;
        let request = VolumeRequest { name: Some(name.clone()), ..VolumeRequest::default() };
        self.create_volume(&request)?;
        self.check_directory(name)?;
        let taken = || {
            Error::new(Kind::AlreadyExists, format!("volume {name} is not empty"))
                .hint("import into a new volume: give another name")
        };
        if !store.is_volume_empty(name)? {
            return Err(taken());
        }
        let pending = store.begin_volume_content(name)?;
        let target = Dir::open(&pending.directory())?;
        let reader = BufReader::with_capacity(BUFFER, image::open_compressed(reader)?);
        let applied = image::apply(TarReader::new(reader), &target, &ApplyOptions::default())
            .context(|| format!("cannot import into volume {name}"))?;
        if pending.commit(None)? { Ok(applied.report) } else { Err(taken()) }
    }

    fn check_directory(&self, name: &VolumeName) -> Result<()> {
        let volume = self.volume(name.as_str())?;
        match LocalVolume::parse(&volume.record.options)? {
            LocalVolume::Directory => Ok(()),
            LocalVolume::Tmpfs { .. } | LocalVolume::Bind { .. } | LocalVolume::Nfs(_) => {
                Err(Error::unsupported(format!("the files of volume {name} are not in the store"))
                    .hint("run a container with the volume, and tar in it"))
            }
        }
    }
}
