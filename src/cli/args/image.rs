//! What can be typed after the verbs on images.

use clap::Args;

#[derive(Args, Debug)]
pub(in crate::cli) struct Images {
    /// Print the IDs alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Print whole IDs
    #[arg(long)]
    pub no_trunc: bool,
}
