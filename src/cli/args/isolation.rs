//! The options of `run` and `create` that open or close a container beyond
//! those that `shell` has too.

use clap::Args;

use crate::engine::options::annotation::Annotation;
use crate::engine::options::device::DeviceOption;
use crate::engine::options::dns::{NameServer, ResolverOption, SearchDomain};
use crate::engine::options::extra_host::ExtraHost;
use crate::engine::options::gpus::GpuOption;
use crate::engine::options::hostname::Hostname;
use crate::engine::options::isolation::IsolationOptions;
use crate::engine::options::namespace::{IpcMode, PidMode, UsernsMode, UtsMode};
use crate::engine::options::sysctl::Sysctl;
use crate::engine::options::user::Principal;
use crate::error::Error;

/// Names, settings, namespaces and devices.
#[derive(Args, Debug)]
pub(in crate::cli) struct Isolation {
    /// Add a line to /etc/hosts: NAME:IP
    #[arg(long, value_name = "HOST")]
    pub add_host: Vec<ExtraHost>,
    /// Note something of the container
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub annotation: Vec<Annotation>,
    /// Add a device of the host: HOST[:CONTAINER][:rwm] or a CDI name
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<DeviceOption>,
    /// Ask this name server
    #[arg(long, value_name = "IP")]
    pub dns: Vec<NameServer>,
    /// Set an option of the resolver, as in ndots:2
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<ResolverOption>,
    /// Complete names with this domain; . for none
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<SearchDomain>,
    /// The NIS domain name inside
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<Hostname>,
    /// Add GPUs by CDI: all, a number, or '"device=0,1"'
    #[arg(long, value_name = "GPUS")]
    pub gpus: Vec<GpuOption>,
    /// Add the command to this group: NAME|GID
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<Principal>,
    /// Whose System V IPC and /dev/shm: private, shareable, none, host or
    /// container:NAME
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<IpcMode>,
    /// Whose processes it sees: private, host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub pid: Option<PidMode>,
    /// Give every capability and device, and leave filter and masks out
    #[arg(long)]
    pub privileged: bool,
    /// Set a parameter of the container's kernel: NAME=VALUE
    #[arg(long, value_name = "SETTING")]
    pub sysctl: Vec<Sysctl>,
    /// Whose users: host
    #[arg(long, value_name = "MODE")]
    pub userns: Option<UsernsMode>,
    /// Whose host name: private or host
    #[arg(long, value_name = "MODE")]
    pub uts: Option<UtsMode>,
    /// Refused: no network joins container and host
    #[arg(short, long, value_name = "PORTS", hide = true, value_parser = no_ports)]
    pub publish: Vec<NoPorts>,
    /// Refused, as --publish
    #[arg(
        short = 'P',
        long,
        hide = true,
        num_args = 0,
        default_missing_value = "all",
        value_parser = no_ports
    )]
    pub publish_all: Option<NoPorts>,
}

/// The value that no port has.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum NoPorts {}

fn no_ports(_: &str) -> Result<NoPorts, Error> {
    Err(Error::unsupported("ports cannot be published: no network joins container and host")
        .hint("use --network host, where the container listens on the host itself"))
}

impl Isolation {
    /// The engine's form. `--userns` has one value, which is always the case.
    pub fn into_options(self) -> IsolationOptions {
        IsolationOptions {
            annotations: self.annotation,
            extra_hosts: self.add_host,
            name_servers: self.dns,
            search_domains: self.dns_search,
            resolver_options: self.dns_option,
            domain: self.domainname,
            groups: self.group_add,
            sysctls: self.sysctl,
            ipc: self.ipc.unwrap_or_default(),
            pid: self.pid.unwrap_or_default(),
            network_of: None,
            uts: self.uts.unwrap_or_default(),
            devices: self.device,
            gpus: self.gpus,
            privileged: self.privileged,
        }
    }
}
