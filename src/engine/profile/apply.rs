//! One file's changes to a profile. This is where merging is defined:
//!
//! - a single value, `shell.command` and the lists of `fallback` replace what
//!   was inherited; `false` takes an optional one away;
//! - `environment` and `limits` merge by name;
//! - the other lists are appended to what was inherited: a pattern or an
//!   instruction that is there already stays where it is, a mount replaces the
//!   one with the same target;
//! - `description` and `match` are the file's own and not inherited.

use super::document::{Table, Value};
use super::matching::ImagePattern;
use super::{Profile, Shell, Variable};
use crate::engine::options::mount::{self, MountKind, MountOption, clean_target};
use crate::engine::options::suggest;
use crate::engine::options::ulimit::{Resource, Ulimit};
use crate::error::{Error, Result};

pub(super) const KEYS: &[&str] =
    &["description", "extends", "shell", "environment", "fallback", "limits", "import", "match"];
pub(super) const SHELL_KEYS: &[&str] = &[
    "command", "builddir", "workdir", "tmp", "network", "hostname", "user", "init", "mounts",
    "tmpfs",
];
pub(super) const FALLBACK_KEYS: &[&str] = &["locale", "term"];
pub(super) const IMPORT_KEYS: &[&str] = &["exclude", "clean", "changes"];
pub(super) const MATCH_KEYS: &[&str] = &["images"];
/// What `docker import --change` takes.
const INSTRUCTIONS: &[&str] = &[
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Applies the file whose top is `root`; `profile` bears the file's name.
pub(super) fn apply(profile: &mut Profile, root: &Table<'_>) -> Result<()> {
    root.check_keys(KEYS)?;
    profile.description = match root.value("description") {
        Some(value) => value.text()?.to_owned(),
        None => String::new(),
    };
    if let Some(table) = root.table("shell")? {
        apply_shell(&mut profile.shell, &table)?;
    }
    if let Some(table) = root.table("environment")? {
        for (name, value) in table.entries() {
            let variable = read_variable(name, &value)?;
            profile.environment.insert(name.to_owned(), variable);
        }
    }
    if let Some(table) = root.table("fallback")? {
        apply_fallback(profile, &table)?;
    }
    if let Some(table) = root.table("limits")? {
        apply_limits(&mut profile.limits, &table)?;
    }
    if let Some(table) = root.table("import")? {
        apply_import(profile, &table)?;
    }
    apply_match(profile, root)
}

fn apply_shell(shell: &mut Shell, table: &Table<'_>) -> Result<()> {
    table.check_keys(SHELL_KEYS)?;
    if let Some(value) = table.value("command") {
        shell.command = read_commands(&value)?;
    }
    if let Some(value) = table.value("builddir") {
        shell.builddir = value.parsed_by(parse_target)?;
    }
    if let Some(value) = table.value("network") {
        shell.network = value.parsed()?;
    }
    if let Some(value) = table.value("init") {
        shell.init = value.flag()?;
    }
    replace(&mut shell.workdir, table.value("workdir"), |v| v.parsed_by(parse_workdir))?;
    replace(&mut shell.tmp, table.value("tmp"), |value| value.parsed_by(parse_target))?;
    replace(&mut shell.hostname, table.value("hostname"), Value::parsed)?;
    replace(&mut shell.user, table.value("user"), Value::parsed)?;
    for value in items(table.value("mounts"))? {
        let mount = value.parsed_by(mount::parse_any)?;
        if let Some(source) = mount.relative_source() {
            return Err(value
                .invalid(format!("the host path {} is not absolute", source.display()))
                .hint("write the whole path; a profile is used from any directory"));
        }
        add_mount(shell, mount);
    }
    for value in items(table.value("tmpfs"))? {
        add_mount(shell, value.parsed_by(mount::parse_tmpfs)?);
    }
    Ok(())
}

/// Adds a mount to the list of its kind, in place of one at the same target.
fn add_mount(shell: &mut Shell, mount: MountOption) {
    for list in [&mut shell.mounts, &mut shell.tmpfs] {
        list.retain(|earlier| earlier.target != mount.target);
    }
    match mount.kind {
        MountKind::Tmpfs(_) => shell.tmpfs.push(mount),
        MountKind::Bind(_) | MountKind::Volume(_) => shell.mounts.push(mount),
    }
}

fn apply_fallback(profile: &mut Profile, table: &Table<'_>) -> Result<()> {
    table.check_keys(FALLBACK_KEYS)?;
    for (key, list) in
        [("locale", &mut profile.fallback.locale), ("term", &mut profile.fallback.term)]
    {
        if let Some(value) = table.value(key) {
            *list = value.list()?.iter().map(read_word).collect::<Result<_>>()?;
        }
    }
    Ok(())
}

fn apply_limits(limits: &mut Vec<Ulimit>, table: &Table<'_>) -> Result<()> {
    for (name, value) in table.entries() {
        let resource: Resource = name.parse().map_err(|error| value.wrap(error))?;
        let limit = match value.integer() {
            Some(number) => Ulimit::parse_value(resource, &number.to_string())
                .map_err(|error| value.wrap(error))?,
            None => value.parsed_by(|text| Ulimit::parse_value(resource, text))?,
        };
        limits.retain(|earlier| earlier.resource != resource);
        limits.push(limit);
    }
    limits.sort_by_key(|limit| limit.resource);
    Ok(())
}

fn apply_import(profile: &mut Profile, table: &Table<'_>) -> Result<()> {
    table.check_keys(IMPORT_KEYS)?;
    let import = &mut profile.import;
    for (key, list) in [("exclude", &mut import.exclude), ("clean", &mut import.clean)] {
        for value in items(table.value(key))? {
            append(list, read_pattern(&value)?);
        }
    }
    for value in items(table.value("changes"))? {
        append(&mut import.changes, read_instruction(&value)?);
    }
    Ok(())
}

fn apply_match(profile: &mut Profile, root: &Table<'_>) -> Result<()> {
    profile.matching.images = vec![profile.name.parse::<ImagePattern>()?];
    let Some(table) = root.table("match")? else { return Ok(()) };
    table.check_keys(MATCH_KEYS)?;
    if let Some(value) = table.value("images") {
        profile.matching.images = value.list()?.iter().map(Value::parsed).collect::<Result<_>>()?;
    }
    Ok(())
}

/// Replaces an optional value by what the file says, if it says something.
fn replace<'d, T>(
    slot: &mut Option<T>,
    value: Option<Value<'d>>,
    read: impl Fn(&Value<'d>) -> Result<T>,
) -> Result<()> {
    if let Some(value) = value {
        *slot = if value.is_false() { None } else { Some(read(&value)?) };
    }
    Ok(())
}

fn items(value: Option<Value<'_>>) -> Result<Vec<Value<'_>>> {
    value.map_or_else(|| Ok(Vec::new()), |value| value.list())
}

fn append(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Reads one command (`["/bin/sh", "-l"]`) or several in order of preference
/// (`[["/bin/bash"], ["/bin/sh"]]`).
fn read_commands(value: &Value<'_>) -> Result<Vec<Vec<String>>> {
    let items = value.list()?;
    let several = items.first().is_some_and(Value::is_list);
    let commands = if several {
        items.iter().map(read_command).collect::<Result<Vec<_>>>()?
    } else {
        vec![read_command(value)?]
    };
    Ok(commands)
}

/// Reads a command: a list of a program and its arguments.
pub(in crate::engine) fn read_command(value: &Value<'_>) -> Result<Vec<String>> {
    let words = value.texts()?;
    if words.first().is_none_or(String::is_empty) {
        return Err(value
            .invalid("the command is empty")
            .hint("write a program and its arguments, as in `[\"/bin/bash\", \"-l\"]`"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(value.invalid("the command holds a NUL byte").hint("take the NUL byte out"));
    }
    Ok(words)
}

/// Reads the value of the variable `name`.
pub(in crate::engine) fn read_variable(name: &str, value: &Value<'_>) -> Result<Variable> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(value
            .invalid("this is no name of a variable")
            .hint("write a name without `=`, as in `LANG = \"C\"`"));
    }
    if value.is_false() {
        return Ok(Variable::Unset);
    }
    let text = value.text()?;
    if text.contains('\0') {
        return Err(value.invalid("the value holds a NUL byte").hint("take the NUL byte out"));
    }
    Ok(Variable::Set(text.to_owned()))
}

fn read_word(value: &Value<'_>) -> Result<String> {
    let text = value.text()?;
    let plain = |c: char| c.is_ascii_graphic() && c != '/' && c != '=';
    if text.is_empty() || !text.chars().all(plain) {
        return Err(value
            .invalid(format!("{text:?} is no name"))
            .hint("write names as in `C.UTF-8` or `xterm`"));
    }
    Ok(text.to_owned())
}

fn read_pattern(value: &Value<'_>) -> Result<String> {
    let text = value.text()?;
    if text.is_empty() || text.contains('\0') {
        return Err(value
            .invalid(format!("{text:?} is no pattern"))
            .hint("write a path relative to the root filesystem, as in `var/cache/*`"));
    }
    Ok(text.to_owned())
}

fn read_instruction(value: &Value<'_>) -> Result<String> {
    let text = value.text()?;
    let word = text.split_whitespace().next().unwrap_or_default();
    let upper = word.to_ascii_uppercase();
    if INSTRUCTIONS.contains(&upper.as_str()) {
        return Ok(text.to_owned());
    }
    Err(value
        .invalid(format!("\"{word}\" is no instruction that an import takes"))
        .hint(suggest::hint(word, INSTRUCTIONS)))
}

fn parse_target(text: &str) -> Result<String> {
    check_path(text)?;
    clean_target(text).map_err(|_| path_error(text, "not an absolute path below `/`"))
}

fn parse_workdir(text: &str) -> Result<String> {
    check_path(text)?;
    if text == "/" {
        return Ok(text.to_owned());
    }
    clean_target(text).map_err(|_| path_error(text, "not an absolute path"))
}

fn check_path(text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(path_error(text, "no path: it holds a NUL byte"));
    }
    Ok(())
}

fn path_error(text: &str, fault: &str) -> Error {
    Error::invalid(format!("{text:?} is {fault}"))
        .hint("write a path of the container, as in `/builddir`")
}
