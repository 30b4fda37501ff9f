//! What can be typed after `system`: docker's grouped spelling, and what
//! docker's daemon does by itself.

use clap::{Args, Subcommand};

use crate::store::Driver;

use super::disk_usage::DiskUsage;
use super::events::Events;
use super::prune::SystemPrune;

/// `envbox system VERB`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SystemVerb {
    Df(DiskUsage),
    Prune(SystemPrune),
    Events(Events),
    Boot(Boot),
    Shutdown(Shutdown),
    Migrate(Migrate),
    Check(Check),
}

/// Keep all layers by another storage driver
///
/// Converts all layers of the store, which new layers and containers will
/// follow. Images and their digests stay as they are. No container may run.
#[derive(Args, Debug)]
pub(in crate::cli) struct Migrate {
    /// How to keep them: erofs, overlay or copy
    pub driver: Driver,
}

/// Start what ran before the host went down
///
/// Starts the containers that a reboot ended, or a kill of their monitor, and
/// that --restart brings back: always, unless-stopped if nobody stopped them,
/// on-failure if they did not end well. Prints the name of each. A container
/// that runs is left alone, so it may be called at any time.
#[derive(Args, Debug)]
pub(in crate::cli) struct Boot {}

/// Stop all containers, as the host goes down
///
/// Stops all containers that run, each with its own signal and time, all at
/// once, and prints their names. Those that --restart brings back come back with
/// envbox system boot.
#[derive(Args, Debug)]
pub(in crate::cli) struct Shutdown {}

/// Check that database and disk agree
///
/// Compares what the database has with what lies in the store, and the database
/// with itself. Prints a line for each thing that does not fit, with what to do
/// about it, and has status 1 then. It changes nothing and reads no layer: see
/// envbox image verify.
///
/// With --repair it takes up what the database does not have, forgets containers
/// and volumes that are gone, removes what belongs to nothing, and makes a new
/// database where that is missing or damaged. It says what it did, what is lost,
/// and what does not fit still.
#[derive(Args, Debug)]
pub(in crate::cli) struct Check {
    /// Make them agree, and rebuild a damaged database
    #[arg(long)]
    pub repair: bool,
    /// Do not ask
    #[arg(short, long, requires = "repair")]
    pub force: bool,
}
