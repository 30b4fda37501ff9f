//! `create` and `start`: a container runs as it was asked to when it was made.

use std::process::Stdio;

use super::*;
use crate::harness::for_everyone;

for_everyone! {
    fn a_container_is_made_then_started_again_and_again(room) {
        base(room);
        std::fs::create_dir(room.work().join("data: x")).unwrap();
        room.give(&room.work().join("data: x"));
        let words = [
            "create", "--name", "job", "-e", "A=b c", "-w", "/new", "-u", "builder",
            "--tmpfs", "/scratch:size=1m,mode=1777", "--ulimit", "nofile=100:200",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "-h", "host-1",
            "--mount", "type=bind,source=./data: x,target=/data,readonly",
            "base", "sh", "-c",
            "echo $A $PWD $(id -un) $(hostname) $(ulimit -n); touch /scratch/x; ls -d /data; \
             grep -c CapBnd:.*0000$ /proc/self/status; echo x >>/var/tmp/kept; wc -l </var/tmp/kept",
        ];
        let id = quietly(room, &words).stdout();
        assert_eq!(states(room), ["job created"]);
        let expected = "b c /new builder host-1 100\n/data\n1\n";
        // From another directory: what was relative means the same.
        for count in 1..=2 {
            let mut command = room.command(&["start", "-a", "job"]);
            command.current_dir(room.path());
            room.run(command).succeeds().says(&format!("{expected}{count}\n"));
        }
        quietly(room, &["start", id.trim_end()]).says(&id);
        quietly(room, &["wait", "job"]).says("0\n");
        let runs: String = (1..=3).map(|count| format!("{expected}{count}\n")).collect();
        assert_eq!(log(room, id.trim_end()), runs);
    }

    fn started_attached_it_has_the_callers_streams(room) {
        base(room);
        quietly(room, &["create", "-i", "--name", "cat", "base", "sh", "-c", "cat; exit 5"]);
        let mut command = room.command(&["start", "-ai", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"typed").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"typed");
        assert_eq!(output.status.code(), Some(5));
        // Without -i it reads nothing.
        room.envbox(&["start", "-a", "cat"]).exits(5);
        room.envbox(&["start", "-a", "cat", "cat"]).exits(1).warns("multiple");
        quietly(room, &["create", "-it", "--name", "tty", "base", "sh"]);
        room.envbox(&["start", "-ai", "tty"]).exits(1).warns("not a TTY");
    }

    fn starting_twice_is_success_and_runs_once(room) {
        let id = ready(room, &["--name", "web"], OBEYS);
        quietly(room, &["start", "web", &id]).says(&format!("web\n{id}\n"));
        assert_eq!(log(room, &id), "ready\n");
        room.envbox(&["start", "web", "none"]).exits(1).says("web\n").warns("no such container");
        quietly(room, &["stop", "web"]);
        // All at the same time: one of them starts it.
        let starts: Vec<_> = (0..8)
            .map(|_| room.command(&["start", "web"]).stdout(Stdio::null()).spawn().unwrap())
            .collect();
        for mut start in starts {
            assert!(start.wait().unwrap().success());
        }
        assert_eq!(states(room), ["web running"]);
        quietly(room, &["rm", "-f", "web"]);
    }

    fn what_an_older_envbox_made_is_refused_in_words(room) {
        base(room);
        let id = quietly(room, &["create", "--name", "old", "base", "true"]).stdout();
        let script = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); \
            d.execute('update containers set spec=?', ('{\"image\":\"base\",\"command\":[\"x\"]}',)); \
            d.commit()";
        let mut python = room.program("python3");
        python.args(["-c", script]).arg(room.path().join("store/envbox.db"));
        room.run(python).succeeds();
        room.envbox(&["start", "old"]).exits(1).warns("cannot be started again");
        assert_eq!(states(room), ["old created"]);
        quietly(room, &["rm", id.trim_end()]);
    }

    fn names_belong_to_one_and_change(room) {
        let id = ready(room, &["--rm", "--name", "web"], OBEYS);
        room.envbox(&["create", "--name", "web", "base", "true"]).exits(1).warns("already in use");
        room.envbox(&["run", "--rm", "--name", "web", "base", "true"]).exits(125).warns("in use");
        quietly(room, &["create", "--name", "other", "base", "true"]);
        room.envbox(&["rename", "web", "other"]).exits(1).warns("already in use");
        room.envbox(&["rename", "web", "web"]).exits(1).warns("same name");
        quietly(room, &["rename", "web", "new"]);
        assert_eq!(states(room), ["new running", "other created"]);
        quietly(room, &["create", "--name", "web", "base", "true"]);
        quietly(room, &["stop", "new"]);
        assert_eq!(states(room), ["other created", "web created"]);
        assert!(!room.path().join("store/containers").join(id).exists());
    }

    fn labels_and_the_file_of_the_id_are_written(room) {
        base(room);
        std::fs::write(room.work().join("labels"), "# none\nof=file\nfrom=file\n").unwrap();
        room.give(&room.work().join("labels"));
        let words = [
            "create", "--name", "x1", "-l", "plain", "--label", "from=flag", "--label-file",
            "labels", "--cidfile", "cid", "base", "true",
        ];
        let id = quietly(room, &words).stdout();
        assert_eq!(std::fs::read_to_string(room.work().join("cid")).unwrap(), id.trim_end());
        let words = ["ps", "-a", "--format", "{{.Labels}}"];
        quietly(room, &words).says("from=flag,of=file,plain=\n");
        room.envbox(&["run", "--cidfile", "cid", "base", "true"]).exits(125).warns("exists");
        assert_eq!(states(room), ["x1 created"]);
        room.envbox(&["run", "--rm", "--cidfile", "cid2", "base", "true"]).succeeds();
        assert_eq!(std::fs::read_to_string(room.work().join("cid2")).unwrap().len(), 64);
    }
}
