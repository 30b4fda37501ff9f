//! The container's PID 1: compiles `src/sys/init/main.rs` for the target into
//! `OUT_DIR/envbox-init`, a static program that links against nothing, with the
//! compiler and the linker that cargo uses for the rest. What the program does
//! is not known here.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The folder of the program's source, from the package's root.
const SOURCE: &str = "src/sys/init";

/// Options of the linker proper: no padding between segments and no build
/// identifier, which keep the program at a few kilobytes and the same anywhere.
const LINKER_OPTIONS: [&str; 2] = ["-z,noseparate-code", "--build-id=none"];

/// Compiles the program.
///
/// # Panics
/// Where the compiler cannot be run or refuses; cargo shows what it said.
pub fn compile() {
    writeln!(std::io::stdout(), "cargo::rerun-if-changed={SOURCE}").expect("cargo reads this");
    let linker = env::var("RUSTC_LINKER").ok();
    let output = Path::new(&variable("OUT_DIR")).join("envbox-init");
    let status = Command::new(variable("RUSTC"))
        .arg(Path::new(&variable("CARGO_MANIFEST_DIR")).join(SOURCE).join("main.rs"))
        .args(["--crate-name", "envbox_init", "--crate-type", "bin", "--edition", "2024"])
        .args(["--target", &variable("TARGET"), "-D", "warnings", "-o"])
        .arg(&output)
        .args(code_options())
        .args(link_options(linker.as_deref()))
        .status()
        .unwrap_or_else(|error| panic!("the compiler does not start: {error}"));
    assert!(status.success(), "the container's init does not compile: {status}");
}

/// Small, without unwinding or debug information, at a fixed address: position
/// independence would need a relocating start-up, and there is nothing to hide.
fn code_options() -> Vec<String> {
    ["panic=abort", "opt-level=s", "codegen-units=1", "strip=symbols"]
        .into_iter()
        .chain(["force-unwind-tables=no", "relocation-model=static", "target-feature=+crt-static"])
        .map(|option| format!("-C{option}"))
        .collect()
}

/// No start files, no libraries; on musl neither the start files that rustc
/// brings along. (Elsewhere that option would take rustc's own `rust-lld` away.)
fn link_options(linker: Option<&str>) -> Vec<String> {
    let mut options = vec!["-Clink-arg=-nostdlib".to_owned()];
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        options.push("-Clink-self-contained=no".to_owned());
    }
    options.extend(linker.map(|linker| format!("-Clinker={linker}")));
    if linker.is_some_and(is_bare_linker) {
        let words = LINKER_OPTIONS.iter().flat_map(|option| option.split(','));
        options.extend(words.map(|word| format!("-Clink-arg={word}")));
    } else {
        options.push("-Clink-arg=-nostartfiles".to_owned());
        options.extend(LINKER_OPTIONS.iter().map(|option| format!("-Clink-arg=-Wl,{option}")));
    }
    options
}

/// Whether a linker is one like `ld`, `rust-lld` or `aarch64-linux-gnu-ld`, which
/// takes its options as they are, and not a C compiler that hands them on.
fn is_bare_linker(linker: &str) -> bool {
    let name = Path::new(linker).file_stem().unwrap_or_default();
    name.to_string_lossy().ends_with("ld")
}

/// A variable that cargo promises to build scripts.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
