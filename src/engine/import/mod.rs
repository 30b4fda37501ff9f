//! `envbox import`: a directory or an archive becomes an image of one layer, or
//! of the layers of another image and what it has that they have not.
//!
//! The order is fixed by the processes: the profile and the lists of patterns
//! are read as the caller, the source is opened (a child may be forked), the
//! user namespace is entered, and only then the store is opened and threads
//! start. Nothing is visible in the store before the last step, which names
//! the image.

mod parent;
mod source;
mod unchanged;

use std::sync::Arc;

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs::Timestamp;
use crate::image::{
    self, Counters, ExcludeSet, ImportOptions, LayerBlob, LayerSummary, LayerTarget, Report,
};
use crate::oci::ExecParameters;
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::store::{LayerLocation, LayerRecord, NewImage, PendingLayer, Store};

use super::profile::Profile;
use super::{Engine, ExcludeOptions, changes, driver, profiles, tree};

pub use source::ImportSource;
pub(in crate::engine) use source::stdin_size;
use source::{Reading, Source};

/// What is to be imported, and how.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// Where it lies.
    pub source: ImportSource,
    /// The image's name.
    pub reference: Option<ImageRef>,
    /// What is left out, beside what the profile leaves out.
    pub excludes: ExcludeOptions,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// The message of the history.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// What it is for; told by its programs otherwise.
    pub platform: Option<Platform>,
    /// The profile by name.
    pub profile: Option<String>,
    /// The image that the source is stored as a difference to; its config is
    /// the base then.
    pub parent: Option<String>,
    /// The most members of an archive.
    pub max_entries: Option<u64>,
}

/// What an import made.
#[derive(Debug)]
pub struct ImportOutcome {
    /// The image.
    pub id: ImageId,
    /// Its manifest.
    pub manifest: Digest,
    /// Members of the layer, or of the source if it is unchanged, the root
    /// included.
    pub entries: u64,
    /// Of all regular files, hard links once, in bytes.
    pub content_size: u64,
    /// False if the source does not say what its root directory is, which then
    /// got owner 0:0, mode 0755 and no time.
    pub has_root: bool,
    /// True if the store had the layer already, so that nothing was written.
    pub is_unchanged: bool,
    /// What could not be kept.
    pub report: Report,
}

/// An import that is about to read.
#[derive(Clone, Debug)]
pub struct ImportStart {
    /// How far it is, from now on.
    pub counters: Arc<Counters>,
    /// The bytes that will be counted, where that is known.
    pub total: Option<u64>,
}

impl Engine {
    /// Imports `request`. `began` is called once, when the reading begins: from
    /// then on threads may start.
    ///
    /// # Errors
    /// `Invalid` for a source that is no root filesystem, with the entry;
    /// those of reading and writing. The store is then as it was.
    pub fn import(
        &self,
        request: &ImportRequest,
        began: impl FnOnce(ImportStart),
    ) -> Result<ImportOutcome> {
        let name = request.reference.as_ref().map(ToString::to_string);
        let profile = match (&request.profile, &name) {
            (Some(profile), _) => self.profile(profile)?,
            (None, Some(name)) => self.profile_for_name(name)?,
            (None, None) => self.profile("default")?,
        };
        let options = ImportOptions {
            excludes: self.import_excludes(request, &profile)?,
            epoch: self.settings.epoch,
            max_entries: request.max_entries,
            counters: Arc::new(Counters::default()),
        };
        let import = Import { request, profile: &profile, options: &options };
        let outcome = match &request.parent {
            Some(parent) => self.import_upon(&import, parent, began),
            None => self.import_whole(&import, began),
        };
        outcome.inspect(|_| {
            if let Some(store) = self.store.get() {
                store.close_database();
            }
        })
    }

    fn import_whole(
        &self,
        import: &Import<'_>,
        began: impl FnOnce(ImportStart),
    ) -> Result<ImportOutcome> {
        let Import { request, options, .. } = *import;
        let config = config(ExecParameters::default(), import)?;
        let reading = match request.reference {
            Some(_) => Reading::MaybeTwice,
            None => Reading::Once,
        };
        let mut source = self.open_source(&request.source, (options, reading))?;
        let store = self.store()?;
        let driver = self.storage_driver()?;
        began(ImportStart { counters: Arc::clone(&options.counters), total: source.total() });
        match self.unchanged((store, request), &mut source, options)? {
            Some(known) => {
                let platform = platform(request, known.platform()?);
                let outcome = put(store, request, (config, &platform), known.summary.clone());
                known.release()?;
                outcome.map(|outcome| ImportOutcome { is_unchanged: true, ..outcome })
            }
            None => {
                let pending = store.begin_layer(driver)?;
                let summary = write_layer(&pending, (request, source), options)?;
                let found = tree::platform(&driver::open_layer(&pending.location())?)?;
                let made = ((config, &platform(request, found)), summary);
                put_new((store, request), pending, made)
            }
        }
    }

    /// What the profile and the user leave out. A profile's dead patterns are
    /// its author's matter.
    fn import_excludes(&self, request: &ImportRequest, profile: &Profile) -> Result<ExcludeSet> {
        let stdin_is_taken = request.source == ImportSource::Stdin;
        let own = self.exclude_patterns(&request.excludes, stdin_is_taken)?;
        let profiles = profile.import.exclude.iter().map(String::as_bytes);
        ExcludeSet::parse(profiles.chain(own.iter().map(Vec::as_slice)))?
            .with_clean(profile.import.clean.iter().map(String::as_bytes))
    }
}

/// What is to be imported, with what its profile and its lists say.
struct Import<'a> {
    request: &'a ImportRequest,
    profile: &'a Profile,
    options: &'a ImportOptions,
}

/// What the image is for: what was asked for, or what its programs tell.
fn platform(request: &ImportRequest, found: Option<Platform>) -> Platform {
    request.platform.clone().or(found).unwrap_or_else(Platform::host)
}

fn write_layer(
    pending: &PendingLayer<'_>,
    (request, source): (&ImportRequest, Source),
    options: &ImportOptions,
) -> Result<LayerSummary> {
    let LayerLocation { folder, form } = pending.location();
    let target = LayerTarget::within(&folder, form);
    match source {
        Source::Directory(dir) => image::import_directory(&dir, &target, options),
        Source::Outside(child, _) => {
            let ingest = |tar| image::ingest_canonical(tar, &target, options);
            let (mut summary, noticed) = child.finish(ingest)?;
            summary.report.merge(noticed);
            Ok(summary)
        }
        Source::Tar(reader, _) => image::import_tar(reader, &target, options)
            .map_err(|error| within(&request.source, error)),
    }
}

fn put_new(
    (store, request): (&Store, &ImportRequest),
    pending: PendingLayer<'_>,
    ((config, platform), summary): ((ExecParameters, &Platform), LayerSummary),
) -> Result<ImportOutcome> {
    let record = LayerRecord {
        chain_id: ChainId::extend(None, summary.diff_id),
        diff_id: summary.diff_id,
        parent: None,
        tar_size: summary.tar_size,
        content_size: summary.content_size,
    };
    store.spooled(|spool| {
        spool.commit(pending, record)?;
        put(store, request, (config, platform), summary)
    })
}

/// What is wrong within an archive names the member alone; this adds the
/// archive and, where nobody knew better, a way out.
fn within(archive: &ImportSource, error: Error) -> Error {
    let error = error.context(format!("cannot import {archive}"));
    match (error.kind(), error.hint_text()) {
        (Kind::Invalid | Kind::Unsupported, None) => {
            error.hint("make the archive anew: tar -C DIRECTORY -cf ARCHIVE .")
        }
        _ => error,
    }
}

/// `config` as the profile and the user change it.
fn config(mut config: ExecParameters, import: &Import<'_>) -> Result<ExecParameters> {
    let Import { request, profile, .. } = import;
    if request.profile.is_some() {
        config.labels.insert(profiles::LABEL.into(), profile.name.clone());
    }
    let all = profile.import.changes.iter().chain(&request.changes);
    changes::apply(&mut config, all.map(String::as_str))?;
    Ok(config)
}

fn put(
    store: &Store,
    request: &ImportRequest,
    (config, platform): (ExecParameters, &Platform),
    summary: LayerSummary,
) -> Result<ImportOutcome> {
    let assembled = image::assemble(image::NewImage {
        layers: &[LayerBlob { diff_id: summary.diff_id, size: summary.tar_size }],
        platform,
        config,
        created: summary.newest_mtime,
        author: request.author.as_deref(),
        comment: request.message.as_deref(),
        created_by: "envbox import",
    })?;
    let put = store.put_image(&NewImage {
        config: &assembled.config,
        manifest: &assembled.manifest,
        layers: &[ChainId::extend(None, summary.diff_id)],
        size: summary.content_size,
        imported_at: Timestamp::now(),
        name: request.reference.as_ref(),
        action: "import",
    })?;
    Ok(ImportOutcome {
        id: put.id,
        manifest: assembled.manifest_digest,
        entries: summary.entries,
        content_size: summary.content_size,
        has_root: summary.has_root,
        is_unchanged: false,
        report: summary.report,
    })
}
