//! What can be typed after `image diff`.

use clap::Args;

use crate::cli::template::Format;

const HELP: &str = "A line for each path that differs itself: added (A), changed (C) or deleted \
    (D), with the\nsize of a file or of all files of a deleted directory, and in what it changed: \
    content, mode,\nowner, extended attributes, link target, device. Times do not count unless \
    asked for, and how\nmany names a file has never does. Before them a line for each parameter of \
    the config.\n\nExit status: 0, also if something differs; with --exit-code 1 then.";

/// Show in what two images differ
///
/// Lists the files that were added (A), changed (C) and deleted (D) from one
/// image to another, and the parameters of their configs that are not the same.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(in crate::cli) struct ImageDiff {
    /// A name, an ID or its beginning
    #[arg(value_name = "OLD")]
    pub old: String,
    /// Another
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Exit with status 1 if something differs
    #[arg(long)]
    pub exit_code: bool,
    /// Compare the times of files, too
    #[arg(long)]
    pub times: bool,
    /// A Go template for each difference; table TEMPLATE; table; or json
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse)]
    pub format: Option<Format>,
}
