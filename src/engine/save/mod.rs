//! `envbox save`: images as an archive of docker's or in OCI's image layout. The
//! store keeps no tar of a layer: it is written again from the tree, and
//! believed by its digest.

mod select;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::digest::{ChainId, DiffId};
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};
use crate::image::{self, Compression, Counters, LayerTarget, LayoutContent, LayoutForm, Packing};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::store::{ImageRecord, LayerLocation, Store};

use super::import::ImportStart;
use super::{Engine, TarOutput};

use select::Selection;

/// What is to be saved, and how.
#[derive(Clone, Copy)]
pub struct SaveRequest<'a> {
    /// Names, IDs or beginnings of IDs.
    pub images: &'a [String],
    /// Of images for several platforms the one that is saved; all if it is none.
    pub platform: Option<&'a Platform>,
    /// How layers are compressed; they are not if this is none.
    pub compression: Option<Compression>,
    /// Asked again and again: true ends the work with an error.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// What saved images become.
pub enum SaveTarget<'a> {
    /// A directory in OCI's image layout, which must not exist or be empty.
    Layout(&'a Path),
    /// A tar of such a directory, for these readers.
    Archive(TarOutput<'a>, LayoutForm),
}

/// The layers of all images.
#[derive(Default)]
struct Layers {
    targets: HashMap<DiffId, LayerTarget>,
    /// The sum of their tars, in bytes.
    size: u64,
}

impl Engine {
    /// Saves images; a name without a tag means every tag of its repository, as
    /// in docker. In the index each is called by its tag alone, unless two are
    /// the same: then all are by repository and tag. `began` is called once,
    /// when the layers are about to be read: from then on threads may start.
    ///
    /// # Errors
    /// `AlreadyExists` if something is where the directory is to be;
    /// `Mismatch` if a layer of the store is damaged; those of
    /// [`Store::resolve`] and [`image::write_layout`].
    pub fn save(
        &self,
        request: &SaveRequest<'_>,
        target: SaveTarget<'_>,
        began: impl FnOnce(ImportStart),
    ) -> Result<()> {
        // Layers may belong to IDs that only the user namespace may read.
        self.host()?;
        let mut selection = Selection::default();
        for image in request.images {
            selection.add(self.store_with("image", image)?, image, request.platform)?;
        }
        let store = self.store()?;
        // Nobody takes the layers away while they are read.
        let chains: Vec<ChainId> =
            selection.records().flat_map(|record| record.layers.iter().copied()).collect();
        let held = store.hold(&chains)?;
        let mut layers = Layers::default();
        for record in selection.records() {
            layers.locate(store, record, &store.image_config(record)?)?;
        }
        let contents = selection.contents(store)?;
        let images = contents.images();
        let inner = contents.of_indexes();
        let indexes = contents.indexes(&inner);
        let write = |packing: Option<Packing<'_>>| {
            let counters = Arc::new(Counters::default());
            let watch = Watch { counters: &counters, is_cancelled: request.is_cancelled };
            began(ImportStart { counters: Arc::clone(&counters), total: Some(layers.size) });
            let form = LayoutForm::Oci;
            let content = LayoutContent { images: &images, indexes: &indexes, form, packing };
            self.write(&content, (&layers, watch), target)
        };
        let packing = |compression| Packing { compression, folder: held.path() };
        // Its reader may be slow, and nobody who changes the store is to wait.
        store.close_database();
        write(request.compression.map(packing))?;
        store.let_go(held)
    }

    fn write(
        &self,
        content: &LayoutContent<'_>,
        (layers, watch): (&Layers, Watch<'_>),
        target: SaveTarget<'_>,
    ) -> Result<()> {
        let mut layer = |diff_id: DiffId, output: &mut dyn Write| {
            let layer = layers.targets.get(&diff_id);
            let layer = layer.ok_or_else(|| Error::not_found(format!("no layer {diff_id}")))?;
            image::rewrite_layer(layer, &mut Watched { output, watch })
        };
        let shown = target.shown();
        let written = match target {
            SaveTarget::Layout(folder) => {
                let folder = self.settings.absolute(folder);
                refuse_link(&folder)?;
                image::write_layout(&folder, content, &mut layer)
            }
            SaveTarget::Archive(output, form) => output.fill(&self.settings, |output| {
                let content = LayoutContent { form, ..*content };
                image::write_layout_archive(output, &content, &mut layer)
            }),
        };
        written.context(|| format!("cannot save to {shown}"))
    }
}

impl SaveTarget<'_> {
    /// As an error names it.
    fn shown(&self) -> String {
        match self {
            Self::Layout(path) | Self::Archive(TarOutput::File(path), _) => {
                path.display().to_string()
            }
            Self::Archive(TarOutput::Stream(_), _) => "stdout".to_owned(),
        }
    }
}

impl Layers {
    /// Adds where the layers of an image lie.
    fn locate(&mut self, store: &Store, record: &ImageRecord, config: &[u8]) -> Result<()> {
        let config: ImageConfig = serde_json::from_slice(config).map_err(|error| {
            Error::invalid(format!("the config of image {} is malformed", record.id)).because(error)
        })?;
        for (&diff_id, &chain) in config.rootfs.diff_ids.iter().zip(&record.layers) {
            if self.targets.insert(diff_id, layer(store, chain)?).is_none() {
                let size = store.layer_record(chain)?.map_or(0, |layer| layer.tar_size);
                self.size = self.size.saturating_add(size);
            }
        }
        Ok(())
    }
}

/// Who follows the work, and may end it.
#[derive(Clone, Copy)]
struct Watch<'a> {
    counters: &'a Counters,
    is_cancelled: &'a dyn Fn() -> bool,
}

/// What is written of a layer, under somebody's eyes.
struct Watched<'a> {
    output: &'a mut dyn Write,
    watch: Watch<'a>,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.watch.is_cancelled)() {
            return Err(Error::new(Kind::Unavailable, "the work was interrupted").into());
        }
        let count = self.output.write(bytes)?;
        self.watch.counters.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A directory cannot be renamed to where a symbolic link is; it is told
/// before anything is written.
fn refuse_link(folder: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Ok(());
    };
    let found = fs::absent_is_none(Dir::open(parent)?.metadata(OsStr::new(name)))?;
    if found.is_some_and(|found| found.kind == FileKind::Symlink) {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("{} is a symbolic link", folder.display()),
        )
        .hint("give the name of a new directory"));
    }
    Ok(())
}

/// The layer `chain` as the image floor finds it.
///
/// # Errors
/// As [`Store::layer`].
pub(super) fn layer(store: &Store, chain: ChainId) -> Result<LayerTarget> {
    let LayerLocation { folder, form } = store.layer(chain)?;
    Ok(LayerTarget::within(&folder, form))
}
