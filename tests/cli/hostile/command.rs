//! The command itself: what it may be, and what being it does not give.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::{Attack, text, write_program};
use crate::harness::{for_everyone, probe, skip};

/// docker's fourteen capabilities as a mask (capability.h).
const FOURTEEN: u64 = 0xa804_25fb;

/// Puts the engine's own libraries into the root filesystem: with them its
/// binary would run there.
fn install_libraries(attack: &Attack<'_>) {
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_envbox")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for path in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = attack.rootfs(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(path, place).unwrap();
    }
    attack.give();
}

/// The mask of a capability set in a probe's report.
fn mask(report: &serde_json::Value, set: &str) -> u64 {
    u64::from_str_radix(report["status"][set].as_str().unwrap(), 16).unwrap()
}

for_everyone! {
    fn a_command_that_is_no_program_is_126_and_does_not_hang(room) {
        let attack = Attack::new(room);
        let place = attack.rootfs("bin/evil");
        let mode = Mode::from_raw_mode(0o777);
        mknodat(CWD, &place, FileType::Fifo, mode, 0).unwrap();
        fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
        attack.import(&[]);
        attack.run(&["evil", "/bin/evil"]).exits(126);
        attack.run(&["--init", "evil", "evil"]).exits(126);
        attack.shell(&["--", "evil"]).exits(126);
        attack.run(&["evil", "/bin"]).exits(126);
        attack.run(&["evil", "/dev/null"]).exits(126);
    }

    fn a_command_that_is_a_device_is_not_opened(room) {
        let attack = Attack::new(room);
        let mode = Mode::from_raw_mode(0o777);
        let made = mknodat(
            CWD,
            attack.rootfs("bin/evil"),
            FileType::CharacterDevice,
            mode,
            makedev(1, 5),
        );
        if made.is_err() {
            return skip("only root can make a device");
        }
        fs::set_permissions(attack.rootfs("bin/evil"), PermissionsExt::from_mode(0o777)).unwrap();
        attack.give();
        attack.shell(&["--", "/bin/evil"]).exits(126);
    }

    fn a_command_that_is_a_link_to_the_host_is_not_found(room) {
        let attack = Attack::new(room);
        symlink(attack.outside("bin/tool"), attack.rootfs("bin/tool")).unwrap();
        symlink("tool", attack.rootfs("bin/second")).unwrap();
        attack.import(&["ENTRYPOINT [\"/bin/second\"]"]);
        attack.run(&["evil"]).exits(127);
        attack.run(&["--init", "evil"]).exits(127);
        attack.shell(&["--", "tool"]).exits(127);
    }

    fn an_interpreter_that_is_a_link_to_the_host_is_not_found(room) {
        let attack = Attack::new(room);
        symlink(attack.outside("bin/tool"), attack.rootfs("bin/interpreter")).unwrap();
        write_program(&attack.rootfs("bin/script"), "#!/bin/interpreter\n");
        let climb = "../".repeat(30) + text(&attack.outside("bin/tool")).trim_start_matches('/');
        write_program(&attack.rootfs("bin/climber"), &format!("#!/{climb}\n"));
        attack.import(&[]);
        for script in ["script", "climber"] {
            attack.run(&["evil", script]).exits(127);
            attack.shell(&["--", script]).exits(127);
        }
    }

    fn a_path_that_leads_to_the_host_finds_nothing(room) {
        let attack = Attack::new(room);
        symlink(attack.outside("bin"), attack.rootfs("evil")).unwrap();
        let path = format!("ENV PATH=/evil:/proc/1/root{}:/bin", text(&attack.outside("bin")));
        attack.import(&[&path]);
        attack.run(&["evil", "tool"]).exits(127);
        attack.run(&["evil", "true"]).exits(0);
        attack.run(&["-e", "PATH=", "-w", "/evil", "evil", "tool"]).exits(127);
    }

    fn the_engines_binary_is_never_the_command(room) {
        let attack = Attack::new(room);
        install_libraries(&attack);
        for name in ["bin/direct", "bin/chain"] {
            symlink("/proc/self/exe", attack.rootfs(name)).unwrap();
        }
        write_program(&attack.rootfs("bin/script"), "#!/proc/self/exe --version\n");
        write_program(&attack.rootfs("bin/second"), "#!/bin/chain --version\n");
        attack.import(&[]);
        let words = ["/proc/self/exe", "/proc/1/exe", "direct", "script", "second"];
        for (init, word) in [&[][..], &["--init"]].iter().flat_map(|i| words.map(|w| (i, w))) {
            let output = attack.run(&[init, &["evil", word, "--version"][..]].concat());
            assert!(!output.stdout().contains("envbox"), "{word}: {output}");
        }
    }

    fn nobody_can_write_to_what_process_one_runs(room) {
        let attack = Attack::new(room);
        let binary = Path::new(env!("CARGO_BIN_EXE_envbox"));
        let before = fs::metadata(binary).unwrap().modified().unwrap();
        let line = "for e in /proc/*/exe; do readlink $e; (echo x >> $e) 2>/dev/null; done; exit 0";
        attack.import(&[]);
        let shell = attack.shell(&["-c", line]).succeeds().stdout();
        let run = attack.run(&["evil", "sh", "-c", line]).succeeds().stdout();
        assert!(shell.contains("/memfd:envbox-init"), "{shell}");
        for path in shell.lines().chain(run.lines()) {
            assert!(!path.ends_with("/envbox"), "{path}");
        }
        let line = "(echo x > /proc/1/exe) 2>/dev/null && echo written; exit 0";
        assert_eq!(attack.shell(&["-c", line]).succeeds().stdout(), "");
        assert_eq!(fs::metadata(binary).unwrap().modified().unwrap(), before);
    }

    fn set_user_id_gives_no_more_than_the_container_has(room) {
        let attack = Attack::new(room);
        fs::copy(probe(), attack.rootfs("bin/probe")).unwrap();
        attack.give();
        fs::set_permissions(attack.rootfs("bin/probe"), PermissionsExt::from_mode(0o4755)).unwrap();
        let rootfs = attack.rootfs("");
        let shell = |words: &[&str]| {
            let first = ["shell", text(&rootfs), "-u", "1000:1000"];
            attack.envbox(&[&first, words, &["--", "/bin/probe"]].concat())
        };
        let output = shell(&[]);
        if output.stderr().contains("sub-IDs") {
            return skip("needs sub-IDs");
        }
        let report = output.succeeds().json();
        assert_eq!(report["status"]["Uid"].as_str().unwrap().split('\t').nth(1), Some("0"));
        assert_eq!(mask(&report, "CapEff") & !FOURTEEN, 0);
        assert_eq!(mask(&report, "CapBnd") & !FOURTEEN, 0);
        let report = shell(&["--security-opt", "no-new-privileges"]).succeeds().json();
        assert_eq!(report["status"]["Uid"].as_str().unwrap().split('\t').nth(1), Some("1000"));
        assert_eq!(mask(&report, "CapEff"), 0);
    }

    fn file_capabilities_give_no_more_than_the_container_has(room) {
        let attack = Attack::new(room);
        fs::copy(probe(), attack.rootfs("bin/probe")).unwrap();
        attack.give();
        // struct vfs_cap_data, revision 2, effective: CAP_SYS_ADMIN permitted.
        let words = [0x0200_0001_u32, 1 << 21, 0, 0, 0];
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if xattr::set(attack.rootfs("bin/probe"), "security.capability", &value).is_err() {
            return skip("only root can give capabilities to a file");
        }
        for user in ["0", "1000"] {
            let output = attack.shell(&["-u", user, "--", "/bin/probe"]);
            // Refused, or without it.
            if output.stdout().is_empty() {
                output.exits(126);
            } else {
                let report = output.succeeds().json();
                assert_eq!(mask(&report, "CapEff") & !FOURTEEN, 0);
            }
        }
    }
}
