//! `--volume [SOURCE:]TARGET[:OPTIONS]`. A source that starts with `/` or `.`
//! is a path of the host, any other the name of a volume, none an anonymous
//! volume (`moby/volume/mounts`, `linux_parser.go`).

use std::path::PathBuf;

use super::{
    Bind, MissingSource, MountKind, MountOption, Propagation, Recursion, Relabel, Volume,
    check_nul, check_volume_name, clean_target,
};
use crate::engine::options::suggest;
use crate::error::{Error, Result};

const OPTIONS: &[&str] = &[
    "ro",
    "rw",
    "z",
    "Z",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "nocopy",
    "consistent",
    "cached",
    "delegated",
    "default",
];

/// What stands behind the second colon.
#[derive(Default)]
struct Options {
    read_only: bool,
    no_copy: bool,
    propagation: Option<Propagation>,
    relabel: Option<Relabel>,
}

/// Parses a value of `--volume`. The options are `ro`, `rw`, `z`, `Z`,
/// `nocopy` for a volume, a propagation for a bind, and `consistent`,
/// `cached`, `delegated`, which docker defines for its desktop machines and
/// which mean nothing where the directory is the host's own.
pub fn parse_volume(text: &str) -> Result<MountOption> {
    check_nul(text)?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, None),
        [_, options] if !options.is_empty() && options.split(',').all(|o| OPTIONS.contains(&o)) => {
            return Err(invalid(text, "there is no target").hint(format!(
                "write SOURCE:TARGET:{options}, as in `{0}:{0}:{options}`",
                if parts[0].is_empty() { "/data" } else { parts[0] }
            )));
        }
        [source, target] => (Some(source), target, None),
        [source, target, options] => (Some(source), target, Some(options)),
        _ => {
            return Err(invalid(text, "there are more than two colons")
                .hint("write `--mount type=bind,source=...,target=...` for a path with a colon"));
        }
    };
    if source == Some("") {
        return Err(invalid(text, "the source is empty")
            .hint("write SOURCE:TARGET, or TARGET alone for an anonymous volume"));
    }
    let target = clean_target(target).map_err(|fault| {
        invalid(text, fault).hint("write SOURCE:TARGET[:OPTIONS], as in `/home/me/src:/builddir`")
    })?;
    let options = match options {
        Some(options) => parse_options(text, options)?,
        None => Options::default(),
    };
    let read_only = options.read_only;
    let kind = match source {
        Some(path) if path.starts_with(['/', '.']) => bind(text, path, options)?,
        name => volume(text, name, options)?,
    };
    Ok(MountOption { target, read_only, kind })
}

fn bind(text: &str, path: &str, options: Options) -> Result<MountKind> {
    if options.no_copy {
        return Err(invalid(text, "`nocopy` is for volumes, the source is a host path")
            .hint("leave `nocopy` out"));
    }
    Ok(MountKind::Bind(Bind {
        source: PathBuf::from(path),
        propagation: options.propagation.unwrap_or_default(),
        recursion: Recursion::default(),
        missing: MissingSource::Create,
        relabel: options.relabel,
    }))
}

fn volume(text: &str, name: Option<&str>, options: Options) -> Result<MountKind> {
    if let Some(name) = name {
        check_volume_name(text, name)?;
    }
    if let Some(propagation) = options.propagation {
        return Err(invalid(
            text,
            &format!("`{}` is for host paths, the source is a volume", propagation.as_str()),
        )
        .hint(format!("leave `{}` out", propagation.as_str())));
    }
    Ok(MountKind::Volume(Volume {
        name: name.map(str::to_owned),
        no_copy: options.no_copy,
        relabel: options.relabel,
        ..Volume::default()
    }))
}

fn parse_options(text: &str, options: &str) -> Result<Options> {
    let mut parsed = Options::default();
    // One option of a family: docker refuses `ro,rw` as well as `ro,ro`.
    let mut seen: Vec<&'static str> = Vec::new();
    for option in options.split(',') {
        let family = match option {
            "ro" | "rw" => {
                parsed.read_only = option == "ro";
                "`ro` and `rw`"
            }
            "z" | "Z" => {
                let shared = option == "z";
                parsed.relabel = Some(if shared { Relabel::Shared } else { Relabel::Private });
                "`z` and `Z`"
            }
            "nocopy" => {
                parsed.no_copy = true;
                "`nocopy`"
            }
            "consistent" | "cached" | "delegated" | "default" => "consistency",
            other => {
                let known = Propagation::parse(other).ok_or_else(|| {
                    invalid(text, &format!("there is no option \"{other}\""))
                        .hint(suggest::hint(other, OPTIONS))
                })?;
                parsed.propagation = Some(known);
                "propagation"
            }
        };
        if seen.contains(&family) {
            return Err(invalid(text, &format!("the options give {family} more than once"))
                .hint("keep one of them"));
        }
        seen.push(family);
    }
    Ok(parsed)
}

fn invalid(text: &str, fault: &str) -> Error {
    Error::invalid(format!("invalid volume \"{text}\": {fault}"))
}

pub(super) fn print_bind(mount: &MountOption, bind: &Bind) -> String {
    let propagation = Some(bind.propagation).filter(|kind| *kind != Propagation::default());
    let mut options = print_flags(mount.read_only, bind.relabel);
    options.extend(propagation.map(Propagation::as_str));
    print(&format!("{}:{}", bind.source.display(), mount.target), &options)
}

pub(super) fn print_volume(mount: &MountOption, volume: &Volume) -> String {
    let mut options = print_flags(mount.read_only, volume.relabel);
    options.extend(volume.no_copy.then_some("nocopy"));
    match &volume.name {
        Some(name) => print(&format!("{name}:{}", mount.target), &options),
        None => mount.target.clone(),
    }
}

fn print_flags(read_only: bool, relabel: Option<Relabel>) -> Vec<&'static str> {
    let label = relabel.map(|label| if label == Relabel::Shared { "z" } else { "Z" });
    read_only.then_some("ro").into_iter().chain(label).collect()
}

fn print(place: &str, options: &[&str]) -> String {
    if options.is_empty() { place.to_owned() } else { format!("{place}:{}", options.join(",")) }
}
