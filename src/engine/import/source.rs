//! What is imported, and who reads it.
//!
//! Root reads a tree as it is. An ordinary user reads a tree that belongs to
//! them or to their sub-IDs inside the user namespace, where its owners are 0,
//! 1, ...; any other tree is read by a child outside of it ([`crate::engine::reader`]).

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir, FileKind, Metadata};
use crate::image::ImportOptions;
use crate::registry::{self, Network, Proxies, Url};
use crate::runtime::idmap::{self, IdMap, SubIds};

use crate::engine::reader::{self, Reader};

/// What is to be imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ImportSource {
    /// An archive on standard input.
    #[default]
    Stdin,
    /// An archive on a web server.
    Url(Url),
    /// A directory or an archive.
    Path(PathBuf),
}

impl ImportSource {
    /// Reads what was typed: `-`, a URL, or a path.
    ///
    /// # Errors
    /// Those of the URL.
    pub fn parse(text: OsString) -> Result<Self> {
        match text.to_str() {
            Some("-") => Ok(Self::Stdin),
            Some("") => Err(Error::invalid("the source is an empty word")
                .hint("name a directory, a tar file, a URL, or - for stdin")),
            Some(text) if Url::is_meant_by(text) => text.parse().map(Self::Url),
            _ => Ok(Self::Path(text.into())),
        }
    }
}

impl fmt::Display for ImportSource {
    /// As errors name it; a URL without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::Url(url) => url.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// How often a tree will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only to be written.
    Once,
    /// To see whether it is in the store, and then perhaps to be written.
    MaybeTwice,
}

/// An open source.
pub(super) enum Source {
    /// Read by this process.
    Directory(Dir),
    /// Read by a child; a second one waits where it may be read twice.
    Outside(Reader, Option<Reader>),
    /// An archive, and how many bytes it has, where that is known.
    Tar(Box<dyn Read + Send>, Option<u64>),
}

impl Source {
    /// How many bytes will be read, where that is known.
    pub(super) fn total(&self) -> Option<u64> {
        match self {
            Self::Tar(_, total) => *total,
            Self::Directory(_) | Self::Outside(..) => None,
        }
    }
}

impl Engine {
    /// Opens `source`. Where a process has to be forked that happens here, and
    /// afterwards this process is where it works.
    ///
    /// # Errors
    /// Those of opening, with what was typed.
    pub(super) fn open_source(
        &self,
        source: &ImportSource,
        (options, reading): (&ImportOptions, Reading),
    ) -> Result<Source> {
        match source {
            ImportSource::Stdin => {
                if rustix::termios::isatty(std::io::stdin()) {
                    return Err(Error::invalid("stdin is a terminal, not an archive")
                        .hint("pipe one in: tar -C DIRECTORY -c . | envbox import - NAME"));
                }
                self.host()?;
                Ok(Source::Tar(Box::new(std::io::stdin()), stdin_size()))
            }
            ImportSource::Url(url) => {
                // The request starts a thread.
                self.host()?;
                let find = |name: &str| self.settings.variable(name);
                let proxies = Proxies::from_variables(find);
                let network = Network { proxies, ..Network::default() };
                let fetched = registry::fetch(url, &network)?;
                Ok(Source::Tar(fetched.reader, fetched.length))
            }
            ImportSource::Path(path) => self.open_path(path, (options, reading)),
        }
    }

    fn open_path(
        &self,
        typed: &Path,
        (options, reading): (&ImportOptions, Reading),
    ) -> Result<Source> {
        let path = self.settings.absolute(typed);
        let found = fs::metadata(&path)?.ok_or_else(|| {
            Error::not_found(format!("the source {} does not exist", typed.display()))
                .hint("name a directory, a tar file, a URL, or - for stdin")
        })?;
        match found.kind {
            FileKind::Directory => {
                let dir = Dir::open(&path).map_err(advise)?;
                if self.reads_inside(&path, &found)? {
                    self.host()?;
                    return Ok(Source::Directory(dir));
                }
                let child = reader::read(dir.duplicate()?, options)?;
                let spare = match reading {
                    Reading::Once => None,
                    Reading::MaybeTwice => Some(reader::read(dir, options)?),
                };
                self.host()?;
                Ok(Source::Outside(child, spare))
            }
            kind => {
                let file = fs::open(&path).map_err(advise)?;
                self.host()?;
                let total = (kind == FileKind::Regular).then_some(found.size);
                Ok(Source::Tar(Box::new(file), total))
            }
        }
    }

    /// Whether this process reads the tree itself, in its user namespace: the
    /// root and all that is in it are then owners that it knows. One look at
    /// the first level tells a tree that somebody unpacked as root into a
    /// directory of the caller's.
    fn reads_inside(&self, path: &Path, root: &Metadata) -> Result<bool> {
        let caller = &self.settings.caller;
        if self.settings.is_root() {
            return Ok(true);
        }
        let sub_ids = match idmap::plan(caller)? {
            IdMap::SubIds { users, .. } => Some(users),
            IdMap::Single => None,
        };
        let within = |ids: SubIds, uid| (ids.start..ids.start + ids.count).contains(&uid);
        let knows = |uid| uid == caller.uid || sub_ids.is_some_and(|ids| within(ids, uid));
        if !knows(root.uid) {
            return Ok(false);
        }
        let dir = Dir::open(path)?;
        for name in dir.names()?.iter() {
            if !knows(dir.metadata(name)?.uid) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn advise(error: Error) -> Error {
    match error.kind() {
        Kind::Denied => error.hint("run as root, or as a user who may read it"),
        _ => error,
    }
}

/// The size of a file that stdin was redirected from.
pub(in crate::engine) fn stdin_size() -> Option<u64> {
    let stat = rustix::fs::fstat(std::io::stdin()).ok()?;
    let metadata = Metadata::from(&stat);
    (metadata.kind == FileKind::Regular).then_some(metadata.size)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_source_is_told_by_its_form() {
        let parse = |text: &str| ImportSource::parse(text.into());
        assert_eq!(parse("-").unwrap(), ImportSource::Stdin);
        assert_eq!(parse("a:b").unwrap(), ImportSource::Path("a:b".into()));
        assert_eq!(parse("./http://x").unwrap(), ImportSource::Path("./http://x".into()));
        assert!(matches!(parse("http://h/x").unwrap(), ImportSource::Url(_)));
        assert_eq!(parse("ftp://h/x").unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(parse("").unwrap_err().kind(), Kind::Invalid);
        let bytes = OsString::from_vec(vec![b'a', 0xff]);
        assert_eq!(ImportSource::parse(bytes.clone()).unwrap(), ImportSource::Path(bytes.into()));
    }

    #[test]
    fn errors_name_it_without_its_secrets() {
        let name = |text: &str| ImportSource::parse(text.into()).unwrap().to_string();
        assert_eq!(name("-"), "stdin");
        assert_eq!(name("./rootfs"), "./rootfs");
        assert_eq!(name("https://u:p@h/x?y"), "https://***@h/x?...");
    }
}
