//! What the caller's surroundings say: the engine's settings.

use std::collections::BTreeMap;
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};
use rustix::fs::{FileType, Mode, OFlags};

use crate::engine::profile::SearchPath;
use crate::engine::{Engine, Notice, Settings};
use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::runtime::idmap::Caller;
use crate::runtime::spec::HostOwner;
use crate::store::StorePaths;

use super::args::Global;
use super::exit;

/// Site profiles.
const SITE_PROFILES: &str = "/etc/envbox/profiles";

/// An engine for this caller.
pub(super) fn engine(global: &Global) -> Result<Engine> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let uid = Uid::effective().as_raw();
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = get("HOME").map(PathBuf::from).unwrap_or_else(|| PathBuf::from("/"));
    let folder = |variable: &str, default: &str| {
        get(variable).map_or_else(|| home.join(default), PathBuf::from)
    };
    let root = global.root.clone().or_else(|| get("ENVBOX_ROOT").map(PathBuf::from));
    let default_root = if uid == 0 {
        PathBuf::from("/var/lib/envbox")
    } else {
        folder("XDG_DATA_HOME", ".local/share").join("envbox")
    };
    let run = match get("ENVBOX_RUN") {
        Some(run) => PathBuf::from(run),
        None if uid == 0 => PathBuf::from("/run/envbox"),
        None => match get("XDG_RUNTIME_DIR") {
            Some(folder) => Path::new(folder).join("envbox"),
            None => PathBuf::from(format!("/tmp/envbox-run-{uid}")),
        },
    };
    let working_directory = std::env::current_dir()
        .map_err(|error| Error::io_named("the working directory is gone", error))?;
    let folders = vec![
        folder("XDG_CONFIG_HOME", ".config").join("envbox/profiles"),
        PathBuf::from(SITE_PROFILES),
    ];
    let storage_driver = match global.storage_driver {
        None => get("ENVBOX_STORAGE_DRIVER").map(|name| name.parse()).transpose()?,
        given => given,
    };
    let settings = Settings {
        storage_driver,
        store: StorePaths { root: working_directory.join(root.unwrap_or(default_root)), run },
        profiles: SearchPath { folders },
        caller: Caller { uid, gid: Gid::effective().as_raw(), name },
        sudo: sudo(uid, &environment),
        epoch: epoch(&environment)?,
        working_directory,
        environment,
    };
    let notify = |notice: &Notice| exit::note(&notice.message, notice.hint.as_deref());
    Ok(Engine::new(settings, Box::new(notify)))
}

/// Who ran sudo. The two variables mean nothing to anybody but root.
fn sudo(uid: u32, environment: &BTreeMap<String, String>) -> Option<HostOwner> {
    let number = |name: &str| environment.get(name)?.parse().ok();
    let owner = HostOwner { uid: number("SUDO_UID")?, gid: number("SUDO_GID")? };
    (uid == 0 && owner.uid != 0 && owner.gid != 0).then_some(owner)
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org, "SOURCE_DATE_EPOCH
/// specification"): seconds since 1970.
fn epoch(environment: &BTreeMap<String, String>) -> Result<Option<Timestamp>> {
    let Some(text) = environment.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds: u32 = text.parse().map_err(|_| {
        Error::invalid(format!("SOURCE_DATE_EPOCH is {text:?}"))
            .hint("set it to seconds since 1970, or unset it")
    })?;
    Ok(Some(Timestamp::from_seconds(i64::from(seconds))))
}

/// Whether a recipe of a makefile is what called: make sets its level for each
/// (GNU make manual, 5.7.2).
pub(super) fn is_recipe(settings: &Settings) -> bool {
    settings.variable("MAKELEVEL").is_some()
}

/// The descriptors of make's jobserver, if the caller has one and left it
/// open for this command: two pipe ends that MAKEFLAGS names, or a FIFO (GNU
/// make manual, 13.1.1), which is opened here, since its path means nothing in
/// a container.
pub(super) fn jobserver(settings: &Settings) -> Option<(i32, i32)> {
    let flags = settings.variable("MAKEFLAGS")?;
    let value = flags.split_whitespace().find_map(|word| {
        word.strip_prefix("--jobserver-auth=").or_else(|| word.strip_prefix("--jobserver-fds="))
    })?;
    if let Some(path) = value.strip_prefix("fifo:") {
        return open_fifo(&settings.absolute(Path::new(path)));
    }
    let (read, write) = value.split_once(',')?;
    let (read, write) = (read.parse().ok()?, write.parse().ok()?);
    let (reader, writer) =
        (crate::sys::descriptor::inspect(read)?, crate::sys::descriptor::inspect(write)?);
    let usable = read > 2 && write > 2 && reader.is_pipe && writer.is_pipe;
    (usable && reader.readable && writer.writable).then_some((read, write))
}

/// Both ends of the FIFO at `path`, which stay open as long as this process;
/// `None` if it is not there or nobody's any more.
fn open_fifo(path: &Path) -> Option<(i32, i32)> {
    let open = |access| {
        // Does not wait for a make that is gone.
        let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fifo = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&fifo).ok()?;
        let is_fifo = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
        // A make inside expects to wait for its token.
        rustix::fs::fcntl_setfl(&fifo, access).ok()?;
        is_fifo.then_some(fifo)
    };
    let (reader, writer) = (open(OFlags::RDONLY)?, open(OFlags::WRONLY)?);
    Some((reader.into_raw_fd(), writer.into_raw_fd()))
}
