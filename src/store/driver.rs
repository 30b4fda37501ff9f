//! The storage drivers: how new layers are kept, and how a stack of them
//! becomes a mount. A layer's row keeps the name of its own driver, and layers
//! of several make one stack; the mounting itself is done elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Context, Error, Result};
use crate::fs;
use crate::mount::{ArchiveLayer, LayerForm, Lower, Mount};

use super::Store;

/// The files of a layer, below `layers/<chain ID>/`.
pub(super) const TREE: &str = "tree";
const MARKS: &str = "marks";
const ROOT: &str = "root";
pub(super) const INDEX: &str = "index";
pub(super) const DATA: &str = "tar";

/// The file that names the driver of new layers.
const CHOSEN: &str = "driver";

/// How layers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// The layer's tar, mounted by an index: nothing is extracted.
    Erofs,
    /// Directories, which overlayfs stacks.
    Overlay,
    /// Directories, of which every container gets a copy.
    Copy,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Erofs, Self::Overlay, Self::Copy];

    /// The name in the layers' rows, and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }

    /// The driver of a copy, else that of the topmost layer of `mount`.
    pub fn of_mount(mount: &Mount) -> Self {
        let top = match mount {
            Mount::Bind { .. } => None,
            Mount::Archive(_) => return Self::Erofs,
            Mount::Overlay(overlay) => overlay.lower.first(),
            Mount::Copy(_) => return Self::Copy,
        };
        match top {
            Some(Lower::Archive(_)) => Self::Erofs,
            Some(Lower::Directory(_)) | None => Self::Overlay,
        }
    }

    /// What its layers are on the disk.
    pub fn form(self) -> LayerForm {
        match self {
            Self::Erofs => LayerForm::Archive,
            Self::Overlay | Self::Copy => LayerForm::Tree,
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Driver {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|driver| driver.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("no storage driver is called {text:?}"))
                .hint(format!("choose one of {names}"))
        })
    }
}

impl Store {
    /// The driver that this store was begun or migrated with; none if it has no
    /// layer yet that chose one.
    ///
    /// # Errors
    /// `Invalid` if what is written there is none.
    pub fn driver(&self) -> Result<Option<Driver>> {
        let path = self.paths.root.join(CHOSEN);
        let Some(text) = fs::read_optional(&path)? else { return Ok(None) };
        let driver = String::from_utf8_lossy(&text).trim().parse();
        driver.map(Some).context(|| format!("cannot use {}", path.display()))
    }

    /// Says which driver this store's layers are to have.
    ///
    /// # Errors
    /// Those of writing.
    pub fn set_driver(&self, driver: Driver) -> Result<()> {
        fs::write_atomic(&self.paths.root.join(CHOSEN), format!("{driver}\n").as_bytes())
    }
}

/// The driver of the layer in the folder `layer`, as what is in it tells: `copy` if
/// the kernel would misunderstand its tree.
///
/// # Errors
/// Those of stat(2).
pub(super) fn of(layer: &Path) -> Result<Driver> {
    let has = |name: &str| Ok(fs::metadata(&layer.join(name))?.is_some());
    Ok(match has(DATA)? {
        true => Driver::Erofs,
        false if has(MARKS)? => Driver::Copy,
        false => Driver::Overlay,
    })
}

/// What an overlay takes of the layer in the folder `layer`.
pub(super) fn lower(layer: &Path, form: LayerForm) -> Lower {
    match form {
        LayerForm::Tree => Lower::Directory(layer.join(TREE)),
        LayerForm::Archive => {
            Lower::Archive(ArchiveLayer { index: layer.join(INDEX), data: layer.join(DATA) })
        }
    }
}

/// A directory that has the owner and the mode of a layer's root: the tree
/// itself, or one that is empty.
pub(super) fn root(lower: &Lower) -> PathBuf {
    match lower {
        Lower::Directory(tree) => tree.clone(),
        Lower::Archive(archive) => archive.index.with_file_name(ROOT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_known_by_their_names() {
        for driver in Driver::ALL {
            assert_eq!(driver.name().parse::<Driver>().unwrap(), driver);
        }
        let error = "vfs".parse::<Driver>().unwrap_err();
        assert_eq!(error.hint_text(), Some("choose one of erofs, overlay, copy"));
    }
}
