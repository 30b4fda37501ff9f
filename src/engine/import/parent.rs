//! `envbox import --parent`: an image of the layers of another one, and a last
//! one of what the source has that those have not.

use std::sync::Arc;

use crate::digest::ChainId;
use crate::engine::mounted::{self, View};
use crate::engine::{Engine, driver, image_config, save};
use crate::error::Result;
use crate::fs::Timestamp;
use crate::image::{
    self, ChildImage, Difference, DifferenceSource, DifferenceTarget, LayerBlob, LayerSummary,
    LayerTarget, ParentView,
};
use crate::mount::LayerForm;
use crate::oci::{ExecParameters, ImageConfig, Manifest};
use crate::runtime::idmap::UserNamespace;
use crate::store::{
    Driver, ImageRecord, LayerHold, LayerLocation, LayerRecord, NewImage, PendingLayer, Store,
};

use super::source::{Reading, Source};
use super::{Import, ImportOutcome, ImportStart, config, within};

/// The image that a source is compared with.
struct Parent<'a> {
    record: ImageRecord,
    config: ImageConfig,
    manifest: Manifest,
    store: &'a Store,
    driver: Driver,
    user_namespace: UserNamespace,
    view: ParentView,
    /// Where that is.
    _seen: View,
    /// Keeps its layers from being removed meanwhile.
    held: LayerHold,
}

impl Engine {
    /// Imports what the source has that the image `parent` has not.
    ///
    /// # Errors
    /// `NotFound` if there is no such image; those of [`Engine::import`].
    pub(super) fn import_upon(
        &self,
        import: &Import<'_>,
        parent: &str,
        began: impl FnOnce(ImportStart),
    ) -> Result<ImportOutcome> {
        let Import { request, options, .. } = *import;
        // A wrong instruction is told before anything is read.
        config(ExecParameters::default(), import)?;
        let source = self.open_source(&request.source, (options, Reading::Once))?;
        let parent = self.open_parent(parent)?;
        let base = ExecParameters {
            // docker: triggers are for builds upon the image that has them.
            on_build: Vec::new(),
            ..parent.config.config.clone()
        };
        let config = config(base, import)?;
        began(ImportStart { counters: Arc::clone(&options.counters), total: source.total() });
        let outcome = parent.import(import, source, config)?;
        parent.store.let_go(parent.held)?;
        Ok(outcome)
    }

    /// What there is of the image `name`. The mounting is done when no thread
    /// runs yet.
    fn open_parent(&self, name: &str) -> Result<Parent<'_>> {
        let user_namespace = self.host()?.user_namespace;
        let store = self.store_with("image", name)?;
        let record = store.resolve(name)?;
        let held = store.hold(&record.layers)?;
        let (config, manifest) = image_config::read(store, &record)?;
        let seen = mounted::view((store, user_namespace), record.chain())?;
        let overrides = record.layers.iter().map(|&chain| {
            let layer: LayerTarget = save::layer(store, chain)?;
            Ok(layer.overrides)
        });
        let view = ParentView {
            root: seen.root().duplicate()?,
            overrides: overrides.collect::<Result<_>>()?,
        };
        let driver = driver::upon(store, record.chain(), self.storage_driver()?)?;
        Ok(Parent {
            record,
            config,
            manifest,
            store,
            driver,
            user_namespace,
            view,
            _seen: seen,
            held,
        })
    }
}

impl Parent<'_> {
    fn import(
        &self,
        import: &Import<'_>,
        source: Source,
        config: ExecParameters,
    ) -> Result<ImportOutcome> {
        let pending = self.store.begin_layer(self.driver)?;
        let mut made = self.compare(&pending, import, source)?;
        let late = std::mem::take(&mut made.late);
        let (pending, layer) = if late.is_empty() {
            (pending, made.layer.take())
        } else {
            let amended = self.store.begin_layer(self.driver)?;
            let layer = self.upon(&amended, |target| {
                image::amend_difference((&target_of(&pending), late), &self.view, target)
            })?;
            (amended, Some(layer))
        };
        let Some(layer) = layer else {
            drop(pending);
            return self.put(import, (config, None), &made);
        };
        let record = LayerRecord {
            chain_id: ChainId::extend(self.record.chain(), layer.diff_id),
            diff_id: layer.diff_id,
            parent: self.record.chain(),
            tar_size: layer.tar_size,
            content_size: layer.content_size,
        };
        self.store.spooled(|spool| {
            spool.commit(pending, record)?;
            self.put(import, (config, Some(&layer)), &made)
        })
    }

    fn compare(
        &self,
        pending: &PendingLayer<'_>,
        Import { request, options, .. }: &Import<'_>,
        source: Source,
    ) -> Result<Difference> {
        self.upon(pending, |target| {
            let compare = |source| image::import_difference(source, &self.view, target, options);
            match source {
                Source::Directory(dir) => compare(DifferenceSource::Directory(&dir)),
                Source::Outside(child, _) => {
                    let canonical = |tar| compare(DifferenceSource::Canonical(Box::new(tar)));
                    let (mut made, noticed) = child.finish(canonical)?;
                    made.report.merge(noticed);
                    Ok(made)
                }
                Source::Tar(reader, _) => {
                    let folder = self.held.path().join("source");
                    let scratch = LayerTarget::within(&folder, LayerForm::Tree);
                    compare(DifferenceSource::Archive(reader, &scratch))
                        .map_err(|error| within(&request.source, error))
                }
            }
        })
    }

    /// Has `make` fill `pending`, which lies upon the image's layers.
    fn upon<T>(
        &self,
        pending: &PendingLayer<'_>,
        make: impl FnOnce(&DifferenceTarget<'_>) -> Result<T>,
    ) -> Result<T> {
        let below = driver::Stack {
            store: self.store,
            chain: self.record.chain(),
            user_namespace: self.user_namespace,
        };
        let marks = driver::marks(self.user_namespace);
        make(&DifferenceTarget { layer: &target_of(pending), below: &below, marks })
    }

    fn put(
        &self,
        Import { request, .. }: &Import<'_>,
        (config, layer): (ExecParameters, Option<&LayerSummary>),
        made: &Difference,
    ) -> Result<ImportOutcome> {
        let mut base = self.config.clone();
        if let Some(platform) = request.platform.clone() {
            (base.os, base.architecture) = (platform.os, platform.architecture);
            base.variant = platform.variant;
        }
        let assembled = image::derive(
            &base,
            self.manifest.layers.clone(),
            ChildImage {
                layer: layer
                    .map(|layer| LayerBlob { diff_id: layer.diff_id, size: layer.tar_size }),
                config,
                // As the import of the source alone has it.
                created: made.compared.newest_mtime,
                author: request.author.as_deref(),
                comment: request.message.as_deref(),
                created_by: "envbox import",
            },
        )?;
        let mut layers = self.record.layers.clone();
        let chain = self.record.chain();
        layers.extend(layer.map(|layer| ChainId::extend(chain, layer.diff_id)));
        let put = self.store.put_image(&NewImage {
            config: &assembled.config,
            manifest: &assembled.manifest,
            layers: &layers,
            size: self.record.size + layer.map_or(0, |layer| layer.content_size),
            imported_at: Timestamp::now(),
            name: request.reference.as_ref(),
            action: "import",
        })?;
        let compared = &made.compared;
        Ok(ImportOutcome {
            id: put.id,
            manifest: assembled.manifest_digest,
            entries: layer.map_or(compared.entries, |layer| layer.entries),
            content_size: layer.map_or(compared.content_size, |layer| layer.content_size),
            has_root: made.has_root,
            is_unchanged: layer.is_none(),
            report: made.report.clone(),
        })
    }
}

fn target_of(pending: &PendingLayer<'_>) -> LayerTarget {
    let LayerLocation { folder, form } = pending.location();
    LayerTarget::within(&folder, form)
}
