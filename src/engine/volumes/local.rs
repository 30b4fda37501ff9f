//! The options of docker's volume driver `local`: `type`, `device` and `o`, as
//! mount(8) would take them. Without any a volume is a directory of the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::options::suggest;
use crate::error::{Error, Result};
use crate::runtime::spec::{NfsExport, NfsType};

const KEYS: &[&str] = &["type", "device", "o"];
const TYPES: &[&str] = &["none", "tmpfs", "nfs", "nfs4"];

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
    /// A directory of an NFS server's, mounted for each container.
    Nfs(NfsExport),
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
            "nfs" => nfs(NfsType::Nfs, value("device"), &words),
            "nfs4" => nfs(NfsType::Nfs4, value("device"), &words),
            "cifs" => Err(Error::unsupported("envbox does not mount volumes of type cifs")
                .hint("mount it on the host, then: -o type=none -o o=bind -o device=/MOUNTED")),
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

/// The kernel finds the server by the option `addr` alone (nfs(5)): without it
/// the mount would fail, in docker as here, with nothing but EINVAL.
fn nfs(fstype: NfsType, device: &str, words: &[&str]) -> Result<LocalVolume> {
    let export = device.split_once(":/").map(|(server, _)| server);
    let Some(server) = export else {
        return Err(Error::invalid(format!("the volume option device=\"{device}\" is no export"))
            .hint("give the server's directory: `-o device=:/DIRECTORY`"));
    };
    let has_address = |word: &&str| word.strip_prefix("addr=").is_some_and(|name| !name.is_empty());
    if !words.iter().any(has_address) {
        let server = if server.is_empty() { "SERVER" } else { server };
        return Err(Error::invalid("a volume of type nfs without the address of its server")
            .hint(format!("add it to the options: `-o o=addr={server},rw`")));
    }
    let options = words.iter().map(|&word| word.to_owned()).collect();
    Ok(LocalVolume::Nfs(NfsExport { fstype, device: device.to_owned(), options }))
}
