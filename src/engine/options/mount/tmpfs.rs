//! `--tmpfs TARGET[:OPTIONS]`: docker's list of options for a file system in
//! memory. Sizes stay as typed, because the kernel reads them itself and knows
//! a per cent sign (tmpfs(5)).

use super::{MountKind, MountOption, Tmpfs, check_nul, clean_target};
use crate::engine::options::suggest;
use crate::error::{Error, Result};

/// Options without a value, each with its opposite.
const FLAGS: &[(&str, &str)] = &[
    ("exec", "noexec"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("sync", "async"),
    ("dirsync", ""),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
];
/// Options with a value.
const KEYS: &[&str] = &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/// What docker sets unless told otherwise.
const DEFAULTS: &[&str] = &["noexec", "nosuid", "nodev"];

impl Tmpfs {
    /// The options to mount with: docker's `noexec,nosuid,nodev`, each unless
    /// its opposite was asked for, then those that were given.
    pub fn mount_options(&self) -> Vec<String> {
        let given = |name: &str| self.options.iter().any(|option| option == name);
        let positive = |name: &str| FLAGS.iter().find(|(_, no)| *no == name).map(|(yes, _)| *yes);
        let kept = DEFAULTS
            .iter()
            .filter(|name| !given(name) && !positive(name).is_some_and(given))
            .map(|name| (*name).to_owned());
        kept.chain(self.options.iter().cloned()).collect()
    }
}

/// Parses a value of `--tmpfs`.
pub fn parse_tmpfs(text: &str) -> Result<MountOption> {
    check_nul(text)?;
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = clean_target(target).map_err(|fault| {
        invalid(text, fault).hint("write TARGET[:OPTIONS], as in `/run:size=64m,mode=755`")
    })?;
    let mut read_only = false;
    let mut tmpfs = Tmpfs::default();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            option => {
                check(text, option)?;
                check_no_devices(text, option)?;
                // The last of a pair wins; the kernel would see both.
                tmpfs.options.retain(|earlier| !replaces(option, earlier));
                tmpfs.options.push(option.to_owned());
            }
        }
    }
    Ok(MountOption { target, read_only, kind: MountKind::Tmpfs(tmpfs) })
}

/// Whether `option` makes an `earlier` one void: the same, its opposite, or
/// the same key.
fn replaces(option: &str, earlier: &str) -> bool {
    let key = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let opposite = |(yes, no): &(&str, &str)| {
        (*yes == option && *no == earlier) || (*no == option && *yes == earlier)
    };
    key(option) == key(earlier) || FLAGS.iter().any(opposite)
}

/// No file system of a container's opens devices but its `/dev`.
fn check_no_devices(text: &str, option: &str) -> Result<()> {
    if option != "dev" {
        return Ok(());
    }
    Err(Error::unsupported(format!("tmpfs \"{text}\": devices are not opened in a mount"))
        .hint("leave `dev` out; a device of the host is given by -v /dev/NAME:/dev/NAME"))
}

fn check(text: &str, option: &str) -> Result<()> {
    let Some((key, value)) = option.split_once('=') else {
        let flags = || FLAGS.iter().flat_map(|(yes, no)| [*yes, *no]).filter(|f| !f.is_empty());
        if flags().any(|flag| flag == option) {
            return Ok(());
        }
        if KEYS.contains(&option) {
            return Err(invalid(text, &format!("option `{option}` has no value"))
                .hint(format!("write `{option}=VALUE`")));
        }
        let known: Vec<&str> = flags().chain(["ro", "rw"]).chain(KEYS.iter().copied()).collect();
        return Err(invalid(text, &format!("there is no option \"{option}\""))
            .hint(suggest::hint(option, &known)));
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (valid, form) = match key {
        "size" => (digits(value.strip_suffix('%').unwrap_or(unit_off(value))), "size=64m"),
        "nr_blocks" | "nr_inodes" => (digits(unit_off(value)), "nr_inodes=10k"),
        "uid" | "gid" => (digits(value) && value.parse::<u32>().is_ok(), "uid=1000"),
        "mode" => (parse_mode(value).is_some(), "mode=1777"),
        "mpol" => (!value.is_empty(), "mpol=local"),
        _ => {
            return Err(invalid(text, &format!("there is no option \"{key}\""))
                .hint(suggest::hint(key, KEYS)));
        }
    };
    if valid {
        return Ok(());
    }
    Err(invalid(text, &format!("\"{value}\" is no value for `{key}`"))
        .hint(format!("write it as in `{form}`")))
}

/// Takes the kernel's unit letter (memparse) off.
fn unit_off(value: &str) -> &str {
    value.strip_suffix(|c: char| "kKmMgGtTpP".contains(c)).unwrap_or(value)
}

/// Parses octal permissions, set-ID and sticky bits included.
pub(super) fn parse_mode(text: &str) -> Option<u32> {
    let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    octal.then(|| u32::from_str_radix(text, 8).ok())?.filter(|mode| *mode <= 0o7777)
}

fn invalid(text: &str, fault: &str) -> Error {
    Error::invalid(format!("invalid tmpfs \"{text}\": {fault}"))
}

pub(super) fn print(mount: &MountOption, tmpfs: &Tmpfs) -> String {
    let read_only = mount.read_only.then_some("ro");
    let options: Vec<&str> =
        read_only.into_iter().chain(tmpfs.options.iter().map(String::as_str)).collect();
    if options.is_empty() {
        return mount.target.clone();
    }
    format!("{}:{}", mount.target, options.join(","))
}
