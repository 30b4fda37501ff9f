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

    fn what_a_container_has_is_shown_and_found(room) {
        base(room);
        std::fs::create_dir(room.work().join("a-long-directory")).unwrap();
        room.give(&room.work().join("a-long-directory"));
        let flags = ["--name", "db", "-l", "a.b=c", "-v", "data:/data", "-v", "/own",
            "-v", "./a-long-directory:/src", "--network", "host"];
        let script = "echo 12345 >/file";
        quietly(room, &[&["run"], &flags[..], &["base", "sh", "-c", script]].concat());
        quietly(room, &["create", "--name", "plain", "base", "true"]);
        ready(room, &["--rm", "--name", "gone", "-v", "data:/elsewhere"], OBEYS);
        let show = |flags: &[&str], format: &str| {
            quietly(room, &[&["ps", "-a", "--format", format], flags].concat()).stdout()
        };
        let of = |name: &str, format: &str| show(&["-f", &format!("name={name}")], format);
        let mounts = of("db", "{{.Mounts}}");
        let mounts: Vec<&str> = mounts.trim().split(',').collect();
        assert_eq!(mounts[0], "data");
        assert!(mounts.len() == 3 && mounts.iter().all(|name| name.chars().count() <= 15));
        let source = room.work().join("a-long-directory").display().to_string();
        assert!(show(&["--no-trunc"], "{{.Mounts}}").contains(&source));
        assert_eq!(of("db", r#"{{.LocalVolumes}} {{.Networks}} {{.Label "a.b"}}"#), "2 host c\n");
        assert_eq!(of("plain", "{{.LocalVolumes}}{{.Mounts}} {{.Networks}}"), "0 none\n");
        assert_eq!(of("gone", "{{.Mounts}} {{.Ports}}{{.RunningFor}}").split(' ').next(), Some("data"));
        let size = of("db", "{{.Size}}");
        assert!(size.starts_with("6B (virtual ") && size.ends_with("MB)\n"), "{size}");
        let table = quietly(room, &["ps", "-as"]).stdout();
        assert!(table.lines().next().unwrap().ends_with("SIZE"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&of("db", "json")).unwrap();
        for field in ["Labels", "LocalVolumes", "Mounts", "Networks", "Ports", "RunningFor", "Size"] {
            assert!(json[field].is_string(), "{field}");
        }
        let found = |filters: &[&str]| {
            let filters: Vec<&str> = filters.iter().flat_map(|filter| ["-f", filter]).collect();
            show(&filters, "{{.Names}}").replace('\n', " ")
        };
        assert_eq!(found(&["volume=data"]), "gone db ");
        assert_eq!(found(&["volume=/elsewhere", "volume=/own"]), "gone db ");
        assert_eq!(found(&[&format!("volume={source}")]), "db ");
        assert_eq!(found(&["volume=none"]), "");
        assert_eq!(found(&["network=none"]), "gone plain ");
        assert_eq!(found(&["network=host", "network=bridge"]), "db ");
        assert_eq!(found(&["network=bridge"]), "");
        assert_eq!(found(&["health=none", "volume=data", "status=exited"]), "db ");
        assert_eq!(found(&["health=healthy"]), "");
        assert_eq!(found(&["health=healthy", "health=none", "name=db"]), "db ");
        let newest = |flags: &[&str]| {
            let words = [&["ps", "--format", "{{.Names}}"], flags].concat();
            quietly(room, &words).stdout().replace('\n', " ")
        };
        assert_eq!(newest(&["-l"]), "gone ");
        assert_eq!(newest(&["-n", "2"]), "gone plain ");
        assert_eq!(newest(&["--last", "1", "-f", "network=host"]), "db ");
        quietly(room, &["rm", "-f", "gone"]);
    }

    fn no_port_is_published(room) {
        base(room);
        let id = quietly(room, &["create", "--name", "web", "base", "true"]).stdout();
        for words in [&["port", "web"][..], &["container", "port", &id[..12]]] {
            assert_eq!(quietly(room, words).stdout(), "");
        }
        room.envbox(&["port", "web", "80"]).exits(1)
            .warns("no public port '80/tcp' published for web");
        room.envbox(&["port", "web", "http"]).exits(1).warns("invalid port");
        room.envbox(&["port", "none"]).exits(1).warns("no such container: none");
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
            "new destroy", "job create", "job attach", "job start", "job die 3", "job destroy", "bad create",
            "bad die 127", "bad destroy",
        ]);
    }
}
