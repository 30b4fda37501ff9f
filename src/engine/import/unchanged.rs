//! A tree that is imported again: where the image of the name is an import, the
//! tree is read and hashed first, and written only if that made another layer.

use crate::digest::ChainId;
use crate::engine::{Engine, driver, tree};
use crate::error::Result;
use crate::image::{self, ImportOptions, LayerSummary};
use crate::platform::Platform;
use crate::store::{LayerHold, Store};

use super::ImportRequest;
use super::source::Source;

/// A layer that the store has.
pub(super) struct Unchanged<'a> {
    /// What an import would have said.
    pub(super) summary: LayerSummary,
    chain: ChainId,
    store: &'a Store,
    /// Keeps the layer from being removed meanwhile.
    held: LayerHold,
}

impl Engine {
    /// The layer that `source` would become, if it is worth a look and the
    /// store has it.
    ///
    /// # Errors
    /// Those of reading the source and the store.
    pub(super) fn unchanged<'a>(
        &self,
        (store, request): (&'a Store, &ImportRequest),
        source: &mut Source,
        options: &ImportOptions,
    ) -> Result<Option<Unchanged<'a>>> {
        if !was_imported(store, request)? {
            return Ok(None);
        }
        let summary = match source {
            Source::Directory(dir) => image::measure_directory(dir, options)?,
            Source::Outside(_, spare) => {
                let Some(child) = spare.take() else { return Ok(None) };
                let (mut summary, noticed) = child.finish(image::measure_canonical)?;
                summary.report.merge(noticed);
                summary
            }
            Source::Tar(..) => return Ok(None),
        };
        let chain = ChainId::extend(None, summary.diff_id);
        if store.layer_record(chain)?.is_none() || !store.has_content(chain)? {
            return Ok(None);
        }
        let held = store.hold(&[chain])?;
        Ok(Some(Unchanged { summary, chain, store, held }))
    }
}

impl Unchanged<'_> {
    /// What its programs are for.
    ///
    /// # Errors
    /// Those of reading the layer.
    pub(super) fn platform(&self) -> Result<Option<Platform>> {
        tree::platform(&driver::open_layer(&self.store.layer(self.chain)?)?)
    }

    /// Lets the layer go.
    ///
    /// # Errors
    /// Those of [`Store::let_go`].
    pub(super) fn release(self) -> Result<()> {
        self.store.let_go(self.held)
    }
}

/// True if the image of the name is one layer, as an import makes it.
fn was_imported(store: &Store, request: &ImportRequest) -> Result<bool> {
    let Some(name) = &request.reference else { return Ok(false) };
    Ok(store.named(name)?.is_some_and(|image| image.layers.len() == 1))
}
