//! Indexes: images of several platforms that one name leads to. The name leads
//! to one of them as well, which is the image wherever nobody asks for a
//! platform.
//!
//! An image of an index is as any other, but that it needs no name: it stays
//! for as long as a name leads to the index.

use rusqlite::{Connection, Transaction, params};

use crate::digest::{Digest, ImageId};
use crate::error::{Error, Result};
use crate::platform::{self, Platform};
use crate::reference::ImageRef;

use super::database::{Failure, integer, parsed};
use super::event::{self, Event};
use super::image::{self, ImageRecord, NewImage, PutImage};
use super::layer::Hex;
use super::workspace::Item;
use super::{Store, resolve, tag};

/// An index to be put into the store; the layers of its images are in it already.
#[derive(Clone, Debug)]
pub struct NewIndex<'a> {
    /// The index, raw.
    pub bytes: &'a [u8],
    /// Its images, in its order; their own names are not given.
    pub images: &'a [NewImage<'a>],
    /// The name to give it, if any.
    pub name: Option<&'a ImageRef>,
}

/// An index, and the images of it that are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageIndex {
    /// Of its bytes.
    pub digest: Digest,
    /// In its order.
    pub images: Vec<ImageRecord>,
}

impl Store {
    /// Puts an index and its images into the store, in one transaction. The name
    /// leads to that of the images which this host would run.
    ///
    /// # Errors
    /// As [`Store::put_image`]; `Invalid` if there is no image.
    pub fn put_index(&self, new: &NewIndex<'_>) -> Result<PutImage> {
        let digest = Digest::of(new.bytes);
        let mut items = vec![Item::Blob(digest)];
        items.extend(new.images.iter().flat_map(|new| image::blobs(new)));
        self.put_within(&items, |transaction, workspace| {
            let mut put = Vec::new();
            for new in new.images {
                put.push(image::put(self, (transaction, workspace), new)?);
            }
            self.put_bytes(workspace, digest, new.bytes)?;
            record(transaction, digest, put.iter().map(|put| put.id))?;
            let ids: Vec<ImageId> = put.iter().map(|put| put.id).collect();
            let chosen = preferred(transaction, &ids)?;
            let chosen = put.get(chosen).copied();
            let mut chosen = chosen.ok_or_else(|| Error::invalid("the index has no image"))?;
            let action = new.images.first().map_or("load", |image| image.action);
            let name = new.name.map(ToString::to_string);
            event::record(transaction, &Event::image(action, &chosen.id, name))?;
            if let Some(name) = new.name {
                chosen.previous = tag::point(transaction, name, (chosen.id, Some(digest)))?;
            }
            Ok(chosen)
        })
    }

    /// The index that `text` means: by a name that leads to it, or its digest or
    /// the beginning of that; `None` if an image alone is meant.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn index(&self, text: &str) -> Result<Option<ImageIndex>> {
        self.read("look for an image in", |connection| {
            let Some(digest) = resolve::target(connection, text)?.index else { return Ok(None) };
            Ok(Some(ImageIndex { digest, images: images(connection, digest)? }))
        })
    }

    /// As [`Store::resolve`], but of an index the image for `wanted`, if there
    /// is one.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn resolve_for(&self, text: &str, wanted: Option<&Platform>) -> Result<ImageRecord> {
        self.read("look for an image in", |connection| {
            let resolve::Target { image, index } = resolve::target(connection, text)?;
            let (Some(index), Some(wanted)) = (index, wanted) else { return Ok(image) };
            if image.platform.satisfies(wanted) {
                return Ok(image);
            }
            let mut images = images(connection, index)?.into_iter();
            Ok(images.find(|other| other.platform.satisfies(wanted)).unwrap_or(image))
        })
    }

    /// The digests of all indexes whose images are in the store.
    ///
    /// # Errors
    /// Those of the database.
    pub fn indexes(&self) -> Result<Vec<Digest>> {
        self.read("list the indexes in", |connection| {
            digests(connection, "SELECT DISTINCT image_index FROM index_images", &[])
        })
    }
}

/// Records which images an index has.
fn record(
    transaction: &Transaction<'_>,
    index: Digest,
    images: impl Iterator<Item = ImageId>,
) -> Result<(), Failure> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO index_images VALUES (?1, ?2, ?3)")?;
    for (position, image) in images.enumerate() {
        statement.execute(params![index.encoded(), integer(position as u64), image.0.encoded()])?;
    }
    Ok(())
}

/// Which of `images` this host would run; the first where it would run none.
fn preferred(connection: &Connection, images: &[ImageId]) -> Result<usize, Failure> {
    let mut platforms = Vec::new();
    for &id in images {
        platforms.push(image::find(connection, id)?.map(|image| image.platform));
    }
    Ok(platform::choose(&platforms, None).unwrap_or(0))
}

/// The images of `index` that are in the store, in its order.
pub(super) fn images(connection: &Connection, index: Digest) -> Result<Vec<ImageRecord>, Failure> {
    let condition = "JOIN index_images AS member ON member.image = images.id
        WHERE member.image_index = ?1 ORDER BY member.position";
    image::select(connection, condition, &[&index.encoded()])
}

/// The image that `index` means where nobody asks for a platform.
pub(super) fn default_image(
    connection: &Connection,
    index: Digest,
) -> Result<Option<ImageRecord>, Failure> {
    let mut images = images(connection, index)?;
    let platforms: Vec<_> = images.iter().map(|image| Some(image.platform.clone())).collect();
    let chosen = platform::choose(&platforms, None).unwrap_or(0);
    Ok((chosen < images.len()).then(|| images.swap_remove(chosen)))
}

/// The indexes that `image` is in.
pub(super) fn having(connection: &Connection, image: ImageId) -> Result<Vec<Digest>, Failure> {
    let query = "SELECT DISTINCT image_index FROM index_images WHERE image = ?1";
    digests(connection, query, &[&image.0.encoded()])
}

/// The indexes whose digests are from `range`: the first hex digits of these,
/// and what follows.
pub(super) fn within(connection: &Connection, range: [&String; 2]) -> Result<Vec<Digest>, Failure> {
    let query = "SELECT DISTINCT image_index FROM index_images
        WHERE image_index >= ?1 AND image_index < ?2 ORDER BY image_index";
    digests(connection, query, &range)
}

/// The index that `name` leads to.
pub(super) fn named(connection: &Connection, name: &ImageRef) -> Result<Option<Digest>, Failure> {
    let (repository, tag) = tag::key(name);
    let query = "SELECT image_index FROM names
        WHERE repository = ?1 AND tag = ?2 AND image_index IS NOT NULL";
    Ok(digests(connection, query, &[&repository, &tag])?.pop())
}

/// The names that lead to `index`.
pub(super) fn names(connection: &Connection, index: Digest) -> Result<Vec<ImageRef>, Failure> {
    let mut names = Vec::new();
    for image in images(connection, index)? {
        for name in image.names {
            if named(connection, &name)? == Some(index) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// The images of `index` that go with `gone`, since nothing else leads to them.
pub(super) fn only_by(
    connection: &Connection,
    gone: &[ImageRef],
    index: Digest,
) -> Result<Vec<ImageRecord>, Failure> {
    let mut images = images(connection, index)?;
    images.retain(|image| {
        image.names.iter().chain(&image.index_names).all(|name| gone.contains(name))
    });
    Ok(images)
}

/// Makes plain images of those that `image` shares an index with, since it goes.
pub(super) fn dissolve(transaction: &Transaction<'_>, image: ImageId) -> Result<(), Failure> {
    for index in having(transaction, image)? {
        let index = index.encoded();
        transaction
            .execute("UPDATE names SET image_index = NULL WHERE image_index = ?1", [&index])?;
        transaction.execute("DELETE FROM index_images WHERE image_index = ?1", [&index])?;
    }
    Ok(())
}

fn digests(
    connection: &Connection,
    query: &str,
    parameters: &[&String],
) -> Result<Vec<Digest>, Failure> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement
        .query_map(rusqlite::params_from_iter(parameters), |row| Ok(parsed::<Hex>(row, 0)?.0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<Digest>>>()?)
}
