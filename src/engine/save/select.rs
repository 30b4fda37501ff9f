//! Which images are saved, under which names, and what is written of each but
//! its layers.

use crate::digest::Digest;
use crate::engine::platforms;
use crate::error::Result;
use crate::image::{LayoutImage, LayoutIndex, LayoutName};
use crate::platform::{self, Platform};
use crate::reference::ImageRef;
use crate::store::{ImageIndex, ImageRecord, Resolved, Store};

/// What is to be saved.
#[derive(Default)]
pub(super) struct Selection {
    selected: Vec<Selected>,
}

/// An image, or the images of an index, under these names or under none.
struct Selected {
    index: Option<ImageIndex>,
    /// The image, where it is of no index.
    image: Option<ImageRecord>,
    names: Vec<ImageRef>,
}

impl Selected {
    fn digest(&self) -> Option<Digest> {
        let image = self.image.as_ref().map(|image| image.id.0);
        self.index.as_ref().map(|index| index.digest).or(image)
    }

    fn records(&self) -> impl Iterator<Item = &ImageRecord> {
        let images = self.index.iter().flat_map(|index| &index.images);
        self.image.iter().chain(images.map(|one| &one.record))
    }
}

impl Selection {
    /// All images.
    pub(super) fn records(&self) -> impl Iterator<Item = &ImageRecord> {
        self.selected.iter().flat_map(Selected::records)
    }

    /// Adds what `text` means: a name without a tag means every tag of its
    /// repository. Of images for several platforms it is all, or the `wanted`.
    ///
    /// # Errors
    /// Those of [`Store::resolve`]; `Mismatch` if no image is for the platform.
    pub(super) fn add(
        &mut self,
        store: &Store,
        text: &str,
        wanted: Option<&Platform>,
    ) -> Result<()> {
        let name = text.parse::<ImageRef>().ok();
        if let Some(repository) = name.as_ref().filter(|name| is_bare(name)) {
            let mut found = false;
            for record in store.images()? {
                let of_repository =
                    |known: &&ImageRef| known.full_repository() == repository.full_repository();
                for name in record.names.iter().filter(of_repository) {
                    self.add_one(store, (&name.to_string(), Some(name)), wanted)?;
                    found = true;
                }
            }
            if found {
                return Ok(());
            }
        }
        self.add_one(store, (text, name.as_ref()), wanted)
    }

    fn add_one(
        &mut self,
        store: &Store,
        (text, name): (&str, Option<&ImageRef>),
        wanted: Option<&Platform>,
    ) -> Result<()> {
        let Resolved { image, index, .. } = platforms::resolve(store, text, wanted)?;
        // `sha256:0123` is a name, too, but not of this image.
        let mut names = image.names.iter().chain(&image.index_names);
        let name = names.find(|known| name == Some(known)).cloned();
        let index = index.filter(|_| wanted.is_none());
        let image = index.is_none().then_some(image);
        self.put(Selected { index, image, names: Vec::new() }, name);
        Ok(())
    }

    /// Adds what was chosen, and its name, once. A digest is no name of an
    /// archive: docker saves such an image without one.
    fn put(&mut self, selected: Selected, name: Option<ImageRef>) {
        let digest = selected.digest();
        let at = self.selected.iter().position(|known| known.digest() == digest);
        let at = at.unwrap_or_else(|| {
            self.selected.push(selected);
            self.selected.len() - 1
        });
        let names = &mut self.selected[at].names;
        names.extend(name.filter(|name| name.tag().is_some() && !names.contains(name)));
    }

    /// What is written of it.
    ///
    /// # Errors
    /// Those of reading the store.
    pub(super) fn contents(&self, store: &Store) -> Result<Contents<'_>> {
        let mut contents = Contents { list: Vec::new() };
        for (selected, names) in self.selected.iter().zip(self.layout_names()) {
            let document = |record: &ImageRecord, manifest| {
                let config = store.image_config(record)?;
                Ok(Document { manifest: store.blob(manifest)?, config })
            };
            let (mut documents, mut index) = (Vec::new(), None);
            if let Some(image) = &selected.image {
                documents.push(document(image, image.manifest)?);
            }
            if let Some(found) = &selected.index {
                for one in &found.images {
                    documents.push(document(&one.record, one.manifest)?);
                }
                let platforms: Vec<_> =
                    found.images.iter().map(|one| Some(one.platform.clone())).collect();
                let default = platform::choose(&platforms, None).unwrap_or(0);
                index = Some((store.blob(found.digest)?, default));
            }
            contents.list.push(Content { names, documents, index });
        }
        Ok(contents)
    }

    /// What each is called in the layout.
    fn layout_names(&self) -> Vec<Vec<LayoutName<'_>>> {
        let names = || self.selected.iter().flat_map(|image| &image.names);
        let mut tags: Vec<&str> = names().filter_map(ImageRef::tag).collect();
        tags.sort_unstable();
        tags.dedup();
        let unique = tags.len() == names().count();
        let named = |name| {
            let reference = match ImageRef::tag(name) {
                Some(tag) if unique => tag.to_owned(),
                _ => name.to_string(),
            };
            LayoutName { name, reference }
        };
        self.selected.iter().map(|image| image.names.iter().map(named).collect()).collect()
    }
}

fn is_bare(name: &ImageRef) -> bool {
    name.tag().is_none() && name.digest().is_none()
}

/// What is written of a selection.
pub(super) struct Contents<'a> {
    list: Vec<Content<'a>>,
}

struct Content<'a> {
    names: Vec<LayoutName<'a>>,
    documents: Vec<Document>,
    /// The index, and which of its images is the default.
    index: Option<(Vec<u8>, usize)>,
}

struct Document {
    manifest: Vec<u8>,
    config: Vec<u8>,
}

impl Content<'_> {
    fn images<'a>(&'a self, names: &'a [LayoutName<'a>]) -> Vec<LayoutImage<'a>> {
        let image = |document: &'a Document| LayoutImage {
            names,
            manifest: &document.manifest,
            config: &document.config,
        };
        self.documents.iter().map(image).collect()
    }
}

impl Contents<'_> {
    /// Images that are of no index.
    pub(super) fn images(&self) -> Vec<LayoutImage<'_>> {
        let alone = self.list.iter().filter(|content| content.index.is_none());
        alone.flat_map(|content| content.images(&content.names)).collect()
    }

    /// The images of each index.
    pub(super) fn of_indexes(&self) -> Vec<Vec<LayoutImage<'_>>> {
        let indexes = self.list.iter().filter(|content| content.index.is_some());
        indexes.map(|content| content.images(&[])).collect()
    }

    /// The indexes, with their images, which are in that order.
    pub(super) fn indexes<'a>(
        &'a self,
        images: &'a [Vec<LayoutImage<'a>>],
    ) -> Vec<LayoutIndex<'a>> {
        let mut images = images.iter();
        let index = |content: &'a Content<'_>| {
            let (index, default) = content.index.as_ref()?;
            let images = images.next()?;
            Some(LayoutIndex { names: &content.names, index, images, default: *default })
        };
        self.list.iter().filter_map(index).collect()
    }
}
