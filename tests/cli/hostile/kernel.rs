//! The kernel's doors: terminals, namespaces, mounts, its settings, other
//! processes.

use std::process::Stdio;

use super::{Attack, program, text};
use crate::harness::{Output, for_everyone};

/// `errno 1`, and where a call is refused as unknown, `errno 38`.
#[track_caller]
fn refused(output: Output) {
    let output = output.succeeds();
    let text = output.stdout();
    assert!(!text.is_empty(), "{output}");
    for line in text.lines() {
        assert!(["errno 1", "errno 13", "errno 38"].contains(&line), "{line}: {output}");
    }
}

fn numbers(calls: &[&[i64]]) -> Vec<String> {
    let words = |call: &&[i64]| call.iter().map(i64::to_string).collect::<Vec<_>>();
    calls.iter().map(words).collect::<Vec<_>>().join(&"then".to_owned())
}

for_everyone! {
    fn system_calls_that_reach_the_host_are_refused(room) {
        let attack = Attack::new(room);
        program::install(&attack);
        let calls: Vec<String> = numbers(&[
            &[libc::SYS_keyctl, 0, -3, 0],
            &[libc::SYS_add_key, 0, 0, 0, 0, -3],
            &[libc::SYS_request_key, 0, 0, 0, 0],
            &[libc::SYS_unshare, libc::CLONE_NEWUSER.into()],
            &[libc::SYS_unshare, libc::CLONE_NEWNS.into()],
            &[libc::SYS_unshare, libc::CLONE_NEWNET.into()],
            &[libc::SYS_setns, 0, 0],
            &[libc::SYS_mount, 0, 0, 0, 0, 0],
            &[libc::SYS_umount2, 0, 0],
            &[libc::SYS_pivot_root, 0, 0],
            &[libc::SYS_open_tree, -100, 0, 1],
            &[libc::SYS_move_mount, 0, 0, 0, 0, 0],
            &[libc::SYS_mount_setattr, -100, 0, 0, 0, 0],
            &[libc::SYS_fsopen, 0, 0],
            &[libc::SYS_open_by_handle_at, -100, 0, 0],
            &[libc::SYS_bpf, 0, 0, 0],
            &[libc::SYS_perf_event_open, 0, 0, -1, -1, 0],
            &[libc::SYS_init_module, 0, 0, 0],
            &[libc::SYS_finit_module, -1, 0, 0],
            &[libc::SYS_kexec_load, 0, 0, 0, 0],
            &[libc::SYS_reboot, 0, 0, 0, 0],
            &[libc::SYS_swapon, 0, 0],
            &[libc::SYS_settimeofday, 0, 0],
            &[libc::SYS_io_uring_setup, 1, 0],
            &[libc::SYS_userfaultfd, 0],
        ]);
        let words: Vec<&str> = calls.iter().map(String::as_str).collect();
        refused(attack.shell(&[&["--", "/bin/attacker"], &words[..]].concat()));
        attack.import(&[]);
        refused(attack.run(&[&["evil", "attacker"], &words[..]].concat()));
    }

    fn clone_makes_no_namespace(room) {
        let attack = Attack::new(room);
        program::install(&attack);
        // A refused clone returns in one process; one that worked, in two.
        let flags = [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID];
        for flags in flags {
            let flags = (flags | libc::SIGCHLD).to_string();
            let words = ["--", "/bin/attacker", &libc::SYS_clone.to_string(), &flags, "0", "0", "0", "0"];
            refused(attack.shell(&words));
        }
    }

    fn nothing_can_be_typed_into_the_callers_terminal(room) {
        let attack = Attack::new(room);
        program::install(&attack);
        attack.import(&[]);
        let ioctl = libc::SYS_ioctl.to_string();
        // TIOCSCTTY by force, TIOCSTI, TIOCLINUX: paste, TIOCCONS.
        let words = [
            "attacker", &ioctl, "0", "21518", "1", "then", &ioctl, "0", "21522", "@x", "then",
            &ioctl, "0", "21532", "@\u{3}", "then", &ioctl, "0", "21533", "0",
        ];
        // With -i the container has the caller's terminal as stdin.
        let first = ["run", "--rm", "-i", "evil"];
        let mut session = room.terminal(&[&first[..], &words].concat());
        assert_eq!(session.wait(), 0);
        let printed = String::from_utf8_lossy(session.seen()).into_owned();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 4, "{printed}");
        for line in &lines {
            assert!(line.starts_with("errno "), "{lines:?}");
        }
    }

    fn settings_of_the_kernel_cannot_be_written(room) {
        let attack = Attack::new(room);
        let line = "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe \
            /proc/sys/vm/overcommit_memory /proc/sys/fs/file-max /proc/sysrq-trigger \
            /proc/irq/default_smp_affinity /sys/kernel/mm/transparent_hugepage/enabled \
            /sys/power/state /sys/kernel/uevent_helper /sys/module/kernel/parameters/panic; do
            [ -e $f ] || continue
            v=$(cat $f 2>/dev/null | head -1); (echo \"$v\" > $f) 2>/dev/null && echo wrote $f
            done
            for f in $(find /proc/sys /proc/irq /proc/bus /proc/fs -xdev -type f) \
                $(find /sys -xdev -maxdepth 3 -type f); do
            (: >> $f) 2>/dev/null && echo opened $f; done; exit 0";
        for network in ["none", "host"] {
            let output = attack.shell(&["--network", network, "-c", line]).succeeds();
            assert_eq!(output.stdout(), "");
        }
    }

    fn what_is_masked_is_empty_and_stays_covered(room) {
        let attack = Attack::new(room);
        let line = "for f in kcore keys timer_list sched_debug interrupts latency_stats; do
            [ -s /proc/$f ] && echo seen $f; [ -e /proc/$f ] && cat /proc/$f; done
            for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do
            [ -d $d ] && ls -A $d; done
            for m in /proc/keys /proc/acpi /sys/firmware /proc/sys /dev/null /dev; do
            umount $m 2>/dev/null && echo uncovered $m
            mount -o remount,rw $m 2>/dev/null && echo remounted $m
            mount -o remount,bind,rw $m 2>/dev/null && echo remounted $m; done
            mount -t proc proc /tmp 2>/dev/null && echo mounted proc
            mount -t tmpfs t /tmp 2>/dev/null && echo mounted
            unshare -Urm true 2>/dev/null && echo unshared; exit 0";
        assert_eq!(attack.shell(&["-c", line]).succeeds().stdout(), "");
        attack.import(&[]);
        assert_eq!(attack.run(&["evil", "sh", "-c", line]).succeeds().stdout(), "");
    }

    fn processes_of_the_host_are_out_of_sight(room) {
        let attack = Attack::new(room);
        let mut sleep = room.program("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let pid = sleep.id();
        let line = format!(
            "kill -0 {pid} 2>/dev/null && echo reached; [ -e /proc/{pid}/comm ] && cat /proc/{pid}/comm
            cat /proc/[0-9]*/comm | sort -u"
        );
        let shell = attack.shell(&["-c", &line]);
        sleep.kill().and_then(|()| sleep.wait()).unwrap();
        let output = shell.succeeds().stdout();
        for line in output.lines() {
            assert!(["cat", "sh", "sort", "envbox-init", "busybox"].contains(&line), "{output}");
        }
    }

    fn a_command_that_kills_all_it_can_kills_itself(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        attack.run(&["--init", "evil", "sh", "-c", "kill -9 -1; exit 3"]).exits(3);
        attack.run(&["evil", "sh", "-c", "kill -9 0; kill -9 1; exit 3"]).exits(3);
        let rootfs = attack.rootfs("");
        attack.envbox(&["shell", text(&rootfs), "-c", "kill -STOP 1; kill -9 0"]).exits(137);
    }
}
