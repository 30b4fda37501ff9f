//! `envbox save`, `envbox image save`.

use crate::cli::args::image::{Save, SaveFormat};
use crate::engine::{Engine, SaveTarget};
use crate::error::{Error, Result};

use super::export::tar_output;

/// Saves, in silence.
pub(in crate::cli) fn run(engine: &Engine, save: &Save) -> Result<i32> {
    let mut stdout = std::io::stdout();
    let target = match (save.format, &save.output) {
        (SaveFormat::OciDir, Some(folder)) => SaveTarget::Layout(folder),
        (SaveFormat::OciDir, None) => {
            return Err(Error::invalid("a directory is not written to standard output")
                .hint("give its name with -o"));
        }
        (SaveFormat::OciArchive, file) => {
            SaveTarget::Archive(tar_output(file.as_deref(), &mut stdout)?)
        }
    };
    engine.save(&save.images, target)?;
    Ok(0)
}
