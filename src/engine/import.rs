//! `envbox import`: a directory or a tar becomes an image of one layer.
//!
//! Who reads the source: root, as it is. An ordinary user reads a tree that
//! belongs to them or to their sub-IDs inside the user namespace, where its
//! owners are 0, 1, ...; any other tree is read from outside by a forked
//! child, which sees its real owners, and comes in through a pipe.

use std::io::{PipeReader, Read};
use std::path::Path;
use std::sync::Arc;

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind, Timestamp};
use crate::image::{
    self, Counters, ExcludeSet, ImportOptions, LayerBlob, LayerSummary, LayerTarget, Report,
};
use crate::oci::ExecParameters;
use crate::platform::Platform;
use crate::reference::ImageRef;
use crate::runtime::idmap::{self, IdMap, SubIds};
use crate::store::{LayerRecord, NewImage, Store};
use crate::sys::process;

use super::profile::Profile;
use super::{Engine, changes, profiles, tree};

/// What is to be imported, and how.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// A directory or a file; `-` for stdin.
    pub source: String,
    /// The image's name.
    pub reference: Option<ImageRef>,
    /// Patterns by GNU tar's rules.
    pub exclude: Vec<String>,
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
}

/// What an import made.
#[derive(Debug)]
pub struct ImportOutcome {
    /// The image.
    pub id: ImageId,
    /// Its manifest.
    pub manifest: Digest,
    /// What could not be kept.
    pub report: Report,
}

/// Where the layer's bytes come from.
enum Source {
    Directory(Dir),
    Canonical(PipeReader),
    Tar(Box<dyn Read + Send>),
}

impl Engine {
    /// Imports `request`.
    ///
    /// # Errors
    /// `Invalid` for a source that is no root filesystem, with the entry;
    /// those of reading and writing. The store is then as it was.
    pub fn import(&self, request: &ImportRequest) -> Result<ImportOutcome> {
        let name = request.reference.as_ref().map(ToString::to_string);
        let profile = match (&request.profile, &name) {
            (Some(profile), _) => self.profile(profile)?,
            (None, Some(name)) => self.profile_for_name(name)?,
            (None, None) => self.profile("default")?,
        };
        let options = ImportOptions {
            excludes: excludes(request, &profile)?,
            epoch: self.settings.epoch,
            counters: Arc::new(Counters::default()),
        };
        let config = config(request, &profile)?;
        let source = self.open_source(&request.source, &options)?;
        let store = self.store()?;
        let pending = store.begin_layer()?;
        let target = LayerTarget { tree: pending.tree(), overrides: pending.overrides() };
        let summary = match source {
            Source::Directory(dir) => image::import_directory(&dir, &target, &options)?,
            Source::Canonical(pipe) => image::ingest_canonical(pipe, &target, &options)?,
            Source::Tar(reader) => image::import_tar(reader, &target, &options)?,
        };
        let platform = match &request.platform {
            Some(platform) => platform.clone(),
            None => tree::platform(&Dir::open(&target.tree)?)?.unwrap_or_else(Platform::host),
        };
        let chain = ChainId::extend(None, summary.diff_id);
        pending.commit(LayerRecord {
            chain_id: chain,
            diff_id: summary.diff_id,
            parent: None,
            tar_size: summary.tar_size,
            content_size: summary.content_size,
        })?;
        let made = put(store, request, (config, &platform), &summary)?;
        Ok(ImportOutcome { report: summary.report, ..made })
    }

    fn open_source(&self, source: &str, options: &ImportOptions) -> Result<Source> {
        if source == "-" {
            return Ok(Source::Tar(Box::new(std::io::stdin())));
        }
        let path = self.settings.absolute(Path::new(source));
        let found = fs::metadata(&path)?.ok_or_else(|| {
            Error::not_found(format!("the source {} does not exist", path.display()))
                .hint("name a directory, a tar file, or - for stdin")
        })?;
        match found.kind {
            FileKind::Directory if self.reads_inside(found.uid)? => {
                self.host()?;
                Dir::open(&path).map(Source::Directory)
            }
            FileKind::Directory => read_outside(&path, options).map(Source::Canonical),
            _ => Ok(Source::Tar(Box::new(fs::open(&path)?))),
        }
    }

    /// Whether a tree of the host's user `uid` is read by this process itself.
    fn reads_inside(&self, uid: u32) -> Result<bool> {
        let caller = &self.settings.caller;
        if self.settings.is_root() || uid == caller.uid {
            return Ok(true);
        }
        let within = |ids: SubIds| (ids.start..ids.start + ids.count).contains(&uid);
        Ok(match idmap::plan(caller)? {
            IdMap::SubIds { users, .. } => within(users),
            IdMap::Single => false,
        })
    }
}

/// Reads the tree at `path` in a child that stays outside the user namespace.
/// What keeps it from finishing is printed by nobody: the stream then ends too
/// early, which the reader tells; so the root is opened here, with words.
fn read_outside(path: &Path, options: &ImportOptions) -> Result<PipeReader> {
    let fail = |error| Error::io_named("cannot read the source", error);
    let dir = Dir::open(path)?;
    let (reader, mut writer) = std::io::pipe().map_err(fail)?;
    let inherited = reader.try_clone().map_err(fail)?;
    process::fork(move || {
        drop(inherited);
        i32::from(image::write_canonical(&dir, options, &mut writer).is_err())
    })
    .map_err(fail)?;
    Ok(reader)
}

fn excludes(request: &ImportRequest, profile: &Profile) -> Result<ExcludeSet> {
    let patterns = profile.import.exclude.iter().chain(&request.exclude);
    ExcludeSet::parse(patterns.map(String::as_bytes))?
        .with_clean(profile.import.clean.iter().map(String::as_bytes))
}

fn config(request: &ImportRequest, profile: &Profile) -> Result<ExecParameters> {
    let mut config = ExecParameters::default();
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
    summary: &LayerSummary,
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
    store.close_database();
    let report = Report::default();
    Ok(ImportOutcome { id: put.id, manifest: assembled.manifest_digest, report })
}
