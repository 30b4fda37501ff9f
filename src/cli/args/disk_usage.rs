//! What can be typed after `system df`.

use clap::Args;

use crate::cli::template::Format;

/// Show how much of the disk is taken
///
/// Shows how much of the disk images, containers and volumes take, and how much
/// of it could be had back. Layers that several images share count once.
#[derive(Args, Debug)]
pub(in crate::cli) struct DiskUsage {
    /// Show each image, container and volume
    #[arg(short, long)]
    pub verbose: bool,
    /// A Go template for each kind; table TEMPLATE; table; or json. With -v one
    /// template for all: it has Images, Containers, Volumes and BuildCache
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = Format::parse)]
    pub format: Format,
}
