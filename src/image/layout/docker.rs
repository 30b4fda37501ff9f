//! What makes a layout one of docker's archives as well: `manifest.json` (moby,
//! image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format"),
//! whose paths lead to the blobs since docker 25, and `repositories`, which it
//! still writes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::{DiffId, Digest};
use crate::error::Result;
use crate::oci::{Descriptor, to_canonical_json};
use crate::reference::ImageRef;

use super::path_of;

/// An image in `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    config: String,
    /// `null` for an image without a name, as docker has it.
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    layer_sources: BTreeMap<DiffId, Descriptor>,
}

impl Item {
    /// The image of `config` and of `layers`, lowest first.
    pub(super) fn new(
        config: Digest,
        layers: &[(DiffId, Descriptor)],
        names: &[&ImageRef],
    ) -> Self {
        let tags: Vec<String> = names.iter().map(ToString::to_string).collect();
        Self {
            config: path_of(config),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: layers.iter().map(|(_, layer)| path_of(layer.digest)).collect(),
            layer_sources: layers.iter().cloned().collect(),
        }
    }
}

/// `repositories`: for each repository and tag the topmost layer.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(super) struct Repositories(BTreeMap<String, BTreeMap<String, String>>);

impl Repositories {
    /// Adds the names of an image whose topmost layer is `top`.
    pub(super) fn add(&mut self, names: &[&ImageRef], top: Digest) {
        for name in names {
            if let Some(tag) = name.tag() {
                let tags = self.0.entry(name.familiar_repository()).or_default();
                tags.insert(tag.to_owned(), top.encoded());
            }
        }
    }

    /// Its bytes; `None` if no image has a name.
    pub(super) fn to_json(&self) -> Result<Option<Vec<u8>>> {
        if self.0.is_empty() { Ok(None) } else { to_canonical_json(self).map(Some) }
    }
}
