//! docker's `NetworkSettings`: a container has no network of envbox's, and so
//! neither address nor port; which mode it has is told.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::runtime::spec::NetworkNamespace;

/// The fields in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Network {
    bridge: &'static str,
    ports: BTreeMap<String, Value>,
    #[serde(flatten)]
    address: Address,
    networks: BTreeMap<&'static str, Address>,
}

/// No address.
#[derive(Default, Serialize)]
struct Address {
    #[serde(rename = "Gateway")]
    gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_length: u8,
    #[serde(rename = "IPAddress")]
    ip_address: &'static str,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_length: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "MacAddress")]
    mac_address: &'static str,
}

impl Network {
    pub(super) fn new(network: NetworkNamespace) -> Self {
        Self {
            bridge: "",
            ports: BTreeMap::new(),
            address: Address::default(),
            networks: match network {
                NetworkNamespace::Joined => BTreeMap::new(),
                _ => BTreeMap::from([(mode(network), Address::default())]),
            },
        }
    }
}

/// docker's word for it.
pub(in crate::cli) fn mode(network: NetworkNamespace) -> &'static str {
    match network {
        NetworkNamespace::Isolated => "none",
        NetworkNamespace::Host => "host",
        // docker's list has no network then.
        NetworkNamespace::Joined => "",
    }
}
