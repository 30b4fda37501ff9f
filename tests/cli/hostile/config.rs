//! What the config of an image says.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Attack, text};
use crate::harness::for_everyone;

for_everyone! {
    fn a_working_directory_behind_a_link_is_inside(room) {
        let attack = Attack::new(room);
        let outside = attack.outside("dir");
        symlink(&outside, attack.rootfs("absolute")).unwrap();
        let climb = "../".repeat(30) + text(&outside).trim_start_matches('/');
        symlink(climb, attack.rootfs("climbing")).unwrap();
        symlink(attack.outside("missing"), attack.rootfs("dangling")).unwrap();
        attack.import(&["WORKDIR /absolute/below"]);
        let line = "ls -a; touch made; pwd";
        attack.run(&["evil", "sh", "-c", line]).succeeds().says("/below\n");
        for folder in ["/absolute", "/climbing/x", "/dangling", "/dangling/y", "/../..", "//"] {
            attack.run(&["-w", folder, "evil", "sh", "-c", line]).succeeds();
        }
    }

    fn a_working_directory_behind_a_magic_link_is_refused(room) {
        let attack = Attack::new(room);
        symlink("/proc/self/fd", attack.rootfs("fds")).unwrap();
        symlink("/proc/1/root", attack.rootfs("root-of-one")).unwrap();
        attack.import(&[]);
        for number in [3, 4, 5, 8, 12, 16] {
            for folder in ["/proc/self/fd", "/proc/1/fd", "/proc/thread-self/fd", "/fds"] {
                let folder = format!("{folder}/{number}");
                let output = attack.run(&["-w", &folder, "evil", "pwd"]);
                assert_eq!(output.exits(125).stdout(), "", "{folder}");
            }
        }
        attack.run(&["-w", "/proc/self/fd/3", "--init", "evil", "pwd"]).exits(125);
        for folder in ["/proc/1/root", "/proc/self/cwd", "/proc/1/root/etc", "/root-of-one/x"] {
            attack.run(&["-w", folder, "evil", "pwd"]).exits(125);
        }
        attack.run(&["-w", "/proc/self", "evil", "pwd"]).succeeds();
    }

    fn a_working_directory_that_is_a_file_is_refused(room) {
        let attack = Attack::new(room);
        attack.import(&["WORKDIR /etc/passwd"]);
        attack.run(&["evil", "pwd"]).exits(125);
        attack.run(&["-w", "/etc/passwd/below", "evil", "pwd"]).exits(125);
    }

    fn a_user_of_any_name_is_looked_up_and_nothing_else(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        for user in ["../../etc", "/proc/self/root", "canary", "-1", "99999999999", "a:b:c", "\n"] {
            let words = ["run", "--rm", &format!("--user={user}"), "evil", "id"];
            assert_eq!(attack.envbox(&words).exits(125).stdout(), "", "{user:?}");
        }
        attack.import(&["USER no-such-user"]);
        attack.run(&["evil", "id"]).exits(125).warns("no-such-user");
    }

    fn a_home_that_is_a_link_to_the_host_stays_a_word(room) {
        let attack = Attack::new(room);
        let home = attack.outside("dir");
        let passwd = format!("root:x:0:0::{}:/bin/sh\n", text(&home));
        fs::write(attack.rootfs("etc/passwd"), passwd).unwrap();
        attack.import(&[]);
        attack.run(&["evil", "sh", "-c", "mkdir -p $HOME; touch $HOME/made"]).succeeds();
    }

    fn a_variable_cannot_become_two(room) {
        let attack = Attack::new(room);
        attack.import(&["ENV A=\"x\\\nLD_PRELOAD=/evil.so\""]);
        let words = ["-e", "B=1\nC=2", "evil", "sh", "-c", "echo [$C] [$LD_PRELOAD]; env"];
        let output = attack.run(&words).succeeds().says("[] []\n");
        assert!(output.stdout().contains("B=1\nC=2\n"), "{output}");
    }

    fn a_huge_variable_is_an_error_and_no_more(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let file = room.work().join("variables");
        fs::write(&file, format!("A={}\n", "x".repeat(200_000))).unwrap();
        room.give(&file);
        for init in [&[][..], &["--init"]] {
            let words = ["--env-file", "variables", "evil", "true"];
            attack.run(&[init, &words].concat()).exits(126).warns("too long");
        }
        let many: String = (0..20_000).map(|n| format!("V{n}={}\n", "y".repeat(200))).collect();
        fs::write(&file, many).unwrap();
        attack.run(&["--env-file", "variables", "evil", "true"]).exits(126).warns("too long");
    }

    fn words_with_anything_in_them_reach_the_command_alone(room) {
        let attack = Attack::new(room);
        attack.import(&["ENTRYPOINT [\"echo\", \"-n\", \"\\u001b[2J; $(touch /builddir/x) `id`\"]"]);
        let output = attack.run(&["evil"]).succeeds();
        assert_eq!(output.stdout(), "\u{1b}[2J; $(touch /builddir/x) `id`");
        assert!(!attack.project().join("x").exists());
    }
}
