//! `envbox shell`: a reproducible build shell in an image or a directory.
//! The profile says what is usual, the project what is usual for it, the
//! request what is wanted; nothing of the caller's environment gets in but
//! what is named here.

mod mounts;
mod submake;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::{self, FileKind};
use crate::id::ContainerName;
use crate::oci::ImageConfig;
use crate::platform::Platform;

use super::environment::Variables;
use super::options::environment::EnvironmentOption;
use super::options::mount::ShellMount;
use super::options::resources::SHM_SIZE;
use super::profile::{Profile, Variable};
use super::project::{self, FoundProject};
use super::request::{ContainerOptions, ContainerRequest, Inherited, Rootfs, Terminal};
use super::{Ended, Engine, limits};

/// The host name where neither profile nor caller gives one: the same on every
/// machine, since builds write it into what they make.
const HOSTNAME: &str = "envbox";

/// What a shell is asked to be. Empty lists and `None` leave it to the
/// project, then to the profile.
#[derive(Clone, Debug, Default)]
pub struct ShellRequest {
    /// An image, or a directory (by a path with a slash); the project's image
    /// if `None`.
    pub target: Option<String>,
    /// Which image of the name, where it has several.
    pub platform: Option<Platform>,
    /// The profile by name.
    pub profile: Option<String>,
    /// The command.
    pub command: Vec<String>,
    /// A command line for the shell's `-c`.
    pub line: Option<String>,
    /// The builddir, and mounts in docker's form.
    pub mounts: Vec<ShellMount>,
    /// What `run` knows as well.
    pub options: ContainerOptions,
    /// `--keep`.
    pub keep: Option<ContainerName>,
    /// Whether the caller has a terminal at both ends.
    pub terminal: bool,
    /// Descriptors of the caller's make's jobserver: the end to read from, and
    /// the one to write to.
    pub jobserver: Option<(i32, i32)>,
}

/// What lies below the request: of profile, image and project.
struct Defaults {
    profile: Profile,
    image_environment: Vec<String>,
    project_environment: BTreeMap<String, Variable>,
    /// Below the builddir, where the command starts.
    subdirectory: PathBuf,
}

impl Engine {
    /// Opens a shell and stays until it ends.
    ///
    /// # Errors
    /// What kept it from being started at all.
    pub fn shell(&self, request: &ShellRequest) -> Result<Ended> {
        let found = match request.target {
            Some(_) => None,
            None => Some(self.find_project()?),
        };
        let mut request = request.clone();
        let mut project_environment = BTreeMap::new();
        let mut subdirectory = PathBuf::new();
        if let Some(found) = found {
            subdirectory = found.subdirectory(&self.settings.working_directory);
            project_environment.clone_from(&found.project.environment);
            merge(&mut request, found);
        }
        let target = request.target.clone().unwrap_or_default();
        let rootfs = self.shell_rootfs(&target)?;
        let image = match &rootfs {
            Rootfs::Image(name) => {
                let (found, config) = self.image_for(name, request.platform.as_ref())?;
                self.compare_platforms((name, request.platform.as_ref()), &found)?;
                Some((name.as_str(), config))
            }
            Rootfs::Directory(_) => None,
        };
        let named = image.as_ref().map(|(name, config)| (*name, config));
        let defaults = Defaults {
            profile: self.profile_of(request.profile.as_deref(), named)?,
            image_environment: named.map(|(_, config)| env_of(config)).unwrap_or_default(),
            project_environment,
            subdirectory,
        };
        self.host()?;
        let container = self.shell_container(&request, &defaults, rootfs.clone())?;
        self.launch(&container)
    }

    /// A directory where the name begins like a path, else an image.
    fn shell_rootfs(&self, target: &str) -> Result<Rootfs> {
        let looks_like_path = target.starts_with(['/', '.']);
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
        defaults: &Defaults,
        rootfs: Rootfs,
    ) -> Result<ContainerRequest> {
        let (profile, options) = (&defaults.profile, &request.options);
        let mounts = self.shell_mounts(request, profile)?;
        let has_builddir = request.mounts.iter().any(|m| matches!(m, ShellMount::Builddir(_)));
        let workdir = match has_builddir {
            true => Path::new(profile.shell.workdir()).join(&defaults.subdirectory),
            false => PathBuf::from("/"),
        };
        let hostname = options.hostname.clone().or_else(|| profile.shell.hostname.clone());
        let user = options.user.clone().or_else(|| profile.shell.user.clone());
        let root = || "0".parse();
        Ok(ContainerRequest {
            platform: request.platform.clone(),
            rootfs,
            commands: commands(request, profile),
            entrypoint: 0,
            environment: self.shell_environment(request, defaults)?,
            locales: profile.fallback.locale.clone(),
            terminal_types: self.terminal_types(profile),
            working_directory: options.working_directory.clone().unwrap_or(workdir),
            user: user.map_or_else(root, Ok)?,
            mounts,
            inherited: Inherited::default(),
            hostname: Some(hostname.map_or_else(|| HOSTNAME.parse(), Ok)?),
            network: options.network.unwrap_or(profile.shell.network).into(),
            terminal: if request.terminal { Terminal::New } else { Terminal::Inherit },
            input_stays_open: false,
            init: profile.shell.init,
            read_only: options.read_only,
            limits: options.limits(&profile.limits),
            resources: limits::checked(&options.resources)?,
            shm_size: options.shm_size.unwrap_or(SHM_SIZE),
            capabilities: options.capabilities(),
            security: options.security.clone(),
            isolation: options.isolation.clone(),
            health: None,
            healthcheck: None,
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
        defaults: &Defaults,
    ) -> Result<Vec<(String, String)>> {
        let mut variables = Variables::default();
        variables.set("TZ", "UTC");
        if let Some(epoch) = self.settings.variable("SOURCE_DATE_EPOCH") {
            variables.set("SOURCE_DATE_EPOCH", epoch);
        }
        let variable = |name| self.settings.variable(name);
        let caller = (variable("MAKELEVEL"), variable("MAKEFLAGS"));
        for (name, value) in submake::variables(caller, request.jobserver) {
            variables.set(name, &value);
        }
        variables.add_image(&defaults.image_environment);
        variables.add_all(&defaults.profile.environment);
        variables.add_all(&defaults.project_environment);
        let options = &request.options;
        variables
            .add_options((&options.environment_files, &options.environment), &self.settings)?;
        Ok(variables.into_pairs())
    }
}

fn env_of(config: &ImageConfig) -> Vec<String> {
    config.config.env.clone()
}

/// Puts what the project says below what was asked for.
fn merge(request: &mut ShellRequest, found: FoundProject) {
    let FoundProject { project, folder } = found;
    let builddir = project.builddir(&folder).to_owned();
    let asked = request.mounts.iter().any(|m| matches!(m, ShellMount::Builddir(_)));
    let mut mounts = Vec::new();
    if !asked {
        mounts.push(ShellMount::Builddir(builddir));
    }
    let project::Project {
        image, profile, command, network, mounts: own, pass_environment, ..
    } = project;
    mounts.extend(own.into_iter().filter(|mount| matches!(mount, ShellMount::Other(_))));
    mounts.append(&mut request.mounts);
    request.mounts = mounts;
    request.target = Some(image);
    request.profile = request.profile.take().or(profile);
    if request.command.is_empty() && request.line.is_none() {
        request.command = command.unwrap_or_default();
    }
    request.options.network = request.options.network.or(network);
    let passed = pass_environment.into_iter().map(EnvironmentOption::FromCaller);
    request.options.environment.splice(0..0, passed);
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
