//! What can be typed after `envbox save`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::image::Compression;
use crate::platform::Platform;

/// Save images to an archive
///
/// Writes images, with their names, as what `docker save` writes: an archive
/// that docker, podman, skopeo and envbox load, and that is an OCI layout, too.
/// It goes to standard output, but never to a terminal. The same images give the
/// same bytes.
#[derive(Args, Debug)]
pub(in crate::cli) struct Save {
    /// Names, IDs or beginnings of IDs; a name without a tag means all its tags
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive")]
    pub format: SaveFormat,
    /// Write to this file, which appears once it is whole; for oci-dir a
    /// directory that does not exist or is empty
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Compress the layers within the archive; by gzip, if nothing is named.
    /// The images keep their IDs, but not the digests of their manifests
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true,
          default_missing_value = "gzip")]
    pub compress: Option<SaveCompression>,
    /// Of an image for several platforms save the one for this alone:
    /// OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// How images are saved.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum SaveFormat {
    /// A tar as `docker save` writes it, which holds an OCI layout as well
    DockerArchive,
    /// A tar of a directory in OCI's image layout
    OciArchive,
    /// A directory in OCI's image layout
    OciDir,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum SaveCompression {
    /// Every reader knows it
    Gzip,
    /// Smaller and faster; docker reads it from version 23 on
    Zstd,
}

impl From<SaveCompression> for Compression {
    fn from(typed: SaveCompression) -> Self {
        match typed {
            SaveCompression::Gzip => Self::Gzip,
            SaveCompression::Zstd => Self::Zstd,
        }
    }
}
