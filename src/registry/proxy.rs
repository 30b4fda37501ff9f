//! Which proxy a URL is reached by, by curl's rules (curl(1), "ENVIRONMENT"):
//! `https_proxy` or `http_proxy`, else `all_proxy`, and `no_proxy` lists the
//! hosts that need none. The capitals mean the same, except `HTTP_PROXY`, which
//! a web server's CGI sets from a header that anybody may send.

use ureq::Proxy;

use crate::error::{Error, Result};

use super::url::Url;

/// The proxies that the caller's environment names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    all: Option<String>,
    direct: Vec<String>,
}

impl Proxies {
    /// Reads the variables by `variable`, which returns `None` for one that is
    /// empty or unset.
    pub fn from_variables<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let either = |name: &str| {
            variable(name).or_else(|| variable(&name.to_ascii_uppercase())).map(str::to_owned)
        };
        let direct = either("no_proxy").unwrap_or_default();
        let hosts = direct.split([',', ' ']).filter(|host| !host.is_empty());
        Self {
            http: variable("http_proxy").map(str::to_owned),
            https: either("https_proxy"),
            all: either("all_proxy"),
            direct: hosts.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The proxy for `url`, if it needs one.
    ///
    /// # Errors
    /// `Invalid` with the variable if what it says is no proxy.
    pub(super) fn of(&self, url: &Url) -> Result<Option<Proxy>> {
        if self.is_direct(url.host()) {
            return Ok(None);
        }
        let own = match url.is_secure() {
            true => ("https_proxy", &self.https),
            false => ("http_proxy", &self.http),
        };
        let found = [own, ("all_proxy", &self.all)];
        let Some((name, Some(text))) = found.into_iter().find(|(_, text)| text.is_some()) else {
            return Ok(None);
        };
        Proxy::new(text).map(Some).map_err(|_| {
            // The text itself may hold a password.
            Error::invalid(format!("the variable {name} does not name a proxy"))
                .hint(format!("set it like {name}=http://proxy.example:3128, or unset it"))
        })
    }

    /// `no_proxy` names hosts with all below them; a leading dot says the same.
    fn is_direct(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        self.direct.iter().any(|entry| {
            let entry = entry.trim_start_matches('.').trim_matches(['[', ']']);
            let above = host.strip_suffix(entry);
            entry == "*" || above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        let proxies = Proxies::from_variables(find);
        let proxy = proxies.of(&url.parse().unwrap()).unwrap();
        proxy.map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let variables = [("http_proxy", "http://a:1"), ("HTTPS_PROXY", "b:2")];
        assert_eq!(host_of(&variables, "http://h/").as_deref(), Some("a"));
        assert_eq!(host_of(&variables, "https://h/").as_deref(), Some("b"));
        assert_eq!(host_of(&[("ALL_PROXY", "c")], "http://h/").as_deref(), Some("c"));
        assert_eq!(host_of(&[("HTTP_PROXY", "evil")], "http://h/"), None);
    }

    #[test]
    fn some_hosts_need_none() {
        let direct = |list: &str, url: &str| {
            host_of(&[("all_proxy", "p"), ("no_proxy", list)], url).is_none()
        };
        assert!(direct("h.example", "http://h.example/"));
        assert!(direct("x, .example", "http://H.example/"));
        assert!(direct("example", "http://h.example/"));
        assert!(direct("*", "http://h/") && direct("::1", "http://[::1]:8/"));
        assert!(!direct("ample", "http://h.example/"));
        assert!(!direct("h.example", "http://example/"));
    }

    #[test]
    fn a_malformed_one_is_an_error_without_its_password() {
        let proxies = Proxies { http: Some("http://u:secret@ x".into()), ..Proxies::default() };
        let error = proxies.of(&"http://h/".parse().unwrap()).unwrap_err();
        assert!(error.chain().contains("http_proxy") && !error.chain().contains("secret"));
    }
}
