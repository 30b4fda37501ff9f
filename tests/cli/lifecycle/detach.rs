//! `run -d`: nothing of the caller's goes along.

use std::os::fd::AsFd;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};

use super::*;
use crate::harness::{for_everyone, process::eventually};

for_everyone! {
    fn a_container_in_the_background_prints_its_id_and_lives_on(room) {
        let id = ready(room, &["--name", "web"], "echo ready; echo err >&2; sleep 1000");
        assert_eq!(states(room), ["web running"]);
        eventually("both outputs", || log(room, &id).contains("err\n"));
        assert!(log(room, &id).contains("ready\n"));
        quietly(room, &["kill", &id[..12]]).says(&id[..12]);
        assert_eq!(status(room, "web"), "Exited (137)");
        assert!(run_files(room).is_empty());
    }

    fn the_callers_descriptors_are_not_kept(room) {
        base(room);
        // More than stdio: a shell may have any number open.
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = room.command(&["run", "-d", "base", "sleep", "1000"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::piped());
        nix::fcntl::fcntl(
            writer.as_fd(),
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let mut child = command.spawn().unwrap();
        drop(writer);
        let mut output = String::new();
        let mut stdout = child.stdout.take().unwrap();
        std::io::Read::read_to_string(&mut stdout, &mut output).unwrap();
        assert!(child.wait().unwrap().success());
        // All of these block if somebody still holds the other end.
        std::io::Read::read_to_end(&mut child.stderr.take().unwrap(), &mut Vec::new()).unwrap();
        std::io::Read::read_to_end(&mut { reader }, &mut Vec::new()).unwrap();
        quietly(room, &["rm", "-f", output.trim_end()]);
    }

    fn its_monitor_leads_a_session_and_outlives_a_hang_up(room) {
        let id = ready(room, &["--name", "web"], OBEYS);
        let monitor = parent(process(room, &id));
        let session = nix::unistd::getsid(Some(monitor)).unwrap();
        assert_eq!(session, monitor);
        for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
            kill(monitor, signal).unwrap();
        }
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["stop", "web"]);
        assert_eq!(status(room, "web"), "Exited (7)");
    }

    fn what_does_not_start_fails_at_once_and_is_kept(room) {
        base(room);
        room.envbox(&["run", "-d", "--name", "one", "base", "/no/such"]).exits(127);
        room.envbox(&["run", "-d", "--name", "two", "base", "/etc/passwd"]).exits(126);
        room.envbox(&["run", "-d", "--name", "three", "-u", "nobody-here", "base", "true"])
            .exits(125)
            .warns("nobody-here");
        room.envbox(&["run", "-d", "no-such-image"]).exits(125).warns("no-such-image");
        assert_eq!(states(room), ["one created", "three created", "two created"]);
        room.envbox(&["run", "-d", "--rm", "base", "/no/such"]).exits(127);
        assert_eq!(states(room).len(), 3);
        assert!(run_files(room).is_empty());
    }

    fn one_that_goes_when_it_ends_goes(room) {
        let id = ready(room, &["--rm", "--name", "web"], OBEYS);
        let directory = room.path().join("store/containers").join(&id);
        assert!(directory.exists());
        quietly(room, &["stop", "web"]);
        assert!(states(room).is_empty() && run_files(room).is_empty());
        assert!(!directory.exists());
        // stdin is empty: the program ends at once.
        background(room, &["--rm"], "read x");
        crate::harness::process::eventually("it has gone", || states(room).is_empty());
    }

    fn a_terminal_in_the_background_is_read(room) {
        let id = background(room, &["-t"], "test -t 1 && yes | head -c 300000; echo end");
        quietly(room, &["wait", &id]).says("0\n");
        let log = log(room, &id);
        assert!(log.len() > 300_000 && log.ends_with("end\r\n"), "{}", log.len());
    }

    fn an_output_without_a_reader_does_not_stop_the_program(room) {
        let id = background(room, &[], "yes | head -c 3000000; echo end >&2");
        quietly(room, &["wait", &id]).says("0\n");
        assert!(log(room, &id).len() > 3_000_000);
    }
}
