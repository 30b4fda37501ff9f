//! `envbox save`: images as an archive of docker's or in OCI's image layout. The
//! store keeps no tar of a layer: it is written again from the tree, and
//! believed by its digest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::digest::{ChainId, DiffId};
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};
use crate::image::{
    self, Compression, Counters, LayerTarget, LayoutContent, LayoutForm, LayoutImage, LayoutName,
    Packing,
};
use crate::oci::ImageConfig;
use crate::reference::ImageRef;
use crate::store::{ImageRecord, LayerLocation, Store};

use super::import::ImportStart;
use super::{Engine, TarOutput};

/// What is to be saved, and how.
#[derive(Clone, Copy)]
pub struct SaveRequest<'a> {
    /// Names, IDs or beginnings of IDs.
    pub images: &'a [String],
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

/// An image that is to be saved under these names, or under none.
struct Selected {
    record: ImageRecord,
    names: Vec<ImageRef>,
}

/// What is written of an image.
struct Content<'a> {
    names: Vec<LayoutName<'a>>,
    manifest: Vec<u8>,
    config: Vec<u8>,
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
        let mut selected = Vec::new();
        for image in request.images {
            select(self.store_with("image", image)?, image, &mut selected)?;
        }
        let store = self.store()?;
        // Nobody takes the layers away while they are read.
        let chains: Vec<ChainId> =
            selected.iter().flat_map(|image| image.record.layers.iter().copied()).collect();
        let held = store.hold(&chains)?;
        let mut layers = Layers::default();
        let mut contents = Vec::new();
        for (Selected { record, .. }, names) in selected.iter().zip(layout_names(&selected)) {
            let config = store.image_config(record)?;
            layers.locate(store, record, &config)?;
            let manifest = store.image_manifest(record)?;
            contents.push(Content { names, manifest, config });
        }
        let images: Vec<LayoutImage<'_>> = contents.iter().map(Content::as_layout).collect();
        let write = |packing: Option<Packing<'_>>| {
            let counters = Arc::new(Counters::default());
            let watch = Watch { counters: &counters, is_cancelled: request.is_cancelled };
            began(ImportStart { counters: Arc::clone(&counters), total: Some(layers.size) });
            self.write((&images, packing), (&layers, watch), target)
        };
        let packing = |compression| Packing { compression, folder: held.path() };
        // Its reader may be slow, and nobody who changes the store is to wait.
        store.close_database();
        write(request.compression.map(packing))?;
        store.let_go(held)
    }

    fn write(
        &self,
        (images, packing): (&[LayoutImage<'_>], Option<Packing<'_>>),
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
                let content = LayoutContent { images, form: LayoutForm::Oci, packing };
                image::write_layout(&folder, &content, &mut layer)
            }
            SaveTarget::Archive(output, form) => output.fill(&self.settings, |output| {
                let content = LayoutContent { images, form, packing };
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

impl Content<'_> {
    fn as_layout(&self) -> LayoutImage<'_> {
        LayoutImage { names: &self.names, manifest: &self.manifest, config: &self.config }
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

/// Adds the images that `text` means.
fn select(store: &Store, text: &str, selected: &mut Vec<Selected>) -> Result<()> {
    let name = text.parse::<ImageRef>().ok();
    if let Some(repository) = name.as_ref().filter(|name| is_bare(name)) {
        let mut found = false;
        for record in store.images()? {
            let of_repository =
                |known: &&ImageRef| known.full_repository() == repository.full_repository();
            for name in record.names.iter().filter(of_repository) {
                add(&record, Some(name), selected);
                found = true;
            }
        }
        if found {
            return Ok(());
        }
    }
    let record = store.resolve(text)?;
    // `sha256:0123` is a name, too, but not of this image.
    let is_it = |known: &&ImageRef| name.as_ref().is_some_and(|name| name == *known);
    add(&record, record.names.iter().find(is_it), selected);
    Ok(())
}

/// Adds an image, and its name, once. A digest is no name of an archive: docker
/// saves such an image without one.
fn add(record: &ImageRecord, name: Option<&ImageRef>, selected: &mut Vec<Selected>) {
    let index = selected.iter().position(|known| known.record.id == record.id);
    let index = index.unwrap_or_else(|| {
        selected.push(Selected { record: record.clone(), names: Vec::new() });
        selected.len() - 1
    });
    let names = &mut selected[index].names;
    let is_new = |name: &&ImageRef| name.tag().is_some() && !names.contains(name);
    names.extend(name.filter(is_new).cloned());
}

fn is_bare(name: &ImageRef) -> bool {
    name.tag().is_none() && name.digest().is_none()
}

/// What each image is called in the layout.
fn layout_names(selected: &[Selected]) -> Vec<Vec<LayoutName<'_>>> {
    let names = || selected.iter().flat_map(|image| &image.names);
    let mut tags: Vec<&str> = names().filter_map(ImageRef::tag).collect();
    tags.sort_unstable();
    tags.dedup();
    let unique = tags.len() == names().count();
    let named = |name| {
        let reference = match ImageRef::tag(name) {
            Some(tag) if unique => tag.to_owned(),
            _ => name.to_string(),
        };
        LayoutName { name, reference }
    };
    selected.iter().map(|image| image.names.iter().map(named).collect()).collect()
}

/// The layer `chain` as the image floor finds it.
///
/// # Errors
/// As [`Store::layer`].
pub(super) fn layer(store: &Store, chain: ChainId) -> Result<LayerTarget> {
    let LayerLocation { folder, form } = store.layer(chain)?;
    Ok(LayerTarget::within(&folder, form))
}
