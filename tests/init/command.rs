//! How the command starts and how its end is told.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use envbox::sys::init::INIT;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{PROGRAM, Place, Running, descriptors, eventually, everywhere};

#[test]
fn is_a_small_static_program() {
    assert!(INIT.starts_with(b"\x7fELF"));
    assert!(INIT.len() < 16 * 1024, "{} bytes", INIT.len());
    let segments = Command::new("readelf").args(["-lW", PROGRAM]).output();
    if let Ok(segments) = segments {
        let text = String::from_utf8_lossy(&segments.stdout).into_owned();
        assert!(text.contains("EXEC"), "{text}");
        assert!(!text.contains("INTERP") && !text.contains("DYNAMIC"), "{text}");
        assert!(text.contains("GNU_STACK") && !text.contains("RWE"), "{text}");
    }
}

#[test]
fn exits_as_the_command_does() {
    everywhere(|place| {
        for code in [0, 1, 42, 125, 126, 127, 255] {
            let mut running = Running::shell(place, &format!("exit {code}"));
            assert_eq!(running.exit_code(), Some(code), "{place:?}");
        }
    });
}

#[test]
fn adds_the_signal_to_128() {
    everywhere(|place| {
        for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("HUP", 1)] {
            let mut running = Running::shell(place, &format!("kill -{name} $$; sleep 20"));
            assert_eq!(running.exit_code(), Some(128 + number), "{place:?} {name}");
        }
    });
}

#[test]
fn tells_the_errno_of_a_failed_execve() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, "neither ELF nor script").expect("may be written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("is mine");
        path.to_str().expect("is text").to_owned()
    };
    let cases = [
        ("/nonexistent/command".to_owned(), 127, 2),
        (file("not-executable", 0o644), 126, 13),
        (file("not-a-program", 0o755), 126, 8),
        (folder.path().to_str().expect("is text").to_owned(), 126, 13),
        (format!("{PROGRAM}/below"), 126, 20),
    ];
    everywhere(|place| {
        for (path, code, errno) in &cases {
            let mut running = Running::start(place, "", &[path, "name"]);
            assert_eq!(running.status_bytes(), i32::to_ne_bytes(*errno), "{place:?} {path}");
            assert_eq!(running.exit_code(), Some(*code), "{place:?} {path}");
        }
    });
}

#[test]
fn becomes_the_command_under_its_second_name() {
    let run = |path: &str| {
        let script = "exec -a envbox-exec \"$0\" 3 \"$1\" sh -c 'echo $$; exit 4' 3>&2";
        let mut shell = Command::new("/bin/bash");
        shell.args(["-c", script, PROGRAM, path]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = shell.spawn().expect("a shell starts");
        (child.id(), child.wait_with_output().expect("ends"))
    };
    let (id, output) = run("/bin/sh");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), id.to_string());
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(4), &b""[..]));
    let (_, output) = run("/nonexistent");
    assert_eq!((output.status.code(), output.stderr), (Some(127), i32::to_ne_bytes(2).to_vec()));
}

#[test]
fn tells_success_while_the_command_runs() {
    // Not in a namespace: unshare(1) waits there and holds the descriptor too.
    let mut running = Running::shell(Place::Process, "read line; exit 3");
    assert_eq!(running.status_bytes(), b"");
    assert_eq!(running.exit_code(), Some(3));
}

#[test]
fn refuses_malformed_arguments() {
    let cases: [&[&str]; 7] = [
        &[],
        &["2", "/bin/true", "true"],
        &["0", "/bin/true", "true"],
        &["", "/bin/true", "true"],
        &["3x", "/bin/true", "true"],
        &["4294967299", "/bin/true", "true"],
        &["987", "/bin/true", "true"],
    ];
    for arguments in cases {
        let status = Command::new(PROGRAM).args(arguments).status().expect("starts");
        assert_eq!(status.code(), Some(125), "{arguments:?}");
    }
}

#[test]
fn passes_arguments_and_environment_as_they_are() {
    everywhere(|place| {
        let script = "export A='x y' B=";
        let command =
            ["/bin/sh", "-name", "-c", "echo \"$0|$#|$1|$2|$A|${B-unset}\"", "zero", "", "b c"];
        let mut running = Running::start(place, script, &command);
        assert_eq!(running.line(), "zero|2||b c|x y|", "{place:?}");
        assert_eq!(running.exit_code(), Some(0), "{place:?}");
    });
}

#[test]
fn passes_on_what_is_inheritable_and_keeps_three() {
    everywhere(|place| {
        let command = ["/bin/sh", "sh", "-c", "echo ready; read line"];
        let mut running = Running::start(place, "exec 5</dev/null 7>/dev/null", &command);
        assert_eq!(running.line(), "ready");
        let open = descriptors(running.command());
        assert!([0, 1, 2, 5, 7].iter().all(|number| open.contains_key(number)), "{open:?}");
        let own = format!("/proc/self/fd/{}", running.status.as_raw_fd());
        let status = std::fs::read_link(own).expect("is open");
        assert!(open.values().all(|target| *target != status), "{place:?} {open:?}");
        // Init and the command run on side by side once the command is executed.
        let init = running.init();
        eventually("init has three descriptors", || {
            std::fs::read_dir(format!("/proc/{init}/fd")).is_ok_and(|open| open.count() == 3)
        });
        assert!(descriptors(init).into_keys().eq(0..3), "{place:?}");
        running.exit_code();
    });
}

#[test]
fn reaps_orphans() {
    // The orphan's parent is init (5), and it does not stay a zombie (6).
    let script = r#"
        orphan=$(sh -c 'sleep 0.2 >/dev/null & echo $!')
        [ "$(cut -d' ' -f4 /proc/$orphan/stat)" = $PPID ] || exit 5
        tries=0
        while [ -e /proc/$orphan ]; do
            tries=$((tries + 1)); [ $tries -lt 200 ] || exit 6
            sleep 0.05
        done
        exit 4"#;
    everywhere(|place| {
        assert_eq!(Running::shell(place, script).exit_code(), Some(4), "{place:?}");
    });
}

#[test]
fn does_not_wait_for_what_the_command_leaves() {
    let mut running = Running::shell(Place::Namespace, "sleep 300 & exit 8");
    assert_eq!(running.exit_code(), Some(8));
}

#[test]
fn hides_the_engine_behind_a_sealed_copy() {
    let file = memfd_create(c"envbox-init", MFdFlags::MFD_ALLOW_SEALING).expect("memfd");
    let mut file = File::from(file);
    file.write_all(INIT).expect("fits");
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("is not sealed yet");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    // Opening init's file for writing from the command must fail (2 otherwise).
    let script = "exec 3>/dev/null; exec \"$0\" 3 /bin/sh sh -c \
                  'readlink /proc/$PPID/exe; cat /proc/$PPID/comm; \
                   (printf x >/proc/$PPID/exe) 2>/dev/null && exit 2; exit 0'";
    let output = Command::new("/bin/sh").args(["-c", script, &path]).output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "/memfd:envbox-init (deleted)\nenvbox-init\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn costs_a_few_pages() {
    let mut running = Running::shell(Place::Process, "echo ready; read line");
    running.line();
    let status = format!("/proc/{}/status", running.init());
    let mut text = String::new();
    eventually("a resident size", || {
        text = std::fs::read_to_string(&status).unwrap_or_default();
        text.contains("VmRSS")
    });
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("was seen");
    let kilobytes: u32 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes <= 128, "{kilobytes} kB resident");
}
