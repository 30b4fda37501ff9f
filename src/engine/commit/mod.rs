//! `envbox commit`: what a kept container wrote becomes a layer upon its
//! image's, and what it was asked to be the config of a new image.
//!
//! ```text
//! hold -> copy of the upper directory -> let go -> digest -> layer -> image
//! ```
//!
//! A container that runs stands still for the copy alone. Its monitor lets it
//! go on when the connection ends, so whatever kills this process.

mod config;
mod copied;
mod stubs;

use std::collections::BTreeSet;

use crate::digest::{ChainId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, Timestamp};
use crate::image::{
    self, Below, Changes, ChildImage, LayerBlob, LayerSummary, LayerTarget, Report,
};
use crate::monitor::Control;
use crate::mount::{LayerForm, Mount, Overlay};
use crate::oci::{ExecParameters, ImageConfig, Manifest};
use crate::reference::ImageRef;
use crate::store::{
    ContainerRecord, Event, ImageRecord, LayerLocation, LayerRecord, NewImage, Spool, Store,
};

use super::lifecycle::KeptSpec;
use super::mounted::View;
use super::running::{self, Activity};
use super::{Engine, changes, diff, driver, export, image_config};

/// Whether a container that runs stands still while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pausing {
    /// It does, where it has a cgroup to be stopped by.
    WhileRead,
    /// It goes on: a file may be copied half written.
    Never,
}

/// A container, and what it is to become.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// A kept container.
    pub container: String,
    /// The image's name.
    pub reference: Option<ImageRef>,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// The message of the history.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Whether the container stands still.
    pub pausing: Pausing,
}

/// What a commit made.
#[derive(Debug)]
pub struct CommitOutcome {
    /// The image.
    pub id: ImageId,
    /// What could not be kept.
    pub report: Report,
}

/// What the new image stands on.
struct Parent {
    record: ImageRecord,
    config: ImageConfig,
    manifest: Manifest,
}

/// A layer that is in the store; none if nothing changed.
struct Written {
    layer: Option<LayerSummary>,
    report: Report,
}

impl Engine {
    /// Makes an image of the container of `request`. With `SOURCE_DATE_EPOCH`
    /// that is its time, and no time in the layer is later.
    ///
    /// # Errors
    /// `NotFound` if there is no such container, or its image was removed;
    /// `Invalid` for an instruction or a name that cannot be; those of reading
    /// and writing. The store is then as it was, and the container goes on.
    pub fn commit(&self, request: &CommitRequest) -> Result<CommitOutcome> {
        if let Some(name) = request.reference.as_ref().filter(|name| name.digest().is_some()) {
            return Err(Error::invalid(format!("cannot commit to {name}: it has a digest"))
                .hint("name a repository and a tag, as in vmibuild:v2"));
        }
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        self.store_with("container", &request.container)?;
        let store = self.store()?;
        let container = store.container(&request.container)?;
        let parent = parent(store, &container)?;
        let mut config = self.config_of(&container, parent.config.config.clone())?;
        let created_by = config.cmd.as_deref().unwrap_or_default().join(" ");
        changes::apply(&mut config, request.changes.iter().map(String::as_str))?;
        let outcome = store.spooled(|spool| {
            let written = self.write_changes((store, spool), &container, request.pausing)?;
            let report = written.report.clone();
            let made = (config, created_by.as_str(), written);
            let id = self.put_commit(request, (&container, &parent), made)?;
            Ok(CommitOutcome { id, report })
        });
        store.close_database();
        outcome
    }

    /// Makes what `container` wrote a layer of the store.
    fn write_changes(
        &self,
        (store, spool): (&Store, &mut Spool),
        container: &ContainerRecord,
        pausing: Pausing,
    ) -> Result<Written> {
        let driver = driver::upon(store, container.chain, self.storage_driver()?)?;
        let mount = store.container_mount(&container.id)?;
        if matches!(mount, Mount::Copy(_)) {
            let how = (driver, pausing);
            return self.write_difference((store, spool), (container, mount), how);
        }
        let held = self.hold_still(store, container, pausing)?;
        let pending = store.begin_layer(driver)?;
        let LayerLocation { folder, form } = pending.location();
        let target = LayerTarget::within(&folder, form);
        // Nobody converts the layers while they are read.
        let copied = store.while_held(&store.stack(container.chain)?, || {
            self.copy_changes(store, container, &target)
        })?;
        drop(held);
        let Some(mut report) = copied else {
            return Ok(Written { layer: None, report: Report::default() });
        };
        let below = driver::Stack {
            store,
            chain: container.chain,
            user_namespace: self.host()?.user_namespace,
        };
        let merged = match form {
            LayerForm::Archive => below.merged()?,
            LayerForm::Tree => None,
        };
        let mut summary = image::finish_layer(&target, merged.as_ref())?;
        report.merge(std::mem::take(&mut summary.report));
        spool.commit(pending, record_of(container, &summary))?;
        Ok(Written { layer: Some(summary), report })
    }

    /// Copies what `container` wrote; none if that is nothing.
    fn copy_changes(
        &self,
        store: &Store,
        container: &ContainerRecord,
        target: &LayerTarget,
    ) -> Result<Option<Report>> {
        let user_namespace = self.host()?.user_namespace;
        let mount = store.container_mount(&container.id)?;
        let (upper, has_image) = match &mount {
            Mount::Bind { source, .. } => (Dir::open(source)?, false),
            Mount::Overlay(Overlay { upper: Some(written), .. }) => {
                (Dir::open(&written.upper)?, true)
            }
            Mount::Overlay(_) | Mount::Archive(_) | Mount::Copy(_) => {
                return Err(Error::internal("a container has no place to write to"));
            }
        };
        let seen = has_image.then(|| self.view(container.chain)).transpose()?;
        let image = seen.as_ref().map(View::root);
        let left_out = match image {
            Some(image) => stubs::left_out(&upper, image)?,
            None => BTreeSet::new(),
        };
        let merged = || self.open_root(&export::read_only(store.container_mount(&container.id)?));
        let changes = Changes {
            upper: &upper,
            image,
            merged: &merged,
            space: driver::marks(user_namespace),
            left_out: &left_out,
            epoch: self.settings.epoch,
        };
        let copied = image::copy_changes(&changes, target)?;
        let is_same = match image {
            Some(image) => !diff::differ(&image.own_metadata()?, &upper.own_metadata()?),
            None => false,
        };
        Ok((copied.members > 0 || !is_same).then_some(copied.report))
    }

    /// Lets `container` stand still if it runs; as in docker it is committed
    /// all the same if it cannot.
    fn hold_still(
        &self,
        store: &Store,
        container: &ContainerRecord,
        pausing: Pausing,
    ) -> Result<Option<Held>> {
        let run = &self.settings.store.run;
        if pausing == Pausing::Never {
            return Ok(None);
        }
        let running = running::list(run)?.into_iter().find(|found| found.id == container.id);
        if running.is_none_or(|running| running.activity != Activity::Runs) {
            return Ok(None);
        }
        let Some(control) = running::connect(run, &container.id)? else { return Ok(None) };
        // The monitor writes to it.
        store.close_database();
        match control.hold() {
            Ok(()) => Ok(Some(Held(control))),
            // It has been paused meanwhile, or has ended.
            Err(error) if matches!(error.kind(), Kind::InUse | Kind::Unavailable) => Ok(None),
            Err(error) => {
                let name = &container.name;
                self.notify(
                    format!("container {name} goes on while it is read: {}", error.chain()),
                    error.hint_text(),
                );
                Ok(None)
            }
        }
    }

    fn put_commit(
        &self,
        request: &CommitRequest,
        (container, parent): (&ContainerRecord, &Parent),
        (config, created_by, written): (ExecParameters, &str, Written),
    ) -> Result<ImageId> {
        let layer = written.layer.as_ref();
        let now = Timestamp::now();
        let assembled = image::derive(
            &parent.config,
            parent.manifest.layers.clone(),
            ChildImage {
                layer: layer
                    .map(|layer| LayerBlob { diff_id: layer.diff_id, size: layer.tar_size }),
                config,
                created: self.settings.epoch.unwrap_or(now),
                author: request.author.as_deref(),
                comment: request.message.as_deref(),
                created_by,
            },
        )?;
        let mut layers = parent.record.layers.clone();
        layers.extend(layer.map(|layer| ChainId::extend(container.chain, layer.diff_id)));
        let new = NewImage {
            config: &assembled.config,
            manifest: &assembled.manifest,
            layers: &layers,
            size: parent.record.size + layer.map_or(0, |layer| layer.content_size),
            imported_at: now,
            name: request.reference.as_ref(),
            action: "commit",
        };
        let event = event(request, container, &assembled.id);
        Ok(self.store()?.commit_image(&new, event)?.id)
    }
}

/// The record of the layer that `container` makes.
fn record_of(container: &ContainerRecord, layer: &LayerSummary) -> LayerRecord {
    LayerRecord {
        chain_id: ChainId::extend(container.chain, layer.diff_id),
        diff_id: layer.diff_id,
        parent: container.chain,
        tar_size: layer.tar_size,
        content_size: layer.content_size,
    }
}

/// A container that stands still until this is dropped, or this process ends.
struct Held(Control);

impl Drop for Held {
    fn drop(&mut self) {
        // Somebody else may have let it go on, or have ended it.
        let _ = self.0.pause(false);
    }
}

/// The image of `container`, which must be there: its config is the base of
/// the new one.
fn parent(store: &Store, container: &ContainerRecord) -> Result<Parent> {
    let Some(record) = store.image(container.image)? else {
        let name = &container.name;
        return Err(Error::not_found(format!("the image of container {name} was removed"))
            .hint(format!("flatten the container: envbox export {name} | envbox import - NAME")));
    };
    let (config, manifest) = image_config::read(store, &record)?;
    Ok(Parent { config, manifest, record })
}

/// docker's event, with its attributes.
fn event(request: &CommitRequest, container: &ContainerRecord, id: &ImageId) -> Event {
    let KeptSpec { image, labels, .. } = KeptSpec::of(container);
    let own = [
        ("image", image),
        ("name", container.name.to_string()),
        ("comment", request.message.clone().unwrap_or_default()),
        ("imageID", id.to_string()),
        ("imageRef", request.reference.as_ref().map_or_else(String::new, ToString::to_string)),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    Event::container("commit", &container.id, labels.into_iter().chain(own))
}
