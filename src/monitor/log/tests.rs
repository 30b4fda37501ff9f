//! Writer and readers together.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use crate::fs::{self, Timestamp};

use super::files;
use super::{LogEntry, LogOptions, LogQuery, LogReader, LogWriter, Stream};

const NOW: Timestamp = Timestamp { seconds: 1_767_323_045, nanoseconds: 123_456_789 };

fn text(dir: &Path, age: u32) -> String {
    fs::read_to_string(&files::path(dir, age)).unwrap()
}

#[test]
fn entries_are_docker_s() {
    let room = tempfile::tempdir().unwrap();
    let dir = room.path().join("log");
    let mut writer = LogWriter::open(&dir, LogOptions::default()).unwrap();
    writer.write(Stream::Stdout, b"te", NOW).unwrap();
    writer.write(Stream::Stderr, b"\"\x1b\xff\n", NOW).unwrap();
    writer.write(Stream::Stdout, b"xt\n\nend", NOW).unwrap();
    writer.finish().unwrap();
    let time = r#""time":"2026-01-02T03:04:05.123456789Z"}"#;
    let expected = [
        format!(r#"{{"log":"\"\u001b{}\n","stream":"stderr",{time}"#, '\u{fffd}'),
        format!(r#"{{"log":"text\n","stream":"stdout",{time}"#),
        format!(r#"{{"log":"\n","stream":"stdout",{time}"#),
        format!(r#"{{"log":"end","stream":"stdout",{time}"#),
    ];
    assert_eq!(text(&dir, 0).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn files_are_rotated_between_entries() {
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(200), max_file: 3 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    let lines: String = (0..12).map(|line| format!("{line}\n")).collect();
    writer.write(Stream::Stdout, lines.as_bytes(), NOW).unwrap();
    writer.finish().unwrap();
    let count = |age| text(room.path(), age).lines().count();
    assert_eq!((count(0), count(1), count(2)), (2, 2, 2));
    assert!(text(room.path(), 2).starts_with(r#"{"log":"6\n""#));
    assert_eq!(files::list(room.path()).unwrap().len(), 3);
}

#[test]
fn one_file_begins_anew() {
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(1), max_file: 1 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    writer.write(Stream::Stdout, b"a\nb\n", NOW).unwrap();
    writer.write(Stream::Stdout, b"c\n", NOW).unwrap();
    assert!(text(room.path(), 0).starts_with(r#"{"log":"c\n""#));
    assert_eq!(files::list(room.path()).unwrap().len(), 1);
}

#[test]
fn a_line_that_a_killed_writer_left_is_ended() {
    let room = tempfile::tempdir().unwrap();
    fs::write_plain(&files::path(room.path(), 0), br#"{"log":"ha"#).unwrap();
    let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
    writer.write(Stream::Stdout, b"b\n", NOW).unwrap();
    let text = text(room.path(), 0);
    assert!(text.starts_with("{\"log\":\"ha\n{\"log\":\"b\\n\""), "{text}");
}

/// What `query` finds now.
fn query(dir: &Path, query: LogQuery) -> Vec<LogEntry> {
    drain(&mut LogReader::open(dir, query).unwrap().unwrap())
}

fn drain(reader: &mut LogReader) -> Vec<LogEntry> {
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

fn texts(entries: &[LogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

fn tail(dir: &Path, count: u64) -> String {
    let entries = query(dir, LogQuery { tail: Some(count), ..LogQuery::default() });
    texts(&entries).concat()
}

/// Waits once, in a process that still runs.
fn wait(reader: &mut LogReader) -> bool {
    let (_reader, output) = std::io::pipe().unwrap();
    reader.wait(std::os::fd::AsFd::as_fd(&output), || Ok(true)).unwrap()
}

#[test]
fn there_may_be_no_log_or_an_empty_one() {
    let room = tempfile::tempdir().unwrap();
    let none = LogReader::open(&room.path().join("none"), LogQuery::default()).unwrap();
    assert!(none.is_none());
    for count in [0, 1] {
        assert_eq!(tail(room.path(), count), "");
    }
    drop(LogWriter::open(room.path(), LogOptions::default()).unwrap());
    assert!(query(room.path(), LogQuery::default()).is_empty());
    assert_eq!(tail(room.path(), 3), "");
}

#[test]
fn a_long_line_is_written_in_parts_of_one_time() {
    let room = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
    // The second part begins in the middle of a character.
    let line = format!("a{}\n", "\u{e9}".repeat(20_000));
    for (second, chunk) in (1..).zip(line.as_bytes().chunks(10_000)) {
        writer.write(Stream::Stdout, chunk, Timestamp::from_seconds(second)).unwrap();
    }
    writer.write(Stream::Stdout, b"next\n", Timestamp::from_seconds(9)).unwrap();
    let entries = query(room.path(), LogQuery::default());
    let lengths: Vec<usize> = entries.iter().map(|entry| entry.text.len()).collect();
    assert_eq!(lengths, [16_383, 16_384, 7_235, 5]);
    let seconds: Vec<i64> = entries.iter().map(|entry| entry.time.seconds).collect();
    assert_eq!(seconds, [2, 2, 2, 9]);
    assert_eq!(texts(&entries[..3]).concat(), line);
}

#[test]
fn the_last_lines_are_found_in_any_file() {
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(200), max_file: 9 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    for line in 0..9 {
        writer.write(Stream::Stdout, format!("{line}\n").as_bytes(), NOW).unwrap();
    }
    drop(writer);
    assert_eq!(files::list(room.path()).unwrap().len(), 5);
    for count in 0..12 {
        let expected: String =
            (9_u64.saturating_sub(count)..9).map(|line| format!("{line}\n")).collect();
        assert_eq!(tail(room.path(), count), expected);
    }
}

#[test]
fn the_tail_of_a_large_log_is_read_alone() {
    let room = tempfile::tempdir().unwrap();
    let path = files::path(room.path(), 0);
    let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
    // A hole of a terabyte, which nobody reads in time.
    fs::open_for_writing(&path).unwrap().set_len(1 << 40).unwrap();
    writer.write(Stream::Stdout, b"\n1\n2\n3\n", NOW).unwrap();
    assert_eq!(tail(room.path(), 2), "2\n3\n");
}

#[test]
fn times_bound_what_is_found() {
    let room = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
    for second in 1..6 {
        let time = Timestamp::from_seconds(second);
        writer.write(Stream::Stdout, format!("{second}\n").as_bytes(), time).unwrap();
    }
    let time = |second| Some(Timestamp::from_seconds(second));
    let found = |tail, since, until| {
        let part = LogQuery { tail, since, until, follow: false };
        texts(&query(room.path(), part)).concat().replace('\n', "")
    };
    assert_eq!(found(None, time(3), None), "345");
    assert_eq!(found(None, None, time(3)), "123");
    assert_eq!(found(None, time(2), time(4)), "234");
    assert_eq!(found(Some(2), None, time(4)), "4");
    assert_eq!(found(Some(2), time(1), None), "45");
}

#[test]
fn what_is_no_entry_is_passed_over() {
    let room = tempfile::tempdir().unwrap();
    let entry = |text: &str| {
        format!(
            r#"{{"log":"{text}\n","stream":"stdout","attrs":{{}},"time":"2026-01-02T03:04:05Z"}}"#
        )
    };
    let long = "x".repeat(3 << 20);
    let content = [&entry("a"), "{\"log\":", "", &long, &entry("b"), "{\"log\":\"half"];
    fs::write_plain(&files::path(room.path(), 0), content.join("\n").as_bytes()).unwrap();
    assert_eq!(texts(&query(room.path(), LogQuery::default())), ["a\n", "b\n"]);
    assert_eq!(tail(room.path(), 1), "b\n");
}

#[test]
fn a_follower_sees_every_rotation() {
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(200), max_file: 4 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    writer.write(Stream::Stdout, b"0\n1\n", NOW).unwrap();
    let follow = LogQuery { tail: Some(1), follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(room.path(), follow).unwrap().unwrap();
    let mut seen = drain(&mut reader);
    let mut next = 2;
    for count in [1, 2, 3, 5, 1, 4] {
        for _ in 0..count {
            writer.write(Stream::Stdout, format!("{next}\n").as_bytes(), NOW).unwrap();
            next += 1;
        }
        assert!(wait(&mut reader));
        seen.extend(drain(&mut reader));
    }
    let expected: Vec<String> = (1..next).map(|line| format!("{line}\n")).collect();
    assert_eq!(texts(&seen), expected);
}

#[test]
fn a_follower_that_is_too_slow_goes_on_with_what_there_is() {
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(1), max_file: 2 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    writer.write(Stream::Stdout, b"0\n", NOW).unwrap();
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(room.path(), follow).unwrap().unwrap();
    writer.write(Stream::Stdout, b"1\n2\n3\n4\n", NOW).unwrap();
    assert_eq!(texts(&drain(&mut reader)), ["0\n", "3\n", "4\n"]);
}

#[test]
fn following_ends_with_the_writer_and_misses_nothing_of_it() {
    let room = tempfile::tempdir().unwrap();
    let mut writer = Some(LogWriter::open(room.path(), LogOptions::default()).unwrap());
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(room.path(), follow).unwrap().unwrap();
    assert!(drain(&mut reader).is_empty());
    let (_held, output) = std::io::pipe().unwrap();
    let asked = Cell::new(0);
    // Its last words come just before it is seen to be gone.
    let is_running = || {
        asked.set(asked.get() + 1);
        if let Some(mut writer) = writer.take() {
            writer.write(Stream::Stderr, b"last\nwords", NOW).unwrap();
            writer.finish().unwrap();
        }
        Ok(false)
    };
    assert!(reader.wait(std::os::fd::AsFd::as_fd(&output), is_running).unwrap());
    assert_eq!(texts(&drain(&mut reader)), ["last\n", "words"]);
    assert!(!wait(&mut reader));
    assert_eq!(asked.get(), 1);
}

#[test]
fn following_ends_at_the_time_and_with_the_reader() {
    let room = tempfile::tempdir().unwrap();
    let _writer = LogWriter::open(room.path(), LogOptions::default()).unwrap();
    let query = LogQuery { follow: true, until: Some(NOW), ..LogQuery::default() };
    let mut reader = LogReader::open(room.path(), query).unwrap().unwrap();
    assert!(wait(&mut reader) && !wait(&mut reader));
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(room.path(), query).unwrap().unwrap();
    assert!(wait(&mut reader));
    let (held, output) = std::io::pipe().unwrap();
    drop(held);
    assert!(!reader.wait(std::os::fd::AsFd::as_fd(&output), || Ok(true)).unwrap());
}

/// What happens to a writer.
#[derive(Clone, Debug)]
enum Event {
    Write(Stream, String),
    /// It is killed, and so many bytes of its last write did not get out. One
    /// byte is a newline alone: the entry is whole.
    Kill(u64),
    /// It ends.
    Finish,
}

fn event() -> impl Strategy<Value = Event> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let text = proptest::collection::vec(
        prop_oneof!["[a-c\u{e9}\"\\\\]{0,9}", Just("\n".to_owned())],
        0..9,
    );
    prop_oneof![
        8 => (stream, text).prop_map(|(stream, text)| Event::Write(stream, text.concat())),
        1 => prop_oneof![Just(0), 2_u64..20].prop_map(Event::Kill),
        1 => Just(Event::Finish),
    ]
}

/// What a log holds if nothing is ever rotated away.
#[derive(Default)]
struct Model {
    entries: Vec<(Stream, String)>,
    open: [String; 2],
}

impl Model {
    fn write(&mut self, stream: Stream, text: &str) {
        for piece in text.split_inclusive('\n') {
            let open = &mut self.open[stream as usize];
            open.push_str(piece);
            if open.ends_with('\n') {
                self.entries.push((stream, std::mem::take(open)));
            }
        }
    }

    fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.open[stream as usize]);
            if !rest.is_empty() {
                self.entries.push((stream, rest));
            }
        }
    }
}

/// Plays `events`: what a follower saw, and what there should be.
fn play(dir: &Path, options: LogOptions, events: &[Event]) -> (Vec<LogEntry>, Model) {
    let open = || LogWriter::open(dir, options).unwrap();
    let (mut writer, mut model) = (open(), Model::default());
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let mut follower = LogReader::open(dir, follow).unwrap().unwrap();
    let mut seen = Vec::new();
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Write(stream, text) => {
                writer.write(*stream, text.as_bytes(), NOW).unwrap();
                model.write(*stream, text);
            }
            Event::Kill(cut) => {
                drop(writer);
                model.open = Default::default();
                let file = fs::open_for_writing(&files::path(dir, 0)).unwrap();
                let size = file.metadata().unwrap().len();
                if *cut > 0 && text(dir, 0).ends_with('\n') {
                    file.set_len(size - cut).unwrap();
                    model.entries.pop();
                }
                writer = open();
            }
            Event::Finish => {
                writer.finish().unwrap();
                model.finish();
                writer = open();
            }
        }
        // It is late now and then.
        if index % 3 == 0 {
            seen.extend(drain(&mut follower));
        }
    }
    writer.finish().unwrap();
    model.finish();
    seen.extend(drain(&mut follower));
    (seen, model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_written_is_read_back_in_order(
        events in proptest::collection::vec(event(), 0..40),
        max_size in proptest::option::of(1_u64..900),
        max_file in 1_u32..6,
        count in 0_u64..60,
    ) {
        let room = tempfile::tempdir().unwrap();
        let (_, model) = play(room.path(), LogOptions { max_size, max_file }, &events);
        let found = query(room.path(), LogQuery::default());
        let pairs: Vec<_> = found.iter().map(|e| (e.stream, e.text.clone())).collect();
        prop_assert!(model.entries.ends_with(&pairs), "{pairs:?} of {:?}", model.entries);
        prop_assert!(max_size.is_some() || pairs.len() == model.entries.len());
        let files = files::list(room.path()).unwrap();
        prop_assert!(files.len() <= max_file as usize);
        let rest = found.len().saturating_sub(count as usize);
        if !events.iter().any(|event| matches!(event, Event::Kill(_))) {
            prop_assert_eq!(pairs.is_empty(), model.entries.is_empty());
            let part = LogQuery { tail: Some(count), ..LogQuery::default() };
            prop_assert_eq!(&query(room.path(), part)[..], &found[rest..]);
        }
    }

    #[test]
    fn a_follower_misses_nothing(
        events in proptest::collection::vec(event(), 0..40),
        max_size in proptest::option::of(1_u64..900),
    ) {
        let room = tempfile::tempdir().unwrap();
        let events: Vec<Event> =
            events.into_iter().filter(|event| !matches!(event, Event::Kill(1..))).collect();
        let (seen, model) = play(room.path(), LogOptions { max_size, max_file: 999 }, &events);
        let pairs: Vec<_> = seen.into_iter().map(|e| (e.stream, e.text)).collect();
        prop_assert_eq!(pairs, model.entries);
    }
}

#[test]
fn readers_and_a_fast_writer_agree() {
    const LINES: usize = 5_000;
    let room = tempfile::tempdir().unwrap();
    let options = LogOptions { max_size: Some(9_000), max_file: 100_000 };
    let mut writer = LogWriter::open(room.path(), options).unwrap();
    let dir = room.path();
    std::thread::scope(|scope| {
        let follower = scope.spawn(move || {
            let follow = LogQuery { follow: true, ..LogQuery::default() };
            let mut reader = LogReader::open(dir, follow).unwrap().unwrap();
            let mut seen = Vec::new();
            while seen.len() < LINES {
                wait(&mut reader);
                seen.extend(drain(&mut reader));
            }
            seen
        });
        for line in 0..LINES {
            let mut text = Vec::new();
            writeln!(text, "{line}").unwrap();
            writer.write(Stream::Stdout, &text, NOW).unwrap();
            if line % 500 == 0 {
                let found = query(dir, LogQuery::default());
                assert_eq!(found.len(), line + 1);
            }
        }
        let seen = follower.join().unwrap();
        for (line, entry) in seen.iter().enumerate() {
            assert_eq!(entry.text, format!("{line}\n"));
        }
    });
}
