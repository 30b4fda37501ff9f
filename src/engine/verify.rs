//! `envbox image verify`: whether images are what their digests say, from the
//! record over manifest and config down to each file. All of them are looked at,
//! whatever is found; nothing is changed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Context, Error, Kind, Result};
use crate::image::{self, Counters, ExpectedLayer, LayerLimits, LoadOptions, VerifyOptions};
use crate::oci::{ImageConfig, Manifest};
use crate::runtime::idmap::UserNamespace;
use crate::store::{ImageIndex, ImageRecord, LayerRecord, Resolved, Store};

use super::import::ImportStart;
use super::{Engine, driver, save};

/// What to do about an image that is damaged.
pub(super) const REMEDY: &str =
    "something changed it: remove its images and their containers, and import or load them again";

/// Which images are verified.
#[derive(Clone, Copy, Debug)]
pub enum VerifyScope<'a> {
    /// All of the store.
    All,
    /// These: names, IDs or beginnings of IDs.
    Named(&'a [String]),
}

/// What was found of an image.
#[derive(Debug)]
pub struct VerifiedImage {
    /// As it was asked for; else its first name, or its ID.
    pub name: String,
    /// What is wrong with it, with its name; nothing if it is whole.
    pub problems: Vec<Error>,
}

/// An image that was asked for, or why there is none.
struct Asked {
    name: String,
    record: Result<ImageRecord>,
}

impl Engine {
    /// Verifies images; a layer that several share is read once. `began` is
    /// called once, when the layers are about to be read: from then on threads
    /// may start.
    ///
    /// # Errors
    /// `NotFound` if there is no store; those of the store as such. What is wrong
    /// with an image is none.
    pub fn verify(
        &self,
        scope: VerifyScope<'_>,
        began: impl FnOnce(ImportStart),
    ) -> Result<Vec<VerifiedImage>> {
        // Layers may belong to IDs that only the user namespace may read.
        let user_namespace = self.host()?.user_namespace;
        match scope {
            VerifyScope::All if self.existing_store()?.is_none() => return Ok(Vec::new()),
            VerifyScope::Named(images) if !images.is_empty() => {
                self.store_with("image", &images[0])?;
            }
            VerifyScope::All | VerifyScope::Named(_) => {}
        }
        let store = self.store()?;
        let (asked, indexes) = asked(store, scope)?;
        let records = || asked.iter().filter_map(|asked| asked.record.as_ref().ok());
        let chains: Vec<ChainId> = records().flat_map(|record| record.layers.clone()).collect();
        // Nobody takes the layers away while they are read.
        let held = store.hold_what_is_there(&chains)?;
        let counters = Arc::new(Counters::default());
        let total = Some(total_size(store, &chains)?);
        began(ImportStart { counters: Arc::clone(&counters), total });
        let mut layers = Layers {
            store,
            user_namespace,
            folder: held.path().join("anew"),
            counters: &counters,
            known: HashMap::new(),
        };
        let images = asked.into_iter().filter_map(|asked| layers.asked(asked, scope));
        let mut verified: Vec<VerifiedImage> = images.collect();
        verified.extend(indexes.iter().filter_map(|index| damaged_index(store, index)));
        store.let_go(held)?;
        store.close_database();
        Ok(verified)
    }
}

/// The images, and the indexes that they are of.
fn asked(store: &Store, scope: VerifyScope<'_>) -> Result<(Vec<Asked>, Vec<ImageIndex>)> {
    let VerifyScope::Named(images) = scope else {
        let all = store.images()?.into_iter().map(named).collect();
        return Ok((all, store.indexes()?));
    };
    let (mut asked, mut indexes) = (Vec::new(), Vec::new());
    for name in images {
        match store.resolve_for(name, None) {
            Ok(Resolved { index: Some(index), .. }) => {
                asked.extend(index.images.iter().map(|one| Asked {
                    name: format!("{name} ({})", one.platform),
                    record: Ok(one.record.clone()),
                }));
                indexes.push(index);
            }
            found => {
                let record = found.map(|found| found.image);
                asked.push(Asked { name: name.clone(), record });
            }
        }
    }
    Ok((asked, indexes))
}

fn named(record: ImageRecord) -> Asked {
    let name = match (record.names.first(), record.index_names.first()) {
        (Some(name), _) => name.to_string(),
        (None, Some(name)) => format!("{name} ({})", record.platform),
        (None, None) => record.id.to_string(),
    };
    Asked { name, record: Ok(record) }
}

/// What is wrong with the documents that an index has of its own, if anything is.
fn damaged_index(store: &Store, index: &ImageIndex) -> Option<VerifiedImage> {
    let name = format!("index {}", index.digest);
    let blobs = index.images.iter().map(|one| one.manifest).chain([index.digest]);
    let problem = blobs.filter_map(|digest| store.blob(digest).err()).next()?;
    // It may have been removed meanwhile.
    if store.indexes().is_ok_and(|known| known.iter().all(|one| one.digest != index.digest)) {
        return None;
    }
    Some(VerifiedImage { problems: vec![problem.context(name.clone()).hint(REMEDY)], name })
}

/// Of the tars of all layers, each once, in bytes.
fn total_size(store: &Store, chains: &[ChainId]) -> Result<u64> {
    let distinct: HashSet<&ChainId> = chains.iter().collect();
    let mut total = 0u64;
    for &chain in distinct {
        let size = store.layer_record(chain)?.map_or(0, |record| record.tar_size);
        total = total.saturating_add(size);
    }
    Ok(total)
}

/// The layers that were verified so far.
struct Layers<'a> {
    store: &'a Store,
    user_namespace: UserNamespace,
    /// For what is made anew.
    folder: PathBuf,
    counters: &'a Counters,
    /// What is wrong with each; nothing if it is whole.
    known: HashMap<ChainId, Option<(Kind, String)>>,
}

impl Layers<'_> {
    /// What is to be told of an image that was asked for.
    fn asked(&mut self, asked: Asked, scope: VerifyScope<'_>) -> Option<VerifiedImage> {
        let Asked { name, record } = asked;
        let record = match record {
            Ok(record) => record,
            Err(error) => return Some(VerifiedImage { name, problems: vec![error] }),
        };
        let problems = self.image(&record);
        let is_gone = !problems.is_empty() && matches!(self.store.image(record.id), Ok(None));
        let told = |error: Error| {
            let is_damage = matches!(error.kind(), Kind::Mismatch | Kind::Invalid | Kind::NotFound);
            let error = error.context(format!("image {name}"));
            if is_damage { error.hint(REMEDY) } else { error }
        };
        let problems = match (is_gone, scope) {
            (false, _) => problems.into_iter().map(told).collect(),
            (true, VerifyScope::All) => return None,
            (true, VerifyScope::Named(_)) => {
                vec![Error::not_found(format!("image {name} was removed meanwhile"))]
            }
        };
        Some(VerifiedImage { name, problems })
    }

    fn image(&mut self, record: &ImageRecord) -> Vec<Error> {
        let mut problems: Vec<Error> = check_blobs(self.store, record).err().into_iter().collect();
        let mut below = None;
        let mut is_below_sound = true;
        for &chain in &record.layers {
            let problem = self.layer(chain, below, is_below_sound);
            if let Some((kind, problem)) = problem {
                is_below_sound = false;
                problems.push(Error::new(kind, problem));
            }
            below = Some(chain);
        }
        problems
    }

    /// What is wrong with the layer `chain`, which should lie upon `parent`.
    fn layer(
        &mut self,
        chain: ChainId,
        parent: Option<ChainId>,
        is_below_sound: bool,
    ) -> Option<(Kind, String)> {
        if let Some(known) = self.known.get(&chain) {
            return known.clone();
        }
        let problem = self
            .verify((chain, parent), is_below_sound)
            .context(|| format!("layer {chain}"))
            .err()
            .map(|error| (error.kind(), error.chain()));
        self.known.insert(chain, problem.clone());
        problem
    }

    fn verify(
        &self,
        (chain, parent): (ChainId, Option<ChainId>),
        is_below_sound: bool,
    ) -> Result<()> {
        let Some(record) = self.store.layer_record(chain)? else {
            return Err(Error::mismatch("it is not in the database"));
        };
        let LayerRecord { diff_id, tar_size, .. } = record;
        if record.parent != parent || ChainId::extend(parent, diff_id) != chain {
            return Err(Error::mismatch("the database has it upon other layers"));
        }
        let layer = save::layer(self.store, chain)?;
        let below =
            driver::Stack { store: self.store, chain: parent, user_namespace: self.user_namespace };
        let options = VerifyOptions {
            folder: &self.folder,
            load: LoadOptions {
                below: &below,
                marks: driver::marks(self.user_namespace),
                limits: LayerLimits::NONE,
                counters: self.counters,
            },
            is_below_sound,
        };
        image::verify_layer(&layer, ExpectedLayer { diff_id, tar_size }, &options)
    }
}

/// Compares config and manifest with the record of an image, and with one
/// another.
fn check_blobs(store: &Store, image: &ImageRecord) -> Result<()> {
    let malformed = |what: &str, error| {
        Error::new(Kind::Mismatch, format!("its {what} is malformed")).because(error)
    };
    let manifest = store.image_manifest(image)?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| malformed("manifest", error))?;
    let config = store.image_config(image)?;
    let config: ImageConfig =
        serde_json::from_slice(&config).map_err(|error| malformed("config", error))?;
    if ImageId(manifest.config.digest) != image.id {
        return Err(Error::mismatch("its manifest has another config"));
    }
    let diff_ids = &config.rootfs.diff_ids;
    if ChainId::stack(diff_ids) != image.layers {
        return Err(Error::mismatch("its config has other layers than the database"));
    }
    let digests = manifest.layers.iter().map(|layer| layer.digest);
    if digests.ne(diff_ids.iter().map(|diff_id| -> Digest { diff_id.0 })) {
        return Err(Error::mismatch("its manifest has other layers than its config"));
    }
    Ok(())
}
