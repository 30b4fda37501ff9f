//! Every path that envbox uses in a root filesystem, as something that it is
//! not.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::{Attack, SECRET, snapshot, text};
use crate::harness::{Output, Room, for_everyone, skip};

/// What envbox reads, mounts on or changes to. The first three must be plain
/// directories.
const PATHS: [&str; 16] = [
    "proc",
    "sys",
    "dev",
    "dev/shm",
    "dev/pts",
    "dev/null",
    "etc",
    "etc/passwd",
    "etc/group",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "var/tmp",
    "tmp",
    "builddir",
    "start",
];

/// Looks at all of them, and writes to all that can be written to.
const LOOK: &str = "for p in $PATHS; do p=/$p
    [ -f $p ] && cat $p && echo written 2>/dev/null >> $p
    [ -d $p ] && ls -a $p && touch $p/touched 2>/dev/null
done; ls -a . ; touch ./touched; true";

/// Disguises one path after the other and enters each time.
fn attack(room: &Room, disguise: impl Fn(&Attack<'_>, &Path) -> std::io::Result<()>) {
    let attack = Attack::new(room);
    let environment = format!("PATHS={}", PATHS.join(" "));
    for path in PATHS {
        let place = attack.rootfs(path);
        let aside = room.work().join("aside");
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let existed = fs::rename(&place, &aside).is_ok();
        if let Err(error) = disguise(&attack, &place) {
            return skip(&format!("{path}: {error}"));
        }
        attack.give();
        let before = snapshot(&place);
        // There only the two are mounted in another way.
        let host = ["sys", "etc/resolv.conf"].contains(&path);
        let network = if host { "host" } else { "none" };
        let words = ["--network", network, "-w", "/start", "-e", &environment, "-c", LOOK];
        no_harm(path, attack.shell(&words));
        assert_eq!(before, snapshot(&place), "{path} of the directory itself changed");
        remove(&place);
        if existed {
            fs::rename(&aside, &place).unwrap();
        }
    }
    as_image(&attack, &environment, &disguise);
}

/// The same with an image, all files of `/etc` and all directories but the
/// system's disguised at once.
fn as_image(
    attack: &Attack<'_>,
    environment: &str,
    disguise: impl Fn(&Attack<'_>, &Path) -> std::io::Result<()>,
) {
    for path in PATHS.into_iter().filter(|path| path.starts_with("etc/") || !path.contains('/')) {
        if !["proc", "sys", "dev", "etc"].contains(&path) {
            remove(&attack.rootfs(path));
            disguise(attack, &attack.rootfs(path)).unwrap();
        }
    }
    attack.import(&["WORKDIR /start"]);
    for network in ["none", "host"] {
        let words = ["--network", network, "-e", environment, "evil", "sh", "-c", LOOK];
        no_harm("image", attack.run(&words));
    }
}

/// Either it runs, or envbox says why not.
#[track_caller]
fn no_harm(path: &str, output: Output) {
    let ended = match output.stdout().is_empty() {
        true => output.exits(125).warns("envbox: "),
        false => output.exits(0),
    };
    assert!(!ended.stderr().contains("panicked"), "{path}: {ended}");
}

fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}

/// A node, which only root can make outside of a user namespace.
fn node(place: &Path, kind: FileType, numbers: (u32, u32)) -> std::io::Result<()> {
    let device = makedev(numbers.0, numbers.1);
    Ok(mknodat(CWD, place, kind, Mode::from_raw_mode(0o666), device)?)
}

for_everyone! {
    fn a_link_to_a_file_of_the_host_leads_nowhere(room) {
        attack(room, |attack, place| symlink(attack.outside("passwd"), place));
    }

    fn a_link_to_a_directory_of_the_host_leads_nowhere(room) {
        attack(room, |attack, place| symlink(attack.outside("dir"), place));
    }

    fn a_link_to_what_is_missing_on_the_host_makes_nothing(room) {
        attack(room, |attack, place| symlink(attack.outside("missing/below"), place));
    }

    fn a_link_that_climbs_does_not_leave_the_root(room) {
        attack(room, |attack, place| {
            let climb = "../".repeat(30) + text(&attack.outside("dir")).trim_start_matches('/');
            symlink(climb, place)
        });
    }

    fn a_link_that_climbs_to_what_is_missing_makes_nothing(room) {
        attack(room, |attack, place| {
            let missing = attack.outside("missing");
            symlink("../".repeat(30) + text(&missing).trim_start_matches('/'), place)
        });
    }

    fn a_link_to_itself_ends(room) {
        attack(room, |_, place| symlink(place.file_name().unwrap(), place));
    }

    fn a_link_through_the_root_of_a_process_leads_nowhere(room) {
        attack(room, |attack, place| {
            symlink(format!("/proc/self/root{}", text(&attack.outside("dir"))), place)
        });
    }

    fn a_link_to_a_descriptor_leads_nowhere(room) {
        attack(room, |_, place| symlink("/proc/self/fd/3", place));
    }

    fn a_link_to_the_directory_of_process_one_leads_nowhere(room) {
        attack(room, |_, place| symlink("/proc/1/cwd", place));
    }

    fn a_fifo_does_not_block(room) {
        attack(room, |_, place| node(place, FileType::Fifo, (0, 0)));
    }

    fn a_socket_is_no_file(room) {
        attack(room, |_, place| UnixListener::bind(place).map(drop));
    }

    fn a_device_is_not_opened(room) {
        // Reading this one never ends.
        attack(room, |_, place| node(place, FileType::CharacterDevice, (1, 5)));
    }

    fn a_disk_is_not_opened(room) {
        attack(room, |_, place| node(place, FileType::BlockDevice, (7, 0)));
    }

    fn a_directory_where_a_file_belongs_is_no_harm(room) {
        attack(room, |_, place| fs::create_dir(place));
    }

    fn a_file_where_a_directory_belongs_is_no_harm(room) {
        attack(room, |_, place| fs::write(place, "root:x:0:0::/:/bin/sh\n"));
    }

    fn garbage_in_the_files_of_users_is_no_harm(room) {
        let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n * 31 % 251) as u8).collect();
        let long = b"x:".repeat(1_000_000);
        for content in [garbage, long, b":::::::\n\n::0\n:0".to_vec(), vec![b'\n'; 3_000_000]] {
            attack_users(room, |place| fs::write(place, &content));
        }
    }

    fn a_file_of_users_of_a_billion_bytes_is_refused_unread(room) {
        attack_users(room, |place| fs::File::create(place)?.set_len(1 << 30));
        let attack = Attack { room, before: snapshot(&room.path().join("outside/")) };
        let output = attack.shell(&["-c", "true"]).exits(125);
        assert!(output.stderr().contains("larger than"), "{output}");
    }

    fn proc_that_is_moved_by_another_mount_is_refused(room) {
        // The link leads to /elsewhere until /dev is mounted, and nowhere then.
        let attack = Attack::new(room);
        fs::rename(attack.rootfs("proc"), attack.rootfs("elsewhere")).unwrap();
        fs::create_dir(attack.rootfs("dev/way")).unwrap();
        symlink("dev/way/../../elsewhere", attack.rootfs("proc")).unwrap();
        attack.give();
        let line = "echo entered; : >> /elsewhere/sys/kernel/core_pattern && echo writable";
        let output = attack.shell(&["-c", line]).exits(125).warns("must be a directory");
        assert_eq!(output.stdout(), "");
    }

    fn users_of_the_host_are_nobody_inside(room) {
        let attack = Attack::new(room);
        fs::remove_file(attack.rootfs("etc/passwd")).unwrap();
        symlink(attack.outside("passwd"), attack.rootfs("etc/passwd")).unwrap();
        attack.import(&["USER canary"]);
        attack.run(&["evil", "id"]).exits(125);
        attack.run(&["-u", "canary", "evil", "id"]).exits(125);
        assert!(!fs::read_to_string(attack.rootfs("etc/group")).unwrap().contains(SECRET));
    }
}

/// Enters with both files of users replaced.
fn attack_users(room: &Room, write: impl Fn(&Path) -> std::io::Result<()>) {
    let attack = if room.work().join("rootfs").exists() {
        Attack { room, before: snapshot(&room.path().join("outside/")) }
    } else {
        Attack::new(room)
    };
    for file in ["etc/passwd", "etc/group"] {
        write(&attack.rootfs(file)).unwrap();
    }
    attack.give();
    for user in [&[][..], &["-u", "root"], &["-u", "12345:12345"]] {
        no_harm("users", attack.shell(&[user, &["-c", "pwd"]].concat()));
    }
}
