//! What a user can ask for, one file each; composes the floors below and
//! returns data. It neither prints nor reads the environment: a server could
//! stand beside the cli and offer the same.

mod attach;
mod bundle;
mod cdi;
mod changes;
mod check;
mod commit;
mod containers;
mod copy;
mod devices;
mod diff;
mod disk_usage;
mod driver;
mod environment;
mod events;
mod excludes;
mod exec;
mod export;
mod fallback;
mod held;
mod history;
mod host;
mod image_config;
mod image_diff;
mod images;
mod import;
mod inspect;
mod launch;
mod lifecycle;
mod limits;
mod load;
mod logs;
mod migrate;
mod mounted;
mod neighbors;
pub mod options;
mod platforms;
pub mod profile;
mod profiles;
pub mod project;
mod prune;
mod reader;
mod remove_image;
mod request;
mod run;
mod running;
mod save;
mod settings;
mod shell;
mod stats;
mod tag;
mod tar_output;
mod top;
mod tree;
mod users;
mod verify;
mod volumes;

use std::cell::OnceCell;

use crate::error::{Error, Kind, Result};
use crate::store::Store;

pub use commit::{CommitOutcome, CommitRequest, Pausing};
pub use containers::{ContainerStatus, ContainerSummary};
pub use copy::{CopyEnd, CopyRequest};
pub use diff::{Change, ChangeKind};
pub use disk_usage::{ContainerDisk, DiskUsage, ImageDisk, VolumeDisk};
pub use events::{EventFilter, EventReader, EventRequest};
pub use excludes::ExcludeOptions;
pub use exec::ExecRequest;
pub use export::ExportRequest;
pub use history::HistoryStep;
pub use host::Host;
pub use image_diff::{
    Aspect, FileFound, ImageDiff, ImageDiffRequest, ParameterChange, PathChange, Times,
};
pub use images::{ImageFilter, NamePattern};
pub use import::{ImportOutcome, ImportRequest, ImportSource, ImportStart};
pub use inspect::{ContainerDetails, ContainerSize, ImageDetails, Inspected, ObjectKind, Sizes};
pub use launch::Ended;
pub use lifecycle::{
    Attach, ContainerFilter, ContainerResources, ContainerUpdate, Label, Launched,
    LifecycleOptions, PrunedContainers, RemoveRunning, StartedContainer, StatusFilter, StopOptions,
};
#[doc(hidden)]
pub use load::read_archive;
pub use load::{LoadRequest, Loaded, LoadedImage};
pub use logs::ContainerLogs;
pub use platforms::NamedImages;
pub use profiles::ProfileSummary;
pub use prune::{ImageScope, PruneFilter, Pruned, PrunedImages, SystemPrune};
pub use request::{ContainerOptions, ContainerRequest, Terminal};
pub use run::RunRequest;
pub use save::{SaveRequest, SaveTarget};
pub use settings::Settings;
pub use shell::ShellRequest;
pub use stats::{ContainerUse, Measured};
pub use tar_output::TarOutput;
pub use top::{PrintedProcesses, ProcessSummary};
pub use verify::{VerifiedImage, VerifyScope};
pub use volumes::{
    MountOrigin, MountPoint, OwnVolumes, PruneScope, PrunedVolumes, VolumeDetails, VolumeFilter,
    VolumeRequest, VolumesFrom,
};

/// Something that the user should know and that is no error.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What is so.
    pub message: String,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
}

/// The engine, for one command.
pub struct Engine {
    settings: Settings,
    host: OnceCell<Host>,
    store: OnceCell<Store>,
    notify: Box<dyn Fn(&Notice)>,
}

impl Engine {
    /// An engine that has touched nothing yet. `notify` is called for what
    /// the user should know while a command runs.
    pub fn new(settings: Settings, notify: Box<dyn Fn(&Notice)>) -> Self {
        Self { settings, host: OnceCell::new(), store: OnceCell::new(), notify }
    }

    fn notify(&self, message: String, hint: Option<&str>) {
        (self.notify)(&Notice { message, hint: hint.map(str::to_owned) });
    }

    /// What the engine was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How this process may act: root as it is, anybody else as root of a
    /// user namespace, which is entered at the first call. Must come before
    /// any thread starts.
    ///
    /// # Errors
    /// Each obstacle by its name.
    pub fn host(&self) -> Result<&Host> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let host = Host::prepare(&self.settings)?;
        Ok(self.host.get_or_init(|| host))
    }

    /// The store, for commands that change it; created if missing.
    ///
    /// # Errors
    /// Those of [`Engine::host`] and [`Store::open`].
    pub fn store(&self) -> Result<&Store> {
        self.host()?;
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.settings.store)?;
        let store = store.with_driver(self.settings.storage_driver);
        Ok(self.store.get_or_init(|| store))
    }

    /// The store, for commands that only read; `None` if there is none yet.
    ///
    /// # Errors
    /// Those of [`Store::open_existing`].
    pub fn existing_store(&self) -> Result<Option<&Store>> {
        if self.store.get().is_none()
            && let Some(store) = Store::open_existing(&self.settings.store)?
        {
            let store = store.with_driver(self.settings.storage_driver);
            return Ok(Some(self.store.get_or_init(|| store)));
        }
        Ok(self.store.get())
    }

    /// The store of a command that names something in it.
    fn store_with(&self, what: &str, name: &str) -> Result<&Store> {
        self.existing_store()?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no such {what}: {name}"))
                .hint("there is no image yet: envbox import DIRECTORY NAME")
        })
    }
}
