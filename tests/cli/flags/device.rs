//! `--device` and `--privileged`.

use std::os::unix::fs::{MetadataExt, symlink};

use super::line;
use crate::harness::for_everyone;

for_everyone! {
    fn a_device_of_the_host_is_there_and_works(room) {
        let text = "[ -c /dev/mine ] && head -c 2 /dev/mine | wc -c && [ ! -e /dev/other ]";
        line(room, &["--device", "/dev/zero:/dev/mine"], text).succeeds().says("2\n");
        let text = "head -c 3 /new/place/zero | wc -c";
        line(room, &["--device", "/dev/zero:/new/place/zero:rw"], text).succeeds().says("3\n");
    }

    fn what_is_no_device_or_cannot_be_held_is_refused(room) {
        for (device, words) in [
            ("/dev/none-here", "no such file or directory"),
            ("/etc/passwd", "not a device node"),
            ("/dev/null:r", "no device cgroup"),
            ("/dev/null:/x:q", "bad mode specified"),
        ] {
            line(room, &["--device", device], "echo ran").exits(125).warns(words);
        }
    }

    fn a_link_of_the_image_leads_no_device_out(room) {
        let rootfs = room.rootfs();
        let outside = room.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        room.give(&outside);
        symlink(&outside, rootfs.join("way")).unwrap();
        std::fs::remove_dir(rootfs.join("dev")).unwrap();
        std::fs::create_dir(rootfs.join("dev")).unwrap();
        symlink("/etc", rootfs.join("dev/sub")).unwrap();
        room.give(&rootfs);
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        for target in ["/way/node", "/way/../way/node", "/dev/../way/node"] {
            let device = format!("/dev/null:{target}");
            line(room, &["--device", &device], "true");
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{target}");
        }
        // The image's own /dev is covered, with all that it says.
        let text = "[ -c /dev/sub/node ] && [ ! -e /etc/node ]";
        line(room, &["--device", "/dev/null:/dev/sub/node"], text).succeeds();
    }

    fn a_node_that_is_changed_inside_is_another_one_outside(room) {
        if !nix::unistd::geteuid().is_root() {
            return crate::harness::skip("an ordinary user can change no device");
        }
        let before = std::fs::metadata("/dev/full").unwrap().mode();
        line(room, &["--device", "/dev/full:/dev/mine"], "chmod 600 /dev/mine; true").succeeds();
        assert_eq!(std::fs::metadata("/dev/full").unwrap().mode(), before);
    }

    fn privileged_has_every_capability_and_no_filter(room) {
        let text = "grep -E '^(CapBnd|Seccomp):' /proc/self/status; \
            grep -cE ' /proc/(sys|kcore) ' /proc/self/mountinfo; \
            grep ' /sys ' /proc/self/mountinfo | cut -d' ' -f6";
        let output = line(room, &["--privileged"], text).succeeds().stdout();
        let words: Vec<&str> = output.split_whitespace().collect();
        let held = u64::from_str_radix(words[1], 16).unwrap();
        // All that these tests have themselves, which may be less than all.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
        let own = u64::from_str_radix(own.trim(), 16).unwrap();
        assert_eq!(held & own, own, "{output}");
        assert_eq!(words[2..5], ["Seccomp:", "0", "0"], "{output}");
        assert!(words[5].starts_with("rw,"), "{output}");
        let output = line(room, &[], text).succeeds().stdout();
        assert!(output.contains("Seccomp:\t2") && output.contains("\nro,"), "{output}");
    }
}
