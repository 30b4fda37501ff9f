//! `--gpus`: docker's request for GPUs, one line of comma-separated values, and
//! the CDI devices that it comes to. Which of them there are it does not know.

use std::fmt;
use std::str::FromStr;

use super::cdi::CdiName;
use crate::error::{Error, Result};

/// Whose GPUs docker gives where it gives them by CDI.
const KIND: &str = "nvidia.com/gpu";

/// Capabilities that a request can name (docker's `nvidia_linux.go`).
const CAPABILITIES: [&str; 8] =
    ["gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"];

/// Which GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GpuSelection {
    /// Every one.
    All,
    /// The first ones.
    Count(u32),
    /// These, by number or UUID.
    Devices(Vec<String>),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GpuOption {
    /// Which GPUs.
    pub selection: GpuSelection,
    /// The driver, if one is named: it has one value.
    pub driver: Option<String>,
    /// What the program wants of them; CDI files give what they give.
    pub capabilities: Vec<String>,
    text: String,
}

impl GpuOption {
    /// The devices.
    ///
    /// # Errors
    /// `Invalid` for a device that is no name.
    pub fn devices(&self) -> Result<Vec<CdiName>> {
        let name = |device: &str| CdiName::new(KIND.parse()?, device);
        match &self.selection {
            GpuSelection::All => Ok(vec![name("all")?]),
            GpuSelection::Count(count) => (0..*count).map(|n| name(&n.to_string())).collect(),
            GpuSelection::Devices(list) => list.iter().map(|device| name(device)).collect(),
        }
    }
}

impl FromStr for GpuOption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hint = "write all, a number, or '\"device=0,1\"' with both kinds of quotes";
        let bad = |what: String| Error::invalid(format!("--gpus {text}: {what}")).hint(hint);
        let (mut driver, mut capabilities) = (None, vec!["gpu".to_owned()]);
        let (mut count, mut devices) = (None, None);
        let mut seen = Vec::new();
        for field in fields(text).map_err(|what| bad(what.to_owned()))? {
            let (key, value) = field.split_once('=').unwrap_or(("count", &field));
            if seen.iter().any(|other| other == key) {
                return Err(bad(format!("gpu request key '{key}' can be specified only once")));
            }
            seen.push(key.to_owned());
            match key {
                "count" => count = Some(parse_count(value).map_err(bad)?),
                "device" => devices = Some(list(value)),
                "driver" => driver = Some(value.to_owned()),
                "capabilities" => capabilities = [list(value), capabilities].concat(),
                "options" => {
                    return Err(Error::unsupported("--gpus: CDI devices have no options")
                        .hint("leave options= out: the CDI file says what a device brings"));
                }
                _ => return Err(bad(format!("unexpected key '{key}' in '{field}'"))),
            }
        }
        check_driver(driver.as_deref(), &capabilities)?;
        let selection = match (count, devices) {
            (Some(_), Some(_)) => {
                return Err(bad("cannot set both Count and DeviceIDs on device request".into()));
            }
            (None, Some(devices)) => GpuSelection::Devices(devices),
            (count, None) => count.unwrap_or(GpuSelection::Count(1)),
        };
        let option = Self { selection, driver, capabilities, text: text.to_owned() };
        option.devices().map_err(|error| error.hint(hint))?;
        Ok(option)
    }
}

impl fmt::Display for GpuOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn check_driver(driver: Option<&str>, capabilities: &[String]) -> Result<()> {
    let known = |capability: &String| CAPABILITIES.contains(&capability.as_str());
    if matches!(driver, None | Some("" | "nvidia")) && capabilities.iter().all(known) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "could not select device driver \"{}\" with capabilities: [[{}]]",
        driver.unwrap_or_default(),
        capabilities.join(" ")
    ))
    .hint("give devices of other vendors by their CDI names: --device VENDOR/CLASS=NAME"))
}

/// docker's `parseCount`, where -1 is all. More than a machine can hold is no
/// number either.
fn parse_count(text: &str) -> Result<GpuSelection, String> {
    const MOST: u32 = 1024;
    match text {
        "all" | "-1" => Ok(GpuSelection::All),
        _ => text.parse().ok().filter(|count| *count <= MOST).map(GpuSelection::Count).ok_or_else(
            || format!("invalid count ({text}): value must be either \"all\" or an integer"),
        ),
    }
}

/// The fields of a line of comma-separated values (RFC 4180).
fn fields(text: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if !rest.starts_with('"') && field.contains('"') {
            return Err("a quote stands inside a field that has none at its ends");
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows the quote that ends a field"),
        }
    }
}

/// A field after its first quote, and what follows its last one.
fn quoted_field(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn devices(text: &str) -> Vec<String> {
        let option: GpuOption = text.parse().unwrap();
        assert_eq!(option.to_string().parse::<GpuOption>().unwrap(), option);
        option.devices().unwrap().iter().map(|name| name.device.clone()).collect()
    }

    #[test]
    fn takes_dockers_forms() {
        assert_eq!(devices("all"), ["all"]);
        assert_eq!(devices("-1"), ["all"]);
        assert_eq!(devices("count=all,driver=nvidia"), ["all"]);
        assert_eq!(devices("2"), ["0", "1"]);
        assert_eq!(devices("capabilities=utility"), ["0"]);
        assert_eq!(devices("\"device=0,1\""), ["0", "1"]);
        assert_eq!(devices("\"device=1,2\",\"capabilities=compute,utility\""), ["1", "2"]);
        assert_eq!(devices("device=GPU-3a23c669-1f69-c64e"), ["GPU-3a23c669-1f69-c64e"]);
        assert_eq!(devices("device=0:1"), ["0:1"]);
        assert!(devices("0").is_empty());
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for (text, kind) in [
            ("", Kind::Invalid),
            ("some", Kind::Invalid),
            ("-2", Kind::Invalid),
            ("4294967295", Kind::Invalid),
            ("device=0,1", Kind::Invalid),
            ("device=", Kind::Invalid),
            ("device=../x", Kind::Invalid),
            ("all,count=1", Kind::Invalid),
            ("all,device=0", Kind::Invalid),
            ("\"all", Kind::Invalid),
            ("\"all\"x", Kind::Invalid),
            ("a\"ll", Kind::Invalid),
            ("all,color=red", Kind::Invalid),
            ("all,driver=other", Kind::Unsupported),
            ("all,capabilities=fly", Kind::Unsupported),
            ("all,options=a=b", Kind::Unsupported),
        ] {
            assert_eq!(text.parse::<GpuOption>().unwrap_err().kind(), kind, "{text}");
        }
    }
}
