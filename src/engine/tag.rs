//! `envbox tag`: one name more for an image.

use crate::error::Result;
use crate::reference::ImageRef;

use super::Engine;

impl Engine {
    /// Gives the image that `source` means the name `target`, which leaves
    /// the image that had it.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::tag`].
    pub fn tag(&self, source: &str, target: &ImageRef) -> Result<()> {
        self.store_with("image", source)?.tag(source, target).map(drop)
    }
}
