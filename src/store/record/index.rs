//! `index.json`: the images and their names, in the form of an OCI image index
//! (image spec, image-index.md). There is a descriptor for each name, or one for
//! an image without; it names the manifest, and has what the blobs do not tell.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, Timestamp};
use crate::oci::annotation::{FULL_NAME, REF_NAME};
use crate::oci::{Descriptor, Index, media_type, to_canonical_json};
use crate::reference::ImageRef;

use super::super::database::{Failure, parsed, time};
use super::super::layer::Hex;
use super::super::{image, layout};
use super::read_file;

/// The file, at the store's root.
pub(in crate::store) const INDEX: &str = "index.json";
/// What becomes it.
const NEW: &str = "index.json.new";

/// The largest, in bytes: a hundred thousand names.
const LIMIT: u64 = 64 << 20;

/// When the image came into the store: RFC 3339.
const IMPORTED: &str = "envbox.imported";
/// What the files of each layer hold, in bytes, the lowest first; with commas
/// between.
const CONTENT: &str = "envbox.content-sizes";
/// The index that the name leads to, of which this is the host's image.
const OF_INDEX: &str = "envbox.index";
/// Of the whole index: the number of the newest event.
const NEWEST_EVENT: &str = "envbox.newest-event";

/// The file's content.
#[derive(Debug)]
pub(in crate::store) struct NamesCopy(Index);

/// What it says of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct ToldImage {
    pub(in crate::store) names: Vec<ImageRef>,
    /// Which of the names lead to an index.
    pub(in crate::store) indexes: Vec<(ImageRef, Digest)>,
    pub(in crate::store) imported_at: Option<Timestamp>,
    /// Of each layer, the lowest first.
    pub(in crate::store) content_sizes: Vec<u64>,
}

impl NamesCopy {
    /// What the database has, of a store at `root`.
    pub(in crate::store) fn of(connection: &Connection, root: &Path) -> Result<Self, Failure> {
        let blobs = root.join(layout::BLOBS);
        let describe = |row: ImageRow| {
            let found = fs::metadata(&blobs.join(row.manifest.encoded()))?;
            Ok(row.descriptor(found.map_or(0, |found| found.size)))
        };
        let manifests = rows(connection)?.into_iter().map(describe).collect::<Result<_>>()?;
        let newest = super::newest_event(connection)?.to_string();
        let annotations = BTreeMap::from([(NEWEST_EVENT.to_owned(), newest)]);
        Ok(Self(Index { annotations, ..Index::new(manifests) }))
    }

    /// Puts it at `root`. The caller holds the write lock: there is one writer.
    ///
    /// # Errors
    /// Those of writing.
    pub(in crate::store) fn write(&self, root: &Path) -> Result<()> {
        let new = root.join(NEW);
        let bytes = to_canonical_json(&self.0)?;
        let written =
            fs::write_plain(&new, &bytes).and_then(|()| fs::rename(&new, &root.join(INDEX)));
        // A full disk is no fuller for it.
        written.or_else(|error| fs::remove_file(&new).and(Err(error)))
    }

    /// The number of the newest event when it was written.
    pub(in crate::store) fn newest_event(&self) -> i64 {
        let number = self.0.annotations.get(NEWEST_EVENT).and_then(|number| number.parse().ok());
        number.unwrap_or(0)
    }

    /// What it says of each image, by the manifest. What is not understood is
    /// left out.
    pub(in crate::store) fn images(&self) -> BTreeMap<Digest, ToldImage> {
        let mut images = BTreeMap::<Digest, ToldImage>::new();
        for descriptor in &self.0.manifests {
            let annotation = |key: &str| descriptor.annotations.get(key);
            let image = images.entry(descriptor.digest).or_default();
            let name = annotation(FULL_NAME).and_then(|name| name.parse::<ImageRef>().ok());
            let index = annotation(OF_INDEX).and_then(|digest| digest.parse().ok());
            image.indexes.extend(name.clone().zip(index));
            image.names.extend(name);
            image.imported_at = annotation(IMPORTED).and_then(|text| image::parse_time(text));
            let sizes = annotation(CONTENT).and_then(|text| {
                text.split(',').map(|size| size.parse().ok()).collect::<Option<_>>()
            });
            image.content_sizes = sizes.unwrap_or_default();
        }
        images
    }
}

/// The index below `root`; `None` if there is none.
///
/// # Errors
/// `Invalid`, without the path, if what is there is none.
pub(in crate::store) fn read(root: &Dir) -> Result<Option<NamesCopy>> {
    let Some(bytes) = fs::absent_is_none(read_file(root, OsStr::new(INDEX), LIMIT))? else {
        return Ok(None);
    };
    parse(&bytes)
        .map(|index| Some(NamesCopy(index)))
        .map_err(|error| Error::invalid("it is no index of images").because(error))
}

/// An index, without the descriptors that cannot be read: one that is torn does not
/// take the others along.
fn parse(bytes: &[u8]) -> serde_json::Result<Index> {
    let mut value: serde_json::Value = serde_json::from_slice(bytes)?;
    if let Some(manifests) = value.get_mut("manifests").and_then(|list| list.as_array_mut()) {
        manifests.retain(|descriptor| Descriptor::deserialize(descriptor).is_ok());
    }
    serde_json::from_value(value)
}

/// Whether there is an index below `root` which is not what the database says.
pub(super) fn differs(connection: &Connection, root: &Dir) -> Result<bool, Failure> {
    let found = match read(root) {
        Ok(None) => return Ok(false),
        Ok(Some(index)) => index,
        Err(error) if error.kind() == Kind::Invalid => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let told = |descriptor: Descriptor| (descriptor.digest, descriptor.annotations);
    let mut found: Vec<_> = found.0.manifests.into_iter().map(told).collect();
    let rows = rows(connection)?.into_iter();
    let mut wanted: Vec<_> = rows.map(|row| row.descriptor(0)).map(told).collect();
    found.sort();
    wanted.sort();
    Ok(found != wanted)
}

/// An image by one of its names, or by none, as the database has it.
struct ImageRow {
    manifest: Digest,
    imported_at: Timestamp,
    /// Repository, in full, and tag, or digest in its place.
    name: Option<(String, String)>,
    index: Option<Digest>,
    content_sizes: Vec<String>,
}

fn rows(connection: &Connection) -> Result<Vec<ImageRow>, Failure> {
    let query = "SELECT manifest, imported_s, imported_ns, repository, tag,
        (SELECT group_concat(position || ' ' || content_size, char(10))
            FROM image_layers JOIN layers USING (chain) WHERE image_layers.image = id),
        image_index
        FROM images LEFT JOIN names ON names.image = id
        ORDER BY imported_s, imported_ns, id, repository, tag";
    super::super::check::collect(connection, query, |row| {
        let sizes = row.get_ref(5)?.as_str_or_null()?.unwrap_or_default();
        let mut sizes: Vec<(usize, String)> = sizes
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(position, size)| Some((position.parse().ok()?, size.to_owned())))
            .collect();
        sizes.sort_unstable();
        Ok(ImageRow {
            manifest: parsed::<Hex>(row, 0)?.0,
            imported_at: time(row, 1)?.unwrap_or_default(),
            name: row.get::<_, Option<String>>(3)?.zip(row.get(4)?),
            index: match row.get_ref(6)? {
                ValueRef::Null => None,
                _ => Some(parsed::<Hex>(row, 6)?.0),
            },
            content_sizes: sizes.into_iter().map(|(_, size)| size).collect(),
        })
    })
}

impl ImageRow {
    /// `size` is that of the manifest.
    fn descriptor(self, size: u64) -> Descriptor {
        let mut descriptor = Descriptor::new(media_type::MANIFEST, self.manifest, size);
        let mut annotate = |key: &str, text: String| {
            descriptor.annotations.insert(key.to_owned(), text);
        };
        let Timestamp { seconds, nanoseconds } = self.imported_at;
        if let Ok(time) = jiff::Timestamp::new(seconds, nanoseconds.try_into().unwrap_or(0)) {
            annotate(IMPORTED, time.to_string());
        }
        if !self.content_sizes.is_empty() {
            annotate(CONTENT, self.content_sizes.join(","));
        }
        if let Some(index) = self.index {
            annotate(OF_INDEX, index.to_string());
        }
        match self.name {
            // No tag has a colon.
            Some((repository, digest)) if digest.contains(':') => {
                annotate(FULL_NAME, format!("{repository}@{digest}"));
            }
            Some((repository, tag)) => {
                annotate(FULL_NAME, format!("{repository}:{tag}"));
                annotate(REF_NAME, tag);
            }
            None => {}
        }
        descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORTED_AT: Timestamp = Timestamp { seconds: -3, nanoseconds: 250_000_000 };

    /// An image of these names, each of which is a repository and a tag.
    fn descriptors(names: &[(&str, &str)]) -> Vec<Descriptor> {
        let row = |name: Option<&(&str, &str)>| ImageRow {
            manifest: Digest::of(b"manifest"),
            imported_at: IMPORTED_AT,
            name: name.map(|&(repository, tag)| (repository.to_owned(), tag.to_owned())),
            index: name.filter(|name| name.1 == "1").map(|_| Digest::of(b"index")),
            content_sizes: vec!["10".to_owned(), "2".to_owned()],
        };
        if names.is_empty() {
            return vec![row(None).descriptor(3)];
        }
        names.iter().map(|name| row(Some(name)).descriptor(3)).collect()
    }

    fn index(manifests: Vec<Descriptor>) -> NamesCopy {
        let annotations = BTreeMap::from([(NEWEST_EVENT.to_owned(), "7".to_owned())]);
        NamesCopy(Index { annotations, ..Index::new(manifests) })
    }

    #[test]
    fn gives_back_what_was_put_in() {
        let digest = Digest::of(b"other").to_string();
        let (one, pinned) = ("docker.io/library/one", "localhost:5000/x/y");
        for names in [&[(one, "latest"), (one, "1"), (pinned, &digest)][..], &[]] {
            let bytes = to_canonical_json(&index(descriptors(names)).0).unwrap();
            let read = NamesCopy(parse(&bytes).unwrap());
            assert_eq!(read.newest_event(), 7);
            let texts: &[&str] = match names {
                [] => &[],
                _ => &["one:latest", "one:1", &format!("{pinned}@{digest}")],
            };
            let of_index = texts.iter().filter(|text| text.ends_with(":1"));
            let expected = ToldImage {
                indexes: of_index
                    .map(|name| (name.parse().unwrap(), Digest::of(b"index")))
                    .collect(),
                names: texts.iter().map(|name| name.parse().unwrap()).collect(),
                imported_at: Some(IMPORTED_AT),
                content_sizes: vec![10, 2],
            };
            assert_eq!(read.images(), BTreeMap::from([(Digest::of(b"manifest"), expected)]));
        }
        let first = &descriptors(&[(one, "1")])[0].annotations;
        let names = (first[FULL_NAME].as_str(), first[REF_NAME].as_str());
        assert_eq!(names, ("docker.io/library/one:1", "1"));
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let whole =
            serde_json::to_value(index(descriptors(&[("docker.io/library/x", "1")])).0).unwrap();
        let mut torn = whole.clone();
        torn["manifests"][0]["digest"] = "sha256:zz".into();
        torn["manifests"].as_array_mut().unwrap().push(whole["manifests"][0].clone());
        let read = NamesCopy(parse(torn.to_string().as_bytes()).unwrap());
        assert_eq!(read.images().len(), 1);
        let mut descriptor = descriptors(&[("docker.io/library/x", "1")]).remove(0);
        for (key, text) in [(FULL_NAME, "A B"), (IMPORTED, "now"), (CONTENT, "1,-2")] {
            descriptor.annotations.insert(key.to_owned(), text.to_owned());
        }
        let read = index(vec![descriptor]).images();
        assert_eq!(read.into_values().collect::<Vec<_>>(), [ToldImage::default()]);
    }
}
