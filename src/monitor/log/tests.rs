//! Writer and readers together.

use std::path::Path;

use crate::fs::{self, Timestamp};

use super::files;
use super::{LogOptions, LogWriter, Stream};

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
