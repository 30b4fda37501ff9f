//! Removal of images by docker's rules of `rmi` and `image prune`: a name goes first; the image
//! goes with its last name, its layers with the last image or container that
//! stands on them.

use std::path::Path;

use crate::digest::{ChainId, ImageId};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::reference::ImageRef;

use rusqlite::{Connection, Transaction};

use super::database::Failure;
use super::event::{self, Event};
use super::image::ImageRecord;
use super::workspace::{self, Item, Workspace};
use super::{Store, image, layer, resolve, tag};

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
            let image = resolve::resolve(transaction, request.image)?;
            let plan = plan(transaction, &image, request)?;
            carry_out(transaction, &image, plan, &workspace)
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
            let users = Users::of(transaction, image.id, request.running)?;
            if !users.is_none()
                || (image.has_tag() && !request.tagged)
                || is_starting(transaction, &image, (&self.tmp(), request.running))?
            {
                return Ok(Vec::new());
            }
            let all = Plan { untag: image.names.clone(), delete: true };
            carry_out(transaction, &image, all, &workspace)
        })?;
        self.record_names();
        self.end_removal(workspace)?;
        Ok(removed)
    }
}

/// Does what `plan` says of `image`, and intends to take away what is left of it.
fn carry_out(
    transaction: &Transaction<'_>,
    image: &ImageRecord,
    plan: Plan,
    workspace: &Workspace,
) -> Result<Vec<Removed>, Failure> {
    let mut removed = Vec::new();
    for name in plan.untag {
        tag::remove(transaction, &name, image.id)?;
        removed.push(Removed::Untagged(name));
    }
    if plan.delete {
        removed.extend(delete(transaction, image)?);
        workspace.intend(&unwanted(image, &removed))?;
    }
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

/// What is to be looked for on the disk once the rows are gone.
fn unwanted(image: &ImageRecord, removed: &[Removed]) -> Vec<Item> {
    let layers = removed.iter().filter_map(|removed| match removed {
        Removed::Layer(chain) => Some(Item::Layer(*chain)),
        Removed::Image(_) | Removed::Untagged(_) => None,
    });
    [Item::Blob(image.id.0), Item::Blob(image.manifest)].into_iter().chain(layers).collect()
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

struct Plan {
    untag: Vec<ImageRef>,
    delete: bool,
}

fn plan(
    connection: &Connection,
    image: &ImageRecord,
    request: &RemoveImage<'_>,
) -> Result<Plan, Failure> {
    let users = Users::of(connection, image.id, request.running)?;
    let named = match request.image.parse::<ImageRef>() {
        Ok(name) if tag::target(connection, &name)? == Some(image.id) => Some(name),
        // An ID; or the digest of a manifest, which is no name by itself.
        _ => None,
    };
    match named {
        Some(name) => Ok(plan_by_name(image, &name, &users, request.force)?),
        None => Ok(plan_by_id(image, &users, request.force)?),
    }
}

fn plan_by_name(image: &ImageRecord, name: &ImageRef, users: &Users, force: bool) -> Result<Plan> {
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
    let is_last = untag.len() == image.names.len();
    // By force a name goes also from an image that runs; the image stays.
    let delete = is_last && (!force || users.running.is_empty());
    if delete {
        users.refuse(force, &format!("remove {}", tag::full_name(name)))?;
    }
    Ok(Plan { untag, delete })
}

fn plan_by_id(image: &ImageRecord, users: &Users, force: bool) -> Result<Plan> {
    let short = image.id.0.short();
    if !force && !is_single_reference(&image.names) {
        let names: Vec<String> = image.names.iter().map(tag::full_name).collect();
        return Err(Error::new(
            Kind::InUse,
            format!("cannot delete image {short}: it has several names: {}", names.join(", ")),
        )
        .hint("remove it by each name, or all at once with --force"));
    }
    users.refuse(force, &format!("delete image {short}"))?;
    Ok(Plan { untag: image.names.clone(), delete: true })
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
