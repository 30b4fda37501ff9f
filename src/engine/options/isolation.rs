//! What opens or closes a container beyond the options that `shell` has too:
//! names, settings, namespaces and devices, as one value that is kept with it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::annotation::Annotation;
use super::device::DeviceOption;
use super::dns::{NameServer, ResolverOption, SearchDomain};
use super::extra_host::ExtraHost;
use super::gpus::GpuOption;
use super::hostname::Hostname;
use super::namespace::{IpcMode, Neighbor, PidMode, UtsMode};
use super::network::NetworkMode;
use super::sysctl::{Owner, Sysctl};
use super::user::Principal;
use crate::error::{Error, Result};

/// The options; each list in the order in which it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IsolationOptions {
    /// `--annotation`.
    pub annotations: Vec<Annotation>,
    /// `--add-host`.
    pub extra_hosts: Vec<ExtraHost>,
    /// `--dns`.
    pub name_servers: Vec<NameServer>,
    /// `--dns-search`.
    pub search_domains: Vec<SearchDomain>,
    /// `--dns-option`.
    pub resolver_options: Vec<ResolverOption>,
    /// `--domainname`.
    pub domain: Option<Hostname>,
    /// `--group-add`.
    pub groups: Vec<Principal>,
    /// `--sysctl`.
    pub sysctls: Vec<Sysctl>,
    /// `--ipc`.
    pub ipc: IpcMode,
    /// `--pid`.
    pub pid: PidMode,
    /// `--network container:`, in whose place there is no mode.
    pub network_of: Option<Neighbor>,
    /// `--uts`.
    pub uts: UtsMode,
    /// `--device`.
    pub devices: Vec<DeviceOption>,
    /// `--gpus`.
    pub gpus: Vec<GpuOption>,
    /// `--privileged`.
    pub privileged: bool,
}

impl IsolationOptions {
    /// Refuses what contradicts itself, in docker's and runc's words.
    ///
    /// # Errors
    /// `Invalid`, with both options.
    pub fn check(&self, network: NetworkMode, hostname: Option<&Hostname>) -> Result<()> {
        if self.uts == UtsMode::Host && (hostname.is_some() || self.domain.is_some()) {
            return Err(Error::invalid("conflicting options: hostname and the UTS mode")
                .hint("leave --uts host out, or --hostname and --domainname"));
        }
        self.check_joined_network(hostname)?;
        for sysctl in &self.sysctls {
            let (shared, place) = match sysctl.owner() {
                Owner::Network => (network == NetworkMode::Host, "network"),
                Owner::Ipc => (self.ipc == IpcMode::Host, "ipc"),
            };
            if shared {
                return Err(changes_host(sysctl, place));
            }
        }
        Ok(())
    }

    /// The names of another container's network are that one's, in docker's
    /// words.
    fn check_joined_network(&self, hostname: Option<&Hostname>) -> Result<()> {
        if self.network_of.is_none() {
            return Ok(());
        }
        let resolver = self.name_servers.len() + self.search_domains.len();
        let conflicts = [
            (hostname.is_some() || self.domain.is_some(), "hostname"),
            (resolver + self.resolver_options.len() > 0, "dns"),
            (!self.extra_hosts.is_empty(), "custom host-to-IP mapping"),
        ];
        match conflicts.iter().find(|(is_there, _)| *is_there) {
            None => Ok(()),
            Some((_, what)) => {
                Err(Error::invalid(format!("conflicting options: {what} and the network mode"))
                    .hint("the other container's names hold in its network: set them there"))
            }
        }
    }
}

/// The refusal of a setting where the namespace that has it is the host's.
pub fn changes_host(sysctl: &Sysctl, place: &str) -> Error {
    let name = sysctl.name();
    Error::invalid(format!("sysctl \"{name}\" not allowed in host {place} namespace"))
        .hint("it would change the host: set it there, as root")
}

/// Keeps types as the text that they print and parse.
macro_rules! keep_as_text {
    ($($type:ty),* $(,)?) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
                }
            }
        )*
    };
}

keep_as_text!(
    Annotation,
    DeviceOption,
    ExtraHost,
    GpuOption,
    IpcMode,
    NameServer,
    Neighbor,
    PidMode,
    Principal,
    ResolverOption,
    SearchDomain,
    Sysctl,
    UtsMode,
);

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.chain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_and_comes_back() {
        let all = IsolationOptions {
            annotations: vec!["a=b".parse().unwrap()],
            extra_hosts: vec!["six:[::1]".parse().unwrap()],
            name_servers: vec!["::1".parse().unwrap()],
            search_domains: vec![".".parse().unwrap()],
            resolver_options: vec!["ndots:2".parse().unwrap()],
            domain: Some("example.org".parse().unwrap()),
            groups: vec!["12".parse().unwrap(), "audio".parse().unwrap()],
            sysctls: vec!["net/ipv4/conf/a.b/mtu=9".parse().unwrap()],
            ipc: IpcMode::None,
            pid: PidMode::Container(Neighbor::new("x")),
            network_of: Some(Neighbor::new("y")),
            uts: UtsMode::Host,
            devices: vec!["/dev/fuse:/dev/x:rw".parse().unwrap(), "a.b/c=d".parse().unwrap()],
            gpus: vec!["\"device=0,1\"".parse().unwrap()],
            privileged: true,
        };
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<IsolationOptions>(&json).unwrap(), all, "{json}");
        let none: IsolationOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(none, IsolationOptions::default());
        assert!(serde_json::from_str::<IsolationOptions>(r#"{"ipc":"x"}"#).is_err());
    }

    #[test]
    fn refuses_what_would_change_the_host() {
        let name: Hostname = "x".parse().unwrap();
        let none = IsolationOptions::default();
        assert!(none.check(NetworkMode::Host, Some(&name)).is_ok());
        let uts = IsolationOptions { uts: UtsMode::Host, ..none.clone() };
        assert!(uts.check(NetworkMode::None, None).is_ok());
        assert!(uts.check(NetworkMode::None, Some(&name)).is_err());
        let set = |text: &str| vec![text.parse::<Sysctl>().unwrap()];
        let net = IsolationOptions { sysctls: set("net.x=1"), ..none.clone() };
        assert!(net.check(NetworkMode::None, None).is_ok());
        assert!(net.check(NetworkMode::Host, None).is_err());
        let ipc = IsolationOptions { sysctls: set("kernel.sem=1"), ipc: IpcMode::Host, ..none };
        let error = ipc.check(NetworkMode::None, None).unwrap_err();
        assert_eq!(error.chain(), "sysctl \"kernel.sem\" not allowed in host ipc namespace");
    }

    #[test]
    fn names_do_not_go_with_another_containers_network() {
        let name: Hostname = "x".parse().unwrap();
        let joined =
            IsolationOptions { network_of: Some(Neighbor::new("y")), ..Default::default() };
        assert!(joined.check(NetworkMode::None, None).is_ok());
        let chain = |options: &IsolationOptions, name| {
            options.check(NetworkMode::None, name).unwrap_err().chain()
        };
        let words = "conflicting options: hostname and the network mode";
        assert_eq!(chain(&joined, Some(&name)), words);
        let named =
            IsolationOptions { name_servers: vec!["::1".parse().unwrap()], ..joined.clone() };
        assert_eq!(chain(&named, None), "conflicting options: dns and the network mode");
        let hosts = IsolationOptions { extra_hosts: vec!["a:1.2.3.4".parse().unwrap()], ..joined };
        let words = "conflicting options: custom host-to-IP mapping and the network mode";
        assert_eq!(chain(&hosts, None), words);
    }
}
