//! `envbox save`: images in OCI's image layout. The store keeps
//! no tar of a layer: it is written again from the tree, and
//! believed by its digest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use crate::digest::{ChainId, DiffId};
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};
use crate::image::{self, LayerTarget, LayoutImage};
use crate::oci::ImageConfig;
use crate::reference::ImageRef;
use crate::store::{EphemeralSnapshot, ImageRecord, LayerLocation, Store};

use super::{Engine, TarOutput};

/// What saved images become.
pub enum SaveTarget<'a> {
    /// A directory in OCI's image layout, which must not exist or be empty.
    Layout(&'a Path),
    /// A tar of such a directory.
    Archive(TarOutput<'a>),
}

/// An image that is to be saved under this name, or under none.
struct Selected {
    record: ImageRecord,
    name: Option<ImageRef>,
}

/// What is written of an image.
struct Content {
    reference: Option<String>,
    full_name: Option<String>,
    manifest: Vec<u8>,
    config: Vec<u8>,
}

impl Engine {
    /// Saves `images`: names, IDs or beginnings of IDs; a name without a tag
    /// means every tag of its repository, as in docker. Each is called by its
    /// tag alone, unless two are the same: then all are by repository and tag.
    ///
    /// # Errors
    /// `AlreadyExists` if something is where the directory is to be;
    /// `Mismatch` if a layer of the store is damaged; those of
    /// [`Store::resolve`] and [`image::write_layout`].
    pub fn save(&self, images: &[String], target: SaveTarget<'_>) -> Result<()> {
        // Layers may belong to IDs that only the user namespace may read.
        self.host()?;
        let mut selected = Vec::new();
        for image in images {
            select(self.store_with("image", image)?, image, &mut selected)?;
        }
        let store = self.store()?;
        // Nobody takes the layers away while they are read.
        let mut held: Vec<EphemeralSnapshot> = Vec::new();
        let mut layers = HashMap::new();
        let mut contents = Vec::new();
        for (Selected { record, name }, reference) in selected.iter().zip(references(&selected)) {
            held.push(store.prepare(record.chain())?);
            let config = store.image_config(record)?;
            locate(store, record, &config, &mut layers)?;
            let full_name = name.as_ref().and_then(full_name);
            let manifest = store.image_manifest(record)?;
            contents.push(Content { reference, full_name, manifest, config });
        }
        self.write(&contents, &layers, target)?;
        held.into_iter().try_for_each(EphemeralSnapshot::remove)
    }

    fn write(
        &self,
        contents: &[Content],
        layers: &HashMap<DiffId, LayerTarget>,
        target: SaveTarget<'_>,
    ) -> Result<()> {
        let images: Vec<LayoutImage<'_>> = contents.iter().map(Content::as_layout).collect();
        let mut layer = |diff_id: DiffId, output: &mut dyn Write| {
            let layer = layers.get(&diff_id);
            let layer = layer.ok_or_else(|| Error::not_found(format!("no layer {diff_id}")))?;
            image::rewrite_layer(layer, output)
        };
        match target {
            SaveTarget::Layout(folder) => {
                let folder = self.settings.absolute(folder);
                refuse_link(&folder)?;
                image::write_layout(&folder, &images, &mut layer)
            }
            SaveTarget::Archive(output) => output.fill(&self.settings, |output| {
                image::write_layout_archive(output, &images, &mut layer)
            }),
        }
    }
}

impl Content {
    fn as_layout(&self) -> LayoutImage<'_> {
        LayoutImage {
            reference: self.reference.as_deref(),
            full_name: self.full_name.as_deref(),
            manifest: &self.manifest,
            config: &self.config,
        }
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
    let mut add = |record: &ImageRecord, name: Option<&ImageRef>| {
        let is_new = |known: &Selected| known.record.id != record.id || known.name.as_ref() != name;
        if selected.iter().all(is_new) {
            selected.push(Selected { record: record.clone(), name: name.cloned() });
        }
    };
    let name = text.parse::<ImageRef>().ok();
    if let Some(repository) = name.as_ref().filter(|name| is_bare(name)) {
        let mut found = false;
        for record in store.images()? {
            let of_repository = |known: &&ImageRef| {
                known.tag().is_some() && known.full_repository() == repository.full_repository()
            };
            for name in record.names.iter().filter(of_repository) {
                add(&record, Some(name));
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
    let name = record.names.iter().find(is_it).filter(|name| name.tag().is_some());
    add(&record, name);
    Ok(())
}

fn is_bare(name: &ImageRef) -> bool {
    name.tag().is_none() && name.digest().is_none()
}

/// What each image is called in the layout.
fn references(selected: &[Selected]) -> Vec<Option<String>> {
    let mut tags: Vec<&str> =
        selected.iter().filter_map(|image| image.name.as_ref()?.tag()).collect();
    let named = tags.len();
    tags.sort_unstable();
    tags.dedup();
    let unique = tags.len() == named;
    let reference = |name: &ImageRef| match name.tag() {
        Some(tag) if unique => tag.to_owned(),
        _ => name.to_string(),
    };
    selected.iter().map(|image| image.name.as_ref().map(reference)).collect()
}

/// The name by which docker and envbox load it; with a tag always.
fn full_name(name: &ImageRef) -> Option<String> {
    Some(format!("{}:{}", name.full_repository(), name.tag()?))
}

/// Adds where the layers of an image lie.
fn locate(
    store: &Store,
    record: &ImageRecord,
    config: &[u8],
    layers: &mut HashMap<DiffId, LayerTarget>,
) -> Result<()> {
    let config: ImageConfig = serde_json::from_slice(config).map_err(|error| {
        Error::invalid(format!("the config of image {} is malformed", record.id)).because(error)
    })?;
    for (&diff_id, &chain) in config.rootfs.diff_ids.iter().zip(&record.layers) {
        layers.insert(diff_id, layer(store, chain)?);
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
