//! `--mount KEY=VALUE,...`: docker's long form, a record of comma-separated
//! values (`docker/cli`, `opts/mount.go`). The type decides which keys make
//! sense; a key of another type is an error, as in docker.

use std::path::PathBuf;

use super::tmpfs::parse_mode;
use super::{
    Bind, MissingSource, MountKind, MountOption, Propagation, Recursion, Tmpfs, Volume, check_nul,
    check_volume_name, clean_target, csv,
};
use crate::engine::options::security::parse_bool;
use crate::engine::options::size::parse_size;
use crate::engine::options::suggest;
use crate::error::{Error, Result};

const TYPES: &[&str] = &["bind", "volume", "tmpfs"];
const KEYS: &[&str] = &[
    "type",
    "source",
    "src",
    "target",
    "destination",
    "dst",
    "readonly",
    "ro",
    "consistency",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "volume-driver",
    "volume-label",
    "volume-nocopy",
    "volume-opt",
    "volume-subpath",
    "tmpfs-size",
    "tmpfs-mode",
];
/// Keys that docker lets stand without a value.
const SWITCHES: &[&str] = &["readonly", "ro", "volume-nocopy", "bind-nonrecursive"];
const RECURSIONS: &[(&str, Recursion)] = &[
    ("enabled", Recursion::Enabled),
    ("disabled", Recursion::Disabled),
    ("writable", Recursion::Writable),
    ("readonly", Recursion::ReadOnly),
];

/// Whether `text` is a record of fields rather than a path: it starts with a
/// key and `=`; where there are more fields, with any word and `=` (a mistyped
/// key) or a switch.
pub(super) fn looks_like_fields(text: &str) -> bool {
    let first = text.strip_prefix('"').unwrap_or(text).split(',').next().unwrap_or_default();
    match first.split_once('=') {
        Some((key, _)) => {
            let word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
            let known = KEYS.contains(&key.to_ascii_lowercase().as_str());
            known || (text.contains(',') && key.bytes().all(word))
        }
        None => SWITCHES.contains(&first) && text.contains(','),
    }
}

/// Parses a value of `--mount`. `consistency` is taken and means nothing on
/// Linux, where the directory is the host's own.
pub fn parse_mount(text: &str) -> Result<MountOption> {
    check_nul(text)?;
    let record = csv::split(text).map_err(|fault| {
        invalid(text, fault).hint("quote a field that holds a comma: `\"source=/a,b\"`")
    })?;
    let mut fields = Fields { text, ..Fields::default() };
    for field in &record {
        fields.read(field)?;
    }
    fields.finish()
}

/// What the fields have said so far.
#[derive(Default)]
struct Fields<'a> {
    text: &'a str,
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    recursion: Recursion,
    volume: Volume,
    tmpfs: Tmpfs,
    /// Keys that belong to one type (`bind-propagation`), as given.
    typed_keys: Vec<String>,
}

impl Fields<'_> {
    fn read(&mut self, field: &str) -> Result<()> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), value),
            None => (field.to_ascii_lowercase(), "true"),
        };
        let key = key.as_str();
        if !KEYS.contains(&key) {
            return Err(self
                .invalid(&format!("there is no key \"{key}\""))
                .hint(suggest::hint(key, KEYS)));
        }
        if value.is_empty() || !(field.contains('=') || SWITCHES.contains(&key)) {
            return Err(self
                .invalid(&format!("`{key}` has no value"))
                .hint(format!("write `{key}=VALUE`")));
        }
        if key.contains('-') {
            self.typed_keys.push(key.to_owned());
        }
        match key {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(value.to_owned()),
            "target" | "destination" | "dst" => self.target = Some(value.to_owned()),
            "readonly" | "ro" => self.read_only = self.parse_switch(key, value)?,
            "consistency" => self.check_consistency(value)?,
            "tmpfs-size" | "tmpfs-mode" => self.read_tmpfs(key, value)?,
            _ if key.starts_with("bind-") => self.read_bind(key, value)?,
            _ => self.read_volume(key, value)?,
        }
        Ok(())
    }

    fn read_bind(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "bind-propagation" => {
                let known: Vec<&str> = super::PROPAGATIONS.iter().map(|(name, _)| *name).collect();
                let parsed = Propagation::parse(value);
                self.propagation = Some(parsed.ok_or_else(|| self.bad_value(key, value, &known))?);
            }
            "bind-recursive" => {
                let known: Vec<&str> = RECURSIONS.iter().map(|(name, _)| *name).collect();
                let parsed = RECURSIONS.iter().find(|(name, _)| *name == value);
                self.recursion = parsed.ok_or_else(|| self.bad_value(key, value, &known))?.1;
            }
            _ => {
                let off = self.parse_switch(key, value)?;
                self.recursion = if off { Recursion::Disabled } else { Recursion::Enabled };
            }
        }
        Ok(())
    }

    fn read_volume(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "volume-nocopy" => self.volume.no_copy = self.parse_switch(key, value)?,
            "volume-subpath" => {
                let inside = value.split('/').all(|part| part != "..") && !value.starts_with('/');
                if !inside {
                    return Err(self
                        .invalid("`volume-subpath` leads out of the volume")
                        .hint("write a path relative to the volume, without `..`"));
                }
                self.volume.subpath = Some(value.to_owned());
            }
            "volume-driver" if value != "local" => {
                return Err(Error::unsupported(format!(
                    "volume driver \"{value}\" is not there: the only one is `local`"
                ))
                .hint("leave `volume-driver` out"));
            }
            "volume-driver" => {}
            _ => {
                let (name, content) = value.split_once('=').unwrap_or((value, ""));
                let pair = (name.to_owned(), content.to_owned());
                let label = key == "volume-label";
                let pairs =
                    if label { &mut self.volume.labels } else { &mut self.volume.driver_options };
                pairs.retain(|(earlier, _)| *earlier != pair.0);
                pairs.push(pair);
            }
        }
        Ok(())
    }

    fn read_tmpfs(&mut self, key: &str, value: &str) -> Result<()> {
        let option = if key == "tmpfs-size" {
            let size = parse_size(value).map_err(|error| error.context(self.prefix()))?;
            format!("size={size}")
        } else {
            let mode = parse_mode(value).ok_or_else(|| {
                self.invalid(&format!("\"{value}\" is no value for `tmpfs-mode`"))
                    .hint("write the mode in octal, as in `tmpfs-mode=1777`")
            })?;
            format!("mode={mode:o}")
        };
        let same = &option[..5];
        self.tmpfs.options.retain(|earlier| !earlier.starts_with(same));
        self.tmpfs.options.push(option);
        Ok(())
    }

    fn finish(mut self) -> Result<MountOption> {
        let kind = self.kind.take().unwrap_or_else(|| "volume".to_owned());
        if !TYPES.contains(&kind.as_str()) {
            return Err(Error::unsupported(format!(
                "mount type \"{kind}\" is not there: the types are `bind`, `volume` and `tmpfs`"
            ))
            .hint(suggest::hint(&kind, TYPES)));
        }
        let foreign = self.typed_keys.iter().find(|key| !key.starts_with(&format!("{kind}-")));
        if let Some(key) = foreign {
            let owner = key.split('-').next().unwrap_or_default();
            return Err(self
                .invalid(&format!("`{key}` is for type={owner}, this is type={kind}"))
                .hint(format!("leave `{key}` out, or write `type={owner}`")));
        }
        let Some(target) = self.target.take() else {
            return Err(self.invalid("there is no target").hint("add `target=/DIR`"));
        };
        let target = clean_target(&target)
            .map_err(|fault| self.invalid(fault).hint("write `target=/DIR`"))?;
        let read_only = self.read_only;
        let kind = match kind.as_str() {
            "bind" => MountKind::Bind(self.finish_bind()?),
            "volume" => MountKind::Volume(self.finish_volume()?),
            _ => MountKind::Tmpfs(self.finish_tmpfs(&target)?),
        };
        Ok(MountOption { target, read_only, kind })
    }

    fn finish_bind(self) -> Result<Bind> {
        let needs_read_only = match self.recursion {
            Recursion::Writable => Some("writable"),
            Recursion::ReadOnly => Some("readonly"),
            Recursion::Enabled | Recursion::Disabled => None,
        };
        if let Some(word) = needs_read_only.filter(|_| !self.read_only) {
            return Err(self
                .invalid(&format!("`bind-recursive={word}` makes sense for a read-only bind alone"))
                .hint("add `readonly`"));
        }
        // Otherwise the host could mount something writable into it later.
        let private = self.propagation == Some(Propagation::RPrivate);
        if self.recursion == Recursion::ReadOnly && !private {
            return Err(self
                .invalid("`bind-recursive=readonly` needs a private propagation")
                .hint("add `bind-propagation=rprivate`"));
        }
        let Some(source) = &self.source else {
            return Err(self.invalid("a bind has a source").hint("add `source=/DIR`"));
        };
        Ok(Bind {
            source: PathBuf::from(source),
            propagation: self.propagation.unwrap_or_default(),
            recursion: self.recursion,
            missing: MissingSource::Refuse,
            relabel: None,
        })
    }

    fn finish_volume(self) -> Result<Volume> {
        match &self.source {
            Some(name) if name.starts_with(['/', '.']) => {
                return Err(self
                    .invalid("the source is a host path, this is type=volume")
                    .hint("add `type=bind`"));
            }
            Some(name) => check_volume_name(self.text, name)?,
            None if self.read_only => {
                return Err(self
                    .invalid("an anonymous volume is empty and cannot be read-only")
                    .hint("add `source=NAME`, or leave `readonly` out"));
            }
            None => {}
        }
        Ok(Volume { name: self.source, ..self.volume })
    }

    fn finish_tmpfs(self, target: &str) -> Result<Tmpfs> {
        if self.source.is_some() {
            return Err(self.invalid("a tmpfs has no source").hint("leave `source` out"));
        }
        if target.contains(':') {
            return Err(self
                .invalid("the target of a tmpfs holds a colon")
                .hint("mount it at a path without one"));
        }
        Ok(self.tmpfs)
    }

    fn check_consistency(&self, value: &str) -> Result<()> {
        let known = ["consistent", "cached", "delegated", "default"];
        if known.contains(&value) {
            return Ok(());
        }
        Err(self.bad_value("consistency", value, &known))
    }

    fn parse_switch(&self, key: &str, value: &str) -> Result<bool> {
        parse_bool(value).ok_or_else(|| self.bad_value(key, value, &["true", "false"]))
    }

    fn bad_value(&self, key: &str, value: &str, known: &[&str]) -> Error {
        self.invalid(&format!("\"{value}\" is no value for `{key}`"))
            .hint(suggest::hint(value, known))
    }

    fn invalid(&self, fault: &str) -> Error {
        invalid(self.text, fault)
    }

    fn prefix(&self) -> String {
        format!("invalid mount \"{}\"", self.text)
    }
}

fn invalid(text: &str, fault: &str) -> Error {
    Error::invalid(format!("invalid mount \"{text}\": {fault}"))
}

/// Whether the options of a tmpfs are those that `--mount` knows, written as it
/// would write them.
pub(super) fn can_say(tmpfs: &Tmpfs) -> bool {
    tmpfs.options.iter().all(|option| match option.split_once('=') {
        Some(("size", bytes)) => parse_size(bytes).is_ok_and(|size| size.to_string() == bytes),
        Some(("mode", mode)) => parse_mode(mode).is_some_and(|bits| format!("{bits:o}") == mode),
        _ => false,
    })
}

/// Prints a mount whose every detail has a key.
pub(super) fn print(mount: &MountOption) -> String {
    let mut fields = match &mount.kind {
        MountKind::Bind(bind) => print_bind(bind),
        MountKind::Volume(volume) => print_volume(volume),
        MountKind::Tmpfs(tmpfs) => print_tmpfs(tmpfs),
    };
    fields.push(format!("target={}", mount.target));
    fields.extend(mount.read_only.then(|| "readonly".to_owned()));
    let quoted: Vec<String> = fields.iter().map(|field| csv::quote(field)).collect();
    quoted.join(",")
}

fn print_bind(bind: &Bind) -> Vec<String> {
    let mut fields = vec!["type=bind".to_owned(), format!("source={}", bind.source.display())];
    // `bind-recursive=readonly` is valid with an explicit propagation alone.
    if bind.propagation != Propagation::default() || bind.recursion == Recursion::ReadOnly {
        fields.push(format!("bind-propagation={}", bind.propagation.as_str()));
    }
    let recursion = RECURSIONS.iter().find(|(_, recursion)| *recursion == bind.recursion);
    if let Some((name, _)) = recursion.filter(|_| bind.recursion != Recursion::Enabled) {
        fields.push(format!("bind-recursive={name}"));
    }
    fields
}

fn print_volume(volume: &Volume) -> Vec<String> {
    let mut fields = vec!["type=volume".to_owned()];
    fields.extend(volume.name.iter().map(|name| format!("source={name}")));
    fields.extend(volume.no_copy.then(|| "volume-nocopy".to_owned()));
    fields.extend(volume.subpath.iter().map(|path| format!("volume-subpath={path}")));
    fields.extend(volume.labels.iter().map(|(name, text)| format!("volume-label={name}={text}")));
    let options = &volume.driver_options;
    fields.extend(options.iter().map(|(name, text)| format!("volume-opt={name}={text}")));
    fields
}

fn print_tmpfs(tmpfs: &Tmpfs) -> Vec<String> {
    let options = tmpfs.options.iter().map(|option| format!("tmpfs-{option}"));
    std::iter::once("type=tmpfs".to_owned()).chain(options).collect()
}
