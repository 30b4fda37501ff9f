//! `envbox cp`: files into a container and out of it.
//!
//! The container's side is its own root, opened by descriptor; every path in
//! it is resolved by openat2(2) with `RESOLVE_IN_ROOT`, and every member of what
//! is copied is read and made by its name in an open directory, never through
//! a symbolic link. So nothing that a process inside swaps meanwhile leads out
//! (CVE-2018-15664), and no program or library of the container's is loaded
//! (CVE-2019-14271). Which root that is, is told in `tree`.

mod place;
mod tree;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs::{FileKind, Owner, Rootfs};
use crate::image::{self, Transferred};

use super::Engine;
use place::{Destination, Host, Source};
use tree::Access;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// A path in a container, from its root.
    Container {
        /// Its name, its ID or the beginning of that.
        name: String,
        /// What is in it.
        path: PathBuf,
    },
    /// A path of the caller's.
    Host(PathBuf),
    /// A tar on stdin or to the output.
    Stream,
}

/// What is to be copied.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// From here.
    pub from: CopyEnd,
    /// To there.
    pub to: CopyEnd,
    /// Keep the numbers of users and groups; else all belongs to root in a
    /// container, and to the caller outside.
    pub archive: bool,
    /// Copy what a symbolic link points to rather than the link.
    pub follow: bool,
}

/// root, in whatever user namespace this is.
const ROOT: Owner = Owner { uid: 0, gid: 0 };

impl Engine {
    /// Copies by docker's rules; a tar goes to `output`.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for ends that do not fit each other; those of
    /// reading and writing; `Unavailable` of a container that has gone
    /// meanwhile. What was copied before one stays.
    pub fn copy(&self, request: &CopyRequest, output: &mut dyn Write) -> Result<Transferred> {
        match (&request.from, &request.to) {
            (CopyEnd::Container { .. }, CopyEnd::Container { .. }) => Err(Error::invalid(
                "copying between containers is not supported",
            )
            .hint("copy to the host first, or pipe: envbox cp A:PATH - | envbox cp - B:DIRECTORY")),
            (CopyEnd::Container { name, path }, to) => {
                let tree = self.container_tree(name, Access::Read)?;
                let copied =
                    copy_out((&tree.rootfs, name, path), (to, self.host_side()), (request, output));
                tree.finish(copied)
            }
            (from, CopyEnd::Container { name, path }) => {
                let tree = self.container_tree(name, Access::Write)?;
                let owner = (!request.archive).then_some(ROOT);
                let copied =
                    copy_in((from, self.host_side()), (&tree.rootfs, path), (request, owner))?;
                if let Some(store) = self.existing_store()? {
                    store.record_event(&tree.extracted(path))?;
                }
                tree.finish(Ok(copied))
            }
            _ => Err(Error::invalid("one end of a copy is a container")
                .hint("give it as CONTAINER:PATH")),
        }
    }

    fn host_side(&self) -> Host<'_> {
        Host { working_directory: &self.settings.working_directory }
    }
}

fn copy_out(
    (root, name, path): (&Rootfs, &str, &Path),
    (to, host): (&CopyEnd, Host<'_>),
    (request, output): (&CopyRequest, &mut dyn Write),
) -> Result<Transferred> {
    let source = Source::find(root, path, request.follow)
        .map_err(|error| missing_inside(error, name, path))?;
    let CopyEnd::Host(to) = to else {
        return image::write_part((&source.dir, source.part(&source.base)), output);
    };
    let destination = Destination::find(&host, to)?;
    if let Some(kind) = destination.found
        && !matches!(kind, FileKind::Directory | FileKind::Regular)
    {
        return Err(Error::invalid(format!(
            "{} is neither a directory nor a regular file",
            to.display()
        )));
    }
    let caller = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    onto(&source, (&destination, to), (!request.archive).then_some(caller))
}

fn copy_in(
    (from, host): (&CopyEnd, Host<'_>),
    (root, to): (&Rootfs, &Path),
    (request, owner): (&CopyRequest, Option<Owner>),
) -> Result<Transferred> {
    let destination = Destination::find(root, to)?;
    let CopyEnd::Host(from) = from else {
        let Some(target) = destination.directory()? else {
            return Err(Error::invalid(format!(
                "a tar is copied into a directory, which {} in the container is not",
                to.display()
            )));
        };
        return image::apply_upon(Box::new(std::io::stdin()), &target, owner);
    };
    let source = Source::find(&host, from, request.follow)?;
    onto(&source, (&destination, to), owner)
}

/// docker's rules of what a copy is called at its destination.
fn onto(
    source: &Source,
    (destination, shown): (&Destination, &Path),
    owner: Option<Owner>,
) -> Result<Transferred> {
    if let Some(target) = destination.directory()? {
        let part = source.part(&source.base);
        return image::transfer((&source.dir, part), &target, owner);
    }
    match destination.found {
        Some(_) if source.is_dir => {
            return Err(Error::invalid(format!(
                "cannot copy a directory to the file {}",
                shown.display()
            )));
        }
        Some(_) if destination.wants_dir => {
            return Err(Error::invalid(format!("{} is not a directory", shown.display())));
        }
        None if destination.wants_dir && !source.is_dir => {
            return Err(Error::not_found(format!(
                "the destination directory {} does not exist",
                shown.display()
            ))
            .hint("make it first, or leave out the slash to give the file that name"));
        }
        _ => {}
    }
    let part = source.part(&destination.name);
    image::transfer((&source.dir, part), &destination.dir, owner)
}

fn missing_inside(error: Error, name: &str, path: &Path) -> Error {
    match error.kind() {
        Kind::NotFound => Error::not_found(format!(
            "could not find the file {} in container {name}",
            Path::new("/").join(path).display()
        )),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
