//! What is fuzzed: for each target a function that takes any bytes, and panics
//! where envbox breaks a promise. The targets of cargo-fuzz call them, and so
//! does the ordinary suite, over the seeds (`tests/fuzz.rs` includes this file),
//! so that they are compiled and true without nightly Rust.
//!
//! They know no fuzzer and no file but those in temporary directories.

mod archive;
mod layer;
mod members;
mod text;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; each has a file of that name in `fuzz_targets`.
pub const TARGETS: [Target; 13] = [
    ("tar", layer::tar),
    ("layer", layer::layer),
    ("canonical", members::canonical),
    ("json", archive::json),
    ("index", archive::index),
    ("archive", archive::archive),
    ("reference", text::reference),
    ("change", text::change),
    ("template", text::template),
    ("options", text::options),
    ("exclude", text::exclude),
    ("elf", text::elf),
    ("accounts", text::accounts),
];

/// Does what the target `name` does with `input`; panics if there is none.
pub fn run(name: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = found.unwrap_or_else(|| panic!("no target {name}"));
    target(input);
}
