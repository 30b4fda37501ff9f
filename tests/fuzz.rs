//! The functions that are fuzzed, over their seeds and over seeds that were
//! damaged a little: they are compiled, and hold, without a fuzzer.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use std::process::Command;

/// How many damaged copies are made of a seed.
const COPIES: usize = 24;

/// Makes the seeds in `folder`, one directory for each target.
fn make_seeds(folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds.py");
    let status = Command::new("python3").arg(script).arg(folder).status().expect("python3 runs");
    assert!(status.success());
}

fn read_all(folder: &Path) -> Vec<Vec<u8>> {
    let entries = folder.read_dir().unwrap_or_else(|_| panic!("no seeds: {}", folder.display()));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read(entry.expect("an entry").path()).expect("a seed")
    };
    entries.map(read).collect()
}

/// `seed` with one of its bytes changed, cut off, or given twice.
fn damaged(seed: &[u8], copy: usize) -> Vec<u8> {
    // Any numbers do, if they are the same in each run.
    let at = (copy + 1) * 7919 % seed.len().max(1);
    let (start, end) = seed.split_at(at);
    match copy % 3 {
        0 => [start, &[(copy * 37) as u8], end.get(1..).unwrap_or_default()].concat(),
        1 => start.to_vec(),
        _ => [start, start, end].concat(),
    }
}

#[test]
fn what_is_fuzzed_holds_over_the_seeds() {
    let room = tempfile::tempdir().expect("a temporary directory");
    make_seeds(room.path());
    for (name, _) in targets::TARGETS {
        for seed in read_all(&room.path().join(name)) {
            targets::run(name, &seed);
            (0..COPIES).for_each(|copy| targets::run(name, &damaged(&seed, copy)));
        }
    }
}

#[test]
fn each_target_is_one_of_cargo_fuzz() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest");
    for (name, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let target = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs")));
        assert!(target.expect("the target").contains(&format!("run({name:?}, input)")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets::TARGETS.len());
}
