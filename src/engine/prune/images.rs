//! Which images are pruned: those that no container uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{ChainId, ImageId};
use crate::error::Result;
use crate::store::{ImageRecord, PruneImage, Removed, Store};

use super::super::Engine;
use super::PruneFilter;

/// Which of the unused images [`Engine::prune_images`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageScope {
    /// Those without a tag.
    Dangling,
    /// All.
    All,
}

/// What [`Engine::prune_images`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// What was removed, image by image, in docker's order.
    pub removed: Vec<Removed>,
    /// What the files of the layers that went hold, in bytes.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes the images that no container uses, kept or running, and for
    /// which `filters` hold. What is used by the time that it would go, or has
    /// got a tag that keeps it, is left.
    ///
    /// # Errors
    /// Those of the store and of the run directory.
    pub fn prune_images(&self, scope: ImageScope, filters: &[PruneFilter]) -> Result<PrunedImages> {
        // Layers may belong to IDs that only the user namespace may remove.
        self.host()?;
        let mut pruned = PrunedImages::default();
        let Some(store) = self.existing_store()? else { return Ok(pruned) };
        let used = self.used_images(store)?;
        let sizes: BTreeMap<ChainId, u64> = store
            .layer_records()?
            .iter()
            .map(|layer| (layer.chain_id, layer.content_size))
            .collect();
        // One that two indexes have goes once one of them is gone.
        loop {
            let known = pruned.removed.len();
            let images = store.images()?;
            for image in &images {
                if used.contains(&image.id) || !goes(scope, filters, (image, &images)) {
                    continue;
                }
                let running = self.running_on_images()?;
                let removed = store.prune_image(&PruneImage {
                    image: image.id,
                    tagged: scope == ImageScope::All,
                    running: &running,
                })?;
                pruned.reclaimed += removed.iter().map(|gone| freed(gone, &sizes)).sum::<u64>();
                pruned.removed.extend(removed);
            }
            if pruned.removed.len() == known {
                break;
            }
        }
        self.note_prune("image", pruned.reclaimed);
        Ok(pruned)
    }

    /// A first look, so that nothing is begun in vain; the store looks again.
    fn used_images(&self, store: &Store) -> Result<BTreeSet<ImageId>> {
        let running = self.running_on_images()?.into_iter().map(|container| container.image);
        let kept = store.containers()?.into_iter().map(|container| container.image);
        Ok(running.chain(kept).collect())
    }
}

fn freed(removed: &Removed, sizes: &BTreeMap<ChainId, u64>) -> u64 {
    match removed {
        Removed::Layer(chain) => sizes.get(chain).copied().unwrap_or(0),
        Removed::Image(_) | Removed::Untagged(_) => 0,
    }
}

/// Whether `image` is to go, and with it those that only its names lead to.
fn goes(
    scope: ImageScope,
    filters: &[PruneFilter],
    (image, all): (&ImageRecord, &[ImageRecord]),
) -> bool {
    let goes_along =
        |other: &&ImageRecord| other.index_names.iter().any(|name| image.names.contains(name));
    image.index_names.is_empty()
        && is_in(scope, image)
        && holds_for(filters, image)
        && all.iter().filter(goes_along).all(|other| holds_for(filters, other))
}

fn is_in(scope: ImageScope, image: &ImageRecord) -> bool {
    scope == ImageScope::All || !image.has_tag()
}

/// An image of an unknown time is not taken for an old one.
fn holds_for(filters: &[PruneFilter], image: &ImageRecord) -> bool {
    filters.iter().all(|filter| match filter {
        PruneFilter::Until(time) => image.created.is_some_and(|created| created < *time),
        PruneFilter::Label(key, value) => has_label(image, key, value.as_deref()),
        PruneFilter::NotLabel(key, value) => !has_label(image, key, value.as_deref()),
    })
}

fn has_label(image: &ImageRecord, key: &str, value: Option<&str>) -> bool {
    image.labels.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

#[cfg(test)]
mod tests {
    use crate::digest::Digest;
    use crate::fs::Timestamp;
    use crate::platform::Platform;

    use super::*;

    fn image(created: Option<i64>, names: &[&str]) -> ImageRecord {
        ImageRecord {
            index_names: Vec::new(),
            id: ImageId(Digest::of(b"image")),
            manifest: Digest::of(b"manifest"),
            created: created.map(Timestamp::from_seconds),
            imported_at: Timestamp::from_seconds(100),
            size: 0,
            platform: Platform::host(),
            labels: BTreeMap::from([("team".to_owned(), "build".to_owned())]),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn all_filters_must_hold() {
        let label =
            |value: Option<&str>| PruneFilter::Label("team".into(), value.map(str::to_owned));
        let not_label =
            |value: Option<&str>| PruneFilter::NotLabel("team".into(), value.map(str::to_owned));
        let until = |seconds| PruneFilter::Until(Timestamp::from_seconds(seconds));
        for (filters, expected) in [
            (vec![], true),
            (vec![label(None)], true),
            (vec![label(Some("build"))], true),
            (vec![label(Some("test"))], false),
            (vec![not_label(None)], false),
            (vec![not_label(Some("test"))], true),
            (vec![until(11)], true),
            (vec![until(10)], false),
            (vec![until(11), label(None)], true),
            (vec![until(11), not_label(None)], false),
        ] {
            assert_eq!(holds_for(&filters, &image(Some(10), &[])), expected, "{filters:?}");
        }
        assert!(!holds_for(&[until(11)], &image(None, &[])));
    }

    #[test]
    fn a_digest_is_no_tag() {
        let digest = format!("a@{}", Digest::of(b"manifest"));
        for (names, dangling) in [
            (vec![], true),
            (vec![digest.as_str()], true),
            (vec!["a:1"], false),
            (vec![digest.as_str(), "a:1"], false),
        ] {
            assert_eq!(is_in(ImageScope::Dangling, &image(None, &names)), dangling, "{names:?}");
            assert!(is_in(ImageScope::All, &image(None, &names)));
        }
    }
}
