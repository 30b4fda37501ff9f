//! What containers have beside their files, for lists that show it or choose
//! by it. It is looked up for all of them at once, and only where it is asked
//! for: every record has to be understood whole.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::id::ContainerId;
use crate::runtime::spec::NetworkNamespace;
use crate::store::VolumeUse;

use super::super::running;
use super::super::{Engine, MountPoint};
use super::kept::KeptSpec;

/// What a container has beside its files.
#[derive(Clone, Debug, Default)]
pub struct ContainerResources {
    /// What it has mounted, but for what is in memory.
    pub mounts: Vec<MountPoint>,
    /// Its network; none of a container that an older envbox made.
    pub network: Option<NetworkNamespace>,
}

impl ContainerResources {
    /// Whether a volume of this name, or something of this path of the host's,
    /// is mounted, or anything at this path of the container.
    pub(super) fn has_volume(&self, text: &str) -> bool {
        self.mounts.iter().any(|point| {
            let is_source = match &point.volume {
                Some(name) => name.as_str() == text,
                None => point.source.as_os_str() == text,
            };
            is_source || point.destination == text
        })
    }
}

impl Engine {
    /// What every container has, by its ID.
    ///
    /// # Errors
    /// Those of the store and of the run directory.
    pub fn container_resources(&self) -> Result<BTreeMap<ContainerId, ContainerResources>> {
        let mut uses: BTreeMap<ContainerId, Vec<VolumeUse>> = BTreeMap::new();
        let mut specs = BTreeMap::new();
        if let Some(store) = self.existing_store()? {
            for user in store.volume_users()? {
                uses.entry(user.container).or_default().push(user.used);
            }
            for record in store.containers()? {
                specs.insert(record.id.clone(), (KeptSpec::of(&record), record.name));
            }
        }
        for running in running::list(&self.settings.store.run)? {
            let spec = || (KeptSpec::of_running(&running), running.name.clone());
            specs.entry(running.id.clone()).or_insert_with(spec);
        }
        let mut all = BTreeMap::new();
        for (id, (spec, name)) in specs {
            let resources = match spec.request(name.as_str()) {
                Err(_) => ContainerResources::default(),
                Ok(request) => {
                    let own = uses.get(&id).map(Vec::as_slice).unwrap_or_default();
                    let mounts = self.mount_points(&request, own)?;
                    ContainerResources { mounts, network: Some(request.network) }
                }
            };
            all.insert(id, resources);
        }
        Ok(all)
    }
}
