//! The devices of a host: which file has which. A later folder goes before an
//! earlier one; in one folder two files that have the same device contradict
//! each other. A file that cannot be read is told of only where a device is
//! missed that it may have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::file::{self, CdiFile, ContainerEdits};
use crate::engine::options::cdi::CdiName;
use crate::error::{Error, Kind, Result};
use crate::fs;

/// No file of a driver's comes near; more is not read.
const MOST_BYTES: u64 = 8 << 20;

/// Everything that the folders say.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, CdiFile)>,
    /// Of each device its files, by number: more than one contradict.
    devices: BTreeMap<CdiName, Vec<usize>>,
    broken: Vec<String>,
}

/// What `names` bring, in their order; what a file says for all of its devices
/// stands before the first of them.
///
/// # Errors
/// `NotFound`, with all that are in no file; `Invalid` for one that is in two.
pub(super) fn find(
    names: &[CdiName],
    folders: &[PathBuf],
) -> Result<Vec<(CdiName, ContainerEdits)>> {
    let found = Found::read(folders);
    let known = |name: &&CdiName| found.devices.contains_key(*name);
    let unknown: Vec<String> =
        names.iter().filter(|name| !known(name)).map(ToString::to_string).collect();
    if !unknown.is_empty() {
        return Err(unresolvable(&unknown, &found.broken, folders));
    }
    let mut edits = Vec::new();
    let mut begun = BTreeSet::new();
    for name in names {
        let place = found.place(name)?;
        let Some((_, file)) = found.files.get(place) else { continue };
        if begun.insert(place) {
            edits.push((name.clone(), file.shared.clone()));
        }
        let own = file.devices.iter().filter(|(other, _)| other == name);
        edits.extend(own.cloned());
    }
    Ok(edits)
}

impl Found {
    fn read(folders: &[PathBuf]) -> Self {
        let mut found = Self::default();
        for folder in folders {
            let first = found.files.len();
            match fs::list(folder) {
                Ok(names) => names.iter().for_each(|name| found.add(&folder.join(name), first)),
                Err(error) => found.broken.push(error.chain()),
            }
        }
        found
    }

    /// Adds a file; `first` is the number of the first one of its folder.
    fn add(&mut self, path: &Path, first: usize) {
        let is_file = path
            .extension()
            .is_some_and(|end| end == OsStr::new("json") || end == OsStr::new("yaml"));
        if !is_file {
            return;
        }
        let file = match read(path) {
            Ok(file) => file,
            Err(error) => return self.broken.push(error.chain()),
        };
        let number = self.files.len();
        for (name, _) in &file.devices {
            let places = self.devices.entry(name.clone()).or_default();
            places.retain(|place| *place >= first);
            places.push(number);
        }
        self.files.push((path.to_owned(), file));
    }

    fn place(&self, name: &CdiName) -> Result<usize> {
        match self.devices.get(name).map(Vec::as_slice) {
            Some([place]) => Ok(*place),
            Some(places) => {
                let paths: Vec<String> = places
                    .iter()
                    .filter_map(|place| self.files.get(*place))
                    .map(|(path, _)| format!("{:?}", path.display().to_string()))
                    .collect();
                let paths = paths.join(", ");
                Err(Error::invalid(format!("conflicting device \"{name}\" (specs {paths})"))
                    .hint("take it out of all of these files but one"))
            }
            None => Err(Error::not_found(format!("unresolvable CDI devices {name}"))),
        }
    }
}

fn read(path: &Path) -> Result<CdiFile> {
    let name = path.display().to_string();
    let Some((opened, _)) = fs::open_regular(path)? else {
        return Err(Error::invalid(format!("{name} is not a regular file")));
    };
    let text = fs::read_limited(opened, MOST_BYTES, &name)?;
    file::parse(&text).map_err(|error| error.context(name))
}

/// docker's words, and what to do.
fn unresolvable(unknown: &[String], broken: &[String], folders: &[PathBuf]) -> Error {
    let message = format!("unresolvable CDI devices {}", unknown.join(", "));
    let mut error = Error::new(Kind::NotFound, message);
    if !broken.is_empty() {
        // One line: a folder may hold very many of them.
        let (first, more) = (broken.iter().take(3), broken.len().saturating_sub(3));
        let mut words = first.cloned().collect::<Vec<_>>().join("; ");
        if more > 0 {
            words.push_str(&format!("; and {more} more"));
        }
        error = error.because(Error::invalid(format!("not all CDI files can be read: {words}")));
    }
    if unknown.iter().all(|name| name.starts_with("nvidia.com/")) {
        return error.hint(
            "install nvidia-container-toolkit, and describe the GPUs: \
             nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        );
    }
    let folders: Vec<String> = folders.iter().map(|path| path.display().to_string()).collect();
    error.hint(format!(
        "put the vendor's CDI file into {}, or another folder that ENVBOX_CDI_SPEC_DIRS names",
        folders.join(" or ")
    ))
}
