//! The options of docker's volume driver `local`: `type`, `device` and `o`, as
//! mount(8) would take them. Without any a volume is a directory of the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::options::suggest;
use crate::error::{Error, Result};

const KEYS: &[&str] = &["type", "device", "o"];
const TYPES: &[&str] = &["none", "tmpfs"];

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LocalVolume {
    /// A directory of the store.
    Directory,
    /// An empty file system in memory, each container's own.
    Tmpfs {
        /// As mount(8) names them.
        options: Vec<String>,
    },
    /// A directory of the host.
    Bind {
        /// Absolute.
        device: PathBuf,
        /// Whether it cannot be written.
        read_only: bool,
        /// Whether mounts below come along.
        recursive: bool,
    },
}

impl LocalVolume {
    /// What `options` say.
    ///
    /// # Errors
    /// `Invalid` for what makes no sense, `Unsupported` for other types.
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(key) = options.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Error::invalid(format!("there is no volume option \"{key}\""))
                .hint(suggest::hint(key, KEYS)));
        }
        let value = |key: &str| options.get(key).map_or("", String::as_str);
        let words: Vec<&str> = value("o").split(',').filter(|word| !word.is_empty()).collect();
        let is_bind = |word: &&&str| matches!(**word, "bind" | "rbind");
        match value("type") {
            "" if options.is_empty() => Ok(Self::Directory),
            "tmpfs" => Ok(Self::Tmpfs { options: words.into_iter().map(str::to_owned).collect() }),
            "none" | "" | "bind" if words.iter().any(|word| is_bind(&word)) => {
                bind(value("device"), &words)
            }
            "none" | "" | "bind" => Err(Error::invalid("volume options without a type to mount")
                .hint("write `-o type=none -o o=bind -o device=/DIRECTORY`, or `-o type=tmpfs`")),
            kind @ ("nfs" | "nfs4" | "cifs") => {
                Err(Error::unsupported(format!("envbox does not mount volumes of type {kind}"))
                    .hint("mount it on the host, then: -o type=none -o o=bind -o device=/MOUNTED"))
            }
            kind => Err(Error::unsupported(format!("there is no volume type \"{kind}\""))
                .hint(suggest::hint(kind, TYPES))),
        }
    }
}

fn bind(device: &str, words: &[&str]) -> Result<LocalVolume> {
    if !Path::new(device).is_absolute() {
        return Err(Error::invalid(format!("the volume option device=\"{device}\" is no path"))
            .hint("give the absolute path of a directory: `-o device=/DIRECTORY`"));
    }
    let known = ["bind", "rbind", "ro", "rw"];
    if let Some(word) = words.iter().find(|word| !known.contains(word)) {
        return Err(Error::unsupported(format!("\"{word}\" is no option of a bound volume"))
            .hint(suggest::hint(word, &known)));
    }
    Ok(LocalVolume::Bind {
        device: PathBuf::from(device),
        read_only: words.contains(&"ro"),
        recursive: words.contains(&"rbind"),
    })
}
