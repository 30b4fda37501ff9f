//! The `--filter` of lists of images: `KEY=VALUE`, by docker's keys.

use jiff::tz::TimeZone;

use crate::engine::ImageFilter;
use crate::error::{Error, Result};
use crate::fs::Timestamp;

use super::{filter, until};

/// Parses one filter; a time span counts back from now.
///
/// # Errors
/// `Invalid`, with the keys that there are.
pub(super) fn parse_filter(text: &str) -> Result<ImageFilter> {
    parse(text, Timestamp::now(), &TimeZone::system())
}

fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<ImageFilter> {
    let (key, value) = filter::split(text, "dangling=true")?;
    match key.trim().to_ascii_lowercase().as_str() {
        "dangling" => filter::boolean("dangling", value).map(ImageFilter::Dangling),
        "reference" => value.parse().map(ImageFilter::Reference),
        "before" => Ok(ImageFilter::Before(value.to_owned())),
        "since" => Ok(ImageFilter::Since(value.to_owned())),
        "label" => {
            let (key, value) = filter::label(value);
            Ok(ImageFilter::Label(key, value))
        }
        "until" => until::parse(value, now, zone).map(ImageFilter::Until),
        _ => Err(Error::invalid(format!(
            "there is no filter {key:?}, but dangling, reference, before, since, label, until"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_docker_s() {
        let label = |value: Option<&str>| ImageFilter::Label("a".into(), value.map(Into::into));
        for (text, filter) in [
            ("dangling=true", ImageFilter::Dangling(true)),
            ("dangling=0", ImageFilter::Dangling(false)),
            ("reference=b*", ImageFilter::Reference("b*".parse().unwrap())),
            ("before=x:1", ImageFilter::Before("x:1".into())),
            ("since=x", ImageFilter::Since("x".into())),
            ("label=a", label(None)),
            ("label=a=", label(Some(""))),
            ("label=a=b=c", label(Some("b=c"))),
            ("until=1h", ImageFilter::Until(Timestamp::from_seconds(6400))),
        ] {
            let now = Timestamp::from_seconds(10_000);
            assert_eq!(parse(text, now, &TimeZone::UTC).unwrap(), filter, "{text}");
        }
        for text in ["", "dangling", "dangling=maybe", "colour=red", "reference=[", "until=x"] {
            assert!(parse(text, Timestamp::from_seconds(0), &TimeZone::UTC).is_err(), "{text}");
        }
    }
}
