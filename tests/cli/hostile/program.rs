//! The attacker (`attacker/main.rs`), built once for the whole run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Attack;

/// Puts the attacker at `/bin/attacker` of the root filesystem.
pub fn install(attack: &Attack<'_>) {
    fs::copy(build(), attack.rootfs("bin/attacker")).unwrap();
    attack.give();
}

fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/hostile/attacker/main.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("attacker");
    if is_newer(&program, &source) {
        return program;
    }
    let lock = File::create(folder.join("attacker.lock")).unwrap();
    lock.lock().unwrap();
    if !is_newer(&program, &source) {
        let new = folder.join("attacker.new");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-name", "attacker", "--target", &target]);
        rustc.args(["-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o"]).arg(&new);
        assert!(rustc.arg(&source).status().unwrap().success());
        fs::rename(&new, &program).unwrap();
    }
    program
}

fn is_newer(product: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).ok()?.modified().ok();
    time(product).is_some_and(|product| Some(product) > time(source))
}
