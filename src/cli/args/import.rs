//! What can be typed after `envbox import`.

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::engine::ImportSource;
use crate::platform::Platform;
use crate::reference::ImageRef;

use super::MAX_ENTRIES;
use super::excludes::Excludes;

/// Make an image of a root filesystem: a directory or a tar
///
/// Makes an image of SOURCE and prints its ID. The same tree gives the same ID
/// on every machine, from a directory or a tar of it.
#[derive(Args, Debug)]
pub(in crate::cli) struct Import {
    /// A directory, a tar file or the URL of one (plain, gzip, bzip2, xz, zstd),
    /// or - for stdin
    #[arg(value_parser = OsStringValueParser::new().try_map(ImportSource::parse))]
    pub source: ImportSource,
    /// The image's name
    pub reference: Option<ImageRef>,
    #[command(flatten)]
    pub excludes: Excludes,
    /// Apply a Dockerfile instruction to the image's configuration
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// The message of the image's history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// What it is for; told by its programs otherwise
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// The profile whose rules apply; the image remembers it
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Keep only what differs from this image, as one more layer upon its own;
    /// its configuration is where the new one begins
    #[arg(long, value_name = "IMAGE")]
    pub parent: Option<String>,
    /// The most files, directories and links that an archive may have
    #[arg(long, value_name = "N", default_value_t = MAX_ENTRIES)]
    pub max_entries: u64,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}
