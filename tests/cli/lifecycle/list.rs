//! `ps --filter`, and the events of a life.

use super::*;
use crate::harness::for_everyone;

for_everyone! {
    fn filters_are_dockers(room) {
        ready(room, &["--name", "web-1", "-l", "tier=front"], OBEYS);
        let made = ["create", "--name", "web-2", "-l", "tier=back", "base", "true"];
        let id = quietly(room, &made).stdout();
        room.envbox(&["run", "--name", "job", "base", "sh", "-c", "exit 3"]).exits(3);
        let names = |filters: &[&str]| {
            let mut words = vec!["ps", "-a", "--format", "{{.Names}}"];
            for filter in filters {
                words.extend(["--filter", filter]);
            }
            quietly(room, &words).stdout().replace('\n', " ")
        };
        assert_eq!(names(&[]), "job web-2 web-1 ");
        assert_eq!(names(&["name=web"]), "web-2 web-1 ");
        assert_eq!(names(&["name=web", "name=job", "status=exited"]), "job ");
        assert_eq!(names(&["status=created", "status=running"]), "web-2 web-1 ");
        assert_eq!(names(&["status=paused"]), "");
        assert_eq!(names(&["exited=3"]), "job ");
        assert_eq!(names(&[&format!("id={}", &id[..10])]), "web-2 ");
        assert_eq!(names(&["label=tier"]), "web-2 web-1 ");
        assert_eq!(names(&["label=tier=back", "label=of=image"]), "web-2 ");
        assert_eq!(names(&["before=web-2"]), "web-1 ");
        assert_eq!(names(&["since=web-1"]), "job web-2 ");
        assert_eq!(names(&["ancestor=base"]), "job web-2 web-1 ");
        assert_eq!(names(&["ancestor=none"]), "");
        room.envbox(&["ps", "--filter", "before=none"]).exits(1).warns("no such container");
        room.envbox(&["ps", "--filter", "colour=red"]).exits(1).warns("there is no filter");
        quietly(room, &["ps", "-q", "--filter", "status=exited"]).says("\n");
        quietly(room, &["rm", "-f", "web-1"]);
    }

    fn every_change_leaves_an_event(room) {
        ready(room, &["--name", "web", "-l", "a=b"], OBEYS);
        quietly(room, &["rename", "web", "new"]);
        quietly(room, &["stop", "new"]);
        quietly(room, &["rm", "new"]);
        room.envbox(&["run", "--rm", "--name", "job", "base", "sh", "-c", "exit 3"]).exits(3);
        room.envbox(&["run", "--rm", "--name", "bad", "base", "/none"]).exits(127);
        let script = "import sqlite3,sys,json\n\
            d=sqlite3.connect(sys.argv[1])\n\
            for action,text in d.execute(\"select action,attributes from events where \
            kind='container' order by seq\"):\n\
            \x20   a=json.loads(text); print(a['name'],action,a.get('exitCode',a.get('signal','')))";
        let mut python = room.program("python3");
        python.args(["-c", script]).arg(room.path().join("store/envbox.db"));
        let lines = room.run(python).succeeds().stdout();
        let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
        assert_eq!(lines, [
            "web create", "web start", "new rename", "new kill 15", "new die 7", "new stop",
            "new destroy", "job create", "job start", "job die 3", "job destroy", "bad create",
            "bad die 127", "bad destroy",
        ]);
    }
}
