//! overlayfs's own marks, in an upper directory and in the tree of a layer
//! (Documentation/filesystems/overlayfs, "whiteouts and opaque directories",
//! "redirect_dir", "Metadata only copy up"), and what a layer's tar has in
//! their place (image spec, layer.md, "Whiteouts").
//!
//! It knows nothing of what a mark hides.

use std::ffi::{OsStr, OsString};

use crate::error::{Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata};

use super::entry::{Attributes, Entry, EntryKind};

const OPAQUE: &str = "opaque";
const REDIRECT: &str = "redirect";
const METACOPY: &str = "metacopy";
/// What an opaque directory says; `x` means something else since Linux 6.7.
const YES: &[u8] = b"y";

/// Where an overlay keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkSpace {
    /// `trusted.overlay.`: that of the initial user namespace.
    Trusted,
    /// `user.overlay.`: that of a mount with `userxattr`.
    User,
}

impl MarkSpace {
    const ALL: [Self; 2] = [Self::Trusted, Self::User];

    fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    fn name_of(self, mark: &str) -> OsString {
        format!("{}{mark}", self.prefix()).into()
    }

    /// True if `dir` hides what lower layers have in it.
    ///
    /// # Errors
    /// Those of reading the attribute.
    pub(super) fn is_opaque(self, dir: &Dir) -> Result<bool> {
        match fs::read_xattr(dir, OsStr::new("."), &self.name_of(OPAQUE)) {
            Ok(value) => Ok(value.is_some_and(|value| value == YES)),
            Err(error) if error.kind() == Kind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets `dir` hide what lower layers have in it.
    ///
    /// # Errors
    /// Those of writing the attribute.
    pub(super) fn make_opaque(self, dir: &Dir) -> Result<()> {
        fs::write_xattr(dir, OsStr::new("."), (&self.name_of(OPAQUE), YES))
    }

    /// True if the attribute `name` is the overlay's and not the file's.
    pub(super) fn has(self, name: &[u8]) -> bool {
        name.starts_with(self.prefix().as_bytes())
    }
}

/// The marks of a file or directory that change what is seen of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// What lower layers have in the directory is hidden.
    pub(super) is_opaque: bool,
    /// The directory shows what lower layers have elsewhere.
    pub(super) is_redirected: bool,
    /// The file's data is that of a lower layer.
    pub(super) is_metacopy: bool,
}

impl Marks {
    /// Those of `name` in `dir`, of which `attributes` are all attributes.
    ///
    /// # Errors
    /// Those of lgetxattr(2).
    pub(super) fn read(
        (dir, name): (&Dir, &OsStr),
        attributes: &[OsString],
        space: MarkSpace,
    ) -> Result<Self> {
        let has = |mark: &str| attributes.contains(&space.name_of(mark));
        Ok(Self {
            is_opaque: has(OPAQUE) && is_opaque_in(space, dir, name)?,
            is_redirected: has(REDIRECT),
            is_metacopy: has(METACOPY),
        })
    }
}

fn is_opaque_in(space: MarkSpace, dir: &Dir, name: &OsStr) -> Result<bool> {
    let value = fs::read_xattr(dir, name, &space.name_of(OPAQUE))?;
    Ok(value.is_some_and(|value| value == YES))
}

/// True if the directory `name` of a layer's tree is opaque, in either space:
/// no tree of a layer has such an attribute for another reason.
///
/// # Errors
/// Those of llistxattr(2) and lgetxattr(2).
pub(super) fn is_opaque(dir: &Dir, name: &OsStr) -> Result<bool> {
    let attributes = fs::list_xattrs(dir, name)?;
    for space in MarkSpace::ALL {
        if Marks::read((dir, name), &attributes, space)?.is_opaque {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if the attribute `name` is an overlay's in either space.
pub(super) fn is_mark(name: &[u8]) -> bool {
    MarkSpace::ALL.iter().any(|space| space.has(name))
}

/// Makes the directory `name` opaque.
///
/// # Errors
/// Those of lsetxattr(2).
pub(super) fn make_opaque(dir: &Dir, name: &OsStr, space: MarkSpace) -> Result<()> {
    fs::write_xattr(dir, name, (&space.name_of(OPAQUE), YES))
}

/// True if a file of an upper directory or layer is overlayfs's removal.
pub(super) fn is_whiteout(found: &Metadata) -> bool {
    found.kind == FileKind::CharDevice && found.rdev == (0, 0)
}

/// The member that removes `path`: an empty file, owner and time 0.
pub(super) fn whiteout(path: &[u8]) -> Entry {
    let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = path.split_at(name);
    marker([parent, b".wh.", name].concat())
}

/// The member that hides what lower layers have in the directory `path`.
pub(super) fn opaque(path: &[u8]) -> Entry {
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    marker([path, slash, b".wh..wh..opq"].concat())
}

fn marker(path: Vec<u8>) -> Entry {
    let attributes = Attributes { mode: 0o600, ..Attributes::default() };
    Entry { path, kind: EntryKind::Regular { size: 0, sparse: None }, attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_stand_beside_what_they_hide() {
        assert_eq!(whiteout(b"etc/passwd").path, b"etc/.wh.passwd");
        assert_eq!(whiteout(b"etc").path, b".wh.etc");
        assert_eq!(opaque(b"etc").path, b"etc/.wh..wh..opq");
        assert_eq!(opaque(b"").path, b".wh..wh..opq");
    }

    #[test]
    fn the_marks_of_one_space_are_plain_attributes_in_the_other() {
        assert!(MarkSpace::User.has(b"user.overlay.opaque"));
        assert!(!MarkSpace::Trusted.has(b"user.overlay.opaque"));
        assert!(is_mark(b"trusted.overlay.origin") && !is_mark(b"user.overlays"));
    }

    #[test]
    fn a_directory_is_opaque_only_if_it_says_yes() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        let name = OsStr::new("d");
        dir.create_dir(name).unwrap();
        let opaque = OsStr::new("user.overlay.opaque");
        if !fs::offer_xattr(&dir, name, (opaque, b"x")).unwrap() {
            return;
        }
        assert!(!is_opaque(&dir, name).unwrap());
        make_opaque(&dir, name, MarkSpace::User).unwrap();
        assert!(is_opaque(&dir, name).unwrap());
    }
}
