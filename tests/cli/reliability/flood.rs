//! Output that nobody reads.

use super::*;
use crate::harness::for_everyone;

/// What is printed: enough for any buffer that has no limit to show.
const PRINTED: u64 = 64 << 20;

/// The most that a monitor may ever have in memory.
const MONITOR: u64 = 4 << 20;

/// The most memory that a process has had so far (proc_pid_status(5)), but for
/// the pages of its program, which it shares, and which are many in a debug
/// build.
fn peak(process: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    };
    field("VmHWM:").saturating_sub(field("RssFile:"))
}

fn monitor(room: &Room) -> Pid {
    let own = own_processes(room);
    own.iter().find(|(_, name)| name == "envbox-monitor").unwrap().0
}

for_everyone! {
    fn a_flood_without_a_reader_goes_on_in_little_memory(room) {
        import(room);
        let line = format!("head -c {PRINTED} /dev/zero | tr '\\0' x; touch /var/tmp/done; sleep 1000");
        let words = ["run", "-d", "--name", "flood", "base", "sh", "-c", &line];
        let id = room.envbox(&words).succeeds().quietly().stdout();
        let id = id.trim_end();
        expect_written(room, id, "var/tmp/done");
        assert!(peak(monitor(room)) <= MONITOR, "{}", peak(monitor(room)));
        room.envbox(&["stop", "-t", "0", "flood"]).succeeds().quietly();
        let log = room.path().join("store/containers").join(id).join("log/log.json");
        let size = std::fs::metadata(log).unwrap().len();
        assert!((PRINTED..PRINTED * 2).contains(&size), "{size}");
        expect_nothing_left(room);
    }

    fn a_flood_of_a_terminal_keeps_nobody_from_anything(room) {
        import(room);
        let words = ["run", "-dt", "--name", "flood", "base", "yes"];
        let id = room.envbox(&words).succeeds().quietly().stdout();
        for _ in 0..5 {
            expect_true_states(room);
            let answer = Started::envbox(room, &["exec", "flood", "true"]).finish();
            assert_eq!(answer.status, Some(0), "{answer}");
        }
        let logs = Started::envbox(room, &["logs", "--tail", "3", "flood"]).finish();
        assert_eq!(logs.status, Some(0), "{logs}");
        assert!(peak(monitor(room)) <= MONITOR, "{}", peak(monitor(room)));
        assert!(first_process(room, id.trim_end()).is_some());
        let stop = Started::envbox(room, &["stop", "-t", "0", "flood"]).finish();
        assert_eq!((stop.status, stop.stderr.as_str()), (Some(0), ""));
        expect_nothing_left(room);
    }

    fn a_reader_that_has_stopped_reading_keeps_nobody_from_anything(room) {
        import(room);
        // A pipe that nobody reads: the container waits, as it does with docker.
        let (reader, writer) = std::io::pipe().unwrap();
        let mut run = room.command(&["run", "--name", "flood", "base", "yes"]);
        let mut client = run.stdout(writer).spawn().unwrap();
        drop(run);
        eventually("it runs", || list(room).iter().any(|[_, _, state]| state == "running"));
        let answer = Started::envbox(room, &["exec", "flood", "true"]).finish();
        assert_eq!(answer.status, Some(0), "{answer}");
        let stop = Started::envbox(room, &["stop", "-t", "0", "flood"]).finish();
        assert_eq!(stop.status, Some(0), "{stop}");
        // What was printed is still the reader's: the client ends with him.
        drop(reader);
        let status = client.wait().unwrap().code();
        assert!(matches!(status, Some(137 | 141)), "{status:?}");
        expect_nothing_left(room);
    }
}
