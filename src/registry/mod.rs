//! The outside network, as a client: an archive that lies behind a URL.
//!
//! - [`Url`]: parsed once; prints itself without secrets
//! - [`Proxies`]: which proxy a URL is reached by, from the variables of the
//!   caller's environment, which are handed in
//! - [`fetch`]: opens a URL as a reader that knows when it was cut short
//!
//! It knows nothing of what the bytes are, keeps nothing on disk, and never
//! tries again by itself. Its requests start a thread (name resolution), so a
//! process that wants to fork or to enter a user namespace does so before.

mod fetch;
mod proxy;
mod url;

pub use fetch::{Fetched, Network, Patience, fetch};
pub use proxy::Proxies;
pub use url::Url;

#[cfg(test)]
mod tests;
