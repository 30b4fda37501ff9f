//! OCI's image layout (image spec, image-layout.md): `index.json` leads to
//! manifests, or by further indexes to those of several platforms, of which
//! one is chosen or all are taken.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::annotation::{FULL_NAME, REF_NAME};
use crate::oci::{Descriptor, Index, Manifest, media_type};
use crate::platform::{self, Platform};
use crate::reference::ImageRef;

use super::archive::{Archive, missing};
use super::{Documents, Found, FoundImage, FoundIndex, FoundLayer, parse};

/// The member that makes an archive a layout.
pub(super) const INDEX: &str = "index.json";

/// How deep indexes may lie in indexes.
const DEPTH_LIMIT: usize = 4;
/// How many descriptors all indexes together may have.
const DESCRIPTOR_LIMIT: usize = 4096;

/// docker's manifest (distribution, manifest-v2-2.md).
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// docker's image config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// docker's index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a manifest of buildkit's is that is no image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What the layout has whose `index.json` is `index`: of each index all images,
/// or that for the platform which is wanted. With what was left out.
///
/// # Errors
/// `Invalid` for malformed documents and missing blobs; `Mismatch` for blobs
/// that are not what their descriptors say; `Unsupported` if no image is for
/// the platform that is wanted.
pub(super) fn images(
    archive: &Archive,
    index: &[u8],
    wanted: Option<&Platform>,
) -> Result<(Vec<Found>, Vec<Platform>)> {
    let index: Index = parse(INDEX, index)?;
    let documents = Documents::default();
    let left = DESCRIPTOR_LIMIT;
    let mut layout = Layout { archive, wanted, documents, left, absent: Vec::new() };
    layout.count(&index)?;
    let mut found = Vec::new();
    for group in groups(index.manifests) {
        let name = group.iter().find_map(name);
        if are_variants(&group) {
            let index = Index::new(group.into_iter().map(nameless).collect());
            found.push(layout.variants((index, None), name, DEPTH_LIMIT)?);
            continue;
        }
        for descriptor in group {
            found.push(layout.find(&descriptor, name.clone(), DEPTH_LIMIT)?);
        }
    }
    Ok((found, layout.absent))
}

/// True if the `index.json` in `bytes` leads to an index, which docker's form of
/// the same archive knows nothing of.
pub(super) fn has_index(bytes: &[u8]) -> Result<bool> {
    let index: Index = parse(INDEX, bytes)?;
    Ok(index.manifests.iter().any(|descriptor| is_index(&descriptor.media_type)))
}

fn is_index(media_type: &str) -> bool {
    [media_type::INDEX, DOCKER_LIST].contains(&media_type)
}

/// Whether the images of one name are one image for different platforms.
fn are_variants(group: &[Descriptor]) -> bool {
    let platforms: BTreeSet<String> = group
        .iter()
        .filter_map(|descriptor| Some(descriptor.platform.as_ref()?.to_string()))
        .collect();
    group.len() > 1 && platforms.len() == group.len()
}

/// `descriptor` without what `index.json` alone has.
fn nameless(mut descriptor: Descriptor) -> Descriptor {
    descriptor.annotations.remove(FULL_NAME);
    descriptor.annotations.remove(REF_NAME);
    descriptor
}

/// Descriptors of one name in the order of `index.json`. Those without a name
/// are one group: images, or the platforms of one.
fn groups(descriptors: Vec<Descriptor>) -> Vec<Vec<Descriptor>> {
    let mut groups: Vec<(Option<String>, Vec<Descriptor>)> = Vec::new();
    for descriptor in descriptors.into_iter().filter(is_image) {
        let name = name(&descriptor);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(descriptor),
            None => groups.push((name, vec![descriptor])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn name(descriptor: &Descriptor) -> Option<String> {
    let annotation = |key: &str| descriptor.annotations.get(key);
    annotation(FULL_NAME).or_else(|| annotation(REF_NAME)).cloned()
}

/// False for attestations, which buildkit puts beside the images.
fn is_image(descriptor: &Descriptor) -> bool {
    !descriptor.annotations.contains_key(REFERENCE_TYPE)
        && descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

struct Layout<'a> {
    archive: &'a Archive,
    wanted: Option<&'a Platform>,
    documents: Documents,
    /// How many more descriptors there may be.
    left: usize,
    /// What was left out.
    absent: Vec<Platform>,
}

impl Layout<'_> {
    /// Takes note of what an index has.
    fn count(&mut self, index: &Index) -> Result<()> {
        let mut platforms = index.manifests.iter().filter_map(|known| known.platform.as_ref());
        platforms.try_for_each(check_platform)?;
        self.left = self.left.checked_sub(index.manifests.len()).ok_or_else(|| {
            Error::unsupported(format!("the archive names more than {DESCRIPTOR_LIMIT} manifests"))
        })?;
        Ok(())
    }

    /// What `descriptor` leads to.
    fn find(
        &mut self,
        descriptor: &Descriptor,
        name: Option<String>,
        depth: usize,
    ) -> Result<Found> {
        let bytes = self.blob(descriptor)?;
        match descriptor.media_type.as_str() {
            media_type::MANIFEST | DOCKER_MANIFEST => Ok(Found::Image(self.manifest(bytes, name)?)),
            media_type if is_index(media_type) && depth > 0 => {
                let index: Index = parse("index", &bytes)?;
                self.count(&index)?;
                self.variants((index, Some(bytes)), name, depth - 1)
            }
            media_type if is_index(media_type) => {
                let digest = descriptor.digest;
                Err(Error::unsupported(format!("the index {digest} lies too deep in others")))
            }
            other => {
                let digest = descriptor.digest;
                Err(Error::unsupported(format!("{digest} is no image but {other:?}")))
            }
        }
    }

    /// What an index leads to, whose bytes are given where it is a blob: the image
    /// for the platform that is wanted, or all. Left out are images for other
    /// systems than Linux, and those that the archive has not, as of an image
    /// that was saved for one platform alone.
    fn variants(
        &mut self,
        (index, bytes): (Index, Option<Vec<u8>>),
        name: Option<String>,
        depth: usize,
    ) -> Result<Found> {
        let count = index.manifests.len();
        let mut group: Vec<Descriptor> = index.manifests.into_iter().filter(is_image).collect();
        if self.wanted.is_some() {
            let platforms: Vec<_> = group.iter().map(|known| known.platform.clone()).collect();
            let chosen = group.swap_remove(chosen(&platforms, self.wanted)?);
            return self.find(&chosen, name, depth);
        }
        let (mut images, mut absent, mut foreign) = (Vec::new(), None, Vec::new());
        let mut is_plain = index.media_type.as_deref().is_none_or(|kind| kind == media_type::INDEX);
        for descriptor in group {
            if let Some(platform) = descriptor.platform.as_ref().filter(|it| it.os != "linux") {
                foreign.push(platform.clone());
                continue;
            }
            if !self.is_whole(&descriptor)? {
                self.absent.extend(descriptor.platform);
                absent.get_or_insert(descriptor.digest);
                continue;
            }
            match self.find(&descriptor, None, depth)? {
                Found::Image(image) => images.push((descriptor, image)),
                Found::Index(inner) => {
                    is_plain = false;
                    images.extend(inner.images);
                }
            }
        }
        let name = parsed(name);
        if images.len() < 2 {
            let (_, mut image) = images.pop().ok_or_else(|| nothing(absent, &foreign))?;
            self.absent.append(&mut foreign);
            image.names = name.into_iter().collect();
            return Ok(Found::Image(image));
        }
        self.absent.append(&mut foreign);
        // Whoever has all that it speaks of can give it back as it came.
        let bytes = bytes.filter(|_| is_plain && images.len() == count);
        Ok(Found::Index(FoundIndex { name, images, bytes, annotations: index.annotations }))
    }

    /// Whether `descriptor` leads to an image, all of which is in the archive; of
    /// an index and of what is malformed that is not told here.
    fn is_whole(&mut self, descriptor: &Descriptor) -> Result<bool> {
        let path = blob_path(descriptor.digest);
        if is_index(&descriptor.media_type) {
            return Ok(self.archive.open(&path)?.is_some());
        }
        let Some(bytes) = self.documents.read(self.archive, &path)? else { return Ok(false) };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok(true) };
        if ![media_type::CONFIG, DOCKER_CONFIG].contains(&manifest.config.media_type.as_str()) {
            return Ok(false);
        }
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if self.archive.open(&blob_path(blob.digest))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn manifest(&mut self, bytes: Vec<u8>, name: Option<String>) -> Result<FoundImage> {
        let manifest: Manifest = parse("manifest", &bytes)?;
        let config = self.blob(&manifest.config)?;
        let layer = |layer: &Descriptor| FoundLayer {
            path: blob_path(layer.digest),
            descriptor: Some((layer.digest, layer.size)),
        };
        let name = parsed(name);
        Ok(FoundImage {
            names: name.into_iter().collect(),
            config,
            layers: manifest.layers.iter().map(layer).collect(),
            manifest: Some((bytes, manifest)),
        })
    }

    /// The JSON document that `descriptor` names.
    fn blob(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let Descriptor { digest, size, .. } = *descriptor;
        let path = blob_path(digest);
        let bytes = self
            .documents
            .read(self.archive, &path)
            .context(|| format!("cannot read the blob {digest}"))?
            .ok_or_else(|| missing(&path))?;
        let (found, length) = (Digest::of(&bytes), bytes.len() as u64);
        if found != digest || length != size {
            return Err(Error::mismatch(format!(
                "the blob {digest} of {size} bytes in the archive is {found} of {length} bytes"
            )));
        }
        Ok(bytes)
    }
}

/// The error of an index none of whose images can be taken.
fn nothing(absent: Option<Digest>, foreign: &[Platform]) -> Error {
    match (absent, foreign) {
        (Some(digest), _) => missing(&blob_path(digest)),
        (None, []) => Error::invalid("an index in the archive has no images"),
        (None, foreign) => {
            let names: BTreeSet<String> = foreign.iter().map(Platform::to_string).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            Error::unsupported(format!("the image is not for Linux but for: {names}"))
        }
    }
}

/// Fails if `platform` has what no platform is written with: it will be printed.
///
/// # Errors
/// `Invalid`.
pub(super) fn check_platform(platform: &Platform) -> Result<()> {
    if platform.is_plain() {
        return Ok(());
    }
    Err(Error::invalid(format!("the archive has an image for {:?}", platform.to_string())))
}

/// A name that is none for us is one of the layout alone, and one with a digest
/// is nobody's to give.
fn parsed(name: Option<String>) -> Option<ImageRef> {
    name.and_then(|name| name.parse().ok()).filter(|name: &ImageRef| name.digest().is_none())
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.encoded())
}

/// Which of `platforms` is the one, as [`platform::choose`].
pub(super) fn chosen(platforms: &[Option<Platform>], wanted: Option<&Platform>) -> Result<usize> {
    platform::choose(platforms, wanted).ok_or_else(|| {
        let names: BTreeSet<String> = platforms.iter().flatten().map(Platform::to_string).collect();
        let names = names.into_iter().collect::<Vec<String>>();
        let host = Platform::host();
        let wanted = wanted.unwrap_or(&host);
        Error::unsupported(format!("the image is not for {wanted} but for: {}", names.join(", ")))
            .hint("choose one with --platform")
    })
}
