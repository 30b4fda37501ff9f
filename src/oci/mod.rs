//! The specifications' JSON.
//!
//! The image side is written out here and not taken from oci-spec: its
//! `Labels` and annotations are hash maps, so the bytes of one config would
//! change from run to run, and docker's extensions (`Healthcheck`, `OnBuild`,
//! `Shell`) have no place in it. The runtime side is oci-spec's.
//!
//! Whoever has a digest keeps the raw bytes: nothing read from elsewhere is
//! ever serialised again.

mod image;
mod manifest;

pub use image::{
    Empty, ExecParameters, Healthcheck, History, ImageConfig, NameSet, RootfsDiffs,
    to_canonical_json,
};
pub use manifest::{Descriptor, Index, Manifest, annotation, media_type};
