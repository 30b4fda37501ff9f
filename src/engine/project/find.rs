//! The project that the caller is in: the nearest `envbox.toml`, from the
//! working directory upwards.

use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, FileKind, Metadata};
use crate::reference::ImageRef;

use super::{FILE_NAME, Project, candidates, render};

/// More is no file of a project's.
const MAX_FILE: u64 = 1 << 20;

/// A project, its paths absolute, and the folder of its file.
#[derive(Clone, Debug)]
pub struct FoundProject {
    /// What the file says.
    pub project: Project,
    /// Where it lies.
    pub folder: PathBuf,
}

impl FoundProject {
    /// Where the absolute path `directory` is below the project's builddir;
    /// empty if it is not.
    pub fn subdirectory(&self, directory: &Path) -> PathBuf {
        let builddir = fs::clean(self.project.builddir(&self.folder));
        directory.strip_prefix(builddir).map(Path::to_owned).unwrap_or_default()
    }
}

impl Engine {
    /// The project of the caller's working directory.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Denied` if somebody else's file was
    /// found: it decides what is mounted and run. Those of [`Project::parse`].
    pub fn find_project(&self) -> Result<FoundProject> {
        for file in candidates(&self.settings.working_directory) {
            let Some(text) = self.read_own(&file)? else { continue };
            let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
            let project = Project::parse(&file.display().to_string(), &text)?.absolute(&folder);
            return Ok(FoundProject { project, folder });
        }
        Err(Error::not_found(format!(
            "no image is named, and there is no {FILE_NAME} here or above"
        ))
        .hint("name one, as in `envbox shell IMAGE`, or write the file: envbox init"))
    }

    /// The text of the regular file at `path`, if there is one. Its owner, and
    /// that of a symbolic link that leads to it, is asked of what is read: in
    /// a folder that others can write to it may change at any time.
    fn read_own(&self, path: &Path) -> Result<Option<String>> {
        let Some(entry) = fs::link_metadata(path)? else { return Ok(None) };
        if !matches!(entry.kind, FileKind::Regular | FileKind::Symlink) {
            return Ok(None);
        }
        self.check_owner(path, &entry)?;
        let Some((file, found)) = fs::open_regular(path)? else { return Ok(None) };
        self.check_owner(path, &found)?;
        let bytes = fs::read_limited(file, MAX_FILE, FILE_NAME)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Error::invalid(format!("{} is not UTF-8", path.display())).because(error)
        })?;
        Ok(Some(text))
    }

    fn check_owner(&self, path: &Path, found: &Metadata) -> Result<()> {
        let sudo = self.settings.sudo.map(|sudo| sudo.uid);
        if [Some(0), Some(self.settings.caller.uid), sudo].contains(&Some(found.uid)) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Denied,
            format!("{} belongs to somebody else (uid {})", path.display(), found.uid),
        )
        .hint(
            "it says what is mounted and run: read it, then name the image yourself, \
             as in `envbox shell IMAGE --mount .`",
        ))
    }

    /// Tells before anything is asked that there is a file already.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one and `replace` is false.
    pub fn check_no_project(&self, replace: bool) -> Result<()> {
        let path = self.settings.working_directory.join(FILE_NAME);
        if replace || fs::metadata(&path)?.is_none() {
            return Ok(());
        }
        Err(Error::new(Kind::AlreadyExists, format!("{} already exists", path.display()))
            .hint("edit it, or replace it: envbox init --force"))
    }

    /// `name` with the digest of the image that it is now.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where it is no name but an ID.
    pub fn pinned(&self, name: &str) -> Result<String> {
        let image = self.image(name)?.0;
        let Ok(reference) = name.parse::<ImageRef>() else {
            return Err(Error::invalid(format!("{name} is not the name of an image"))
                .hint("give it one: envbox tag IMAGE NAME"));
        };
        Ok(format!("{}@{}", reference.familiar_repository(), image.manifest))
    }

    /// Writes the project's file into the caller's working directory; its
    /// path.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one and `replace` is false.
    pub fn write_project(&self, project: &Project, replace: bool) -> Result<PathBuf> {
        self.check_no_project(replace)?;
        let path = self.settings.working_directory.join(FILE_NAME);
        fs::write_plain(&path, render(project).as_bytes())?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_builddir_is_told_relative_to_it() {
        let project = Project { image: "x".into(), ..Project::default() };
        let found = FoundProject { project, folder: "/home/me/rain".into() };
        let below = |path: &str| found.subdirectory(Path::new(path));
        assert_eq!(below("/home/me/rain/src/lib"), Path::new("src/lib"));
        assert_eq!(below("/home/me/rain"), Path::new(""));
        assert_eq!(below("/home/me/rainy"), Path::new(""));
    }
}
