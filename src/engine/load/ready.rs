//! What is about to be put into the store: its layers are there, its documents
//! are those that the store can answer for.

use crate::digest::{ChainId, DiffId, Digest};
use crate::error::{Context, Error, Result};
use crate::fs::Timestamp;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, media_type, to_canonical_json};
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::{NewImage, NewIndex, Store};

use super::archive::Archive;
use super::layers::Loader;
use super::{Found, FoundImage, FoundIndex, JSON_LIMIT, Loaded, LoadedImage, oci, parse};

/// An image, or the images of an index.
pub(super) enum Ready {
    Image(ReadyImage),
    Index(ReadyIndex),
}

/// An image, whose layers are in the store.
pub(super) struct ReadyImage {
    names: Vec<ImageRef>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    chains: Vec<ChainId>,
    size: u64,
    platform: Platform,
}

/// An index, and its images.
pub(super) struct ReadyIndex {
    name: Option<ImageRef>,
    bytes: Vec<u8>,
    /// With what the index has them for.
    images: Vec<(Platform, ReadyImage)>,
}

impl Ready {
    /// Loads the layers of what was found.
    ///
    /// # Errors
    /// `Invalid` for configs that do not fit; those of [`Loader::load`].
    pub(super) fn prepare(
        loader: &mut Loader<'_>,
        archive: &Archive,
        (found, wanted): (Found, Option<&Platform>),
    ) -> Result<Self> {
        match found {
            Found::Image(image) => {
                ReadyImage::prepare(loader, archive, (image, wanted)).map(Self::Image)
            }
            Found::Index(index) => ReadyIndex::prepare(loader, archive, index).map(Self::Index),
        }
    }

    /// Puts it into the store, and notes that.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn put(&self, store: &Store, loaded: &mut Loaded) -> Result<()> {
        let imported_at = Timestamp::now();
        match self {
            Self::Image(image) => {
                let names = image.names.iter().map(Some);
                let unnamed = image.names.is_empty().then_some(None);
                for name in names.chain(unnamed) {
                    let put = store.put_image(&NewImage { name, ..image.as_new(imported_at) })?;
                    let (id, previous) = (put.id.0, put.previous);
                    loaded.images.push(LoadedImage { id, name: name.map(full), previous });
                }
            }
            Self::Index(index) => {
                let images = index.images.iter();
                let images: Vec<(Platform, NewImage<'_>)> = images
                    .map(|(platform, image)| (platform.clone(), image.as_new(imported_at)))
                    .collect();
                let name = index.name.as_ref();
                let new = NewIndex { bytes: &index.bytes, images: &images, name };
                let previous = store.put_index(&new)?.previous;
                let id = Digest::of(&index.bytes);
                loaded.images.push(LoadedImage { id, name: name.map(full), previous });
            }
        }
        Ok(())
    }
}

impl ReadyImage {
    fn prepare(
        loader: &mut Loader<'_>,
        archive: &Archive,
        (image, wanted): (FoundImage, Option<&Platform>),
    ) -> Result<Self> {
        let config: ImageConfig = parse("image config", &image.config)?;
        let platform = config.platform();
        oci::check_platform(&platform)?;
        if wanted.is_some() {
            oci::chosen(&[Some(platform.clone())], wanted)?;
        }
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            let (here, there) = (image.layers.len(), diff_ids.len());
            return Err(Error::invalid(format!(
                "the archive has {here} layers for an image whose config names {there}"
            )));
        }
        let mut layers = Vec::new();
        let mut size = 0u64;
        for (index, (layer, &diff_id)) in image.layers.iter().zip(diff_ids).enumerate() {
            let record = loader
                .load(archive, layer, &diff_ids[..=index])
                .context(|| format!("cannot load layer {diff_id}"))?;
            size = size.saturating_add(record.content_size);
            layers.push(Descriptor::new(media_type::LAYER_TAR, diff_id.0, record.tar_size));
        }
        Ok(Self {
            manifest: manifest(&image, diff_ids, layers)?,
            chains: ChainId::stack(diff_ids),
            names: image.names,
            config: image.config,
            size,
            platform,
        })
    }

    fn as_new(&self, imported_at: Timestamp) -> NewImage<'_> {
        NewImage {
            config: &self.config,
            manifest: &self.manifest,
            layers: &self.chains,
            size: self.size,
            imported_at,
            name: None,
            action: "load",
        }
    }
}

impl ReadyIndex {
    fn prepare(loader: &mut Loader<'_>, archive: &Archive, index: FoundIndex) -> Result<Self> {
        let (mut images, mut manifests) = (Vec::new(), Vec::new());
        let mut is_same = true;
        for (mut descriptor, image) in index.images {
            let image = ReadyImage::prepare(loader, archive, (image, None))
                .context(|| format!("cannot load the image {}", descriptor.digest))?;
            let made = Descriptor::of(media_type::MANIFEST, &image.manifest);
            is_same &= made.digest == descriptor.digest;
            let platform =
                descriptor.platform.get_or_insert_with(|| image.platform.clone()).clone();
            manifests.push(Descriptor {
                platform: descriptor.platform,
                annotations: descriptor.annotations,
                ..made
            });
            images.push((platform, image));
        }
        let bytes = match index.bytes.filter(|_| is_same) {
            Some(bytes) => bytes,
            None => {
                let annotations = index.annotations;
                to_canonical_json(&Index { annotations, ..Index::new(manifests) })?
            }
        };
        if bytes.len() as u64 > JSON_LIMIT {
            let error = format!("the indexes of an image have more than {JSON_LIMIT} bytes");
            return Err(Error::unsupported(error).hint("load one image of it with --platform"));
        }
        Ok(Self { name: index.name, bytes, images })
    }
}

/// The manifest to keep: that of the archive, where it speaks of uncompressed
/// layers, which are what the store can give back; else one of these.
fn manifest(image: &FoundImage, diff_ids: &[DiffId], layers: Vec<Descriptor>) -> Result<Vec<u8>> {
    if let Some((bytes, manifest)) = &image.manifest {
        let mut pairs = manifest.layers.iter().zip(diff_ids);
        let is_oci = manifest.media_type.as_deref().is_none_or(|kind| kind == media_type::MANIFEST);
        if is_oci && pairs.all(|(layer, diff_id)| layer.digest == diff_id.0) {
            return Ok(bytes.clone());
        }
    }
    let mut new = Manifest::new(Descriptor::of(media_type::CONFIG, &image.config), layers);
    if let Some((_, manifest)) = &image.manifest {
        new.annotations.clone_from(&manifest.annotations);
    }
    to_canonical_json(&new)
}

/// `name` with the tag that it means.
fn full(name: &ImageRef) -> String {
    match (name.tag(), name.tag_or_default()) {
        (None, Some(tag)) => format!("{name}:{tag}"),
        _ => name.to_string(),
    }
}
