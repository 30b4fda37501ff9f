//! What can be typed after the verbs on images, and after `export` and
//! `inspect`, which know containers, too.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::template::{Format, InspectFormat};
use crate::engine::ImageFilter;
use crate::platform::Platform;
use crate::reference::ImageRef;

use super::commit::History;
use super::excludes::Excludes;
use super::image_diff::ImageDiff;
use super::image_filter::parse_filter;
use super::import::Import;
use super::load::Load;
use super::prune::ImagePrune;
use super::save::Save;
use super::verify::Verify;

/// `envbox image VERB`: docker's grouped spelling of the same verbs.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ImageVerb {
    #[command(visible_alias = "list")]
    Ls(Images),
    Inspect(ImageInspect),
    Tag(Tag),
    #[command(visible_alias = "remove")]
    Rm(RemoveImages),
    Prune(ImagePrune),
    Save(Save),
    History(History),
    Diff(ImageDiff),
    Load(Load),
    Import(Box<Import>),
    Verify(Verify),
}

/// List images
///
/// Lists the images, the newest first.
#[derive(Args, Debug)]
pub(in crate::cli) struct Images {
    /// Only images of this name, which may be a pattern as in 'build*'
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub reference: Option<crate::engine::NamePattern>,
    /// Show all images, also those of a name for other platforms than this one
    #[arg(short, long)]
    pub all: bool,
    /// Print the IDs alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Print whole IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Show for each name the platforms that it has images for
    #[arg(long, conflicts_with_all = ["all", "quiet", "digests", "format"])]
    pub tree: bool,
    /// Show the digests of the manifests
    #[arg(long)]
    pub digests: bool,
    /// A Go template for each image; table TEMPLATE; table; or json
    #[arg(long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = Format::parse)]
    pub format: Format,
    /// Only images of which this is true: dangling=BOOL, reference=PATTERN,
    /// before=IMAGE, since=IMAGE, label=KEY[=VALUE], until=TIME
    #[arg(short, long, value_name = "FILTER", value_parser = parse_filter)]
    pub filter: Vec<ImageFilter>,
}

/// Give an image one more name
#[derive(Args, Debug)]
pub(in crate::cli) struct Tag {
    /// A name, an ID or its beginning
    pub source: String,
    /// The new name; an image that has it loses it
    pub target: ImageRef,
}

/// Remove images
///
/// Removes names of images, and an image with its last name. What a container
/// uses stays.
#[derive(Args, Debug)]
pub(in crate::cli) struct RemoveImages {
    /// Names, IDs or beginnings of IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Also if stopped containers use it, or an ID has several names; what is
    /// missing is no error
    #[arg(short, long)]
    pub force: bool,
    /// Keep untagged parents; envbox images have none that would go
    #[arg(long)]
    pub no_prune: bool,
}

/// Show all that is known of images
#[derive(Args, Debug)]
pub(in crate::cli) struct ImageInspect {
    /// Names, IDs or beginnings of IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// The image of each name for this platform: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    #[command(flatten)]
    pub format: InspectFormatFlag,
}

/// Show all that is known of containers and images
#[derive(Args, Debug)]
pub(in crate::cli) struct Inspect {
    /// Names, IDs or beginnings of IDs of containers and images
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Look among these only
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<InspectKind>,
    /// Add up the files of containers
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub format: InspectFormatFlag,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct InspectFormatFlag {
    /// A Go template for each object, or json
    #[arg(short, long, value_name = "FORMAT", default_value = "", hide_default_value = true,
          value_parser = InspectFormat::parse)]
    pub format: InspectFormat,
}

/// A sort of object.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum InspectKind {
    Image,
    Container,
}

/// Write a root filesystem as a tar
///
/// Writes the root filesystem of a container or an image as a tar, which
/// import takes again: to standard output, or to a file.
#[derive(Args, Debug)]
pub(in crate::cli) struct Export {
    /// A kept container, or an image
    #[arg(value_name = "CONTAINER|IMAGE")]
    pub source: String,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub excludes: Excludes,
}
