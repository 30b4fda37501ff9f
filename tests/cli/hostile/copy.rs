//! A container that runs changes what is copied meanwhile (CVE-2018-15664), or
//! has ready what a careless copy would execute (CVE-2019-14271).

use std::fs;
use std::os::unix::fs::symlink;

use super::{Attack, SECRET, program, text, write_program};
use crate::harness::process::eventually;
use crate::harness::{Room, for_everyone};

const ROUNDS: usize = 20;

/// Copies that come through between two swaps, of each kind; with fewer of
/// them nothing was tried.
const ENOUGH: usize = 2;

/// renameat2(2) with `RENAME_EXCHANGE`, over and over.
fn swaps(first: &str, second: &str) -> String {
    let number = libc::SYS_renameat2;
    format!("while :; do /bin/attacker {number} -100 @{first} -100 @{second} 2 >/dev/null; done")
}

/// Starts `script` in a container `live` of the image `evil`; the guard removes
/// it.
fn live<'a>(room: &'a Room, script: &str) -> Live<'a> {
    let words = ["run", "-d", "--name", "live", "-v", "data:/vol", "evil", "sh", "-c", script];
    room.envbox(&words).succeeds();
    Live(room)
}

struct Live<'a>(&'a Room);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.envbox(&["rm", "-f", "live"]);
    }
}

/// Makes the image `evil`: `/srv/dir` has a file, and `/srv/link` leads to
/// where the same file of the host's lies, from any depth.
fn evil<'a>(room: &'a Room, link: &str) -> Attack<'a> {
    let attack = Attack::new(room);
    fs::create_dir_all(attack.rootfs("srv/dir")).unwrap();
    fs::write(attack.rootfs("srv/dir").join(SECRET), "inside").unwrap();
    symlink(link.replace("OUTSIDE", text(&attack.outside(""))), attack.rootfs("srv/link")).unwrap();
    program::install(&attack);
    attack.import(&[]);
    attack
}

for_everyone! {
    fn a_directory_that_a_running_container_swaps_leads_nowhere(room) {
        for link in ["OUTSIDE/dir", "../../../../../../../../OUTSIDE/dir", "/proc/1/root/srv"] {
            let attack = evil(room, link);
            let live = live(room, &swaps("/srv/dir", "/srv/link"));
            let mine = room.work().join("mine");
            fs::write(&mine, "mine").unwrap();
            room.give(&mine);
            let source = format!("live:/srv/dir/{SECRET}");
            let (mut out, mut into) = (0, 0);
            let mut rounds = 0;
            while rounds < ROUNDS || out < ENOUGH || into < ENOUGH {
                rounds += 1;
                assert!(rounds < 100 * ROUNDS, "{out} copies out and {into} in came through");
                // To a file: standard output would be looked through for the secret.
                let copy = room.work().join("copy");
                let _ = fs::remove_file(&copy);
                room.envbox(&["cp", "-q", &source, "copy"]);
                if let Ok(text) = fs::read_to_string(&copy) {
                    assert_eq!(text, "inside", "{link}");
                    out += 1;
                }
                let made = attack.envbox(&["cp", "-q", "mine", "live:/srv/dir/made"]);
                into += usize::from(made.stderr().is_empty());
                let whole = room.envbox(&["cp", "-q", "live:/srv/.", "tree"]);
                let tree = room.work().join("tree");
                for path in ["dir", "link"].map(|name| tree.join(name)) {
                    let kind = fs::symlink_metadata(&path).map(|found| found.file_type());
                    if kind.is_ok_and(|kind| kind.is_dir()) {
                        let text = fs::read_to_string(path.join(SECRET));
                        assert!(text.is_err() || text.unwrap() == "inside", "{whole}");
                    }
                }
                let _ = fs::remove_dir_all(tree);
            }
            drop(live);
            room.envbox(&["rmi", "evil"]).succeeds();
            room.envbox(&["volume", "rm", "data"]).succeeds();
            fs::remove_dir_all(attack.rootfs("srv")).unwrap();
        }
    }

    fn a_volume_that_a_running_container_swaps_leads_nowhere(room) {
        let attack = evil(room, "OUTSIDE/dir");
        let prepare = format!("mkdir /vol/dir; ln -s {} /vol/link; touch /vol/ready;",
            attack.outside("dir").display());
        let live = live(room, &(prepare + &swaps("/vol/dir", "/vol/link")));
        eventually("it swaps", || {
            room.envbox(&["exec", "live", "ls", "/vol/ready"]).stdout().contains("ready")
        });
        for _ in 0..ROUNDS {
            attack.envbox(&["cp", "-q", text(&attack.project()), "live:/vol/dir/made"]);
            attack.envbox(&["cp", "-q", "live:/vol/dir", "-"]);
        }
        drop(live);
    }

    fn nothing_of_a_running_container_is_executed_for_a_copy(room) {
        let attack = Attack::new(room);
        let trap = "#!/bin/busybox sh\n/bin/busybox touch /pwned\n";
        for name in ["tar", "cp", "docker-tar", "envbox", "gzip", "xz"] {
            for folder in ["bin", "usr/bin", "sbin"] {
                fs::create_dir_all(attack.rootfs(folder)).unwrap();
                let _ = fs::remove_file(attack.rootfs(folder).join(name));
                write_program(&attack.rootfs(folder).join(name), trap);
            }
        }
        for library in ["lib/libnss_files.so.2", "lib64/libc.so.6", "etc/ld.so.preload"] {
            let library = attack.rootfs(library);
            fs::create_dir_all(library.parent().unwrap()).unwrap();
            // Whoever opens it waits for ever.
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(rustix::fs::CWD, &library, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }
        attack.import(&[]);
        let live = live(room, "exec busybox sleep 1000");
        attack.envbox(&["cp", "-q", "live:/etc/group", "out"]).succeeds();
        attack.envbox(&["cp", "-q", "live:/bin", "binaries"]).succeeds();
        attack.envbox(&["cp", "-q", text(&attack.project()), "live:/made"]).succeeds();
        attack.envbox(&["cp", "-q", "live:/lib", "libraries"]);
        attack.envbox(&["cp", "-q", "live:/pwned", "out"]).exits(1).warns("could not find");
        drop(live);
    }
}
