//! `envbox run` and `create`: a container by docker's rules.

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::id::ContainerName;
use crate::oci::ExecParameters;
use crate::platform::Platform;
use crate::runtime::spec::NetworkNamespace;
use crate::store::Resolved;

use super::environment::Variables;
use super::launch::check_platform;
use super::lifecycle::LifecycleOptions;
use super::options::health;
use super::options::resources::SHM_SIZE;
use super::platforms;
use super::request::{ContainerOptions, ContainerRequest, Rootfs, Terminal};
use super::volumes::{InheritedMounts, with_image_volumes};
use super::{Ended, Engine, limits};

/// docker's `TERM` in a container that has a terminal.
const TERM: &str = "xterm";

/// What is to be run.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The image by any of its names.
    pub image: String,
    /// Instead of the image's `Cmd`; empty to leave it.
    pub command: Vec<String>,
    /// `--entrypoint`; an empty one takes the image's away.
    pub entrypoint: Option<String>,
    /// What `shell` knows as well.
    pub options: ContainerOptions,
    /// Stdio.
    pub terminal: Terminal,
    /// `--init`.
    pub init: bool,
    /// `--name`.
    pub name: Option<ContainerName>,
    /// `--platform`.
    pub platform: Option<Platform>,
    /// False for `--rm`.
    pub keep: bool,
    /// What it is told beside.
    pub lifecycle: LifecycleOptions,
}

impl Engine {
    /// Runs a container and stays until it ends.
    ///
    /// # Errors
    /// What kept it from being started at all.
    pub fn run(&self, request: &RunRequest) -> Result<Ended> {
        self.enter_beside(&request.options.isolation)?;
        let container = self.container_of(request)?;
        self.launch_with(&container, &request.lifecycle)
    }

    /// What `request` means for its image.
    ///
    /// # Errors
    /// `NotFound` if there is no such image; what makes no sense.
    pub(super) fn container_of(&self, request: &RunRequest) -> Result<ContainerRequest> {
        let (found, config) = self.image_for(&request.image, request.platform.as_ref())?;
        let config = config.config;
        let wanted = (request.image.as_str(), request.platform.as_ref());
        self.compare_platforms(wanted, &found)?;
        self.host()?;
        let inherited = self.inherited_mounts(&request.lifecycle.volumes_from)?;
        self.run_container(request, &config, inherited)
    }

    /// docker's rule: an image of another platform than the one asked for is an
    /// error; where nobody asked, and an emulator runs it, that is told.
    pub(super) fn compare_platforms(
        &self,
        (image, wanted): (&str, Option<&Platform>),
        found: &Resolved,
    ) -> Result<()> {
        let (host, own) = (Platform::host(), &found.platform);
        match wanted {
            Some(wanted) if own.satisfies(wanted) => Ok(()),
            Some(wanted) => Err(Error::new(
                Kind::Mismatch,
                format!(
                    "image with reference {image} was found but its platform ({own}) does not \
                     match the specified platform ({wanted})"
                ),
            )
            .hint(format!("it is for {}", platforms::all(found)))),
            None if own.is_native_on(&host) || check_platform(Some(own)).is_err() => Ok(()),
            None => {
                self.notify(
                    format!(
                        "the requested image's platform ({own}) does not match the detected host \
                         platform ({host}) and no specific platform was requested"
                    ),
                    None,
                );
                Ok(())
            }
        }
    }

    fn run_container(
        &self,
        request: &RunRequest,
        config: &ExecParameters,
        mut inherited: InheritedMounts,
    ) -> Result<ContainerRequest> {
        let options = &request.options;
        let network = options.network.unwrap_or_default();
        options.isolation.check(network, options.hostname.as_ref())?;
        let mut isolation = options.isolation.clone();
        let names = self.name_neighbors(&mut isolation)?;
        isolation.domain = isolation.domain.or(names.domain);
        let network = match isolation.network_of {
            Some(_) => NetworkNamespace::Joined,
            None => network.into(),
        };
        let mut variables = Variables::default();
        if request.terminal.is_new() {
            variables.set("TERM", TERM);
        }
        variables.add_image(&config.env);
        variables
            .add_options((&options.environment_files, &options.environment), &self.settings)?;
        let user = match &options.user {
            Some(user) => user.clone(),
            None => config.user.parse()?,
        };
        let mounts = with_image_volumes(&options.mounts, &mut inherited, &config.volumes)?;
        let (command, entrypoint) = command(request, config)?;
        let (probed, flags) = (config.healthcheck.as_ref(), &request.lifecycle.health);
        Ok(ContainerRequest {
            rootfs: Rootfs::Image(request.image.clone()),
            platform: request.platform.clone(),
            commands: vec![command],
            entrypoint,
            environment: variables.into_pairs(),
            locales: Vec::new(),
            terminal_types: Vec::new(),
            working_directory: working_directory(options, config),
            user,
            mounts,
            inherited: inherited.inherited,
            hostname: options.hostname.clone().or(names.hostname),
            network,
            terminal: request.terminal,
            input_stays_open: false,
            init: request.init,
            read_only: options.read_only,
            limits: options.limits(&[]),
            resources: limits::checked(&options.resources)?,
            shm_size: options.shm_size.unwrap_or(SHM_SIZE),
            capabilities: options.capabilities(),
            security: options.security.clone(),
            isolation,
            health: health::merge(probed, flags, config.shell.as_deref())?,
            healthcheck: health::asked(probed, flags),
            name: request.name.clone(),
            keep: request.keep,
            keep_descriptors: Vec::new(),
        })
    }
}

/// docker's rule: an entrypoint that is given takes the image's command away.
/// With the command, how many of its words are the entrypoint.
fn command(request: &RunRequest, config: &ExecParameters) -> Result<(Vec<String>, usize)> {
    let image = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (mut words, default) = match &request.entrypoint {
        Some(program) if program.is_empty() => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.clone()], Vec::new()),
        None => (image(&config.entrypoint), image(&config.cmd)),
    };
    let entrypoint = words.len();
    words.extend(if request.command.is_empty() { default } else { request.command.clone() });
    if words.is_empty() {
        return Err(Error::invalid(format!(
            "no command specified, and {} has none",
            request.image
        ))
        .hint(format!("give one: envbox run {} /bin/sh", request.image)));
    }
    Ok((words, entrypoint))
}

fn working_directory(options: &ContainerOptions, config: &ExecParameters) -> PathBuf {
    match &options.working_directory {
        Some(path) => path.clone(),
        None if config.working_dir.is_empty() => PathBuf::from("/"),
        None => PathBuf::from(&config.working_dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn puts_entrypoint_and_command_together_as_docker_does() {
        let config = ExecParameters {
            entrypoint: Some(strings(&["/init"])),
            cmd: Some(strings(&["serve"])),
            ..ExecParameters::default()
        };
        let words = |entrypoint: Option<&str>, given: &[&str]| {
            let request = RunRequest {
                image: "x".into(),
                command: strings(given),
                entrypoint: entrypoint.map(str::to_owned),
                options: ContainerOptions::default(),
                terminal: Terminal::NoInput,
                init: false,
                name: None,
                platform: None,
                keep: false,
                lifecycle: LifecycleOptions::default(),
            };
            command(&request, &config).map(|(words, _)| words)
        };
        assert_eq!(words(None, &[]).unwrap(), strings(&["/init", "serve"]));
        assert_eq!(words(None, &["x"]).unwrap(), strings(&["/init", "x"]));
        assert_eq!(words(Some("/bin/ls"), &[]).unwrap(), strings(&["/bin/ls"]));
        assert_eq!(words(Some("/bin/ls"), &["-l"]).unwrap(), strings(&["/bin/ls", "-l"]));
        assert_eq!(words(Some(""), &["ls"]).unwrap(), strings(&["ls"]));
        assert!(words(Some(""), &[]).unwrap_err().chain().contains("no command"));
    }
}
