//! OCI's image layout (image spec, image-layout.md): `index.json` leads to
//! manifests, or by further indexes to those of several platforms, of which
//! one is chosen.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::{Descriptor, Index, Manifest, media_type};
use crate::platform::Platform;
use crate::reference::ImageRef;

use super::archive::{Archive, missing};
use super::{FoundImage, FoundLayer, JSON_LIMIT, parse};

/// The member that makes an archive a layout.
pub(super) const INDEX: &str = "index.json";

/// How deep indexes may lie in indexes.
const DEPTH_LIMIT: usize = 4;
/// How many descriptors all indexes together may have.
const DESCRIPTOR_LIMIT: usize = 4096;

/// docker's manifest (distribution, manifest-v2-2.md).
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// docker's index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The full name, as containerd and docker write it.
const FULL_NAME: &str = "io.containerd.image.name";
/// The name of a layout (image spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What a manifest of buildkit's is that is no image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The images of the layout whose `index.json` is `index`.
///
/// # Errors
/// `Invalid` for malformed documents and missing blobs; `Mismatch` for blobs
/// that are not what their descriptors say; `Unsupported` if no image is for
/// the platform that is wanted.
pub(super) fn images(
    archive: &Archive,
    index: &[u8],
    wanted: Option<&Platform>,
) -> Result<Vec<FoundImage>> {
    let index: Index = parse(INDEX, index)?;
    let mut layout = Layout { archive, wanted, left: DESCRIPTOR_LIMIT };
    layout.count(&index)?;
    let mut images = Vec::new();
    for group in groups(index.manifests) {
        let name = group.iter().find_map(name);
        for descriptor in layout.choose(group)? {
            images.push(layout.image(&descriptor, name.clone(), DEPTH_LIMIT)?);
        }
    }
    Ok(images)
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
    /// How many more descriptors there may be.
    left: usize,
}

impl Layout<'_> {
    fn count(&mut self, index: &Index) -> Result<()> {
        self.left = self.left.checked_sub(index.manifests.len()).ok_or_else(|| {
            Error::unsupported(format!("the archive names more than {DESCRIPTOR_LIMIT} manifests"))
        })?;
        Ok(())
    }

    /// Of `group`, that which is for the platform, if its members are for
    /// different ones; else all.
    fn choose(&self, group: Vec<Descriptor>) -> Result<Vec<Descriptor>> {
        let mut platforms: Vec<String> = group
            .iter()
            .filter_map(|descriptor| Some(descriptor.platform.as_ref()?.to_string()))
            .collect();
        let count = platforms.len();
        platforms.sort();
        platforms.dedup();
        let are_variants = group.len() > 1 && count == group.len() && platforms.len() == count;
        if !are_variants {
            return Ok(group);
        }
        self.pick(group).map(|chosen| vec![chosen])
    }

    fn pick(&self, group: Vec<Descriptor>) -> Result<Descriptor> {
        let platforms: Vec<Option<Platform>> =
            group.iter().map(|descriptor| descriptor.platform.clone()).collect();
        let chosen = chosen(&platforms, self.wanted)?;
        group.into_iter().nth(chosen).ok_or_else(|| Error::internal("no such platform"))
    }

    /// The image that `descriptor` leads to.
    fn image(
        &mut self,
        descriptor: &Descriptor,
        name: Option<String>,
        depth: usize,
    ) -> Result<FoundImage> {
        let bytes = self.blob(descriptor)?;
        match descriptor.media_type.as_str() {
            media_type::MANIFEST | DOCKER_MANIFEST => self.manifest(bytes, name),
            media_type::INDEX | DOCKER_LIST if depth > 0 => {
                let index: Index = parse("index", &bytes)?;
                self.count(&index)?;
                let group: Vec<Descriptor> = index.manifests.into_iter().filter(is_image).collect();
                let chosen = self.pick(group)?;
                self.image(&chosen, name, depth - 1)
            }
            media_type::INDEX | DOCKER_LIST => {
                let digest = descriptor.digest;
                Err(Error::unsupported(format!("the index {digest} lies too deep in others")))
            }
            other => {
                let digest = descriptor.digest;
                Err(Error::unsupported(format!("{digest} is no image but {other:?}")))
            }
        }
    }

    fn manifest(&self, bytes: Vec<u8>, name: Option<String>) -> Result<FoundImage> {
        let manifest: Manifest = parse("manifest", &bytes)?;
        let config = self.blob(&manifest.config)?;
        let layer = |layer: &Descriptor| FoundLayer {
            path: blob_path(layer.digest),
            descriptor: Some((layer.digest, layer.size)),
        };
        // A name that is none for us is one of the layout alone.
        let name = name.and_then(|name| name.parse::<ImageRef>().ok());
        Ok(FoundImage {
            names: name.into_iter().collect(),
            config,
            layers: manifest.layers.iter().map(layer).collect(),
            manifest: Some((bytes, manifest)),
        })
    }

    /// The JSON document that `descriptor` names.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let Descriptor { digest, size, .. } = *descriptor;
        let path = blob_path(digest);
        let bytes = self
            .archive
            .read(&path, JSON_LIMIT)
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

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.encoded())
}

/// Which of `platforms` is the one: that which is wanted, else the host's, else
/// one that the host's kernel runs as well. One alone is taken if none is
/// wanted.
pub(super) fn chosen(platforms: &[Option<Platform>], wanted: Option<&Platform>) -> Result<usize> {
    let host = Platform::host();
    let find = |is_it: &dyn Fn(&Platform) -> bool| {
        platforms.iter().position(|platform| platform.as_ref().is_some_and(is_it))
    };
    let found = match wanted {
        Some(wanted) => find(&|platform| platform.satisfies(wanted)),
        None => find(&|platform| platform.satisfies(&host))
            .or_else(|| find(&|platform| platform.is_native_on(&host)))
            .or((platforms.len() == 1).then_some(0)),
    };
    found.ok_or_else(|| {
        let names: BTreeSet<String> = platforms.iter().flatten().map(Platform::to_string).collect();
        let names = names.into_iter().collect::<Vec<String>>();
        let wanted = wanted.unwrap_or(&host);
        Error::unsupported(format!("the image is not for {wanted} but for: {}", names.join(", ")))
            .hint("choose one with --platform")
    })
}
