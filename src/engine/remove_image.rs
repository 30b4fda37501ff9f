//! `envbox rmi`: names and images go, but not from under a container.

use crate::error::Result;
use crate::store::{RemoveImage, Removed, RunningContainer};

use super::{Engine, running};

impl Engine {
    /// Removes the name or the image that `image` means, by `force` also from
    /// a container that does not run; says what is gone, in docker's order.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::remove_image`].
    pub fn remove_image(&self, image: &str, force: bool) -> Result<Vec<Removed>> {
        // Layers may belong to IDs that only the user namespace may remove.
        self.host()?;
        let store = self.store_with("image", image)?;
        let running = self.running_on_images()?;
        store.remove_image(&RemoveImage { image, force, running: &running })
    }

    /// The containers that run on images, or are about to.
    ///
    /// # Errors
    /// Those of the run directory.
    pub(super) fn running_on_images(&self) -> Result<Vec<RunningContainer>> {
        // One whose program has begun may not be listed as running yet.
        let claimed = running::list_claimed(&self.settings.store.run)?.into_iter();
        let on_image = claimed.filter_map(|container| {
            let name = container.name.to_string();
            Some(RunningContainer { id: container.id, name, image: container.image? })
        });
        Ok(on_image.collect())
    }
}
