//! `envbox system check --repair`: makes database and disk agree. What is whole
//! on the disk and not in the database is taken up, rows without an object go
//! where nothing is lost by it, and what nothing refers to is removed. A database
//! that is missing or damaged is rebuilt of nothing, which makes everything one
//! that is not in the database.
//!
//! [`scan`] reads the disk, [`plan`] says which rows follow from that, and this
//! writes them: in one transaction, or in a new file that takes the old one's
//! place when it is whole. Whatever ends it, a second one finishes.
//!
//! All is done under the exclusive lock, so nothing is on its way. No folder of a
//! container is removed, and after a rebuild nothing at all: what could not be
//! read may be mended otherwise.

mod aside;
mod holder;
mod plan;
mod scan;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::os::fd::OwnedFd;

use rusqlite::{Connection, Transaction};

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind};
use crate::id::{ContainerId, ContainerName, VolumeName};
use crate::oci::ImageConfig;

use super::check::collect;
use super::database::{Database, Failure, parsed};
use super::gc::{self, Collected};
use super::image::NewImage;
use super::layer::{self, Hex, LayerLocation, LayerRecord};
use super::record::{self, ContainerCopy};
use super::workspace::{Item, Workspace};
use super::{Fault, Store, container, driver, image, image_index, layout, tag, volume, volume_use};

use plan::{Plan, PlannedImage};
use scan::{Found, Odd};

/// What [`Store::repair`] needs of others.
pub struct RepairRequest<'a> {
    /// The containers that run, whose records stay.
    pub running: &'a [ContainerId],
    /// What the files of a layer hold, in bytes, where no record tells.
    pub measure: &'a dyn Fn(&LayerLocation) -> Result<u64>,
    /// Is told who else changes the store, if somebody has to be waited for.
    pub waiting: &'a dyn Fn(String),
}

/// Something that [`Store::repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mended {
    /// The database was made anew: why, and what the old one is called now.
    Rebuilt(String, Option<String>),
    /// An image is known again, by these names.
    Image(ImageId, Vec<String>),
    /// A container is known again.
    Container(ContainerId, ContainerName),
    /// A volume is known again.
    Volume(VolumeName),
    /// The row of what was at this path is gone.
    Forgotten(String),
    /// What was at this path is gone.
    Removed(String),
    /// Something that was wrong is right.
    Corrected(String),
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuilt(why, None) => write!(f, "rebuilt envbox.db: {why}"),
            Self::Rebuilt(why, Some(old)) => {
                write!(f, "rebuilt envbox.db: {why} (the old one is {old})")
            }
            Self::Image(id, names) if names.is_empty() => write!(f, "took up image {id}"),
            Self::Image(id, names) => write!(f, "took up image {id}: {}", names.join(", ")),
            Self::Container(id, name) => write!(f, "took up container {name} ({id})"),
            Self::Volume(name) => write!(f, "took up volume {name}"),
            Self::Forgotten(path) => write!(f, "forgot {path}, which was missing"),
            Self::Removed(path) => write!(f, "removed {path}, which belonged to nothing"),
            Self::Corrected(what) => write!(f, "corrected {what}"),
        }
    }
}

/// What [`Store::repair`] did and did not.
#[derive(Debug, Default)]
pub struct Repaired {
    /// What it did.
    pub done: Vec<Mended>,
    /// What cannot be had back of what it took up: a sentence each.
    pub lost: Vec<String>,
    /// What does not fit still.
    pub left: Vec<Fault>,
}

/// What the database has.
#[derive(Debug, Default)]
struct Known {
    /// The database is new.
    is_nothing: bool,
    blobs: BTreeSet<Digest>,
    layers: BTreeMap<ChainId, LayerRecord>,
    containers: BTreeSet<ContainerId>,
    container_names: BTreeSet<ContainerName>,
    volumes: BTreeSet<VolumeName>,
    /// Repositories and tags.
    names: BTreeSet<(String, String)>,
}

impl Known {
    fn nothing() -> Self {
        Self { is_nothing: true, ..Self::default() }
    }

    fn of(connection: &Connection) -> Result<Self, Failure> {
        let blobs = "SELECT id FROM images UNION SELECT manifest FROM images UNION
            SELECT image_index FROM index_images UNION SELECT manifest FROM index_images";
        let names = "SELECT repository, tag FROM names";
        let layers = layer::records(connection)?;
        let set = |query| collect(connection, query, |row| parsed(row, 0));
        Ok(Self {
            is_nothing: false,
            blobs: collect(connection, blobs, |row| Ok(parsed::<Hex>(row, 0)?.0))?
                .into_iter()
                .collect(),
            layers: layers.into_iter().map(|layer| (layer.chain_id, layer)).collect(),
            containers: set("SELECT id FROM containers")?.into_iter().collect(),
            container_names: collect(connection, "SELECT name FROM containers", |row| {
                parsed(row, 0)
            })?
            .into_iter()
            .collect(),
            volumes: collect(connection, "SELECT name FROM volumes", |row| parsed(row, 0))?
                .into_iter()
                .collect(),
            names: collect(connection, names, |row| Ok((row.get(0)?, row.get(1)?)))?
                .into_iter()
                .collect(),
        })
    }
}

impl Store {
    /// Makes database and disk agree, as far as nothing is lost by it, and
    /// rebuilds a database that is missing or damaged.
    ///
    /// # Errors
    /// `Unavailable` if others went on changing something; `Unsupported` for the
    /// database of a newer envbox; those of the disk.
    pub fn repair(&self, request: &RepairRequest<'_>) -> Result<Repaired> {
        // An older schema is brought up to date under the lock of its own.
        self.close_database();
        drop(self.database());
        self.close_database();
        *self.lock.borrow_mut() = Some(self.alone(request)?);
        let mut repaired = Repaired::default();
        let trash = self.repair_alone(request, &mut repaired);
        // Nobody waits while files are deleted.
        self.close_database();
        drop(trash?);
        // What cannot be removed goes another time; what was done is to be told.
        let _ = self.sweep();
        self.close_database();
        Ok(repaired)
    }

    fn alone(&self, request: &RepairRequest<'_>) -> Result<OwnedFd> {
        if let Some(lock) = layout::try_lock(&self.paths.root)? {
            return Ok(lock);
        }
        let others = || holder::describe(&layout::lock_path(&self.paths.root));
        (request.waiting)(others());
        self.exclusive(gc::PATIENCE)?.ok_or_else(|| {
            Error::new(Kind::Unavailable, format!("the store is in use: {}", others()))
                .hint("run `envbox system check --repair` again when that is done")
        })
    }

    fn repair_alone(
        &self,
        request: &RepairRequest<'_>,
        repaired: &mut Repaired,
    ) -> Result<Option<Workspace>> {
        layout::ensure_folders(&self.paths.root)?;
        let damage = self.damage()?;
        let is_rebuilt = damage.is_some();
        let odd = match damage {
            Some(why) => self.rebuild(why, request, repaired)?,
            None => self.take_up(request, repaired)?,
        };
        self.mend_rows(request.running, repaired)?;
        // No layer goes while a container is not what it was: it may be needed when
        // the container's folder is back.
        let is_container = |path: &str| path.starts_with(layout::CONTAINERS);
        let misses_one = odd.iter().any(|odd| is_container(&odd.path))
            || repaired
                .done
                .iter()
                .any(|done| matches!(done, Mended::Forgotten(path) if is_container(path)));
        let trash = match is_rebuilt {
            true => None,
            false => Some(self.remove_leftovers(repaired, |item| match item {
                // What a container wrote may be all that is left of somebody's work.
                Item::Container(_) => false,
                Item::Layer(_) => !misses_one,
                _ => true,
            })?),
        };
        self.write_copies(repaired)?;
        repaired.left = with_reasons(self.faults()?, &odd);
        Ok(trash)
    }

    /// Why the database cannot be mended, if it cannot.
    fn damage(&self) -> Result<Option<String>> {
        let found = fs::metadata(&layout::database(&self.paths.root))?;
        if found.is_some_and(|found| found.kind != FileKind::Regular) {
            return Ok(Some("it is no file".to_owned()));
        }
        match self.faults() {
            Ok(faults) => {
                let damage = faults.iter().find(|fault| fault.is_damage()).map(Fault::what);
                let index = record::read_index(&Dir::open(&self.paths.root)?);
                if damage.is_some() && !matches!(index, Ok(Some(_))) {
                    // As far as the names can be read still: nothing else has them.
                    self.record_names();
                }
                Ok(damage)
            }
            Err(error) if is_damage(&error) => Ok(Some(error.chain())),
            Err(error) => Err(error),
        }
    }

    /// Makes a new database in the place of the old one.
    fn rebuild(
        &self,
        why: String,
        request: &RepairRequest<'_>,
        repaired: &mut Repaired,
    ) -> Result<Vec<Odd>> {
        let root = &self.paths.root;
        self.database.take();
        let workspace = self.workspace(&[])?;
        let path = layout::database(workspace.path());
        let fresh = Database::open(&path, true)?;
        fresh.migrate()?;
        let plan = self.plan(&Known::nothing(), request)?;
        let newest = self.newest_copied_event(|_| true)?;
        fresh.write("rebuild", |transaction| {
            transaction.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", [])?;
            // Copies of before must not be newer than what comes.
            let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)";
            transaction.execute(insert, [newest])?;
            self.insert(transaction, &plan)
        })?;
        fresh.finish()?;
        fs::sync(root)?;
        aside::keep_index(root)?;
        let old = aside::set_aside(root)?;
        fs::rename(&path, &layout::database(root))?;
        workspace.remove()?;
        repaired.done.push(Mended::Rebuilt(why, old));
        tell(&plan, repaired);
        Ok(plan.left)
    }

    /// Takes up what the database does not have.
    fn take_up(&self, request: &RepairRequest<'_>, repaired: &mut Repaired) -> Result<Vec<Odd>> {
        let known = self.read("repair", Known::of)?;
        let plan = self.plan(&known, request)?;
        self.write("repair", |transaction| self.insert(transaction, &plan))?;
        tell(&plan, repaired);
        Ok(plan.left)
    }

    fn plan(&self, known: &Known, request: &RepairRequest<'_>) -> Result<Plan> {
        let found = Found::read(&Dir::open(&self.paths.root)?, known)?;
        let mut measured = HashMap::new();
        for chain in plan::unmeasured(&found, known) {
            let folder = self.path_of(&Item::Layer(chain));
            let form = driver::of(&folder)?.form();
            // One that cannot be read is told with what stands on it.
            if let Ok(size) = (request.measure)(&LayerLocation { folder, form }) {
                measured.insert(chain, size);
            }
        }
        Ok(plan::rows(&found, known, &measured))
    }

    fn insert(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<(), Failure> {
        for record in &plan.layers {
            let kept = driver::of(&self.path_of(&Item::Layer(record.chain_id)))?;
            layer::insert(transaction, record, kept)?;
        }
        for planned in &plan.images {
            self.insert_image(transaction, planned)?;
        }
        for index in &plan.indexes {
            image_index::insert(transaction, index.digest, &index.images)?;
        }
        for planned in &plan.images {
            for name in &planned.names {
                let index = planned.index_of(name, &plan.indexes);
                tag::point(transaction, name, (planned.image.id, index))?;
            }
        }
        for volume in &plan.volumes {
            volume::insert(transaction, &volume.record)?;
        }
        for planned in &plan.containers {
            container::insert(transaction, &planned.record)?;
            for used in &planned.volumes {
                volume_use::insert(transaction, &planned.record.id, used)?;
            }
        }
        Ok(())
    }

    fn insert_image(
        &self,
        transaction: &Transaction<'_>,
        planned: &PlannedImage,
    ) -> Result<(), Failure> {
        let PlannedImage { image, imported_at, size, .. } = planned;
        let (bytes, manifest) = (self.blob(image.id.0)?, self.blob(image.manifest)?);
        let config: ImageConfig = serde_json::from_slice(&bytes)
            .map_err(|error| Error::invalid("the image config is malformed").because(error))?;
        let new = NewImage {
            config: &bytes,
            manifest: &manifest,
            layers: &ChainId::stack(&image.diff_ids),
            size: *size,
            imported_at: *imported_at,
            name: None,
            action: "",
        };
        image::insert(transaction, &new, &config)
    }

    /// Deletes the rows of containers and volumes that are gone, and corrects
    /// what follows from others.
    fn mend_rows(&self, running: &[ContainerId], repaired: &mut Repaired) -> Result<()> {
        let faults = self.faults()?;
        // A disk that is not mounted takes all of a folder along, and brings it back.
        let are_away = |folder: &str| -> Result<bool> {
            let is_gone =
                |fault: &&Fault| matches!(fault, Fault::Gone(path) if path.starts_with(folder));
            let is_empty = fs::list(&self.paths.root.join(folder))?.is_empty();
            Ok(is_empty && faults.iter().filter(is_gone).count() > 1)
        };
        let (no_containers, no_volumes) =
            (are_away(layout::CONTAINERS)?, are_away(layout::VOLUMES)?);
        for fault in &faults {
            match fault {
                Fault::Gone(path) => {
                    let item = path.strip_suffix("/data").unwrap_or(path).parse::<Item>();
                    match item {
                        Ok(Item::Container(_)) if no_containers => continue,
                        Ok(Item::Volume(_)) if no_volumes => continue,
                        Ok(Item::Container(id)) if !running.contains(&id) => {
                            self.remove_container(&id)?;
                        }
                        // What lies there still is somebody's.
                        Ok(Item::Volume(name)) if self.has_folder(&name)? => continue,
                        Ok(Item::Volume(name)) => match self.remove_volume(&name) {
                            // It stays, and is told.
                            Err(error) if error.kind() == Kind::InUse => continue,
                            removed => removed?,
                        },
                        _ => continue,
                    }
                    repaired.done.push(Mended::Forgotten(path.clone()));
                }
                Fault::Driver(chain, _) => {
                    let kept = driver::of(&self.path_of(&Item::Layer(*chain)))?;
                    self.write("repair", |transaction| {
                        let update = "UPDATE layers SET driver = ?2 WHERE chain = ?1";
                        let row = [chain.0.encoded(), kept.name().to_owned()];
                        Ok(transaction.execute(update, row)?)
                    })?;
                    repaired.done.push(Mended::Corrected(format!("the driver of layer {chain}")));
                }
                Fault::Size(id, _, wanted) => {
                    self.write("repair", |transaction| {
                        let update = "UPDATE images SET size = ?2 WHERE id = ?1";
                        let size = super::database::integer(*wanted);
                        Ok(transaction.execute(update, (id.0.encoded(), size))?)
                    })?;
                    repaired.done.push(Mended::Corrected(format!("the size of image {id}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn has_folder(&self, volume: &VolumeName) -> Result<bool> {
        let path = self.path_of(&Item::Volume(volume.clone()));
        Ok(fs::link_metadata(&path)?.is_some())
    }

    /// Takes away what nothing refers to, of that for which `may_go` is true.
    fn remove_leftovers(
        &self,
        repaired: &mut Repaired,
        may_go: impl Fn(&Item) -> bool,
    ) -> Result<Workspace> {
        let mut items = self.present()?;
        items.retain(may_go);
        let (workspace, Collected { layers, blobs, .. }) = self.take_unwanted(&items)?;
        let items = layers.into_iter().map(Item::Layer).chain(blobs.into_iter().map(Item::Blob));
        repaired.done.extend(items.map(|item| Mended::Removed(item.to_string())));
        layout::ensure_reserve(&self.paths.root);
        Ok(workspace)
    }

    /// Writes the copies of what the database has. One that cannot be written is
    /// told by the check that follows.
    fn write_copies(&self, repaired: &mut Repaired) -> Result<()> {
        self.write("copy the records in", |transaction| {
            let differing = self.differing_copies(transaction)?;
            let root = Dir::open(&self.paths.root)?;
            let _ = self.write_index(transaction);
            for id in collect(transaction, "SELECT id FROM containers", |row| parsed(row, 0))? {
                let Some(wanted) = ContainerCopy::of(transaction, &id)? else { continue };
                let found = record::read_container(&root, &id).ok();
                if found.is_none_or(|found| found.is_not(&wanted)) {
                    let _ = self.write_container_copy(&wanted);
                }
            }
            repaired.done.extend(differing.into_iter().map(Mended::Corrected));
            Ok(())
        })
    }
}

/// True if `error`, of [`Store::check`], says that the database itself is lost, not
/// that it cannot be reached just now or here, or understood by this envbox.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::Invalid | Kind::Internal)
}

fn tell(plan: &Plan, repaired: &mut Repaired) {
    let image = |planned: &PlannedImage| {
        let names = planned.names.iter().map(tag::full_name).collect();
        Mended::Image(planned.image.id, names)
    };
    repaired.done.extend(plan.images.iter().map(image));
    let containers = plan.containers.iter().map(|planned| &planned.record);
    repaired
        .done
        .extend(containers.map(|record| Mended::Container(record.id.clone(), record.name.clone())));
    let volumes = plan.volumes.iter().map(|volume| volume.record.name.clone());
    repaired.done.extend(volumes.map(Mended::Volume));
    repaired.lost.extend(plan.lost.iter().cloned());
}

/// `faults`, with why what has no row was not taken up.
fn with_reasons(faults: Vec<Fault>, odd: &[Odd]) -> Vec<Fault> {
    let reasoned = |fault: Fault| match &fault {
        Fault::Unrecorded(path) => match odd.iter().find(|odd| odd.path == *path) {
            Some(odd) => Fault::Unreadable(odd.path.clone(), odd.why.clone()),
            None => fault,
        },
        _ => fault,
    };
    faults.into_iter().map(reasoned).collect()
}
