//! `--platform` and `--pull`: which image may be run, and that none is fetched.

use super::line;
use crate::harness::for_everyone;

for_everyone! {
    fn an_image_of_another_platform_is_refused_with_both(room) {
        let rootfs = room.rootfs();
        let words = ["import", "--platform", "riscv64", rootfs.to_str().unwrap(), "other"];
        room.envbox(&words).succeeds();
        let words = "platform (linux/riscv64) does not match the specified platform (linux/arm/v7)";
        for verb in ["run", "create"] {
            let refused = room.envbox(&[verb, "--platform", "linux/arm/v7", "other", "true"]);
            assert!(refused.stdout().is_empty());
            refused.warns(words);
        }
        assert_eq!(room.envbox(&["ps", "-aq"]).succeeds().stdout(), "");
        let binfmt = std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64");
        if binfmt.exists() {
            return crate::harness::skip("this host has an emulator for it");
        }
        let same = ["run", "--rm", "--platform", "linux/riscv64", "other", "true"];
        room.envbox(&same).exits(125).warns("the image is for linux/riscv64, this host is");
    }

    fn the_platform_of_the_image_is_taken(room) {
        line(room, &[], "true").succeeds();
        let own = room.envbox(&["inspect", "-f", "{{.Os}}/{{.Architecture}}", "base"]).succeeds();
        let own = own.stdout();
        for platform in [own.trim_end(), "linux"] {
            line(room, &["--platform", platform], "echo ran").succeeds().quietly().says("ran\n");
        }
        for platform in ["", "linux/", "a/b/c/d", "lin ux/amd64"] {
            line(room, &["--platform", platform], "echo ran").exits(125).warns("platform");
        }
    }

    fn nothing_is_fetched(room) {
        for policy in ["missing", "never"] {
            line(room, &["--pull", policy], "echo ran").succeeds().quietly().says("ran\n");
            let absent = ["run", "--rm", "--pull", policy, "absent", "true"];
            room.envbox(&absent).exits(125).warns("no such image: absent");
        }
        line(room, &["--pull", "always"], "echo ran").exits(125).warns("from registries");
        let words = "must be one of \"always\", \"missing\" or \"never\"";
        line(room, &["--pull", "sometimes"], "echo ran").exits(125).warns(words);
    }
}
