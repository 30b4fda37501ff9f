//! `envbox history`: the steps that made an image, as its config tells, with
//! the sizes of the layers in the store.

use crate::digest::ImageId;
use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::store::parse_time;

use super::{Engine, platforms};

/// A step of an image's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryStep {
    /// The image, of the last step; nobody knows the others'.
    pub id: Option<ImageId>,
    /// When, if that is said.
    pub created: Option<Timestamp>,
    /// The command that made it.
    pub created_by: String,
    /// Of its layer's files, in bytes; 0 without a layer.
    pub size: u64,
    /// The message given for it.
    pub comment: String,
}

impl Engine {
    /// The steps of the image that `name` means, the last one first; of those for
    /// several platforms it is that for `wanted`.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::resolve`]; `Mismatch` if there is none for
    /// the platform; `Invalid` for a malformed config.
    pub fn history(&self, name: &str, wanted: Option<&Platform>) -> Result<Vec<HistoryStep>> {
        let store = self.store_with("image", name)?;
        let record = platforms::resolve(store, name, wanted)?.image;
        let config: ImageConfig =
            serde_json::from_slice(&store.image_config(&record)?).map_err(|error| {
                Error::invalid(format!("the config of image {} is malformed", record.id))
                    .because(error)
            })?;
        let mut layers = record.layers.iter();
        let mut steps = Vec::with_capacity(config.history.len());
        for step in config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            let layer = layer.map(|&chain| store.layer_record(chain)).transpose()?.flatten();
            steps.push(HistoryStep {
                id: None,
                created: step.created.as_deref().and_then(parse_time),
                created_by: step.created_by.unwrap_or_default(),
                size: layer.map_or(0, |layer| layer.content_size),
                comment: step.comment.unwrap_or_default(),
            });
        }
        steps.reverse();
        if let Some(last) = steps.first_mut() {
            last.id = Some(record.id);
        }
        Ok(steps)
    }
}
