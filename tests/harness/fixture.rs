//! Things that tests put into rooms: a root filesystem of one binary, and the
//! probe, built once for the whole run.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const BUSYBOX: &str = "/bin/busybox";

/// Makes a root filesystem of Debian's static busybox and a link an applet.
pub fn busybox_rootfs(rootfs: &Path) {
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "var/tmp"]
    {
        fs::create_dir_all(rootfs.join(folder)).expect("can be made");
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(rootfs.join(folder), PermissionsExt::from_mode(0o1777)).expect("mine");
    }
    fs::copy(BUSYBOX, rootfs.join("bin/busybox")).expect("Debian's busybox-static is installed");
    let list = Command::new(BUSYBOX).arg("--list").output().expect("busybox runs");
    let list = String::from_utf8(list.stdout).expect("applets are text");
    for applet in list.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("is new");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1000::/home/builder:/bin/sh\n";
    fs::write(rootfs.join("etc/passwd"), passwd).expect("can be written");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nbuilder:x:1000:\n").expect("can be written");
}

/// Copies a program of the host's and the libraries that ldd(1) names into a
/// root filesystem, each to its own path.
pub fn copy_program(program: &Path, rootfs: &Path) -> std::io::Result<()> {
    let list = Command::new("ldd").arg(program).output()?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let libraries = list.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    for file in std::iter::once(program).chain(libraries) {
        let inside = rootfs.join(file.strip_prefix("/").expect("is absolute"));
        fs::create_dir_all(inside.parent().expect("has a folder"))?;
        fs::copy(file, &inside)?;
    }
    Ok(())
}

/// The probe (`tests/probe/main.rs`), a static program; built where it is older
/// than its source, by one process at a time.
pub fn probe() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/main.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let probe = folder.join("probe");
    if is_fresh(&probe, &source) {
        return probe;
    }
    fs::create_dir_all(folder).expect("the target folder can be written");
    let lock = File::create(folder.join("probe.lock")).expect("the target folder can be written");
    lock.lock().expect("can be locked");
    if !is_fresh(&probe, &source) {
        let new = folder.join("probe.new");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-name", "probe", "--target", &target, "-O"]);
        rustc.args(["-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o"]).arg(&new);
        let status = rustc.arg(&source).status().expect("rustc starts");
        assert!(status.success(), "the probe does not compile");
        fs::rename(&new, &probe).expect("same folder");
    }
    probe
}

fn is_fresh(product: &Path, source: &Path) -> bool {
    let time = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    time(product).is_some_and(|product| Some(product) > time(source))
}
