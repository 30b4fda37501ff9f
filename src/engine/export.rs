//! `envbox export`: the root filesystem of a container, or of an image, as one
//! canonical tar, which `import` takes again.

use std::io::Write;

use crate::error::{Error, Kind, Result};
use crate::image::{self, ExcludeSet, ImportOptions, Report};
use crate::mount::{Lower, Mount, Overlay, TreeCopy};
use crate::store::{ContainerRecord, ImageRecord, Store};

use super::{Engine, ExcludeOptions, TarOutput, driver, save};

/// What is to be exported, and how.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// A kept container, else an image.
    pub source: String,
    /// What is left out.
    pub excludes: ExcludeOptions,
}

impl Engine {
    /// Exports the root filesystem of `request`; says what a tar cannot hold.
    ///
    /// # Errors
    /// `NotFound`; those of reading and of the output.
    pub fn export(&self, request: &ExportRequest, output: TarOutput<'_>) -> Result<Report> {
        let patterns = self.exclude_patterns(&request.excludes, false)?;
        let options = ImportOptions {
            excludes: ExcludeSet::parse(patterns.iter().map(Vec::as_slice))?,
            epoch: self.settings.epoch,
            ..ImportOptions::default()
        };
        output.fill(&self.settings, |output| self.write_rootfs(&request.source, &options, output))
    }

    fn write_rootfs(
        &self,
        name: &str,
        options: &ImportOptions,
        output: &mut dyn Write,
    ) -> Result<Report> {
        // Files may belong to IDs that only the user namespace may read.
        self.host()?;
        self.store_with("container or image", name)?;
        let store = self.store()?;
        match store.container(name) {
            Ok(container) => self.write_container(store, &container, (options, output)),
            Err(error) if error.kind() == Kind::NotFound => match store.resolve(name) {
                Ok(image) => self.write_image(store, &image, (options, output)),
                Err(error) if error.kind() == Kind::NotFound => {
                    Err(Error::not_found(format!("no such container or image: {name}"))
                        .hint("list them with `envbox ps -a` and `envbox images`"))
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn write_container(
        &self,
        store: &Store,
        container: &ContainerRecord,
        to: (&ImportOptions, &mut dyn Write),
    ) -> Result<Report> {
        // Nobody converts the layers while they are read.
        store.while_held(&store.stack(container.chain)?, || {
            self.write_mounted(&read_only(store.container_mount(&container.id)?), to)
        })
    }

    fn write_image(
        &self,
        store: &Store,
        image: &ImageRecord,
        to: (&ImportOptions, &mut dyn Write),
    ) -> Result<Report> {
        // Nobody takes the layers away while they are read.
        store.while_held(&image.layers, || match image.layers[..] {
            // Beside it may lie what its tree or index could not hold.
            [chain] => {
                let location = store.layer(chain)?;
                let overrides = save::layer(store, chain)?.overrides;
                image::write_layer((&driver::open_layer(&location)?, &overrides), to.0, to.1)
            }
            _ => image::write_canonical(self.view(image.chain())?.root(), to.0, to.1),
        })
    }

    fn write_mounted(
        &self,
        mount: &Mount,
        (options, output): (&ImportOptions, &mut dyn Write),
    ) -> Result<Report> {
        image::write_canonical(&self.open_root(mount)?, options, output)
    }
}

/// The same tree without a place to write to: two mounts must not share one
/// (overlayfs, "Sharing and copying layers"), and the container may run.
pub(super) fn read_only(mount: Mount) -> Mount {
    match mount {
        Mount::Bind { source, .. } => Mount::Bind { source, read_only: true },
        Mount::Archive(archive) => Mount::Archive(archive),
        Mount::Copy(copy) => Mount::Copy(TreeCopy { read_only: true, ..copy }),
        Mount::Overlay(Overlay { mut lower, upper }) => {
            lower.splice(0..0, upper.map(|written| Lower::Directory(written.upper)));
            Mount::Overlay(Overlay { lower, upper: None })
        }
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
