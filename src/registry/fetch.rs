//! Opens a URL as a stream. What can go wrong has words: who did not answer,
//! what the server said, and that a body ended before its time. A body of known
//! length or in chunks that stops early is an error and never a short archive;
//! where the server says neither (RFC 9112 section 6.3, item 8) the archive's
//! own end mark has to tell.

use std::io::{self, Read};
use std::time::Duration;

use ureq::config::Config;
use ureq::{Agent, ResponseExt};

use crate::error::{Error, Kind, Result};

use super::proxy::Proxies;
use super::url::Url;

/// As many as curl's default follows in practice and browsers allow.
const MAX_REDIRECTS: u32 = 10;

/// How the network is reached.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The caller's proxies.
    pub proxies: Proxies,
    /// How long is waited.
    pub patience: Patience,
}

/// How long a server may be silent. There is no limit on the whole: a rootfs
/// over a slow line takes its time.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a connection stands, with name and certificate.
    pub connect: Duration,
    /// Until the next byte.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), silence: Duration::from_secs(60) }
    }
}

/// A body on its way.
pub struct Fetched {
    /// Its bytes; its errors carry an [`Error`] with the host.
    pub reader: Box<dyn Read + Send>,
    /// How many there will be, if the server said.
    pub length: Option<u64>,
}

/// Requests `url`, follows at most ten redirects, and returns the body. From
/// https no redirect leads to http. Starts a thread where a name is resolved.
///
/// # Errors
/// `Unavailable` for who does not answer or is busy, `NotFound` and `Denied`
/// for what the server says, `Invalid` for a redirect without end; each with
/// the URL, without its secrets.
pub fn fetch(url: &Url, network: &Network) -> Result<Fetched> {
    let patience = network.patience;
    let agent: Agent = settings(url, network)?.into();
    let response = agent.get(url.uri()).call();
    let response = response.map_err(|error| explain(url, patience, error))?;
    let place = Url::from(response.get_uri().clone());
    let status = response.status();
    if !status.is_success() {
        return Err(refused(&place, status.as_u16(), status.canonical_reason()));
    }
    let body = response.into_body();
    let length = body.content_length();
    let reader = Body { inner: body.into_reader(), url: place, patience, got: 0, length };
    Ok(Fetched { reader: Box::new(reader), length })
}

pub(super) fn settings(url: &Url, network: &Network) -> Result<Config> {
    let patience = network.patience;
    let roots =
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    Ok(Agent::config_builder()
        .tls_config(roots)
        .https_only(url.is_secure())
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .proxy(network.proxies.of(url)?)
        .user_agent(concat!("envbox/", env!("CARGO_PKG_VERSION")))
        // The archive as it is: its compression is told by its bytes.
        .accept_encoding("identity")
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .build())
}

/// What the server said instead of the body.
fn refused(url: &Url, status: u16, reason: Option<&str>) -> Error {
    let answer = format!("{status} {}", reason.unwrap_or_default());
    let answer = answer.trim_end();
    match status {
        401 | 403 | 407 => Error::new(Kind::Denied, format!("the server refuses {url}: {answer}"))
            .hint("give user and password, as in https://USER:PASSWORD@HOST/PATH"),
        404 | 410 => Error::not_found(format!("{url} is not there: {answer}"))
            .hint("check the address, in a browser or with curl -I"),
        408 | 429 | 500..=599 => {
            Error::new(Kind::Unavailable, format!("the server cannot serve {url}: {answer}"))
                .hint("try again later")
        }
        _ => Error::invalid(format!("the server does not serve {url}: {answer}"))
            .hint("check the address, in a browser or with curl -I"),
    }
}

/// What kept the answer from coming.
pub(super) fn explain(url: &Url, patience: Patience, error: ureq::Error) -> Error {
    use ureq::Error as Cause;
    let host = url.host();
    let silent = |time: Duration| {
        Error::new(Kind::Unavailable, format!("{host} does not answer within {time:?}, for {url}"))
            .hint("check the network; behind a proxy set http_proxy and https_proxy")
    };
    match error {
        Cause::Io(cause) if cause.kind() == io::ErrorKind::TimedOut => silent(patience.connect),
        Cause::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => silent(patience.connect),
        Cause::Timeout(_) => silent(patience.silence),
        // What rustls finds passes through its `io::Read` in this form.
        Cause::Io(cause) if url.is_secure() && cause.kind() == io::ErrorKind::InvalidData => {
            untrusted(url).because(cause)
        }
        Cause::Rustls(cause) => untrusted(url).because(cause),
        Cause::Tls(cause) => untrusted(url).because(cause),
        Cause::Io(cause) => Error::new(Kind::Unavailable, format!("cannot fetch {url}"))
            .hint("check address and network; behind a proxy set http_proxy and https_proxy")
            .because(cause),
        Cause::HostNotFound => {
            Error::new(Kind::Unavailable, format!("the host {host} is not found, for {url}"))
                .hint("check its name; behind a proxy set http_proxy and https_proxy")
        }
        Cause::TooManyRedirects => {
            Error::invalid(format!("{url} redirects more than {MAX_REDIRECTS} times"))
                .hint("give the address of the archive itself")
        }
        Cause::RequireHttpsOnly(_) => {
            Error::new(Kind::Denied, format!("{url} redirects to an address without https"))
                .hint("give that http address itself if you trust the network to it")
        }
        Cause::ConnectProxyFailed(answer) => {
            Error::new(Kind::Unavailable, format!("the proxy does not lead to {url}: {answer}"))
                .hint("add the host to no_proxy, or: curl -fL URL | envbox import - NAME")
        }
        other => Error::invalid(format!("cannot fetch {url}"))
            .hint("check that the address is one of a web server")
            .because(other),
    }
}

fn untrusted(url: &Url) -> Error {
    Error::new(Kind::Denied, format!("no trusted connection to {url}"))
        .hint("check this machine's clock and CA certificates (package ca-certificates)")
}

/// The body; counts what came of what was announced.
struct Body {
    inner: ureq::BodyReader<'static>,
    url: Url,
    patience: Patience,
    got: u64,
    length: Option<u64>,
}

impl Body {
    fn explain(&self, cause: io::Error) -> Error {
        let (host, got) = (self.url.host(), self.got);
        let is_silence = cause.kind() == io::ErrorKind::TimedOut
            || cause
                .get_ref()
                .is_some_and(|cause| matches!(cause.downcast_ref(), Some(ureq::Error::Timeout(_))));
        if is_silence {
            let time = self.patience.silence;
            let what = format!("{host} sent nothing for {time:?}, after {got} bytes");
            return Error::new(Kind::Unavailable, what).hint("try again later");
        }
        let of = self.length.map(|length| format!(" of {length}")).unwrap_or_default();
        let what = format!("the connection to {host} was cut after {got}{of} bytes");
        Error::new(Kind::Unavailable, what).hint("try again").because(cause)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.got += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.explain(error).into()),
        }
    }
}
