//! What a shell has mounted: the profile's, the builddir with its `tmp`, and
//! what was asked for. Under sudo the caller's directories show their files as
//! root's, so that what root writes there belongs to the caller.

use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::engine::options::mount::{
    Bind, MissingSource, MountKind, MountOption, Propagation, Recursion, ShellMount,
};
use crate::engine::profile::Profile;
use crate::engine::request::MountRequest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir, FileKind, Metadata};
use crate::runtime::spec::{HostOwner, Links};

use super::ShellRequest;

impl Engine {
    pub(super) fn shell_mounts(
        &self,
        request: &ShellRequest,
        profile: &Profile,
    ) -> Result<Vec<MountRequest>> {
        let shell = &profile.shell;
        let mut mounts: Vec<MountRequest> = Vec::new();
        for option in shell.mounts.iter().chain(&shell.tmpfs) {
            mounts.push(self.shell_mount(option)?);
        }
        let builddirs = request.mounts.iter().filter(|m| matches!(m, ShellMount::Builddir(_)));
        if builddirs.count() > 1 {
            return Err(Error::invalid("only one directory can be the builddir")
                .hint("mount the others by -v DIRECTORY:TARGET"));
        }
        for mount in &request.mounts {
            match mount {
                ShellMount::Other(option) => mounts.push(self.shell_mount(option)?),
                ShellMount::Builddir(path) => {
                    mounts.extend(self.builddir(&self.settings.absolute(path), profile)?);
                }
            }
        }
        for option in &request.options.mounts {
            mounts.push(self.shell_mount(option)?);
        }
        Ok(mounts)
    }

    fn shell_mount(&self, option: &MountOption) -> Result<MountRequest> {
        let owner = match &option.kind {
            MountKind::Bind(bind) => {
                fs::metadata(&self.settings.absolute(&bind.source))?.and_then(|f| self.owner(&f))
            }
            MountKind::Volume(_) | MountKind::Tmpfs(_) => None,
        };
        Ok(MountRequest { option: option.clone(), owner, links: Links::Follow })
    }

    /// Who ran sudo, if `found` is theirs: root's map is for those who own the
    /// directory. On one of root's own it would show root's files as nobody's.
    fn owner(&self, found: &Metadata) -> Option<HostOwner> {
        self.settings.sudo.filter(|sudo| sudo.uid == found.uid)
    }

    /// The builddir, and its `tmp` where the profile wants it.
    fn builddir(&self, path: &Path, profile: &Profile) -> Result<Vec<MountRequest>> {
        let found = fs::metadata(path)?.ok_or_else(|| {
            Error::not_found(format!("the directory {} does not exist", path.display()))
                .hint(format!("create it: mkdir -p {}", path.display()))
        })?;
        if found.kind != FileKind::Directory {
            return Err(Error::invalid(format!("{} is not a directory", path.display()))
                .hint("name the directory to build in, or mount a file by -v FILE:TARGET"));
        }
        let owner = self.owner(&found);
        let mut mounts = vec![bind(path.to_owned(), &profile.shell.builddir, owner)];
        if let Some(target) = &profile.shell.tmp {
            ensure_tmp(path, owner)?;
            // Who builds there can put a link in its place at any time.
            let tmp = bind(path.join("tmp"), target, owner);
            mounts.push(MountRequest { links: Links::Refuse, ..tmp });
        }
        Ok(mounts)
    }
}

fn bind(source: PathBuf, target: &str, owner: Option<HostOwner>) -> MountRequest {
    let option = MountOption {
        target: target.to_owned(),
        read_only: false,
        kind: MountKind::Bind(Bind {
            source,
            propagation: Propagation::RPrivate,
            recursion: Recursion::Enabled,
            missing: MissingSource::Refuse,
            relabel: None,
        }),
    };
    MountRequest { option, owner, links: Links::Follow }
}

/// Makes `tmp` in the builddir if it is missing. A symbolic link there is
/// refused: it would lead root to a place of somebody else's choice.
fn ensure_tmp(builddir: &Path, owner: Option<HostOwner>) -> Result<()> {
    let dir = Dir::open(builddir)?;
    let name = std::ffi::OsStr::new("tmp");
    match fs::absent_is_none(dir.metadata(name))? {
        Some(found) if found.kind == FileKind::Directory => Ok(()),
        Some(_) => {
            Err(Error::invalid(format!("{} is not a directory", builddir.join("tmp").display()))
                .hint("move it away, or mount another one: -v DIRECTORY:/var/tmp"))
        }
        None => {
            // By descriptor: the name may be another's link in a moment.
            let (tmp, itself) = (dir.create_dir(name)?, std::ffi::OsStr::new("."));
            tmp.set_mode(itself, 0o1777)?;
            match owner {
                Some(owner) => tmp.set_owner(itself, fs::Owner { uid: owner.uid, gid: owner.gid }),
                None => Ok(()),
            }
        }
    }
}
