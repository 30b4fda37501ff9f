//! Many at a time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::harness::for_everyone;

/// Containers that live at the same time, and commands that start them.
const CONTAINERS: usize = 200;
const CLIENTS: usize = 16;

/// What docker says of a container that is not as a command wants it, or is
/// just becoming so.
const DOCUMENTED: [&str; 7] = [
    "no such container",
    "no such object",
    "is not running",
    "is running",
    "being started or removed",
    "already in use",
    "same name as its current name",
];

/// Any command on any of five containers.
fn any_command(random: &mut Random) -> Vec<&'static str> {
    const NAMES: [&str; 5] = ["p1", "p2", "p3", "p4", "p5"];
    let (name, other) = (random.pick(&NAMES).unwrap(), random.pick(&NAMES).unwrap());
    match random.below(12) {
        0 | 1 => vec!["start", name],
        2 => vec!["stop", "-t", "0", name],
        3 => vec!["restart", "-t", "0", name],
        4 => vec!["rm", name],
        5 => vec!["rm", "-f", name],
        6 => vec!["rename", name, other],
        7 => vec!["kill", name],
        8 => vec!["ps", "-a"],
        9 => vec!["inspect", name],
        10 => vec!["wait", "witness"],
        _ => vec!["create", "--name", name, "base", "sh", "-c", OBEYS],
    }
}

fn expect_documented(answer: &Answer) {
    match answer.status {
        // docker: what is not there is told, and need not be removed.
        Some(0) if answer.words.starts_with("rm -f") => {
            let absent = answer.stderr.contains("no such container");
            assert!(answer.stderr.is_empty() || absent, "{answer}");
        }
        Some(0) => assert!(answer.stderr.is_empty(), "{answer}"),
        Some(1) => {
            let told: Vec<&str> =
                answer.stderr.lines().filter(|line| line.starts_with("envbox: ")).collect();
            let known = |line: &&str| DOCUMENTED.iter().any(|words| line.contains(words));
            assert!(!told.is_empty() && told.iter().all(known), "{answer}");
        }
        _ => panic!("{answer}"),
    }
}

for_everyone! {
    fn two_hundred_containers_start_stop_and_go(room) {
        import(room);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < CONTAINERS {
                        let words = ["run", "-d", "base", "sleep", "1000"];
                        let answer = Started::envbox(room, &words).finish();
                        assert_eq!(answer.status, Some(0), "{answer}");
                    }
                });
            }
        });
        let listed = list(room);
        let names: BTreeSet<&str> = listed.iter().map(|[_, name, _]| name.as_str()).collect();
        assert_eq!((listed.len(), names.len()), (CONTAINERS, CONTAINERS));
        assert!(listed.iter().all(|[_, _, state]| state == "running"), "{listed:?}");
        let with = |words: &[&'static str]| -> Vec<&str> {
            words.iter().copied().chain(names.iter().copied()).collect()
        };
        let stopped = room.envbox(&with(&["stop", "-t", "0"])).succeeds().quietly();
        assert_eq!(stopped.stdout().lines().count(), CONTAINERS);
        let listed = list(room);
        assert!(listed.iter().all(|[_, _, state]| state == "exited"), "{listed:?}");
        assert_eq!(listed.len(), CONTAINERS);
        expect_a_directory_each(room);
        room.envbox(&with(&["rm"])).succeeds().quietly();
        expect_nothing_left(room);
    }

    fn fifty_commands_on_five_containers_answer(room) {
        import(room);
        let mut random = Random::new();
        room.envbox(&["run", "--name", "witness", "base", "sh", "-c", "exit 4"]).exits(4);
        for _ in 0..4 {
            let commands: Vec<Started> =
                (0..50).map(|_| Started::envbox(room, &any_command(&mut random))).collect();
            for command in commands {
                let answer = command.finish();
                expect_documented(&answer);
                if answer.words.starts_with("wait") {
                    assert_eq!(answer.stdout, "4\n", "{answer}");
                }
            }
            expect_true_states(room);
            expect_a_directory_each(room);
        }
        expect_nothing_left(room);
    }

    fn who_runs_is_never_listed_as_ended(room) {
        import(room);
        let start = |number: usize| {
            let name = format!("n{number}");
            Started::envbox(room, &["run", "-d", "--name", &name, "base", "sleep", "1000"])
        };
        for round in 0..5 {
            let starts: Vec<Started> = (0..8).map(|number| start(round * 8 + number)).collect();
            let lists: Vec<Started> = (0..12)
                .map(|_| Started::envbox(room, &["ps", "-a", "--format", "{{.Names}} {{.State}}"]))
                .collect();
            for list in lists {
                let answer = list.finish();
                assert_eq!(answer.status, Some(0), "{answer}");
                // None has ended yet.
                assert!(!answer.stdout.contains("exited"), "{answer}");
            }
            for start in starts {
                let answer = start.finish();
                assert_eq!(answer.status, Some(0), "{answer}");
            }
        }
        expect_nothing_left(room);
    }

    fn a_thousand_containers_are_listed(room) {
        import(room);
        room.envbox(&["create", "--name", "first", "base", "true"]).succeeds();
        // As many more, as if they had been made one by one.
        let script = "import os,sqlite3,sys; root=sys.argv[1]; \
            d=sqlite3.connect(root+'/envbox.db'); r=list(d.execute('select * from containers'))[0]\n\
            for n in range(1, 1000):\n \
            i=format(n,'064x'); d.execute('insert into containers values('+','.join('?'*len(r))+')', \
            (i,'n%d'%n)+r[2:]); os.mkdir(root+'/containers/'+i)\n\
            d.commit()";
        let mut python = room.program("python3");
        python.args(["-c", script]).arg(room.path().join("store"));
        room.run(python).succeeds();
        let listed = list(room);
        let names: BTreeSet<&String> = listed.iter().map(|[_, name, _]| name).collect();
        assert_eq!(names.len(), 1000);
        expect_a_directory_each(room);
    }
}
