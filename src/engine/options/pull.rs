//! `--pull`: whether an image is fetched before it is run. There are no
//! registries, so nothing ever is: who wants that is told so.

use std::str::FromStr;

use crate::error::{Error, Result};

/// `missing`, docker's default, or `never`: an image that is not there is an
/// error with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullPolicy;

impl FromStr for PullPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "missing" | "never" => Ok(Self),
            "always" => {
                Err(Error::unsupported("--pull always: images cannot be fetched from registries")
                    .hint("import the image, and leave --pull out"))
            }
            // docker's words.
            other => Err(Error::invalid(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn nothing_is_fetched() {
        assert!("missing".parse::<PullPolicy>().is_ok() && "never".parse::<PullPolicy>().is_ok());
        let kind = |text: &str| text.parse::<PullPolicy>().unwrap_err().kind();
        assert_eq!(kind("always"), Kind::Unsupported);
        assert_eq!(kind(""), Kind::Invalid);
        assert_eq!(kind("Never"), Kind::Invalid);
    }
}
