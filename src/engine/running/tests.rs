//! What the files of containers say, and who may change them.

use std::collections::BTreeMap;

use super::*;

fn running(byte: u8, name: &str) -> Running {
    Running {
        id: ContainerId::from_random([byte; 32]),
        name: name.parse().unwrap(),
        image: None,
        image_name: "image".into(),
        command: vec!["sh".into()],
        started: 1,
        pid: None,
        activity: Activity::Runs,
        is_checked: false,
        labels: BTreeMap::new(),
        stop_signal: None,
        stop_timeout: None,
        pid_start: None,
        process: None,
        spec: None,
    }
}

#[test]
fn one_at_a_time_claims_a_container_and_a_name() {
    let room = tempfile::tempdir().unwrap();
    let run = room.path().join("run");
    assert!(list(&run).unwrap().is_empty());
    let file = RunningFile::claim(&run, &running(1, "one")).unwrap();
    assert!(list(&run).unwrap().is_empty());
    assert_eq!(list_claimed(&run).unwrap().len(), 1);
    let refused = |who: &Running| RunningFile::claim(&run, who).unwrap_err().kind();
    assert_eq!(refused(&running(1, "other")), Kind::InUse);
    assert_eq!(refused(&running(2, "one")), Kind::AlreadyExists);
    file.publish(|running| running.pid = Some(7)).unwrap();
    rename(&run, &running(1, "one").id, &"new".parse().unwrap()).unwrap();
    let listed = list(&run).unwrap().remove(0);
    assert_eq!((listed.pid, listed.name.as_str()), (Some(7), "new"));
    file.remove().unwrap();
    RunningFile::claim(&run, &running(1, "one")).unwrap();
}

#[test]
fn what_a_dead_monitor_left_goes_and_half_a_line_is_none() {
    let room = tempfile::tempdir().unwrap();
    let run = room.path().join("run");
    let dead = RunningFile::claim(&run, &running(1, "one")).unwrap();
    let listener = dead.listen().unwrap();
    dead.publish(|running| running.pid = Some(7)).unwrap();
    let path = json_path(&run.join(FOLDER), &dead.id);
    let half = File::options().append(true).open(&path).unwrap();
    (&half).write_all(b"{\"id\":\"").unwrap();
    assert_eq!(list(&run).unwrap()[0].pid, Some(7));
    assert!(connect(&run, &dead.id).unwrap().is_some());
    drop((dead, listener));
    assert!(connect(&run, &running(1, "one").id).unwrap().is_none());
    assert!(list(&run).unwrap().is_empty());
    assert_eq!(fs::list(&run.join(FOLDER)).unwrap(), ["lock"]);
}

#[test]
fn a_container_that_starts_again_and_again_has_no_end_of_lines() {
    let room = tempfile::tempdir().unwrap();
    let run = room.path().join("run");
    let file = RunningFile::claim(&run, &running(1, "one")).unwrap();
    let long = "x".repeat(10_000);
    for pid in 1..100 {
        file.publish(|running| (running.pid, running.image_name) = (Some(pid), long.clone()))
            .unwrap();
        assert_eq!(list(&run).unwrap()[0].pid, Some(pid));
        let size = fs::metadata(&json_path(&run.join(FOLDER), &file.id)).unwrap().unwrap().size;
        assert!(size < MANY_LINES + 20_000, "{size}");
    }
}
