//! What a program inside may try against the commands that reach into its
//! container, or against its monitor. What it may try against the host is
//! `hostile`'s matter.

use super::*;
use crate::harness::for_everyone;

/// Runs a container named `box`; its ID.
fn run(room: &Room, flags: &[&str], line: &str) -> String {
    let words = [&["run", "-d", "--name", "box"], flags, &["base", "sh", "-c", line]].concat();
    let id = room.envbox(&words).succeeds().quietly().stdout();
    id.trim_end().to_owned()
}

#[track_caller]
fn answers(room: &Room, words: &[&str], status: i32) -> Answer {
    let answer = Started::envbox(room, words).finish();
    assert_eq!(answer.status, Some(status), "{answer}");
    answer
}

for_everyone! {
    fn the_program_of_envbox_cannot_be_overwritten_by_whoever_is_joined(room) {
        // CVE-2019-5736: the way to it is the executable of a process that joins.
        import(room);
        let program = env!("CARGO_BIN_EXE_envbox");
        let before = std::fs::metadata(program).unwrap();
        let line = "touch /var/tmp/ready; while :; do for exe in /proc/[0-9]*/exe; do \
            case $(readlink $exe) in */busybox) ;; *) echo x 2>/dev/null >>$exe; \
            dd if=/etc/group of=$exe conv=notrunc 2>/dev/null;; esac; done; done";
        let id = run(room, &[], line);
        expect_written(room, &id, "var/tmp/ready");
        for _ in 0..20 {
            answers(room, &["exec", "box", "true"], 0);
            // What executes is the sealed program that joins, and has nothing to do.
            let itself = answers(room, &["exec", "box", "/proc/self/exe", "true"], 125);
            assert!(!itself.stdout.contains("envbox"), "{itself}");
        }
        let after = std::fs::metadata(program).unwrap();
        let facts = |found: &std::fs::Metadata| (found.len(), found.modified().unwrap());
        assert_eq!(facts(&before), facts(&after));
        answers(room, &["stop", "-t", "0", "box"], 0);
        expect_nothing_left(room);
    }

    fn one_that_stops_all_it_sees_hangs_nobody_but_its_own(room) {
        import(room);
        // `kill -1` means all but the first process and itself.
        let id = run(room, &[], "touch /var/tmp/ready; while :; do kill -STOP -1; done");
        expect_written(room, &id, "var/tmp/ready");
        let joined: Vec<Started> = (0..3)
            .map(|_| Started::envbox(room, &["exec", "box", "sh", "-c", "sleep 5; echo no"]))
            .collect();
        expect_true_states(room);
        answers(room, &["inspect", "box"], 0);
        answers(room, &["top", "box"], 0);
        answers(room, &["logs", "box"], 0);
        answers(room, &["rename", "box", "other"], 0);
        answers(room, &["stop", "-t", "0", "other"], 0);
        for joined in joined {
            let answer = joined.finish();
            assert_ne!(answer.status, Some(0), "{answer}");
        }
        expect_nothing_left(room);
    }

    fn one_that_kills_all_it_sees_ends_nothing_of_envboxs(room) {
        import(room);
        let id = run(room, &[], "touch /var/tmp/ready; while :; do kill -9 -1; done");
        expect_written(room, &id, "var/tmp/ready");
        for _ in 0..10 {
            let answer = Started::envbox(room, &["exec", "box", "sleep", "5"]).finish();
            assert!(matches!(answer.status, Some(126 | 137)), "{answer}");
        }
        expect_true_states(room);
        assert_eq!(list(room)[0][2], "running");
        answers(room, &["stop", "-t", "0", "box"], 0);
        expect_nothing_left(room);
    }

    fn the_first_process_is_killed_by_nobody_inside(room) {
        import(room);
        let id = run(room, &[], &format!("touch /var/tmp/ready; {OBEYS}"));
        expect_written(room, &id, "var/tmp/ready");
        // pid_namespaces(7): no signal that it has no handler for.
        answers(room, &["exec", "box", "sh", "-c", "kill -9 1; kill -STOP 1; kill -SEGV 1"], 0);
        assert_eq!(list(room)[0][2], "running");
        answers(room, &["exec", "box", "kill", "1"], 0);
        let answer = answers(room, &["wait", "box"], 0);
        assert_eq!(answer.stdout, "7\n");
        expect_nothing_left(room);
    }

    fn a_fork_bomb_ends_with_its_container(room) {
        import(room);
        let bomb = "touch /var/tmp/ready; bomb() { bomb | bomb & }; (bomb) & exec sleep 1000";
        let flags = ["-u", "builder", "--ulimit", "nproc=100"];
        let id = run(room, &flags, bomb);
        expect_written(room, &id, "var/tmp/ready");
        for _ in 0..3 {
            answers(room, &["ps"], 0);
            answers(room, &["exec", "-u", "root", "box", "true"], 0);
        }
        answers(room, &["stop", "-t", "0", "box"], 0);
        expect_nothing_left(room);
    }

    fn a_socket_of_the_monitors_takes_no_nonsense(room) {
        import(room);
        let id = run(room, &[], OBEYS);
        let script = "import socket,sys,os; os.chdir(sys.argv[1]); name=sys.argv[2]+'.sock'\n\
            for bytes in [b'', b'x', b'\\0'*65536, b'{\"Signal\":9e99}', b'\\xff'*9]:\n \
            s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(name); \
            s.send(bytes); s.close()\n\
            many=[socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(200)]\n\
            for s in many: s.connect(name)\n";
        let mut python = room.program("python3");
        python.args(["-c", script]).arg(room.path().join("run/containers")).arg(&id);
        room.run(python).succeeds();
        assert_eq!(list(room)[0][2], "running");
        answers(room, &["exec", "box", "true"], 0);
        answers(room, &["stop", "-t", "0", "box"], 0);
        expect_nothing_left(room);
    }
}
