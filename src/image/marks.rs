//! overlayfs's own marks, in an upper directory and in the tree of a layer
//! (Documentation/filesystems/overlayfs, "whiteouts and opaque directories",
//! "redirect_dir", "Metadata only copy up"), and what a layer's tar has in
//! their place (image spec, layer.md, "Whiteouts").
//!
//! Some file systems hold no such marks: another overlay (`mknod` of 0:0 is
//! denied there), NFS, many in user space. There the tree of a layer has marks of
//! our own, which no kernel understands: a socket by the name of what is removed, or
//! by the name `.wh..wh..opq` in a directory that is opaque. No layer has sockets: tar
//! knows none. A file beside the tree tells that it has such marks.
//!
//! It knows nothing of what a mark hides.

use std::ffi::{OsStr, OsString};

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata};

use super::entry::{Attributes, Entry, EntryKind};

const OPAQUE: &str = "opaque";
const REDIRECT: &str = "redirect";
const METACOPY: &str = "metacopy";
/// What an opaque directory says; `x` means something else since Linux 6.7.
const YES: &[u8] = b"y";

/// The name of the one that makes a directory opaque; no member of a layer's.
pub(super) const OPAQUE_NAME: &str = ".wh..wh..opq";

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
        let says_so = match fs::read_xattr(dir, OsStr::new("."), &self.name_of(OPAQUE)) {
            Ok(value) => value.is_some_and(|value| value == YES),
            Err(error) if error.kind() == Kind::Unsupported => false,
            Err(error) => return Err(error),
        };
        Ok(says_so || has_own_opaque(dir)?)
    }

    /// Lets `dir`, which is in the tree of a layer, hide what lower layers have in
    /// it; the file `own` is made where that takes a mark of our own.
    ///
    /// # Errors
    /// Those of writing the attribute, if a mark cannot be made, either.
    pub(super) fn make_opaque(self, dir: &Dir, own: &Path) -> Result<()> {
        make_opaque(dir, OsStr::new("."), self).or_else(|error| {
            refused_is_own(error, own, || match has_own_opaque(dir)? {
                true => Ok(()),
                false => make_own(dir, OsStr::new(OPAQUE_NAME)),
            })
        })
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
    has_own_opaque(&dir.open_dir(name)?)
}

fn has_own_opaque(dir: &Dir) -> Result<bool> {
    Ok(fs::absent_is_none(dir.metadata(OsStr::new(OPAQUE_NAME)))?.is_some())
}

fn make_own(dir: &Dir, name: &OsStr) -> Result<()> {
    dir.create_node(name, FileKind::Socket, (0, 0))
}

/// What `make` makes, where `error` says that the file system refuses the kernel's
/// mark; beside it the file `own`.
fn refused_is_own(error: Error, own: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if !matches!(error.kind(), Kind::Denied | Kind::Unsupported | Kind::Invalid) {
        return Err(error);
    }
    // First: what is understood wrongly is worse than what is missing.
    fs::write_plain(own, b"")?;
    // What the file system says of its own marks tells more.
    make().map_err(|_| error)
}

/// True if the attribute `name` is an overlay's in either space.
pub(super) fn is_mark(name: &[u8]) -> bool {
    MarkSpace::ALL.iter().any(|space| space.has(name))
}

fn make_opaque(dir: &Dir, name: &OsStr, space: MarkSpace) -> Result<()> {
    fs::write_xattr(dir, name, (&space.name_of(OPAQUE), YES))
}

/// True if a file of an upper directory is overlayfs's removal.
pub(super) fn is_overlays_whiteout(found: &Metadata) -> bool {
    found.kind == FileKind::CharDevice && found.rdev == (0, 0)
}

/// True if a file of a layer's tree is a removal: overlayfs's, or one of our own.
pub(super) fn is_whiteout(found: &Metadata) -> bool {
    is_overlays_whiteout(found) || found.kind == FileKind::Socket
}

/// Puts a removal by `name` into the directory `dir` of a layer's tree; the file
/// `own` is made where that takes a mark of our own.
///
/// # Errors
/// Those of mknodat(2) for both.
pub(super) fn make_whiteout((dir, name): (&Dir, &OsStr), own: &Path) -> Result<()> {
    dir.create_node(name, FileKind::CharDevice, (0, 0))
        .or_else(|error| refused_is_own(error, own, || make_own(dir, name)))
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
    marker([path, slash, OPAQUE_NAME.as_bytes()].concat())
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

    #[test]
    fn where_the_kernels_marks_are_refused_there_are_our_own() {
        let room = tempfile::tempdir().unwrap();
        let dir = Dir::open(room.path()).unwrap();
        let (name, own) = (OsStr::new("gone"), room.path().join("own"));
        let refuse =
            |kind| refused_is_own(Error::new(kind, "refused"), &own, || make_own(&dir, name));
        assert_eq!(refuse(Kind::AlreadyExists).unwrap_err().kind(), Kind::AlreadyExists);
        assert!(!own.exists());
        refuse(Kind::Denied).unwrap();
        let found = dir.metadata(name).unwrap();
        assert!(own.exists() && is_whiteout(&found) && !is_overlays_whiteout(&found));
        // There is one by that name: the first reason is told.
        assert_eq!(refuse(Kind::Unsupported).unwrap_err().kind(), Kind::Unsupported);
        let below = dir.create_dir(OsStr::new("d")).unwrap();
        make_own(&below, OsStr::new(OPAQUE_NAME)).unwrap();
        assert!(is_opaque(&dir, OsStr::new("d")).unwrap());
        assert!(MarkSpace::User.is_opaque(&below).unwrap());
    }
}
