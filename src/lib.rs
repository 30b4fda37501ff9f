//! envbox: root filesystems become images, and reproducible build shells open
//! in them.
//!
//! The house has five floors; a module imports from floors below its own and
//! from itself, never upward, and never sideways on floor 2
//! (`tests/architecture.rs` holds this):
//!
//! 0. ground: [`error`] [`digest`] [`mod@reference`] [`id`] [`platform`]
//!    [`mount`] [`oci`], and the two fences [`fs`] (files) and [`sys`] (the
//!    kernel, the only place for `unsafe`)
//! 1. [`store`]: everything on disk
//! 2. subsystems, siblings that never see each other: [`image`]
//!    [`registry`] [`dockerfile`] [`runtime`] [`monitor`] [`compat`]
//! 3. [`engine`]: one file per thing a user can ask for; returns data
//! 4. [`cli`]: the only floor that sees terminal, environment and exit code
//!
//! `docs/architecture.md` tells the whole.

pub mod digest;
pub mod error;
pub mod fs;
pub mod id;
pub mod mount;
pub mod oci;
pub mod platform;
pub mod reference;
pub mod sys;

pub mod store;

pub mod compat;
pub mod dockerfile;
pub mod image;
pub mod monitor;
pub mod registry;
pub mod runtime;

pub mod engine;

pub mod cli;
