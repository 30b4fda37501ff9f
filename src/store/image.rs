//! Records of images: what lists need, kept in columns so that a list of a
//! thousand parses no config.

use std::collections::BTreeMap;
use std::io::Cursor;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction, params};

use crate::digest::{ChainId, Digest, ImageId};
use crate::error::{Error, Result};
use crate::fs::{self, Timestamp};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::ImageRef;

use super::database::{Failure, integer, parse_text, parsed, size, time, unreadable};
use super::event::{self, Event};
use super::layer::{self, Hex};
use super::workspace::{Item, Workspace};
use super::{Store, blob, tag};

/// An image, as far as lists tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// The digest of the config.
    pub id: ImageId,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// As the config says; `None` where it says nothing readable.
    pub created: Option<Timestamp>,
    /// When the image came into this store.
    pub imported_at: Timestamp,
    /// The sum of its layers' content, in bytes.
    pub size: u64,
    /// As the config says.
    pub platform: Platform,
    /// As the config says.
    pub labels: BTreeMap<String, String>,
    /// Its names, with tag or with digest, sorted.
    pub names: Vec<ImageRef>,
    /// The names of other images by which it can be asked for with its platform,
    /// sorted: they lead to an index that has it.
    pub index_names: Vec<ImageRef>,
    /// Its layers by the stacks that they top, lowest first.
    pub layers: Vec<ChainId>,
}

impl ImageRecord {
    /// The stack of all its layers; `None` if it has none.
    pub fn chain(&self) -> Option<ChainId> {
        self.layers.last().copied()
    }

    /// True if a name with a tag leads to it, not only one with a digest.
    pub fn has_tag(&self) -> bool {
        self.names.iter().any(|name| name.digest().is_none())
    }

    /// True if no name leads to it, not even with its platform.
    pub fn is_dangling(&self) -> bool {
        self.names.is_empty() && self.index_names.is_empty()
    }

    /// True if names lead to it only with its platform.
    pub fn is_by_platform(&self) -> bool {
        self.names.is_empty() && !self.index_names.is_empty()
    }
}

/// An image to be put into the store; its layers are in it already.
#[derive(Clone, Debug)]
pub struct NewImage<'a> {
    /// The config, raw.
    pub config: &'a [u8],
    /// The manifest, raw.
    pub manifest: &'a [u8],
    /// The layers by the stacks that they top, lowest first.
    pub layers: &'a [ChainId],
    /// The sum of the layers' content, in bytes.
    pub size: u64,
    /// The current time, as the caller's clock has it.
    pub imported_at: Timestamp,
    /// The name to give it, if any: with tag or with digest, `latest` if it
    /// has neither.
    pub name: Option<&'a ImageRef>,
    /// What happens, for the events: `import`, `load`, `pull`, ...
    pub action: &'a str,
}

/// What [`Store::put_image`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutImage {
    /// The image.
    pub id: ImageId,
    /// False if the store had it.
    pub is_new: bool,
    /// What had the name before, if it was another: an image, or an index.
    pub previous: Option<Digest>,
}

/// One row an image; names and layers as lines of one column each, in any
/// order. They are sorted here: SQLite would make a temporary table to sort the
/// lines of each column of each row, which was half of the time of a query.
const QUERY: &str = "SELECT id, manifest, created_s, created_ns, imported_s, imported_ns, size,
    os, architecture, variant, labels,
    (SELECT group_concat(repository || iif(instr(tag, ':'), '@', ':') || tag, char(10))
        FROM names WHERE image = id),
    (SELECT group_concat(position || ' ' || chain, char(10)) FROM image_layers WHERE image = id),
    (SELECT group_concat(repository || iif(instr(tag, ':'), '@', ':') || tag, char(10))
        FROM names WHERE image != id
        AND image_index IN (SELECT image_index FROM index_images WHERE image = images.id))
    FROM images";

impl Store {
    /// Puts an image into the store, in one transaction: its blobs, its
    /// record, its name.
    ///
    /// # Errors
    /// `Invalid` if the config is no image config; `NotFound` if a layer is
    /// not, or no longer, in the store.
    pub fn put_image(&self, new: &NewImage<'_>) -> Result<PutImage> {
        let id = ImageId(Digest::of(new.config));
        let name = new.name.map(ToString::to_string);
        self.put_told(new, &[Event::image(new.action, &id, name)])
    }

    /// As [`Store::put_image`] for an image that a container became: `event`
    /// tells of it, and a name is told as one that is given, as in docker. The
    /// action of `new` is not told.
    ///
    /// # Errors
    /// As [`Store::put_image`].
    pub fn commit_image(&self, new: &NewImage<'_>, event: Event) -> Result<PutImage> {
        let id = ImageId(Digest::of(new.config));
        let tagged = new.name.map(|name| Event::image("tag", &id, Some(tag::full_name(name))));
        let events: Vec<Event> = std::iter::once(event).chain(tagged).collect();
        self.put_told(new, &events)
    }

    fn put_told(&self, new: &NewImage<'_>, events: &[Event]) -> Result<PutImage> {
        self.put_within(&[new.config, new.manifest], |transaction, workspace| {
            let mut done = put(self, (transaction, workspace), new)?;
            events.iter().try_for_each(|event| event::record(transaction, event))?;
            if let Some(name) = new.name {
                done.previous = tag::point(transaction, name, (done.id, None))?;
            }
            Ok(done)
        })
    }

    /// Runs `work`, which puts `blobs` in place and records them.
    pub(super) fn put_within<T>(
        &self,
        blobs: &[&[u8]],
        work: impl FnOnce(&Transaction<'_>, &Workspace) -> Result<T, Failure>,
    ) -> Result<T> {
        let items: Vec<Item> = blobs.iter().map(|bytes| Item::Blob(Digest::of(bytes))).collect();
        let workspace = self.begin(&items)?;
        let result = self.stage_bytes(&workspace, blobs).and_then(|()| {
            self.write("write an image to", |transaction| work(transaction, &workspace))
        });
        match result {
            Ok(put) => {
                self.record_names();
                workspace.remove().map(|()| put)
            }
            // Blobs without a row are taken back; the first error is the one
            // to tell.
            Err(error) => self.settle(workspace).and(Err(error)),
        }
    }

    pub(super) fn put_bytes(
        &self,
        workspace: &Workspace,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<()> {
        let path = self.path_of(&Item::Blob(digest));
        match fs::metadata(&path)? {
            Some(metadata) if metadata.size == bytes.len() as u64 => Ok(()),
            _ => {
                blob::stage(workspace, digest, Cursor::new(bytes))?;
                blob::place(workspace, digest, &path)
            }
        }
    }

    /// Writes into `workspace` what [`Store::put_bytes`] is about to put in place,
    /// so that nobody has to wait for the disk while that happens.
    pub(super) fn stage_bytes(&self, workspace: &Workspace, blobs: &[&[u8]]) -> Result<()> {
        for bytes in blobs {
            let digest = Digest::of(bytes);
            if fs::metadata(&self.path_of(&Item::Blob(digest)))?.is_none() {
                blob::stage(workspace, digest, Cursor::new(bytes))?;
            }
        }
        Ok(())
    }

    /// All images, the newest import first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        self.read("list the images in", |connection| {
            let mut statement = connection
                .prepare(&format!("{QUERY} ORDER BY imported_s DESC, imported_ns DESC, id"))?;
            let rows = statement.query_map([], record)?;
            Ok(rows.collect::<rusqlite::Result<Vec<ImageRecord>>>()?)
        })
    }

    /// The image `id`; `None` if it is not in the store.
    ///
    /// # Errors
    /// Those of the database.
    pub fn image(&self, id: ImageId) -> Result<Option<ImageRecord>> {
        self.read("read an image in", |connection| find(connection, id))
    }

    /// The raw config of `image`.
    ///
    /// # Errors
    /// As [`Store::blob`].
    pub fn image_config(&self, image: &ImageRecord) -> Result<Vec<u8>> {
        self.blob(image.id.0)
    }

    /// The raw manifest of `image`.
    ///
    /// # Errors
    /// As [`Store::blob`].
    pub fn image_manifest(&self, image: &ImageRecord) -> Result<Vec<u8>> {
        self.blob(image.manifest)
    }
}

/// Puts the blobs and the record of an image into `store`; not its name.
pub(super) fn put(
    store: &Store,
    (transaction, workspace): (&Transaction<'_>, &Workspace),
    new: &NewImage<'_>,
) -> Result<PutImage, Failure> {
    let config: ImageConfig = serde_json::from_slice(new.config)
        .map_err(|error| Error::invalid("the image config is malformed").because(error))?;
    let (id, manifest) = (ImageId(Digest::of(new.config)), Digest::of(new.manifest));
    for &chain in new.layers {
        layer::require(transaction, chain)?;
    }
    store.put_bytes(workspace, id.0, new.config)?;
    let found = find(transaction, id)?;
    let is_new = found.is_none();
    // A known image may have been imported by one of another manifest.
    if found.is_none_or(|found| found.manifest == manifest) {
        store.put_bytes(workspace, manifest, new.manifest)?;
    }
    if is_new {
        insert(transaction, new, &config)?;
    }
    Ok(PutImage { id, is_new, previous: None })
}

/// The image `id`, if it is recorded.
pub(super) fn find(connection: &Connection, id: ImageId) -> Result<Option<ImageRecord>, Failure> {
    Ok(select(connection, "WHERE id = ?1", &[&id.0.encoded()])?.pop())
}

/// The images for which `condition` holds.
pub(super) fn select(
    connection: &Connection,
    condition: &str,
    parameters: &[&String],
) -> Result<Vec<ImageRecord>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{QUERY} {condition}"))?;
    let rows = statement.query_map(rusqlite::params_from_iter(parameters), record)?;
    Ok(rows.collect::<rusqlite::Result<Vec<ImageRecord>>>()?)
}

/// Writes the row of an image that has none, with its layers.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    new: &NewImage<'_>,
    config: &ImageConfig,
) -> Result<(), Failure> {
    let id = Digest::of(new.config).encoded();
    let created = config.created.as_deref().and_then(parse_time);
    let labels = match &config.config.labels {
        labels if labels.is_empty() => None,
        labels => Some(crate::oci::to_canonical_json(labels)?),
    };
    let platform = config.platform();
    transaction.execute(
        "INSERT INTO images VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            id,
            Digest::of(new.manifest).encoded(),
            created.map(|time| time.seconds),
            created.map(|time| time.nanoseconds),
            new.imported_at.seconds,
            new.imported_at.nanoseconds,
            integer(new.size),
            platform.os,
            platform.architecture,
            platform.variant,
            labels.as_deref().map(String::from_utf8_lossy),
        ],
    )?;
    let mut statement =
        transaction.prepare_cached("INSERT INTO image_layers VALUES (?1, ?2, ?3)")?;
    for (position, chain) in new.layers.iter().enumerate() {
        statement.execute(params![id, integer(position as u64), chain.0.encoded()])?;
    }
    Ok(())
}

/// The time that a config tells: RFC 3339, as Go writes it; none if it is not.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let (mut seconds, mut nanoseconds) = (time.as_second(), time.subsec_nanosecond());
    // jiff counts nanoseconds downward before 1970.
    if nanoseconds < 0 {
        seconds -= 1;
        nanoseconds += 1_000_000_000;
    }
    Some(Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).ok()? })
}

fn record(row: &Row<'_>) -> rusqlite::Result<ImageRecord> {
    let labels = match row.get_ref(10)? {
        ValueRef::Null => BTreeMap::new(),
        text => serde_json::from_str(text.as_str()?).map_err(|error| unreadable(10, error))?,
    };
    Ok(ImageRecord {
        id: ImageId(parsed::<Hex>(row, 0)?.0),
        manifest: parsed::<Hex>(row, 1)?.0,
        created: time(row, 2)?,
        imported_at: time(row, 4)?.unwrap_or_default(),
        size: size(row, 6)?,
        platform: Platform { os: row.get(7)?, architecture: row.get(8)?, variant: row.get(9)? },
        labels,
        names: names(row, 11)?,
        layers: layers(row, 12)?,
        index_names: names(row, 13)?,
    })
}

/// The names in column `index`, sorted by repository and then by tag.
fn names(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<ImageRef>> {
    let mut names = lines(row, index)?
        .map(|line| parse_text(index, line))
        .collect::<rusqlite::Result<Vec<ImageRef>>>()?;
    names.sort_by_cached_key(tag::key);
    Ok(names)
}

/// The layers in column `index`, lowest first.
fn layers(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<ChainId>> {
    let parse = |line: &str| {
        let (position, chain) = line.split_once(' ').unwrap_or_default();
        let position: usize = position.parse().map_err(|error| unreadable(index, error))?;
        Ok((position, ChainId(parse_text::<Hex>(index, chain)?.0)))
    };
    let mut layers = lines(row, index)?.map(parse).collect::<rusqlite::Result<Vec<_>>>()?;
    layers.sort_unstable();
    Ok(layers.into_iter().map(|(_, chain)| chain).collect())
}

/// The lines in column `index`; none for NULL.
fn lines<'row>(row: &'row Row<'_>, index: usize) -> rusqlite::Result<std::str::Lines<'row>> {
    Ok(row.get_ref(index)?.as_str_or_null()?.unwrap_or_default().lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_that_go_writes() {
        let time = |text: &str| parse_time(text).map(|time| (time.seconds, time.nanoseconds));
        assert_eq!(time("1970-01-01T00:00:01Z"), Some((1, 0)));
        assert_eq!(time("1969-12-31T23:59:59.25Z"), Some((-1, 250_000_000)));
        assert_eq!(time("0001-01-01T00:00:00Z"), Some((-62_135_596_800, 0)));
        assert_eq!(
            time("2024-05-06T07:08:09.123456789+02:00").map(|time| time.1),
            Some(123_456_789)
        );
        assert_eq!(time("yesterday"), None);
    }
}
