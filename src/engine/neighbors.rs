//! Other containers whose namespaces one shares: `--network`, `--ipc` and `--pid`
//! with `container:NAME`. When it is made their names become IDs; when it starts
//! they have to run, and are held by their first processes.
//!
//! The containers of an ordinary user have a user namespace each, and nobody
//! joins a namespace of another user namespace: so a container is started in the
//! one of its neighbor, which has to be entered before any other is.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::runtime::join::{Doors, Target};
use crate::runtime::spec::{IpcNamespace, NetworkNamespace, PidNamespace};
use crate::sys::process::Namespaces;

use super::lifecycle::{Found, KeptSpec, not_running};
use super::options::hostname::Hostname;
use super::options::isolation::{IsolationOptions, changes_host};
use super::options::namespace::{IpcMode, Neighbor, PidMode, UtsMode};
use super::options::sysctl::Owner;
use super::request::ContainerRequest;
use super::running::Running;
use super::{Engine, Host};

/// No file of names is longer.
const MAX_SIZE: u64 = 1 << 20;

/// The names that a container has from the one whose network it shares.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The host name.
    pub hostname: Option<Hostname>,
    /// The NIS domain name.
    pub domain: Option<Hostname>,
}

impl Engine {
    /// Puts IDs in the place of names in `isolation`.
    ///
    /// # Errors
    /// `NotFound` for a container that is not there.
    pub(super) fn name_neighbors(&self, isolation: &mut IsolationOptions) -> Result<Names> {
        let whole = |neighbor: &mut Neighbor| -> Result<Found> {
            let found = self.find_container(neighbor.as_str())?;
            *neighbor = Neighbor::new(found.id.as_str());
            Ok(found)
        };
        if let IpcMode::Container(neighbor) = &mut isolation.ipc {
            whole(neighbor)?;
        }
        if let PidMode::Container(neighbor) = &mut isolation.pid {
            whole(neighbor)?;
        }
        let Some(neighbor) = &mut isolation.network_of else { return Ok(Names::default()) };
        let found = whole(neighbor)?;
        let request = request(&found)?;
        let hostname = match request.hostname {
            Some(own) => own.as_str().to_owned(),
            None if request.isolation.uts == UtsMode::Host => {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            }
            None => found.id.short().to_owned(),
        };
        // A name of the host's that is none leaves the container its own.
        Ok(Names { hostname: hostname.parse().ok(), domain: request.isolation.domain })
    }

    /// Enters the user namespace of the containers that `isolation` names, if it
    /// names any and this process is in none yet. Must come before
    /// [`Engine::host`].
    ///
    /// # Errors
    /// Those of [`Engine::open_neighbors`] and of entering.
    pub(super) fn enter_beside(&self, isolation: &IsolationOptions) -> Result<()> {
        if self.host.get().is_some() {
            return Ok(());
        }
        let doors = self.find_doors(isolation)?;
        if let Some(target) = [&doors.network, &doors.ipc, &doors.pid].into_iter().flatten().next()
        {
            let host = Host::prepare_beside(&self.settings, target)?;
            self.host.get_or_init(|| host);
        }
        Ok(())
    }

    /// Holds the containers that `isolation` names, to join their namespaces.
    ///
    /// # Errors
    /// `NotFound` and `InUse` for one that is not there, or does not run;
    /// `Invalid` for one whose namespace is not to be shared; `Unsupported` for
    /// one in another user namespace than this process.
    pub(super) fn open_neighbors(&self, isolation: &IsolationOptions) -> Result<Doors> {
        let doors = self.find_doors(isolation)?;
        for target in [&doors.network, &doors.ipc, &doors.pid].into_iter().flatten() {
            if target.has_other_users()? {
                return Err(other_users());
            }
        }
        let host_network =
            doors.network.as_ref().is_some_and(|target| !target.is_apart(Namespaces::NETWORK));
        let host_ipc = doors.ipc.as_ref().is_some_and(|target| !target.is_apart(Namespaces::IPC));
        for sysctl in &isolation.sysctls {
            match sysctl.owner() {
                Owner::Network if host_network => return Err(changes_host(sysctl, "network")),
                Owner::Ipc if host_ipc => return Err(changes_host(sysctl, "ipc")),
                _ => {}
            }
        }
        Ok(doors)
    }

    fn find_doors(&self, isolation: &IsolationOptions) -> Result<Doors> {
        let network = isolation.network_of.as_ref().map(|neighbor| {
            self.hold(neighbor)?.map(|(_, target)| target).ok_or_else(|| {
                let id = neighbor.as_str();
                Error::new(
                    Kind::InUse,
                    format!("cannot join network of a non running container: {id}"),
                )
                .hint(format!("start it: envbox start {id}"))
            })
        });
        let pid = match &isolation.pid {
            PidMode::Container(neighbor) => Some(self.hold_running(neighbor)?.1),
            PidMode::Private | PidMode::Host => None,
        };
        let ipc = match &isolation.ipc {
            IpcMode::Container(neighbor) => {
                let (found, target) = self.hold_running(neighbor)?;
                check_shareable(&found)?;
                Some(target)
            }
            _ => None,
        };
        Ok(Doors { network: network.transpose()?, ipc, pid })
    }

    /// The container, and its first process; `None` if it does not run.
    fn hold(&self, neighbor: &Neighbor) -> Result<Option<(Found, Target)>> {
        let found = self.find_container(neighbor.as_str())?;
        let target = match found.running.as_ref().and_then(Running::first_process) {
            Some(id) => Target::open(id).map_err(|error| {
                // From one user namespace nobody looks into another.
                let entered = self.host.get().is_some() && !self.settings.is_root();
                if entered && error.kind() == Kind::Denied { other_users() } else { error }
            })?,
            None => None,
        };
        Ok(target.map(|target| (found, target)))
    }

    fn hold_running(&self, neighbor: &Neighbor) -> Result<(Found, Target)> {
        self.hold(neighbor)?.ok_or_else(|| not_running(neighbor.as_str()))
    }
}

fn other_users() -> Error {
    Error::unsupported("cannot join a container in another user namespace").hint(
        "start this one by a command of its own; of several containers to join, let one join the \
         other",
    )
}

/// docker's rule: only who was made for it is joined.
fn check_shareable(found: &Found) -> Result<()> {
    match request(found)?.isolation.ipc {
        IpcMode::Shareable | IpcMode::Host | IpcMode::Container(_) => Ok(()),
        IpcMode::Private | IpcMode::None => Err(Error::invalid(format!(
            "cannot join IPC of container {}: non-shareable IPC",
            found.id
        ))
        .hint("make that container with --ipc shareable")),
    }
}

/// What `found` was asked to be.
fn request(found: &Found) -> Result<ContainerRequest> {
    let spec = match (&found.record, &found.running) {
        (Some(record), _) => KeptSpec::of(record),
        (None, Some(running)) => KeptSpec::of_running(running),
        (None, None) => KeptSpec::default(),
    };
    spec.request(found.name.as_str())
}

/// The namespaces of `request`. A neighbor that shares one with the host leads to
/// the host's.
pub(super) fn namespaces(
    request: &ContainerRequest,
    doors: &Doors,
) -> (NetworkNamespace, IpcNamespace, PidNamespace) {
    let apart = |door: &Option<Target>, namespace| {
        door.as_ref().is_some_and(|target| target.is_apart(namespace))
    };
    let network = match request.network {
        NetworkNamespace::Joined if !apart(&doors.network, Namespaces::NETWORK) => {
            NetworkNamespace::Host
        }
        network => network,
    };
    let ipc = match &request.isolation.ipc {
        IpcMode::Private | IpcMode::Shareable => IpcNamespace::Private,
        IpcMode::None => IpcNamespace::None,
        IpcMode::Container(_) if apart(&doors.ipc, Namespaces::IPC) => IpcNamespace::Joined,
        IpcMode::Host | IpcMode::Container(_) => IpcNamespace::Host,
    };
    let pid = match &request.isolation.pid {
        PidMode::Private => PidNamespace::Private,
        PidMode::Container(_) if apart(&doors.pid, Namespaces::PID) => PidNamespace::Joined,
        PidMode::Host | PidMode::Container(_) => PidNamespace::Host,
    };
    (network, ipc, pid)
}

/// The content of a file of `target`'s, if it has it: the other container may
/// have put anything in its place that is its own.
///
/// # Errors
/// Those of opening its root.
pub(super) fn file(target: &Target, path: &str) -> Result<Option<Vec<u8>>> {
    let read = target.rootfs()?.read_file(Path::new(path), MAX_SIZE);
    // What cannot be read there is none.
    Ok(read.ok().flatten())
}
