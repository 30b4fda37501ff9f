//! What can be typed after `update`.

use clap::Args;

use super::resources::Resources;

/// Change the limits of containers
///
/// Those of a container that runs are in force at once, all or none of them;
/// those of another from its next start. What is not given stays as it is.
#[derive(Args, Debug)]
pub(in crate::cli) struct Update {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    #[command(flatten)]
    pub resources: Resources,
}
