//! Layers of an archive, one upon the other, into the store.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::digest::{ChainId, DiffId, VerifyingReader};
use crate::engine::driver;
use crate::error::{Error, Result};
use crate::image::{self, Below, Counters, LayerLimits, LayerTarget, LoadOptions, LoadedLayer};
use crate::runtime::idmap::UserNamespace;
use crate::store::{Driver, LayerHold, LayerLocation, LayerRecord, Spool, Store};

use super::FoundLayer;
use super::archive::{Archive, missing};

/// Loads layers, and knows which of them are new.
pub(super) struct Loader<'a> {
    store: &'a Store,
    driver: Driver,
    user_namespace: UserNamespace,
    limits: LayerLimits,
    counters: Arc<Counters>,
    spool: Spool,
    /// Those that were not in the store before.
    new: HashSet<ChainId>,
    /// Keep the others from being removed meanwhile; by their topmost layer.
    held: Vec<(ChainId, LayerHold)>,
}

impl<'a> Loader<'a> {
    /// A loader of layers within the limits.
    ///
    /// # Errors
    /// Those of [`Store::begin_spool`].
    pub(super) fn new(
        store: &'a Store,
        (driver, user_namespace): (Driver, UserNamespace),
        (limits, counters): (LayerLimits, Arc<Counters>),
    ) -> Result<Self> {
        let (new, held) = (HashSet::new(), Vec::new());
        Ok(Self {
            store,
            driver,
            user_namespace,
            limits,
            counters,
            spool: store.begin_spool()?,
            new,
            held,
        })
    }

    /// The folder for what cannot be read where it lies.
    pub(super) fn folder(&self) -> &Path {
        self.spool.path()
    }

    /// The store.
    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// The layer that tops `stack`, lowest first: that of the store, if it has
    /// it, else what `layer` is.
    ///
    /// # Errors
    /// `Mismatch` if the layer is not what its digests say; `Invalid` if the
    /// archive has it not; those of [`image::load_layer`].
    pub(super) fn load(
        &mut self,
        archive: &Archive,
        layer: &FoundLayer,
        stack: &[DiffId],
    ) -> Result<LayerRecord> {
        let chains = ChainId::stack(stack);
        let (Some((&chain_id, below)), Some(&diff_id)) = (chains.split_last(), stack.last()) else {
            return Err(Error::internal("a layer of an empty stack"));
        };
        let (reader, _) = archive.open(&layer.path)?.ok_or_else(|| missing(&layer.path))?;
        if let Some(record) = self.present(chain_id)? {
            self.hold(chain_id, below.last())?;
            return Ok(record);
        }
        let driver = driver::upon(self.store, below.last().copied(), self.driver)?;
        let pending = self.store.begin_layer(driver)?;
        let LayerLocation { folder, form } = pending.location();
        let below = driver::Stack {
            store: self.store,
            chain: below.last().copied(),
            user_namespace: self.user_namespace,
        };
        let loaded = self.apply(reader, layer, (&LayerTarget::within(&folder, form), &below))?;
        let LoadedLayer { diff_id: found, tar_size, content_size } = loaded;
        if found != diff_id {
            return Err(Error::mismatch(format!("its tar is {found} ({tar_size} bytes)")));
        }
        let parent = below.chain;
        let record = LayerRecord { chain_id, diff_id, parent, tar_size, content_size };
        self.spool.commit(pending, record)?;
        self.new.insert(chain_id);
        Ok(record)
    }

    /// What the store keeps of `chain`, if it has it and nobody removed it by
    /// hand.
    fn present(&self, chain: ChainId) -> Result<Option<LayerRecord>> {
        let Some(record) = self.store.layer_record(chain)? else { return Ok(None) };
        Ok(self.store.has_content(chain)?.then_some(record))
    }

    /// Keeps `chain`, which lies upon `parent`, from being removed.
    fn hold(&mut self, chain: ChainId, parent: Option<&ChainId>) -> Result<()> {
        if self.new.contains(&chain) {
            return Ok(());
        }
        let held = self.store.hold(&self.store.stack(Some(chain))?)?;
        match self.held.last_mut().filter(|(top, _)| parent == Some(top)) {
            Some(last) => {
                let (_, lower) = std::mem::replace(last, (chain, held));
                self.store.let_go(lower)?;
            }
            None => self.held.push((chain, held)),
        }
        Ok(())
    }

    fn apply(
        &self,
        reader: Box<dyn Read + Send>,
        layer: &FoundLayer,
        (target, below): (&LayerTarget, &dyn Below),
    ) -> Result<LoadedLayer> {
        let reader: Box<dyn Read + Send> = match layer.descriptor {
            Some((digest, size)) => Box::new(VerifyingReader::new(reader, digest, size)),
            None => reader,
        };
        let options = LoadOptions {
            below,
            marks: driver::marks(self.user_namespace),
            limits: self.limits,
            counters: &self.counters,
        };
        image::load_layer(reader, target, &options)
    }

    /// Ends the work: layers of images that did not come to be are taken back.
    ///
    /// # Errors
    /// Those of [`Store::end_spool`].
    pub(super) fn finish(self) -> Result<()> {
        let held = self.held.into_iter().map(|(_, held)| held);
        let let_go = held.map(|held| self.store.let_go(held)).fold(Ok(()), Result::and);
        self.store.end_spool(self.spool).and(let_go)
    }
}
