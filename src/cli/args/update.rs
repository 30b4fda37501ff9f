//! What can be typed after `update`.

use clap::Args;

use crate::engine::options::restart::RestartPolicy;

use super::resources::Resources;

/// Change the limits and the restart policy of containers
///
/// The limits of a container that runs are in force at once, all or none of them;
/// those of another from its next start. What is not given stays as it is.
#[derive(Args, Debug)]
pub(in crate::cli) struct Update {
    /// Names or IDs
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
    #[command(flatten)]
    pub resources: Resources,
    /// When it is started again after its end: no, on-failure[:COUNT], always,
    /// unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<RestartPolicy>,
}
