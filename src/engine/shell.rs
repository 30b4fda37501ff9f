//! `envbox shell`: a reproducible build shell in an image or a directory.
//! The profile says what is usual, the request what is wanted; nothing of the
//! caller's environment gets in but what is named here.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind};
use crate::id::ContainerName;
use crate::runtime::capability::CapabilitySet;
use crate::runtime::spec::{HostOwner, NetworkNamespace};

use super::options::environment::EnvironmentOption;
use super::options::hostname::Hostname;
use super::options::mount::{
    Bind, MissingSource, MountKind, MountOption, Propagation, Recursion, ShellMount,
};
use super::options::network::NetworkMode;
use super::options::security::SecurityOptions;
use super::options::user::UserSpec;
use super::profile::{Profile, Variable};
use super::request::{ContainerRequest, Limit, MountRequest, Rootfs, Terminal};
use super::{Ended, Engine};

/// The host name where neither profile nor caller gives one: the same on every
/// machine, since builds write it into what they make.
const HOSTNAME: &str = "envbox";

/// What a shell is asked to be. Empty lists and `None` leave it to the
/// profile.
#[derive(Clone, Debug, Default)]
pub struct ShellRequest {
    /// An image, or a directory (by a path with a slash).
    pub target: String,
    /// The profile by name.
    pub profile: Option<String>,
    /// The command.
    pub command: Vec<String>,
    /// A command line for the shell's `-c`.
    pub line: Option<String>,
    /// The builddir and other mounts.
    pub mounts: Vec<ShellMount>,
    /// `-v` and `--tmpfs`.
    pub volumes: Vec<MountOption>,
    /// `-e`.
    pub environment: Vec<EnvironmentOption>,
    /// `-w`.
    pub working_directory: Option<PathBuf>,
    /// `-u`.
    pub user: Option<UserSpec>,
    /// `--network`.
    pub network: Option<NetworkMode>,
    /// `--hostname`.
    pub hostname: Option<Hostname>,
    /// `--keep`.
    pub keep: Option<ContainerName>,
    /// Whether the caller has a terminal at both ends.
    pub terminal: bool,
    /// Descriptors of make's jobserver that the caller holds open.
    pub jobserver: Option<(i32, i32)>,
}

impl Engine {
    /// Opens a shell and stays until it ends.
    ///
    /// # Errors
    /// What kept it from being started at all.
    pub fn shell(&self, request: &ShellRequest) -> Result<Ended> {
        let rootfs = self.shell_rootfs(&request.target)?;
        let image = match &rootfs {
            Rootfs::Image(name) => Some((name.as_str(), self.image(name)?.1)),
            Rootfs::Directory(_) => None,
        };
        let named = image.as_ref().map(|(name, config)| (*name, config));
        let profile = self.profile_of(request.profile.as_deref(), named)?;
        self.host()?;
        let container = self.shell_container(request, &profile, rootfs.clone())?;
        self.launch(&container)
    }

    /// A directory where the name has a slash and one is there, else an image.
    fn shell_rootfs(&self, target: &str) -> Result<Rootfs> {
        let looks_like_path = target.starts_with(['/', '.']) || target == "~";
        let path = self.settings.absolute(Path::new(target));
        let is_dir = fs::metadata(&path)?.is_some_and(|found| found.kind == FileKind::Directory);
        match (looks_like_path, is_dir) {
            (true, true) => Ok(Rootfs::Directory(path)),
            (true, false) => {
                Err(Error::not_found(format!("{} is not a directory", path.display()))
                    .hint("name the directory that holds bin, etc and usr, or an image"))
            }
            (false, _) => Ok(Rootfs::Image(target.to_owned())),
        }
    }

    fn shell_container(
        &self,
        request: &ShellRequest,
        profile: &Profile,
        rootfs: Rootfs,
    ) -> Result<ContainerRequest> {
        let mounts = self.shell_mounts(request, profile)?;
        let has_builddir = request.mounts.iter().any(|m| matches!(m, ShellMount::Builddir(_)));
        let workdir = if has_builddir { profile.shell.workdir() } else { "/" };
        let network = match request.network.unwrap_or(profile.shell.network) {
            NetworkMode::None => NetworkNamespace::Isolated,
            NetworkMode::Host => NetworkNamespace::Host,
        };
        let hostname = request.hostname.clone().or_else(|| profile.shell.hostname.clone());
        let user = request.user.clone().or_else(|| profile.shell.user.clone());
        let root = || "0".parse();
        Ok(ContainerRequest {
            rootfs,
            commands: commands(request, profile),
            environment: self.shell_environment(request, profile),
            locales: profile.fallback.locale.clone(),
            terminal_types: self.terminal_types(profile),
            working_directory: request.working_directory.clone().unwrap_or_else(|| workdir.into()),
            user: user.map_or_else(root, Ok)?,
            mounts,
            hostname: Some(hostname.map_or_else(|| HOSTNAME.parse(), Ok)?),
            network,
            terminal: if request.terminal { Terminal::New } else { Terminal::Inherit },
            init: profile.shell.init,
            read_only: false,
            limits: profile
                .limits
                .iter()
                .map(|&ulimit| Limit { ulimit, explicit: false })
                .collect(),
            capabilities: CapabilitySet::DEFAULT,
            security: SecurityOptions::default(),
            name: request.keep.clone(),
            keep: request.keep.is_some(),
            keep_descriptors: request.jobserver.map(|(r, w)| vec![r, w]).unwrap_or_default(),
        })
    }

    fn terminal_types(&self, profile: &Profile) -> Vec<String> {
        let own = self.settings.variable("TERM").map(str::to_owned);
        own.into_iter().chain(profile.fallback.term.iter().cloned()).collect()
    }

    fn shell_environment(
        &self,
        request: &ShellRequest,
        profile: &Profile,
    ) -> Vec<(String, String)> {
        let mut env = vec![("TZ".to_owned(), "UTC".to_owned())];
        if let Some(epoch) = self.settings.variable("SOURCE_DATE_EPOCH") {
            env.push(("SOURCE_DATE_EPOCH".into(), epoch.into()));
        }
        if let Some((read, write)) = request.jobserver {
            // The old spelling is the one that every make understands.
            let flags = format!(" -j --jobserver-fds={read},{write}");
            env.push(("MAKEFLAGS".into(), flags));
        }
        for (name, variable) in &profile.environment {
            env.retain(|(key, _)| key != name);
            if let Variable::Set(value) = variable {
                env.push((name.clone(), value.clone()));
            }
        }
        for option in &request.environment {
            let value = match option {
                EnvironmentOption::Set { value, .. } => Some(value.clone()),
                EnvironmentOption::FromCaller(name) => self.settings.environment.get(name).cloned(),
            };
            if let Some(value) = value {
                env.retain(|(key, _)| key != option.name());
                env.push((option.name().to_owned(), value));
            }
        }
        env
    }

    fn shell_mounts(&self, request: &ShellRequest, profile: &Profile) -> Result<Vec<MountRequest>> {
        let plain = |option: MountOption| MountRequest { option, owner: None };
        let shell = &profile.shell;
        let mut mounts: Vec<MountRequest> =
            shell.mounts.iter().chain(&shell.tmpfs).cloned().map(plain).collect();
        let builddirs = request.mounts.iter().filter(|m| matches!(m, ShellMount::Builddir(_)));
        if builddirs.count() > 1 {
            return Err(Error::invalid("only one directory can be the builddir")
                .hint("mount the others by -v DIRECTORY:TARGET"));
        }
        for mount in &request.mounts {
            match mount {
                ShellMount::Other(option) => mounts.push(plain(option.clone())),
                ShellMount::Builddir(path) => {
                    mounts.extend(self.builddir(&self.settings.absolute(path), profile)?);
                }
            }
        }
        mounts.extend(request.volumes.iter().cloned().map(plain));
        Ok(mounts)
    }

    /// The builddir, and its `tmp` where the profile wants it.
    fn builddir(&self, path: &Path, profile: &Profile) -> Result<Vec<MountRequest>> {
        let found = fs::metadata(path)?.ok_or_else(|| {
            Error::not_found(format!("the directory {} does not exist", path.display()))
                .hint(format!("create it: mkdir -p {}", path.display()))
        })?;
        if found.kind != FileKind::Directory {
            return Err(Error::invalid(format!("{} is not a directory", path.display())));
        }
        // Root's map is for those who own the directory: on one of root's own
        // it would show root's files as nobody's.
        let owner = self.settings.sudo.filter(|sudo| sudo.uid == found.uid);
        let mut mounts = vec![bind(path.to_owned(), &profile.shell.builddir, owner)];
        if let Some(target) = &profile.shell.tmp {
            ensure_tmp(path, owner)?;
            mounts.push(bind(path.join("tmp"), target, owner));
        }
        Ok(mounts)
    }
}

fn commands(request: &ShellRequest, profile: &Profile) -> Vec<Vec<String>> {
    if !request.command.is_empty() {
        return vec![request.command.clone()];
    }
    let mut commands = profile.shell.command.clone();
    if let Some(line) = &request.line {
        for command in &mut commands {
            command.truncate(1);
            command.extend(["-c".to_owned(), line.clone()]);
        }
    }
    commands
}

fn bind(source: PathBuf, target: &str, owner: Option<HostOwner>) -> MountRequest {
    let option = MountOption {
        target: target.to_owned(),
        read_only: false,
        kind: MountKind::Bind(Bind {
            source,
            propagation: Propagation::RPrivate,
            recursion: Recursion::Enabled,
            missing: MissingSource::Refuse,
            relabel: None,
        }),
    };
    MountRequest { option, owner }
}

/// Makes `tmp` in the builddir if it is missing. A symbolic link there is
/// refused: it would lead root to a place of somebody else's choice.
fn ensure_tmp(builddir: &Path, owner: Option<HostOwner>) -> Result<()> {
    let dir = Dir::open(builddir)?;
    let name = std::ffi::OsStr::new("tmp");
    match fs::absent_is_none(dir.metadata(name))? {
        Some(found) if found.kind == FileKind::Directory => Ok(()),
        Some(_) => {
            Err(Error::invalid(format!("{} is not a directory", builddir.join("tmp").display()))
                .hint("move it away, or mount another one: -v DIRECTORY:/var/tmp"))
        }
        None => {
            dir.create_dir(name)?;
            dir.set_mode(name, 0o1777)?;
            match owner {
                Some(owner) => dir.set_owner(name, fs::Owner { uid: owner.uid, gid: owner.gid }),
                None => Ok(()),
            }
        }
    }
}
