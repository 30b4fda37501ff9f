//! What the user mounts, onto what an image has made of the target.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Attack, text};
use crate::harness::for_everyone;

/// A directory of the caller's with a file in it, to be mounted.
fn source(attack: &Attack<'_>) -> PathBuf {
    let source = attack.room.work().join("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("mine"), "mine").unwrap();
    attack.room.give(&source);
    source
}

/// Runs `swap` over and over in a thread while `work` runs.
fn meanwhile(swap: impl Fn() + Sync, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                swap();
            }
        });
        // Also where `work` panics, or the scope would wait for ever.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _done = Done(&done);
        work();
    });
}

for_everyone! {
    fn a_target_that_is_a_link_to_the_host_is_inside(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        symlink(attack.outside("dir"), attack.rootfs("link")).unwrap();
        symlink(attack.outside("missing/deep"), attack.rootfs("dangling")).unwrap();
        symlink("../".repeat(30) + "etc", attack.rootfs("climbing")).unwrap();
        attack.import(&[]);
        for target in ["/link", "/link/made", "/dangling", "/dangling/made", "/climbing/made"] {
            let mount = format!("{}:{target}", text(&mine));
            attack.run(&["-v", &mount, "evil", "cat", &format!("{target}/mine")]).succeeds();
            let file = format!("{}/mine:{target}/file", text(&mine));
            attack.run(&["-v", &file, "evil", "cat", &format!("{target}/file")]).succeeds();
        }
        assert!(!Path::new("/etc/made").exists());
    }

    fn a_target_through_a_file_is_refused(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        attack.import(&[]);
        for target in ["/etc/passwd/below", "/etc/passwd", "/bin/busybox/x/y"] {
            let mount = format!("{}:{target}", text(&mine));
            attack.run(&["-v", &mount, "evil", "true"]).exits(125);
        }
        let file = format!("{}/mine:/etc", text(&mine));
        attack.run(&["-v", &file, "evil", "true"]).exits(125);
    }

    fn a_target_with_dots_is_cleaned_and_the_root_is_refused(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        attack.import(&[]);
        let mount = |target: &str| format!("{}:{target}", text(&mine));
        let words = ["-v", &mount("/../../../in/../made"), "evil", "cat", "/made/mine"];
        attack.run(&words).succeeds();
        for target in ["/", "/..", "/x/..", "/.//"] {
            attack.run(&["-v", &mount(target), "evil", "true"]).exits(125);
        }
        assert!(!Path::new("/made").exists());
    }

    fn a_target_in_proc_uncovers_nothing(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        symlink("/proc", attack.rootfs("to-proc")).unwrap();
        symlink("/proc/sys", attack.rootfs("to-sys")).unwrap();
        symlink("/proc/1/root", attack.rootfs("to-root")).unwrap();
        attack.import(&[]);
        let line = "(: >> /proc/sys/kernel/core_pattern) 2>/dev/null && echo writable; cat /proc/kcore | head -c 4; \
            for f in /proc/keys /proc/timer_list; do [ -s $f ] && echo seen $f; done; exit 0";
        for target in ["/to-proc", "/to-sys", "/proc/sys/kernel", "/proc/bus", "/proc/1", "/to-proc/made"] {
            let mount = format!("{}:{target}", text(&mine));
            let output = attack.run(&["-v", &mount, "evil", "sh", "-c", line]);
            assert_eq!(output.stdout(), "", "{target}");
        }
        for target in ["/to-root/made", "/proc/self/cwd/made"] {
            let mount = format!("{}:{target}", text(&mine));
            attack.run(&["-v", &mount, "evil", "true"]).exits(125);
        }
    }

    fn a_source_that_is_a_link_of_the_callers_is_followed(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        let link = room.work().join("link");
        symlink(&mine, &link).unwrap();
        attack.import(&[]);
        let mount = format!("{}:/in", text(&link));
        assert_eq!(attack.run(&["-v", &mount, "evil", "cat", "/in/mine"]).succeeds().stdout(), "mine");
    }

    fn a_read_only_mount_takes_no_target_from_an_image(room) {
        let attack = Attack::new(room);
        let mine = source(&attack);
        symlink("/in/made-by-image", attack.rootfs("start")).unwrap();
        attack.import(&["WORKDIR /start"]);
        let mount = format!("{}:/in:ro", text(&mine));
        attack.run(&["-v", &mount, "evil", "true"]).exits(125);
        assert_eq!(fs::read_dir(&mine).unwrap().count(), 1);
    }

    fn a_link_at_the_builddirs_tmp_is_refused(room) {
        let attack = Attack::new(room);
        for target in [attack.outside("dir"), attack.outside("missing"), "..".into()] {
            let tmp = attack.project().join("tmp");
            symlink(&target, &tmp).unwrap();
            let output = attack.shell(&["-c", "ls -a /var/tmp; touch /var/tmp/made"]);
            assert_eq!(output.exits(125).stdout(), "");
            fs::remove_file(tmp).unwrap();
        }
        rustix::fs::mknodat(
            CWD,
            attack.project().join("tmp"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        attack.shell(&["-c", "true"]).exits(125);
    }

    fn a_link_swapped_into_the_builddirs_tmp_is_never_followed(room) {
        let attack = Attack::new(room);
        let (tmp, link) = (attack.project().join("tmp"), attack.project().join("link"));
        fs::create_dir(&tmp).unwrap();
        symlink(attack.outside("dir"), &link).unwrap();
        room.give(&attack.project());
        let swap = || renameat_with(CWD, &tmp, CWD, &link, RenameFlags::EXCHANGE).unwrap();
        meanwhile(swap, || {
            for _ in 0..40 {
                attack.shell(&["-c", "ls -a /var/tmp; touch /var/tmp/made; exit 0"]);
            }
        });
    }

    fn a_link_swapped_in_while_tmp_is_made_changes_nothing(room) {
        let attack = Attack::new(room);
        let tmp = attack.project().join("tmp");
        let place = attack.outside("dir");
        let swap = || {
            let _ = fs::remove_dir(&tmp);
            let _ = symlink(&place, &tmp);
            let _ = fs::remove_file(&tmp);
        };
        meanwhile(swap, || {
            for _ in 0..40 {
                attack.shell(&["-c", "touch /var/tmp/made; exit 0"]);
            }
        });
        assert_eq!(fs::metadata(place).unwrap().permissions().mode() & 0o7777, 0o777);
    }

    fn what_others_rename_on_the_host_is_no_error(room) {
        // openat2(2) answers EAGAIN to `..` while anything is renamed.
        let attack = Attack::new(room);
        symlink("../".repeat(20) + "etc", attack.rootfs("climbing")).unwrap();
        attack.give();
        let (one, other) = (room.work().join("one/x"), room.work().join("other/x"));
        for folder in [&one, &other] {
            fs::create_dir_all(folder.parent().unwrap()).unwrap();
        }
        fs::create_dir(&one).unwrap();
        let swap = || {
            fs::rename(&one, &other).unwrap();
            fs::rename(&other, &one).unwrap();
        };
        meanwhile(swap, || {
            for _ in 0..10 {
                let output = attack.shell(&["-w", "/climbing", "-c", "ls passwd"]).succeeds();
                assert_eq!(output.stdout(), "passwd\n");
            }
        });
        assert_eq!(one.file_name(), Some(OsStr::new("x")));
    }
}
