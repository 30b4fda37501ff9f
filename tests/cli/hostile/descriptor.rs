//! Descriptors of the caller's and of envbox's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Attack, text, write_program};
use crate::harness::{Output, for_everyone, probe};

/// Opens descriptors 3 to 20, to be inherited: directories of the host, its
/// root and a program of its, each three times.
const OPEN: &str = "set -e
for n in 3 6 9 12 15 18; do
    eval \"exec $n<'$OUTSIDE/dir' $((n + 1))</ $((n + 2))<'$PROGRAM'\"
done
exec \"$@\"";

/// Lists every descriptor, working directory and root that can be seen. Init
/// closes what it started with right after the command has begun.
const LIST: &str =
    "n=0; while [ $(ls /proc/1/fd | wc -l) -gt 3 ] && [ $n -lt 50 ]; do n=$((n + 1)); done
for p in /proc/[0-9]*; do ls -l $p/fd $p/cwd $p/root; done 2>/dev/null; exit 0";

/// Runs envbox with those descriptors open.
#[track_caller]
fn with_descriptors(attack: &Attack<'_>, words: &[&str]) -> Output {
    let mut command: Command = attack.limited("bash");
    command.args(["-c", OPEN, "bash", env!("CARGO_BIN_EXE_envbox")]).args(words);
    // A static one: a script would be opened again by its interpreter.
    command.env("OUTSIDE", attack.outside("")).env("PROGRAM", probe());
    attack.watched(command)
}

/// Asserts that no line of `ls -l` names anything but what a container has.
#[track_caller]
fn leaks_nothing(output: Output, attack: &Attack<'_>) {
    let output = output.succeeds();
    let room = text(attack.room.path());
    let listed = output.stdout();
    assert!(listed.contains("-> /"), "{output}");
    for target in listed.lines().filter_map(|line| line.split_once(" -> ")).map(|(_, t)| t) {
        assert!(!target.starts_with(room), "{target}: {output}");
        assert!(!target.contains("/probe") && !target.contains("envbox.db"), "{target}: {output}");
    }
    let sockets = listed.matches("socket:").count();
    assert_eq!(sockets, 0, "a socket of the monitor's: {output}");
}

for_everyone! {
    fn no_descriptor_of_the_host_is_inside(room) {
        let attack = Attack::new(room);
        let (rootfs, project) = (attack.rootfs(""), attack.project());
        let shell = ["shell", text(&rootfs), "--mount", text(&project), "-c", LIST];
        leaks_nothing(with_descriptors(&attack, &shell), &attack);
        attack.import(&[]);
        for init in [&[][..], &["--init"]] {
            let words = [&["run", "--rm"], init, &["evil", "sh", "-c", LIST]].concat();
            leaks_nothing(with_descriptors(&attack, &words), &attack);
        }
    }

    fn an_inherited_descriptor_is_no_command(room) {
        let attack = Attack::new(room);
        for number in 3..24 {
            symlink(format!("/proc/self/fd/{number}"), attack.rootfs(&format!("bin/e{number}"))).unwrap();
            let script = format!("#!/proc/self/fd/{number}\n");
            write_program(&attack.rootfs(&format!("bin/s{number}")), &script);
        }
        attack.import(&[]);
        for number in 3..24 {
            let direct = format!("/proc/self/fd/{number}");
            for command in [direct, format!("e{number}"), format!("s{number}")] {
                let words = ["run", "--rm", "evil", &command];
                let output = with_descriptors(&attack, &words);
                assert_eq!(output.stdout(), "", "{command}: {output}");
            }
        }
    }

    fn an_inherited_descriptor_is_no_working_directory(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        for number in 3..24 {
            let folder = format!("/proc/self/fd/{number}");
            for below in ["", "/etc"] {
                let folder = format!("{folder}{below}");
                let words = ["run", "--rm", "-w", &folder, "evil", "ls"];
                assert_eq!(with_descriptors(&attack, &words).exits(125).stdout(), "", "{folder}");
            }
        }
    }

    fn an_inherited_descriptor_is_no_place_for_a_mount(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let project = attack.project();
        for number in 3..12 {
            for place in ["/proc/self/fd", "/proc/1/fd"] {
                let mount = format!("{}:{place}/{number}/made", text(&project));
                let words = ["run", "--rm", "-v", &mount, "evil", "ls"];
                assert_eq!(with_descriptors(&attack, &words).exits(125).stdout(), "", "{mount}");
            }
        }
    }

    fn standard_descriptors_that_are_closed_open_nothing_of_the_hosts(room) {
        let attack = Attack::new(room);
        attack.import(&[]);
        let list = room.work().join("project/list");
        let line = format!("({LIST}) > /builddir/list");
        let project = format!("{}:/builddir", text(&attack.project()));
        let mut command = attack.limited("bash");
        command.args(["-c", "exec \"$@\" <&- >&- 2>&-", "bash", env!("CARGO_BIN_EXE_envbox")]);
        command.args(["run", "--rm", "-i", "-v", &project, "evil", "sh", "-c", &line]);
        attack.watched(command);
        let listed = fs::read_to_string(list).unwrap_or_default();
        let targets = listed.lines().filter_map(|line| line.split_once(" -> "));
        for (_, target) in targets.filter(|(_, target)| *target != "/builddir/list") {
            let inside = ["/", "/dev/null", "pipe:"].iter().any(|known| {
                target == *known || (known.ends_with(':') && target.starts_with(known))
            });
            assert!(inside || target.starts_with("/proc/"), "{target} in\n{listed}");
        }
    }

    fn the_working_directory_of_process_one_is_inside(room) {
        let attack = Attack::new(room);
        let line = "readlink /proc/1/cwd; readlink /proc/1/root; ls /proc/1/root/ /proc/1/cwd/..";
        let output = attack.shell(&["-c", line]).succeeds().stdout();
        assert!(output.starts_with("/builddir\n/\n"), "{output}");
        let top = Path::new("/").read_dir().unwrap().flatten().map(|entry| entry.file_name());
        for name in top.filter(|name| !attack.rootfs(name.to_str().unwrap()).exists()) {
            let name = name.into_string().unwrap();
            assert!(output.lines().all(|line| line != name), "{name} in {output}");
        }
    }
}
