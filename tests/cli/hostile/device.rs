//! Device nodes: of the image, made inside, and in what is mounted.

use std::os::unix::fs::FileTypeExt;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::{Attack, text};
use crate::harness::for_everyone;

/// Makes the harmless device 1:3 (`null`) everywhere and opens it: what opens
/// this one opens a disk too.
const MAKE: &str = "for d in / /tmp /dev /dev/shm /dev/pts /builddir /var/tmp /mem /run; do
    mkdir -p $d 2>/dev/null
    mknod $d/evil c 1 3 2>/dev/null
    (: > $d/evil) 2>/dev/null && [ -c $d/evil ] && echo opened $d
    mknod $d/disk b 7 0 2>/dev/null
    (: < $d/disk) 2>/dev/null && [ -b $d/disk ] && echo read $d
    rm -f $d/evil $d/disk
done; exit 0";

for_everyone! {
    fn a_device_that_is_made_inside_cannot_be_opened(room) {
        let attack = Attack::new(room);
        let memory = ["--tmpfs", "/mem:exec,suid"];
        let output = attack.shell(&[&memory[..], &["-c", MAKE]].concat()).succeeds();
        assert_eq!(output.stdout(), "");
        attack.import(&[]);
        let project = format!("{}:/builddir", text(&attack.project()));
        let words = [&memory[..], &["-v", &project, "evil", "sh", "-c", MAKE]].concat();
        assert_eq!(attack.run(&words).succeeds().stdout(), "");
    }

    fn a_device_of_the_image_cannot_be_opened(room) {
        let attack = Attack::new(room);
        let place = attack.rootfs("etc/evil");
        let mode = Mode::from_raw_mode(0o666);
        if mknodat(CWD, &place, FileType::CharacterDevice, mode, makedev(1, 3)).is_err() {
            return crate::harness::skip("only root can make a device");
        }
        attack.give();
        let line = "(: > /etc/evil) 2>/dev/null && [ -c /etc/evil ] && echo opened; exit 0";
        assert_eq!(attack.shell(&["-c", line]).succeeds().stdout(), "");
        attack.import(&[]);
        assert_eq!(attack.run(&["evil", "sh", "-c", line]).succeeds().stdout(), "");
    }

    fn a_device_that_the_caller_mounts_by_name_works(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let line = "[ -c /given ] && echo x > /given && [ ! -s /given ]";
        attack.run(&["-v", "/dev/null:/given", "evil", "sh", "-c", line]).succeeds();
    }

    fn the_devices_of_dev_work_and_are_the_containers_own(room) {
        let attack = Attack::new(room);
        let line = "echo x > /dev/null && head -c 2 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c
            chmod 600 /dev/null 2>/dev/null; chown 1 /dev/zero 2>/dev/null; rm -f /dev/full 2>/dev/null
            ls /dev";
        let output = attack.shell(&["-c", line]).succeeds().says("2\n3\n");
        let listed = output.stdout();
        for line in listed.lines().skip(2) {
            let known = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
            assert!(known.split(' ').any(|name| name == line), "{line} in {output}");
        }
        let metadata = std::fs::metadata("/dev/null").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert!(metadata.file_type().is_char_device() && mode & 0o666 == 0o666);
    }
}
