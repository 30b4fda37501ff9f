//! The one error type of the library: a kind, a message that names the
//! object, the chain of causes below it, and a hint for the person who has to
//! act. It knows nothing of exit codes or of how an error is printed; the cli
//! has one table for each.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

/// What sort of thing went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The object is used by another one, which the message names.
    InUse,
    /// The input is malformed, or asks for something that makes no sense.
    Invalid,
    /// Bytes are not what their digest or size says.
    Mismatch,
    /// The host refuses: permissions, capabilities, read-only.
    Denied,
    /// The host, or this version, cannot do it.
    Unsupported,
    /// It may work later: busy, no space, no answer.
    Unavailable,
    /// An invariant of ours is broken.
    Internal,
}

/// An error of the engine. `Display` prints the message alone; the cli walks
/// `source()` for the causes.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; the message is lower case, has no full stop and
    /// names the object.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Shorthand for [`Kind::NotFound`].
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Shorthand for [`Kind::Invalid`].
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Shorthand for [`Kind::Mismatch`].
    pub fn mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Mismatch, message)
    }

    /// Shorthand for [`Kind::Unsupported`].
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// Shorthand for [`Kind::Internal`].
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// An I/O error on `path`: "cannot VERB PATH", its kind told by the errno.
    pub fn io(verb: &str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::io_named(format!("cannot {verb} {}", shown(path.as_ref())), source)
    }

    /// An I/O error with a message of the caller's own.
    pub fn io_named(message: impl Into<Cow<'static, str>>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        // An error that crossed an `io::Read` keeps its kind, message and hint.
        if source.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            return Self::from_carrier(message.into(), source);
        }
        let kind = kind_of(&source);
        let hint = hint_of(&source);
        Self { kind, message: message.into(), hint, source: Some(Box::new(source)) }
    }

    fn from_carrier(message: Cow<'static, str>, source: io::Error) -> Self {
        match source.into_inner().map(|inner| inner.downcast::<Error>()) {
            Some(Ok(inner)) => *inner,
            Some(Err(other)) => {
                Self { kind: Kind::Internal, message, hint: None, source: Some(other) }
            }
            None => Self::new(Kind::Internal, message),
        }
    }

    /// Adds what the reader should do next, in the imperative.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts this error below a message that says what was being done; kind and
    /// hint are kept.
    #[must_use]
    pub fn context(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let (kind, hint) = (self.kind, self.hint.take());
        Self { kind, message: message.into(), hint, source: Some(Box::new(self)) }
    }

    /// What sort of error this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the reader should do next, where that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message followed by its causes, each after a colon: one line.
    pub fn chain(&self) -> String {
        let mut line = self.message.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&describe(error));
            cause = error.source();
        }
        line
    }
}

impl From<Error> for io::Error {
    /// Carries an error through `io::Read`; [`Error::io_named`] unwraps it.
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

/// Adds a message to the error of a result.
pub trait Context<T> {
    /// Puts the error below the message that `message` returns.
    fn context<M: Into<Cow<'static, str>>>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context<M: Into<Cow<'static, str>>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| error.context(message()))
    }
}

/// `path` as a message shows it: a name may come from an archive, and its
/// control characters must not reach the terminal.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let escape = |c: char| -> String {
        if c.is_control() { c.escape_default().collect() } else { c.into() }
    };
    text.chars().map(escape).collect()
}

fn kind_of(error: &io::Error) -> Kind {
    match error.raw_os_error() {
        Some(libc::EROFS | libc::ELOOP) => return Kind::Denied,
        Some(libc::EBUSY | libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE) => {
            return Kind::Unavailable;
        }
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => return Kind::Unsupported,
        // What the file system cannot hold.
        Some(libc::EFBIG | libc::ENAMETOOLONG | libc::EMLINK) => return Kind::Unsupported,
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::AlreadyExists => Kind::AlreadyExists,
        io::ErrorKind::PermissionDenied => Kind::Denied,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Kind::Invalid,
        io::ErrorKind::UnexpectedEof => Kind::Invalid,
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => Kind::Invalid,
        io::ErrorKind::TimedOut => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

fn hint_of(error: &io::Error) -> Option<Cow<'static, str>> {
    let hint = match error.raw_os_error()? {
        libc::ENOSPC => "free space, or put the store elsewhere with --root or ENVBOX_ROOT",
        libc::EDQUOT => "the disk quota is used up; put the store elsewhere with --root",
        // Of fork(2) and clone(2): others that would block are not told of.
        libc::EAGAIN => "no more processes are allowed: end some, or raise the limit (ulimit -u)",
        libc::EMFILE => "raise the limit of open files: ulimit -n 4096",
        _ => return None,
    };
    Some(hint.into())
}

/// The text of a cause without the "(os error N)" that std appends.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    struct Plain<'a>(&'a io::Error);
    impl fmt::Display for Plain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0.raw_os_error() {
                Some(errno) => f.write_str(nix::errno::Errno::from_raw(errno).desc()),
                None => fmt::Display::fmt(self.0, f),
            }
        }
    }
    match error.downcast_ref::<io::Error>() {
        Some(io) => Plain(io).to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_path_and_cause_in_one_line() {
        let error = Error::io("open", "/no/such", io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.chain(), "cannot open /no/such: No such file or directory");
    }

    #[test]
    fn a_path_cannot_write_to_the_terminal() {
        let error = Error::io("open", "/a\n\u{1b}[31mb", io::Error::from_raw_os_error(libc::EIO));
        assert_eq!(error.chain(), "cannot open /a\\n\\u{1b}[31mb: I/O error");
    }

    #[test]
    fn context_keeps_kind_and_hint() {
        let error = Error::invalid("bad").hint("do good").context("cannot import x");
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.hint_text(), Some("do good"));
        assert_eq!(error.chain(), "cannot import x: bad");
    }

    #[test]
    fn survives_the_way_through_a_reader() {
        let carried: io::Error = Error::mismatch("wrong digest").hint("pull again").into();
        let error = Error::io_named("cannot read x", carried);
        assert_eq!(error.kind(), Kind::Mismatch);
        assert_eq!(error.hint_text(), Some("pull again"));
    }
}
