//! The layer of a container that has a copy of its image's files: what it wrote is
//! found by comparing both.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::digest::ChainId;
use crate::engine::mounted::View;
use crate::engine::{Engine, driver, export};
use crate::error::Result;
use crate::fs::Dir;
use crate::image::{self, DifferenceTarget, LayerSummary, LayerTarget, ParentView, WrittenCopy};
use crate::mount::Mount;
use crate::store::{ContainerRecord, Driver, LayerLocation, PendingLayer, Spool, Store};

use super::{Pausing, Written, record_of, stubs};

impl Engine {
    /// Makes what `container` wrote to its copy, `mount`, a layer of the store.
    pub(super) fn write_difference(
        &self,
        (store, spool): (&Store, &mut Spool),
        (container, mount): (&ContainerRecord, Mount),
        (driver, pausing): (Driver, Pausing),
    ) -> Result<Written> {
        // Nobody takes the layers away or converts them while they are read.
        store.while_held(&store.stack(container.chain)?, || {
            // Before the container stands still: it may take a copy.
            let seen = self.view(container.chain)?;
            let root = self.open_root(&export::read_only(mount))?;
            let still = self.hold_still(store, container, pausing)?;
            let read = (&root, &seen);
            let (pending, written) = self.compare((store, container.chain), read, driver)?;
            drop(still);
            if let Some(layer) = &written.layer {
                spool.commit(pending, record_of(container, layer))?;
            }
            Ok(written)
        })
    }

    fn compare<'store>(
        &self,
        (store, chain): (&'store Store, Option<ChainId>),
        (root, seen): (&Dir, &View),
        driver: Driver,
    ) -> Result<(PendingLayer<'store>, Written)> {
        let user_namespace = self.host()?.user_namespace;
        let below = driver::Stack { store, chain, user_namespace };
        let marks = driver::marks(user_namespace);
        let left_out = left_out(root, seen.root())?;
        let view = ParentView { root: seen.root().duplicate()?, overrides: Vec::new() };
        let copy = WrittenCopy { root, left_out: &left_out, epoch: self.settings.epoch };
        let pending = store.begin_layer(driver)?;
        let layer = target_of(&pending);
        let target = DifferenceTarget { layer: &layer, below: &below, marks };
        let mut made = image::copied_difference(copy, &view, &target)?;
        let late = std::mem::take(&mut made.late);
        let report = made.report;
        if late.is_empty() {
            return Ok((pending, Written { layer: made.layer, report }));
        }
        let amended = store.begin_layer(driver)?;
        let target = target_of(&amended);
        let target = DifferenceTarget { layer: &target, below: &below, marks };
        let layer: LayerSummary = image::amend_difference((&layer, late), &view, &target)?;
        Ok((amended, Written { layer: Some(layer), report }))
    }
}

/// What envbox made in `root` and the image does not have.
fn left_out(root: &Dir, image: &Dir) -> Result<BTreeSet<Vec<u8>>> {
    let mut left_out = stubs::left_out(root, image)?;
    let mut known = Vec::new();
    for path in &left_out {
        if is_in(image, path)? {
            known.push(path.clone());
        }
    }
    left_out.retain(|path| !known.contains(path));
    Ok(left_out)
}

fn is_in(image: &Dir, path: &[u8]) -> Result<bool> {
    let path = std::path::Path::new(OsStr::from_bytes(path));
    stubs::look(image, path).map(|found| found.is_some())
}

fn target_of(pending: &PendingLayer<'_>) -> LayerTarget {
    let LayerLocation { folder, form } = pending.location();
    LayerTarget::within(&folder, form)
}
