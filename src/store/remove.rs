//! Removal of images by docker's rules of `rmi` and `image prune`: a name goes first; the image
//! goes with its last name, its layers with the last image or container that
//! stands on them.

use std::path::Path;

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::reference::ImageRef;

use rusqlite::{Connection, Transaction};

use super::database::Failure;
use super::event::{self, Event};
use super::image::ImageRecord;
use super::resolve::Target;
use super::workspace::{self, Item, Workspace};
use super::{Store, image, image_index, layer, resolve, tag};

/// What [`Store::remove_image`] is to do.
#[derive(Clone, Copy, Debug)]
pub struct RemoveImage<'a> {
    /// A name, or an ID or its beginning.
    pub image: &'a str,
    /// Also where stopped containers use it, or an ID has several names.
    pub force: bool,
    /// The containers that run now, kept or not, as the run directory tells.
    pub running: &'a [RunningContainer],
}

/// A container that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningContainer {
    /// Its ID.
    pub id: ContainerId,
    /// Its name, or what else the user knows it by.
    pub name: String,
    /// The image that it was made from.
    pub image: ImageId,
}

/// What [`Store::prune_image`] is to do.
#[derive(Clone, Copy, Debug)]
pub struct PruneImage<'a> {
    /// The image.
    pub image: ImageId,
    /// Also if it has tags, which go with it.
    pub tagged: bool,
    /// As in [`RemoveImage`].
    pub running: &'a [RunningContainer],
}

/// What a removal did, in docker's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name was taken away.
    Untagged(ImageRef),
    /// An image was deleted.
    Image(ImageId),
    /// A layer on which nothing stood any more was deleted.
    Layer(ChainId),
}

impl Store {
    /// Removes a name, or the image. A name of several only goes itself; the
    /// last name takes the image along; an ID takes all names along if they
    /// are one tag of one repository, or by force.
    ///
    /// # Errors
    /// As [`Store::resolve`]; `InUse` if a container uses the image or an ID
    /// has several names. Both yield to force, except that an image that runs
    /// only loses its name.
    pub fn remove_image(&self, request: &RemoveImage<'_>) -> Result<Vec<Removed>> {
        let workspace = self.begin_removal()?;
        let removed = self.write("remove an image from", |transaction| {
            let target = resolve::target(transaction, request.image)?;
            let plan = plan(transaction, target, request)?;
            carry_out(transaction, plan, &workspace)
        })?;
        self.record_names();
        self.end_removal(workspace)?;
        Ok(removed)
    }

    /// Removes an image that no container uses, with its names. Nothing, if one
    /// does by now, if it is gone, or if it has got a tag.
    ///
    /// # Errors
    /// Those of the database; else of what could not be removed: the image is
    /// gone then.
    pub fn prune_image(&self, request: &PruneImage<'_>) -> Result<Vec<Removed>> {
        let workspace = self.begin_removal()?;
        let removed = self.write("remove an image from", |transaction| {
            let Some(image) = image::find(transaction, request.image)? else {
                return Ok(Vec::new());
            };
            // One that an index has goes with the names that lead there.
            if !image.index_names.is_empty() || (image.has_tag() && !request.tagged) {
                return Ok(Vec::new());
            }
            let all = Plan::with_names(transaction, &image, image.names.clone(), Some(&image))?;
            for image in &all.delete {
                let users = Users::of(transaction, image.id, request.running)?;
                if !users.is_none()
                    || is_starting(transaction, image, (&self.tmp(), request.running))?
                {
                    return Ok(Vec::new());
                }
            }
            carry_out(transaction, all, &workspace)
        })?;
        self.record_names();
        self.end_removal(workspace)?;
        Ok(removed)
    }
}

/// Does what `plan` says, and intends to take away what is left of it.
fn carry_out(
    transaction: &Transaction<'_>,
    mut plan: Plan,
    workspace: &Workspace,
) -> Result<Vec<Removed>, Failure> {
    let mut removed = Vec::new();
    for name in plan.untag {
        tag::remove(transaction, &name, plan.of)?;
        removed.push(Removed::Untagged(name));
    }
    // An index that lost its names, or one of its images, is of no use.
    let mut unwanted = Vec::new();
    for image in &plan.delete {
        plan.indexes.extend(image_index::having(transaction, image.id)?);
    }
    for index in plan.indexes {
        unwanted.extend(image_index::dissolve(transaction, index)?.into_iter().map(Item::Blob));
    }
    for image in &plan.delete {
        removed.extend(delete(transaction, image)?);
        unwanted.extend([image.id.0, image.manifest].map(Item::Blob));
    }
    unwanted.extend(removed.iter().filter_map(|removed| match removed {
        Removed::Layer(chain) => Some(Item::Layer(*chain)),
        Removed::Image(_) | Removed::Untagged(_) => None,
    }));
    // What is to be looked for on the disk once the rows are gone.
    workspace.intend(&unwanted)?;
    Ok(removed)
}

/// Whether a container that is not among `running` stands on `image`: it was
/// started after those were listed.
fn is_starting(
    connection: &Connection,
    image: &ImageRecord,
    (tmp, running): (&Path, &[RunningContainer]),
) -> Result<bool, Failure> {
    let Some(top) = image.chain() else { return Ok(false) };
    if !workspace::layers_in_use(tmp)?.contains(&top) {
        return Ok(false);
    }
    // Another image may have the same layers.
    for container in running {
        let own = image::find(connection, container.image)?;
        if own.and_then(|own| own.chain()) == Some(top) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn delete(transaction: &Transaction<'_>, image: &ImageRecord) -> Result<Vec<Removed>, Failure> {
    // `image_layers` goes along (ON DELETE CASCADE).
    transaction.execute("DELETE FROM images WHERE id = ?1", [image.id.0.encoded()])?;
    event::record(transaction, &Event::image("delete", &image.id, None))?;
    let layers = layer::release(transaction, image.layers.iter().rev().copied())?;
    Ok(std::iter::once(Removed::Image(image.id))
        .chain(layers.into_iter().map(Removed::Layer))
        .collect())
}

/// What a removal does.
struct Plan {
    /// The image that the names lead to.
    of: ImageId,
    untag: Vec<ImageRef>,
    delete: Vec<ImageRecord>,
    /// To which no name leads any more.
    indexes: Vec<Digest>,
}

impl Plan {
    /// Takes `names` from `image`, and deletes what only these lead to, and
    /// `also`.
    fn with_names(
        connection: &Connection,
        image: &ImageRecord,
        names: Vec<ImageRef>,
        also: Option<&ImageRecord>,
    ) -> Result<Self, Failure> {
        // The image that was meant is told first.
        let mut delete: Vec<ImageRecord> = also.into_iter().cloned().collect();
        let mut indexes = Vec::new();
        for name in &names {
            let Some(digest) = image_index::named(connection, name)? else { continue };
            let Some(index) = image_index::find(connection, digest)? else { continue };
            if image_index::names(connection, &index)?.iter().all(|name| names.contains(name)) {
                indexes.push(digest);
                add(&mut delete, image_index::only_by(&names, index));
            }
        }
        Ok(Self { of: image.id, untag: names, delete, indexes })
    }
}

/// Adds those of `more` that are not there yet.
fn add(images: &mut Vec<ImageRecord>, more: Vec<ImageRecord>) {
    for image in more {
        if images.iter().all(|known| known.id != image.id) {
            images.push(image);
        }
    }
}

fn plan(
    connection: &Connection,
    Target { image, index }: Target,
    request: &RemoveImage<'_>,
) -> Result<Plan, Failure> {
    let named = match request.image.parse::<ImageRef>() {
        Ok(name) if tag::target(connection, &name)? == Some(image.id) => Some(name),
        // An ID; or the digest of a manifest, which is no name by itself.
        _ => None,
    };
    let mut plan = match (&named, index) {
        (Some(name), _) => plan_by_name(connection, &image, name)?,
        (None, Some(index)) => plan_by_index(connection, (&image, index), request.force)?,
        (None, None) => plan_by_id(connection, &image, request.force)?,
    };
    let doing = match &named {
        Some(name) => format!("remove {}", tag::full_name(name)),
        None => format!("delete image {}", index.unwrap_or(image.id.0).short()),
    };
    let mut kept = Vec::new();
    for image in &plan.delete {
        let users = Users::of(connection, image.id, request.running)?;
        // By force a name goes also from an image that runs; the image stays.
        if named.is_some() && request.force && !users.running.is_empty() {
            kept.push(image.id);
        } else {
            users.refuse(request.force, &doing)?;
        }
    }
    plan.delete.retain(|image| !kept.contains(&image.id));
    Ok(plan)
}

fn plan_by_name(
    connection: &Connection,
    image: &ImageRecord,
    name: &ImageRef,
) -> Result<Plan, Failure> {
    let is_it = |known: &ImageRef| tag::full_name(known) == tag::full_name(name);
    let same_repository = |known: &ImageRef| known.full_repository() == name.full_repository();
    let tags_left = image
        .names
        .iter()
        .any(|known| !is_it(known) && same_repository(known) && known.digest().is_none());
    // Digests were names by virtue of the tag that they came with.
    let goes = |known: &&ImageRef| {
        is_it(known)
            || (name.digest().is_none()
                && !tags_left
                && same_repository(known)
                && known.digest().is_some())
    };
    let untag: Vec<ImageRef> = image.names.iter().filter(goes).cloned().collect();
    let is_last = untag.len() == image.names.len() && image.index_names.is_empty();
    Plan::with_names(connection, image, untag, is_last.then_some(image))
}

fn plan_by_id(connection: &Connection, image: &ImageRecord, force: bool) -> Result<Plan, Failure> {
    let short = image.id.0.short();
    refuse_several(&short, &image.names, force)?;
    if let (false, Some(name)) = (force, image.index_names.first()) {
        let (platform, name) = (&image.platform, tag::full_name(name));
        let all: Vec<String> = image.index_names.iter().map(tag::full_name).collect();
        return Err(Error::new(
            Kind::InUse,
            format!("cannot delete image {short}: it is the one for {platform} of {name}"),
        )
        .hint(format!("remove all of it (envbox rmi {}), or this one with --force", all.join(" ")))
        .into());
    }
    Plan::with_names(connection, image, image.names.clone(), Some(image))
}

fn plan_by_index(
    connection: &Connection,
    (image, index): (&ImageRecord, Digest),
    force: bool,
) -> Result<Plan, Failure> {
    let Some(found) = image_index::find(connection, index)? else {
        return Plan::with_names(connection, image, Vec::new(), None);
    };
    let names = image_index::names(connection, &found)?;
    refuse_several(&index.short(), &names, force)?;
    let own = image_index::only_by(&names, found);
    let mut plan = Plan::with_names(connection, image, names, None)?;
    plan.indexes.push(index);
    add(&mut plan.delete, own);
    Ok(plan)
}

fn refuse_several(short: &str, names: &[ImageRef], force: bool) -> Result<()> {
    if force || is_single_reference(names) {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(tag::full_name).collect();
    Err(Error::new(
        Kind::InUse,
        format!("cannot delete image {short}: it has several names: {}", names.join(", ")),
    )
    .hint("remove it by each name, or all at once with --force"))
}

/// True for at most one tag, beside which there may be digests in the same
/// repository.
fn is_single_reference(names: &[ImageRef]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let one_repository =
        names.windows(2).all(|pair| pair[0].full_repository() == pair[1].full_repository());
    tags <= 1 && one_repository
}

/// The containers of an image, by what the user knows them by.
#[derive(Debug, Default)]
struct Users {
    running: Vec<String>,
    stopped: Vec<String>,
}

impl Users {
    fn of(
        connection: &Connection,
        image: ImageId,
        running: &[RunningContainer],
    ) -> Result<Self, Failure> {
        let mut users = Self {
            running: running
                .iter()
                .filter(|container| container.image == image)
                .map(|container| container.name.clone())
                .collect(),
            stopped: Vec::new(),
        };
        let mut statement = connection
            .prepare_cached("SELECT id, name FROM containers WHERE image = ?1 ORDER BY name")?;
        let mut rows = statement.query([image.0.encoded()])?;
        while let Some(row) = rows.next()? {
            let id = row.get_ref(0)?.as_str().unwrap_or_default();
            if !running.iter().any(|container| container.id.as_str() == id) {
                users.stopped.push(row.get(1)?);
            }
        }
        Ok(users)
    }

    fn is_none(&self) -> bool {
        self.running.is_empty() && self.stopped.is_empty()
    }

    fn refuse(&self, force: bool, doing: &str) -> Result<()> {
        if let Some(name) = self.running.first() {
            return Err(Error::new(
                Kind::InUse,
                format!("cannot {doing}: the running container {name} uses it"),
            )
            .hint(format!("stop it first: envbox stop {name}")));
        }
        match self.stopped.first() {
            Some(name) if !force => Err(Error::new(
                Kind::InUse,
                format!("cannot {doing}: the stopped container {name} uses it"),
            )
            .hint(format!("remove it first (envbox rm {name}), or use --force"))),
            _ => Ok(()),
        }
    }
}
