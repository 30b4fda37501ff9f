//! What can be typed after `envbox image verify`.

use clap::{ArgGroup, Args};

/// Check that images are as they came
///
/// Reads all that the store has of images and compares it with their digests. For
/// each one that is as it was, a line; for each that is not, what differs, with
/// the first files, and status 1. A layer that several images share is read once.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("scope").required(true).args(["images", "all"]))]
pub(in crate::cli) struct Verify {
    /// Names, IDs or beginnings of IDs
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// All images
    #[arg(short, long)]
    pub all: bool,
    /// Print only what is wrong, and no progress
    #[arg(short, long)]
    pub quiet: bool,
}
