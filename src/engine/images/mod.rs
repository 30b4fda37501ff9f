//! `envbox images`: which images there are, by docker's filters and in
//! docker's order. How they are shown is the cli's matter.

mod pattern;

use std::cmp::Reverse;

use crate::error::Result;
use crate::fs::Timestamp;
use crate::store::{ImageRecord, Store};

use super::Engine;

pub use pattern::NamePattern;

/// A condition on images. All must hold; of several patterns one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFilter {
    /// Whether no name leads to it.
    Dangling(bool),
    /// A name of it matches; the other names are not listed.
    Reference(NamePattern),
    /// It is older than this image.
    Before(String),
    /// It is newer than this image.
    Since(String),
    /// It has this label, with this value if there is one.
    Label(String, Option<String>),
    /// It is older than this time.
    Until(Timestamp),
}

/// A filter whose image has been looked up.
enum Condition<'a> {
    Dangling(bool),
    Before(Option<Timestamp>),
    Since(Option<Timestamp>),
    Label(&'a str, Option<&'a str>),
}

impl Condition<'_> {
    fn holds(&self, image: &ImageRecord) -> bool {
        match *self {
            Self::Dangling(wanted) => image.is_dangling() == wanted,
            // Without a time an image counts as the oldest.
            Self::Before(bound) => image.created < bound,
            Self::Since(bound) => image.created > bound,
            Self::Label(key, value) => {
                image.labels.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
            }
        }
    }
}

impl Engine {
    /// The images for which `filters` hold, the newest first by the time that
    /// their configs tell, then by that of their import; none if there is no
    /// store yet.
    ///
    /// # Errors
    /// Those of [`Store::resolve`] for the image of a filter, and of the
    /// database.
    pub fn images(&self, filters: &[ImageFilter]) -> Result<Vec<ImageRecord>> {
        let mut conditions = Vec::new();
        let mut patterns = Vec::new();
        for filter in filters {
            match filter {
                ImageFilter::Reference(pattern) => patterns.push(pattern),
                ImageFilter::Dangling(wanted) => conditions.push(Condition::Dangling(*wanted)),
                ImageFilter::Before(image) => {
                    conditions.push(Condition::Before(self.created(image)?));
                }
                ImageFilter::Since(image) => {
                    conditions.push(Condition::Since(self.created(image)?));
                }
                ImageFilter::Until(time) => conditions.push(Condition::Before(Some(*time))),
                ImageFilter::Label(key, value) => {
                    conditions.push(Condition::Label(key, value.as_deref()));
                }
            }
        }
        let mut images = self.existing_store()?.map_or(Ok(Vec::new()), Store::images)?;
        images.retain(|image| conditions.iter().all(|condition| condition.holds(image)));
        if !patterns.is_empty() {
            for image in &mut images {
                for names in [&mut image.names, &mut image.index_names] {
                    names.retain(|name| patterns.iter().any(|pattern| pattern.matches(name)));
                }
            }
            images.retain(|image| !image.is_dangling());
        }
        // Stable: the store's own order is that of imports.
        images.sort_by_key(|image| Reverse(image.created));
        Ok(images)
    }

    fn created(&self, image: &str) -> Result<Option<Timestamp>> {
        Ok(self.store_with("image", image)?.resolve(image)?.created)
    }
}
