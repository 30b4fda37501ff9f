//! What can be typed after the verbs on the files of containers.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

use crate::engine::CopyEnd;
use crate::error::{Error, Result};

const COPY_HELP: &str = "As in docker: a SOURCE directory goes into a DESTINATION directory that \
    is there, and\nbecomes it where nothing is; SOURCE/. means what is in it; the directory above \
    DESTINATION\nmust be there. With - a tar is read from stdin or written to stdout.";

/// Copy files out of a container or into one
///
/// Copies files out of a kept container, or into one that does not run. They
/// belong to the caller then, or to root in the container.
#[derive(Args, Debug)]
#[command(after_help = COPY_HELP)]
pub(in crate::cli) struct Copy {
    /// Keep the numbers of users and groups
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what SOURCE points to if it is a symbolic link
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// Do not say what was copied
    #[arg(short, long)]
    pub quiet: bool,
    /// CONTAINER:PATH, PATH or -
    #[arg(value_name = "SOURCE", value_parser = EndParser)]
    pub from: CopyEnd,
    /// PATH, CONTAINER:PATH or -
    #[arg(value_name = "DESTINATION", value_parser = EndParser)]
    pub to: CopyEnd,
}

/// Show how a container's files differ from its image's
///
/// Lists the files that were added (A), changed (C) and deleted (D) in a kept
/// container.
#[derive(Args, Debug)]
pub(in crate::cli) struct Diff {
    /// A name or an ID
    pub container: String,
}

/// Paths need not be UTF-8.
#[derive(Clone)]
struct EndParser;

impl clap::builder::TypedValueParser for EndParser {
    type Value = CopyEnd;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<CopyEnd, clap::Error> {
        parse_end(value).map_err(|error| {
            clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                format!("{}\n", error.chain()),
            )
            .with_cmd(command)
        })
    }
}

/// docker's rule: an absolute path, or one that begins with a dot, is the
/// host's, whatever colon is in it.
fn parse_end(text: &OsStr) -> Result<CopyEnd> {
    let bytes = text.as_bytes();
    let host = || CopyEnd::Host(PathBuf::from(text));
    if bytes == b"-" {
        return Ok(CopyEnd::Stream);
    }
    if bytes.is_empty() {
        return Err(Error::invalid("an empty path is none"));
    }
    if matches!(bytes[0], b'/' | b'.') {
        return Ok(host());
    }
    let Some(colon) = bytes.iter().position(|&byte| byte == b':') else { return Ok(host()) };
    let (name, path) = (&bytes[..colon], &bytes[colon + 1..]);
    let Ok(name) = std::str::from_utf8(name) else { return Ok(host()) };
    if name.is_empty() || path.is_empty() {
        return Err(Error::invalid(format!("{} is not CONTAINER:PATH", text.display()))
            .hint("give the container and a path in it, as in box:/etc"));
    }
    Ok(CopyEnd::Container {
        name: name.to_owned(),
        path: PathBuf::from(OsString::from(OsStr::from_bytes(path))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_makes_a_container_but_not_after_a_slash_or_dot() {
        let end = |text: &str| parse_end(OsStr::new(text));
        let inside =
            |name: &str, path: &str| CopyEnd::Container { name: name.into(), path: path.into() };
        assert_eq!(end("box:/a:b").unwrap(), inside("box", "/a:b"));
        assert_eq!(end("box:a").unwrap(), inside("box", "a"));
        for path in ["/a:b", "./a:b", "../a:b", "plain"] {
            assert_eq!(end(path).unwrap(), CopyEnd::Host(path.into()));
        }
        assert_eq!(end("-").unwrap(), CopyEnd::Stream);
        assert!(end("box:").is_err() && end(":/a").is_err() && end("").is_err());
        let odd = OsStr::from_bytes(b"box:/\xff");
        assert!(matches!(parse_end(odd).unwrap(), CopyEnd::Container { .. }));
    }
}
