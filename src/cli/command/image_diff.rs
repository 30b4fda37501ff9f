//! `envbox image diff`.

use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::cli::args::image_diff;
use crate::cli::exit;
use crate::cli::output::human_size;
use crate::cli::template::{Columns, Format};
use crate::engine::{
    Aspect, ChangeKind, Engine, FileFound, ImageDiff, ImageDiffRequest, ParameterChange,
    PathChange, Times,
};
use crate::error::Result;
use crate::fs::{FileKind, Owner};

use super::diff::{letter, shown};

/// What a template calls the parts of a line, and what stands over them.
const FIELDS: [&str; 5] = ["Kind", "Path", "OldSize", "NewSize", "Changes"];
const HEADERS: [(&str, &str); 8] = [
    ("Type", "TYPE"),
    ("Kind", "KIND"),
    ("Path", "PATH"),
    ("OldSize", "OLD SIZE"),
    ("NewSize", "NEW SIZE"),
    ("Changes", "CHANGES"),
    ("Old", "OLD"),
    ("New", "NEW"),
];

/// Prints what differs; the status of a difference is 1 if that was asked for.
pub(in crate::cli) fn run(engine: &Engine, arguments: &image_diff::ImageDiff) -> Result<i32> {
    let diff = engine.image_diff(&ImageDiffRequest {
        old: arguments.old.clone(),
        new: arguments.new.clone(),
        times: if arguments.times { Times::Compared } else { Times::Ignored },
    })?;
    let status = exit::data(&text(&diff, arguments.format.as_ref())?);
    let differs = arguments.exit_code && !diff.is_empty();
    Ok(if differs { 1 } else { status })
}

fn text(diff: &ImageDiff, format: Option<&Format>) -> Result<String> {
    let Some(format) = format else {
        let parameters = diff.parameters.iter().map(parameter_line);
        return Ok(parameters.chain(diff.paths.iter().map(path_line)).collect());
    };
    // JSON escapes what must not reach a terminal itself.
    let show = match format {
        Format::Json => |text: &str| text.to_owned(),
        _ => shown,
    };
    let parameters = diff.parameters.iter().map(|change| parameter_row(change, show));
    let paths = diff.paths.iter().map(|change| path_row(change, show));
    let rows: Vec<Value> = parameters.chain(paths).collect();
    format.render(&rows, Columns { fields: &FIELDS, headers: &HEADERS })
}

/// `config Env.PATH "a" -> "b"`.
fn parameter_line(change: &ParameterChange) -> String {
    let ParameterChange { name, old, new } = change;
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
    shown(&format!("config {name} {} -> {}", side(old), side(new))) + "\n"
}

/// `C /path  12B -> 14B (content, mode 0644 -> 0600)`.
fn path_line(change: &PathChange) -> String {
    let mut line = format!("{} {}", letter(change.kind()), path(change));
    let sizes = sizes(change);
    if !sizes.is_empty() {
        line += &format!("  {sizes}");
    }
    if !change.aspects.is_empty() {
        let space = if sizes.is_empty() { "  " } else { " " };
        line += &format!("{space}({})", words(change).join(", "));
    }
    shown(&line) + "\n"
}

fn path(change: &PathChange) -> String {
    String::from_utf8_lossy(change.path.as_os_str().as_bytes()).into_owned()
}

/// The sizes that say something.
fn sizes(change: &PathChange) -> String {
    let is_file = |found: &FileFound| found.kind == FileKind::Regular;
    match (&change.old, &change.new) {
        (None, Some(new)) if is_file(new) => human_size(new.size),
        (Some(old), None) if is_file(old) || old.kind == FileKind::Directory => {
            human_size(old.size)
        }
        (Some(old), Some(new)) if is_file(old) && is_file(new) && old.size != new.size => {
            let (before, after) = (human_size(old.size), human_size(new.size));
            match before == after {
                true => format!("{}B -> {}B", old.size, new.size),
                false => format!("{before} -> {after}"),
            }
        }
        _ => String::new(),
    }
}

fn words(change: &PathChange) -> Vec<String> {
    change.aspects.iter().map(word).collect()
}

fn word(aspect: &Aspect) -> String {
    let owner = |owner: &Owner| format!("{}:{}", owner.uid, owner.gid);
    match aspect {
        Aspect::Kind(old, new) => format!("type {} -> {}", kind(*old), kind(*new)),
        Aspect::Content => "content".to_owned(),
        Aspect::Target(old, new) => {
            let target = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            format!("target {} -> {}", target(old), target(new))
        }
        Aspect::Device(old, new) => {
            format!("device {}:{} -> {}:{}", old.0, old.1, new.0, new.1)
        }
        Aspect::Mode(old, new) => format!("mode {old:04o} -> {new:04o}"),
        Aspect::Owner(old, new) => format!("owner {} -> {}", owner(old), owner(new)),
        Aspect::Xattr(name) => format!("xattr {}", String::from_utf8_lossy(name.as_bytes())),
        Aspect::Mtime => "mtime".to_owned(),
    }
}

/// stat(1)'s words.
fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Regular => "regular file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symbolic link",
        FileKind::CharDevice => "character special file",
        FileKind::BlockDevice => "block special file",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
    }
}

/// The fields of a parameter: its name is its path.
fn parameter_row(change: &ParameterChange, show: fn(&str) -> String) -> Value {
    let kind = match (&change.old, &change.new) {
        (None, _) => ChangeKind::Added,
        (Some(_), None) => ChangeKind::Deleted,
        (Some(_), Some(_)) => ChangeKind::Changed,
    };
    let side = |side: &Option<String>| show(side.as_deref().unwrap_or_default());
    json!({
        "Type": "config",
        "Kind": letter(kind).to_string(),
        "Path": show(&change.name),
        "OldSize": 0,
        "NewSize": 0,
        "Old": side(&change.old),
        "New": side(&change.new),
        "Changes": [],
    })
}

fn path_row(change: &PathChange, show: fn(&str) -> String) -> Value {
    let size = |found: &Option<FileFound>| found.map_or(0, |found| found.size);
    let side = |found: &Option<FileFound>| found.map_or("", |found| kind(found.kind));
    json!({
        "Type": "path",
        "Kind": letter(change.kind()).to_string(),
        "Path": show(&path(change)),
        "OldSize": size(&change.old),
        "NewSize": size(&change.new),
        "Old": side(&change.old),
        "New": side(&change.new),
        "Changes": words(change).iter().map(|word| show(word)).collect::<Vec<_>>(),
    })
}
