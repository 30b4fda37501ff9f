//! What tests put below a layer.

use super::{Below, LowerLayer};
use crate::error::Result;
use crate::fs::Dir;
use crate::image::layer::LayerTarget;

/// Trees, topmost first.
pub(in crate::image) struct Trees<'a>(pub(in crate::image) &'a [LayerTarget]);

impl Below for Trees<'_> {
    fn layers(&self) -> Result<Vec<LowerLayer>> {
        let open = |target: &LayerTarget| {
            Ok(LowerLayer { dir: Dir::open(&target.tree)?, overrides: target.overrides.clone() })
        };
        self.0.iter().map(open).collect()
    }

    fn merged(&self) -> Result<Option<Dir>> {
        Ok(None)
    }
}
