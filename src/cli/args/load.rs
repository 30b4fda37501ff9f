//! What can be typed after `envbox load`.

use std::path::PathBuf;

use clap::Args;

use crate::engine::options::size::parse_size;
use crate::platform::Platform;

use super::MAX_ENTRIES;

/// Load images from an archive
///
/// Loads the images of an archive that docker, podman, skopeo, umoci or envbox
/// made, with their names: docker's form or OCI's, plain or compressed by gzip,
/// bzip2, xz or zstd.
#[derive(Args, Debug)]
pub(in crate::cli) struct Load {
    /// Read from this file, or from an OCI layout in this directory, instead of
    /// standard input
    #[arg(short, long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Which image of those for several platforms; the host's otherwise
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// The most that one layer may hold, uncompressed
    #[arg(long, value_name = "SIZE", default_value = "64g", value_parser = parse_size)]
    pub max_layer_size: u64,
    /// The most files, directories and links that one layer may have
    #[arg(long, value_name = "N", default_value_t = MAX_ENTRIES)]
    pub max_entries: u64,
}
