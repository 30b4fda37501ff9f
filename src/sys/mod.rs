//! Fence 2: the kernel. The only folder in which `unsafe` may stand. Takes
//! borrowed descriptors, returns owned ones, turns errno into `io::Error`,
//! and knows nothing of images or containers.
//!
//! What rustix and nix already offer as safe calls is used from there; here
//! stands only what they lack.

#![allow(unsafe_code)]

pub mod descriptor;
pub mod init;
pub mod mount;
pub mod net;
pub mod process;
pub mod seccomp;
pub mod socket;
