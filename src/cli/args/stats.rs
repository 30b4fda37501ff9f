//! What can be typed after `envbox stats`.

use clap::Args;

/// Show what containers use
///
/// Shows the use of processors, memory, devices and processes of containers that
/// run, again every second, until Ctrl-C.
#[derive(Args, Debug)]
pub(in crate::cli) struct Stats {
    /// Names or IDs; all that run without one
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
    /// Show containers that do not run, too
    #[arg(short, long)]
    pub all: bool,
    /// Show one table and end
    #[arg(long)]
    pub no_stream: bool,
    /// Do not cut IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Show each by a template, `json`, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}
