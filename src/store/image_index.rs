//! Indexes: images of several platforms that one name leads to. The name leads
//! to one of them as well, which is the image wherever nobody asks for a
//! platform.
//!
//! An image of an index is as any other, but that it needs no name: it stays
//! for as long as a name leads to the index. Without any name the index is one
//! for as long as all of its images stay.

use rusqlite::{Connection, Row, Transaction, params};

use crate::digest::{Digest, ImageId};
use crate::error::{Error, Result};
use crate::platform::{self, Platform};
use crate::reference::ImageRef;

use super::database::{Failure, integer, parsed};
use super::event::{self, Event};
use super::image::{self, ImageRecord, NewImage, PutImage};
use super::layer::Hex;
use super::{Store, resolve, tag};

/// An index to be put into the store; the layers of its images are in it already.
#[derive(Clone, Debug)]
pub struct NewIndex<'a> {
    /// The index, raw.
    pub bytes: &'a [u8],
    /// Its images in its order, each with the platform that it has them for;
    /// their own names are not given.
    pub images: &'a [(Platform, NewImage<'a>)],
    /// The name to give it, if any.
    pub name: Option<&'a ImageRef>,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageIndex {
    /// Of its bytes.
    pub digest: Digest,
    /// In its order; not empty.
    pub images: Vec<IndexedImage>,
}

/// An image as an index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedImage {
    /// What it is for, which the config may say less exactly.
    pub platform: Platform,
    /// The digest of the manifest by which the index has it.
    pub manifest: Digest,
    /// The image.
    pub record: ImageRecord,
}

/// What a text means: see [`Store::resolve_for`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The image.
    pub image: ImageRecord,
    /// What it is for.
    pub platform: Platform,
    /// The index that was meant, if it was one.
    pub index: Option<ImageIndex>,
}

impl ImageIndex {
    /// True if `image` is one of its images.
    pub fn has(&self, image: ImageId) -> bool {
        self.images.iter().any(|one| one.record.id == image)
    }

    /// Which of the images is for `wanted`; for this host, if none is wanted, or
    /// else the first.
    pub fn choose(&self, wanted: Option<&Platform>) -> Option<&IndexedImage> {
        let platforms: Vec<_> = self.images.iter().map(|one| Some(one.platform.clone())).collect();
        let chosen = platform::choose(&platforms, wanted);
        self.images.get(chosen.or(wanted.is_none().then_some(0))?)
    }
}

impl Store {
    /// Puts an index and its images into the store, in one transaction. The name
    /// leads to that of the images which this host would run.
    ///
    /// # Errors
    /// As [`Store::put_image`]; `Invalid` if there is no image.
    pub fn put_index(&self, new: &NewIndex<'_>) -> Result<PutImage> {
        let digest = Digest::of(new.bytes);
        let mut blobs = vec![new.bytes];
        blobs.extend(new.images.iter().flat_map(|(_, new)| [new.config, new.manifest]));
        self.put_within(&blobs, |transaction, workspace| {
            let mut put = Vec::new();
            for (_, new) in new.images {
                put.push(image::put(self, (transaction, workspace), new)?);
                self.put_bytes(workspace, Digest::of(new.manifest), new.manifest)?;
            }
            self.put_bytes(workspace, digest, new.bytes)?;
            let row = |(put, (platform, new)): (&PutImage, &(Platform, NewImage<'_>))| IndexRow {
                image: put.id,
                manifest: Digest::of(new.manifest),
                platform: platform.clone(),
            };
            let rows: Vec<IndexRow> = put.iter().zip(new.images).map(row).collect();
            insert(transaction, digest, &rows)?;
            let platforms: Vec<_> =
                new.images.iter().map(|(platform, _)| Some(platform.clone())).collect();
            let chosen = put.get(platform::choose(&platforms, None).unwrap_or(0)).copied();
            let mut chosen = chosen.ok_or_else(|| Error::invalid("the index has no image"))?;
            let action = new.images.first().map_or("load", |(_, image)| image.action);
            let name = new.name.map(ToString::to_string);
            event::record(transaction, &Event::image(action, &chosen.id, name))?;
            if let Some(name) = new.name {
                chosen.previous = tag::point(transaction, name, (chosen.id, Some(digest)))?;
            }
            Ok(chosen)
        })
    }

    /// The image that `text` means, as [`Store::resolve`]; of an index that for
    /// `wanted`, if there is one, and the index.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn resolve_for(&self, text: &str, wanted: Option<&Platform>) -> Result<Resolved> {
        self.read("look for an image in", |connection| {
            let resolve::Target { image, index } = resolve::target(connection, text)?;
            let index = match index {
                Some(digest) => find(connection, digest)?,
                None => None,
            };
            // The name says which is the host's; whoever asks may want another.
            let is_it = |one: &&IndexedImage| one.record.id == image.id;
            let chosen = index.as_ref().and_then(|index| {
                let wanted = wanted.and_then(|wanted| index.choose(Some(wanted)));
                wanted.or_else(|| index.images.iter().find(is_it)).cloned()
            });
            let (image, platform) = match chosen {
                Some(chosen) => (chosen.record, chosen.platform),
                None => (image.clone(), image.platform),
            };
            Ok(Resolved { image, platform, index })
        })
    }

    /// The indexes whose images are in the store.
    ///
    /// # Errors
    /// Those of the database.
    pub fn indexes(&self) -> Result<Vec<ImageIndex>> {
        self.read("list the indexes in", |connection| {
            let query = "SELECT DISTINCT image_index FROM index_images";
            let mut indexes = Vec::new();
            for digest in digests(connection, query, &[])? {
                indexes.extend(find(connection, digest)?);
            }
            Ok(indexes)
        })
    }
}

/// An image of an index, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexRow {
    pub(super) image: ImageId,
    pub(super) manifest: Digest,
    pub(super) platform: Platform,
}

/// Records which images an index has; it may be known.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    digest: Digest,
    rows: &[IndexRow],
) -> Result<(), Failure> {
    let mut statement = transaction
        .prepare_cached("INSERT OR IGNORE INTO index_images VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (position, IndexRow { image, manifest, platform }) in rows.iter().enumerate() {
        statement.execute(params![
            digest.encoded(),
            integer(position as u64),
            image.0.encoded(),
            manifest.encoded(),
            platform.os,
            platform.architecture,
            platform.variant,
        ])?;
    }
    Ok(())
}

/// The index `digest`, if it is recorded.
pub(super) fn find(connection: &Connection, digest: Digest) -> Result<Option<ImageIndex>, Failure> {
    let row = |row: &Row<'_>| {
        let platform =
            Platform { os: row.get(2)?, architecture: row.get(3)?, variant: row.get(4)? };
        Ok((ImageId(parsed::<Hex>(row, 0)?.0), parsed::<Hex>(row, 1)?.0, platform))
    };
    let mut statement = connection.prepare_cached(
        "SELECT image, manifest, os, architecture, variant FROM index_images
         WHERE image_index = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([digest.encoded()], row)?;
    let mut images = Vec::new();
    for (id, manifest, platform) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let record = image::find(connection, id)?;
        images.extend(record.map(|record| IndexedImage { platform, manifest, record }));
    }
    Ok((!images.is_empty()).then_some(ImageIndex { digest, images }))
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
pub(super) fn names(connection: &Connection, index: &ImageIndex) -> Result<Vec<ImageRef>, Failure> {
    let mut names = Vec::new();
    for name in index.images.iter().flat_map(|one| &one.record.names) {
        if !names.contains(name) && named(connection, name)? == Some(index.digest) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// The images of `index` that go with `gone`, since nothing else leads to them.
pub(super) fn only_by(gone: &[ImageRef], index: ImageIndex) -> Vec<ImageRecord> {
    let goes = |image: &ImageRecord| {
        image.names.iter().chain(&image.index_names).all(|name| gone.contains(name))
    };
    index.images.into_iter().map(|one| one.record).filter(goes).collect()
}

/// Makes plain images of those of `index`; returns the blobs that only it may
/// have had.
pub(super) fn dissolve(
    transaction: &Transaction<'_>,
    index: Digest,
) -> Result<Vec<Digest>, Failure> {
    let query = "SELECT manifest FROM index_images WHERE image_index = ?1";
    let mut blobs = digests(transaction, query, &[&index.encoded()])?;
    blobs.push(index);
    let index = [index.encoded()];
    transaction
        .execute("UPDATE names SET image_index = NULL WHERE image_index = ?1", index.clone())?;
    transaction.execute("DELETE FROM index_images WHERE image_index = ?1", index)?;
    Ok(blobs)
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
