//! Five hundred times `kill -9`: of commands, monitors, first processes, or of
//! all at once, at random moments of the life of a handful of containers.

use super::*;
use crate::harness::{for_everyone, process::children};

/// So many commands are killed, or are on their way when others are.
const KILLS: usize = 500;

/// The names that containers take from each other: none is the beginning of an
/// ID, by which a witness could be meant.
const NAMES: [&str; 5] = ["k1", "k2", "k3", "k4", "k5"];

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Command,
    Monitor,
    First,
    Anybody,
    All,
}

const VICTIMS: [Victim; 10] = [
    Victim::Command,
    Victim::Command,
    Victim::Command,
    Victim::Monitor,
    Victim::Monitor,
    Victim::First,
    Victim::First,
    Victim::Anybody,
    Victim::Anybody,
    Victim::All,
];

/// Any command on any container.
fn any_command(random: &mut Random) -> Vec<&'static str> {
    let short = "echo said; usleep 20000; exit 3";
    let name = random.pick(&NAMES).unwrap();
    let other = random.pick(&NAMES).unwrap();
    match random.below(25) {
        0 => vec!["create", "--name", name, "base", "sh", "-c", OBEYS],
        1 => vec!["create", "--init", "--name", name, "base", "sh", "-c", OBEYS],
        2 | 3 => vec!["run", "-d", "--name", name, "base", "sh", "-c", OBEYS],
        4 => vec!["run", "-d", "--rm", "--name", name, "base", "sh", "-c", OBEYS],
        5 => vec!["run", "--name", name, "base", "sh", "-c", short],
        6 => vec!["run", "--rm", "--name", name, "base", "sh", "-c", short],
        7 | 8 => vec!["start", name],
        9 => vec!["stop", "-t", "0", name],
        10 => vec!["stop", "-t", "1", name, other],
        11 => vec!["restart", "-t", "0", name],
        12 => vec!["rm", name],
        13 => vec!["rm", "-f", name, other],
        14 => vec!["rename", name, other],
        15 => vec!["exec", name, "sh", "-c", short],
        16 => vec![
            "run",
            "-d",
            "--name",
            name,
            "--restart",
            "on-failure:3",
            "base",
            "sh",
            "-c",
            short,
        ],
        17 => vec!["run", "-d", "--name", name, "--restart", "always", "base", "sh", "-c", OBEYS],
        18 | 19 => {
            let health = ["--health-cmd", "exit 1", "--health-interval", "20ms"];
            [&["run", "-d", "--name", name], &health[..], &["base", "sh", "-c", OBEYS]].concat()
        }
        20 | 21 => vec!["pause", name],
        22 => vec!["unpause", name],
        23 => vec!["update", "--restart", "no", name],
        24 => vec!["system", "boot"],
        _ => vec!["kill", name],
    }
}

/// Kills; false if there was nobody.
fn strike(room: &Room, victim: Victim, commands: &[Started], random: &mut Random) -> bool {
    let own = own_processes(room);
    let monitors = own.iter().filter(|(_, name)| name == "envbox-monitor").map(|(pid, _)| *pid);
    let monitors: Vec<Pid> = monitors.collect();
    let first: Vec<Pid> = monitors.iter().flat_map(|monitor| children(*monitor)).collect();
    let mut all: Vec<Pid> = own.iter().map(|(pid, _)| *pid).chain(first.clone()).collect();
    // In the order in which they are listed, or the other way round.
    if random.once_in(2) {
        all.reverse();
    }
    let pids: Vec<Pid> = commands.iter().map(Started::pid).collect();
    let one = |all: &[Pid], random: &mut Random| random.pick(all).is_some_and(|pid| end(*pid));
    match victim {
        Victim::Command => one(&pids, random),
        Victim::Monitor => one(&monitors, random),
        Victim::First => one(&first, random),
        Victim::Anybody => one(&all, random),
        Victim::All => all.into_iter().map(end).filter(|killed| *killed).count() > 0,
    }
}

/// A container that has written something and ended; its ID.
fn witness(room: &Room, name: &str) -> String {
    let line = format!("echo {name} >/var/tmp/kept");
    room.envbox(&["run", "--name", name, "base", "sh", "-c", &line]).succeeds().quietly();
    let mut listed = list(room).into_iter();
    let [id, _, state] = listed.find(|[_, found, _]| found == name).unwrap();
    assert_eq!(state, "exited");
    id
}

fn expect_kept(room: &Room, (name, id): &(String, String)) {
    let upper = room.path().join("store/containers").join(id).join("upper");
    let text = std::fs::read_to_string(upper.join("var/tmp/kept")).unwrap();
    assert_eq!(text.trim_end(), name);
}

/// One container is inspected: what it says is what is listed.
fn expect_inspected(room: &Room, random: &mut Random) {
    let listed = list(room);
    let Some([id, _, state]) = random.pick(&listed) else { return };
    let answer = Started::envbox(room, &["inspect", id]).finish();
    // One that goes when it ends may have ended just now.
    if answer.status == Some(0) {
        let found: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        assert!(found[0]["Name"].is_string(), "{answer}");
        let said = found[0]["State"]["Status"].as_str().unwrap();
        // Some end by themselves, or start again, between the list and this.
        let changes = ["running", "restarting", "exited"];
        let changed =
            state != "exited" && [state.as_str(), said].iter().all(|s| changes.contains(s));
        assert!(said == state || changed, "listed as {state}: {answer}");
    } else {
        assert!(answer.stderr.contains("no such"), "{answer}");
    }
}

/// No cgroup has the name of a container.
fn expect_no_cgroup(ids: &std::collections::BTreeSet<String>) {
    for entry in walkdir::WalkDir::new("/sys/fs/cgroup").into_iter().flatten() {
        let name = entry.file_name().to_string_lossy();
        assert!(!ids.iter().any(|id| name.contains(id.as_str())), "left: {:?}", entry.path());
    }
}

for_everyone! {
    fn five_hundred_kills_leave_true_states_and_nothing(room) {
        import(room);
        let mut random = Random::new();
        let mut witnesses = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        let (mut killed, mut rounds) = (0, 0);
        while killed < KILLS {
            rounds += 1;
            if witnesses.len() * 50 <= killed {
                let name = format!("witness-{}", witnesses.len());
                let id = witness(room, &name);
                witnesses.push((name, id));
            }
            let count = if random.once_in(2) { 1 } else { 2 + random.below(5) };
            let commands: Vec<Started> =
                (0..count).map(|_| Started::envbox(room, &any_command(&mut random))).collect();
            let mut said = Vec::new();
            for _ in 0..count {
                std::thread::sleep(random.moment());
                let victim = *random.pick(&VICTIMS).unwrap();
                killed += usize::from(strike(room, victim, &commands, &mut random));
                said.push(victim);
            }
            for command in commands {
                let answer = command.finish();
                assert!(!answer.stderr.contains("panicked"), "{said:?} {answer}");
            }
            expect_true_states(room);
            ids.extend(list(room).into_iter().map(|[id, ..]| id));
            expect_inspected(room, &mut random);
            assert!(rounds < KILLS * 4, "only {killed} in {rounds} rounds");
        }
        expect_a_directory_each(room);
        witnesses.iter().for_each(|witness| expect_kept(room, witness));
        expect_nothing_left(room);
        expect_no_cgroup(&ids);
    }
}
