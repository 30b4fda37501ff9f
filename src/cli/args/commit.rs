//! What can be typed after `commit` and `history`.

use clap::{ArgAction, Args};

use crate::cli::template::Format;
use crate::platform::Platform;
use crate::reference::ImageRef;

/// Make an image of a container's changes
///
/// Makes an image of what a kept container wrote, upon its image, and prints
/// its ID. What is in volumes and other mounts is not part of it.
#[derive(Args, Debug)]
pub(in crate::cli) struct Commit {
    /// Who made it, as in 'Ada <ada@example.org>'
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    /// Apply a Dockerfile instruction to the image's configuration
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// The message of the image's history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Let the container stand still while it is read
    #[arg(short, long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub pause: bool,
    /// A name or an ID
    pub container: String,
    /// The image's name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub reference: Option<ImageRef>,
}

/// Show how an image was made
///
/// Lists the steps that made an image, the last one first.
#[derive(Args, Debug)]
pub(in crate::cli) struct History {
    /// Sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub human: bool,
    /// Print whole IDs and commands
    #[arg(long)]
    pub no_trunc: bool,
    /// Print the IDs alone
    #[arg(short, long)]
    pub quiet: bool,
    /// A Go template for each step; table TEMPLATE; table; or json
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = Format::parse)]
    pub format: Format,
    /// Of an image for several platforms that for this: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// A name, an ID or its beginning
    pub image: String,
}
