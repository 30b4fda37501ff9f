//! The config and the manifest of an image upon another one: its layers and
//! history, and one step more. Pure, as `assemble` is.

use crate::error::Result;
use crate::fs::Timestamp;
use crate::oci::{Descriptor, ExecParameters, History, ImageConfig, to_canonical_json};

use super::assemble::{AssembledImage, LayerBlob, rfc3339, seal};

/// What is new in an image.
pub struct ChildImage<'a> {
    /// The layer on top; none if nothing in the tree changed.
    pub layer: Option<LayerBlob>,
    /// What its containers run.
    pub config: ExecParameters,
    /// When it was made, for the config and its history.
    pub created: Timestamp,
    /// Who made it.
    pub author: Option<&'a str>,
    /// The message given at commit.
    pub comment: Option<&'a str>,
    /// The command that made it.
    pub created_by: &'a str,
}

/// Puts `child` upon the image of the config `parent`, whose layers are
/// `layers` in its manifest.
///
/// # Errors
/// `Invalid` if the time cannot be said in RFC 3339.
pub fn derive(
    parent: &ImageConfig,
    mut layers: Vec<Descriptor>,
    child: ChildImage<'_>,
) -> Result<AssembledImage> {
    let created = rfc3339(child.created)?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut config = ImageConfig {
        created: Some(created.clone()),
        author: owned(child.author),
        config: child.config,
        ..parent.clone()
    };
    config.history.push(History {
        created: Some(created),
        created_by: Some(child.created_by.to_owned()),
        author: owned(child.author),
        comment: owned(child.comment),
        empty_layer: child.layer.is_none(),
    });
    if let Some(layer) = child.layer {
        config.rootfs.diff_ids.push(layer.diff_id);
        layers.push(layer.descriptor());
    }
    seal(to_canonical_json(&config)?, layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{DiffId, Digest};

    #[test]
    fn a_child_has_its_parents_layers_and_history_and_one_step_more() {
        let layer =
            |text: &str| LayerBlob { diff_id: DiffId(Digest::of(text.as_bytes())), size: 3 };
        let child = |layer| ChildImage {
            layer,
            config: ExecParameters::default(),
            created: Timestamp::from_seconds(0),
            author: Some("a"),
            comment: None,
            created_by: "sh",
        };
        let parse = |image: &AssembledImage| -> ImageConfig {
            serde_json::from_slice(&image.config).unwrap()
        };
        let scratch = ImageConfig { os: "linux".into(), ..ImageConfig::default() };
        let first = derive(&scratch, Vec::new(), child(Some(layer("one")))).unwrap();
        let parent = parse(&first);
        let lower = vec![layer("one").descriptor()];
        let second = parse(&derive(&parent, lower.clone(), child(Some(layer("two")))).unwrap());
        assert_eq!(second.rootfs.diff_ids, [layer("one").diff_id, layer("two").diff_id]);
        assert_eq!((second.history.len(), second.os.as_str()), (2, "linux"));
        assert_eq!(second.history[0], parent.history[0]);
        let third = parse(&derive(&parent, lower, child(None)).unwrap());
        assert_eq!(third.rootfs, parent.rootfs);
        assert!(third.history[1].empty_layer);
    }
}
