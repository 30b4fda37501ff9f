//! `--health-*`, `--no-healthcheck` and an image's `HEALTHCHECK`: what is
//! refused, and what a container keeps of them.

use serde_json::{Value, json};

use crate::harness::{Room, for_everyone};

/// Imports the room's rootfs as `name`, with `HEALTHCHECK check`.
fn image(room: &Room, name: &str, check: &str) {
    let (rootfs, change) = (room.rootfs(), format!("HEALTHCHECK {check}"));
    room.envbox(&["import", "-c", &change, rootfs.to_str().unwrap(), name]).succeeds();
}

/// `Config.Healthcheck` of a container that `envbox create FLAGS IMAGE` makes.
fn kept(room: &Room, flags: &[&str], image: &str) -> Value {
    let words = [&["create"], flags, &[image, "true"]].concat();
    let id = room.envbox(&words).succeeds().quietly().stdout();
    let found = room.envbox(&["inspect", id.trim_end()]).succeeds().quietly().json();
    found[0]["Config"].get("Healthcheck").cloned().unwrap_or(Value::Null)
}

for_everyone! {
    fn what_somebody_said_is_inspected_and_nothing_else(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        assert_eq!(kept(room, &[], "base"), Value::Null);
        let flags = ["--health-cmd", "test -e /ready", "--health-interval", "30s"];
        let expected = json!({"Test": ["CMD-SHELL", "test -e /ready"], "Interval": 30_000_000_000_u64});
        assert_eq!(kept(room, &flags, "base"), expected);
        assert_eq!(kept(room, &["--no-healthcheck"], "base"), json!({"Test": ["NONE"]}));
        let zeros = ["--health-retries", "0", "--health-timeout", "0s", "--health-cmd", ""];
        assert_eq!(kept(room, &zeros, "base"), Value::Null);
    }

    fn flags_replace_what_the_image_says(room) {
        image(room, "base", "--interval=5s --retries=2 CMD probe -x");
        let own = json!({
            "Test": ["CMD-SHELL", "probe -x"], "Interval": 5_000_000_000_u64, "Retries": 2,
        });
        assert_eq!(kept(room, &[], "base"), own);
        let flags = [
            "--health-retries", "7", "--health-timeout=250ms", "--health-start-period", "1m30s",
            "--health-start-interval", "1s",
        ];
        assert_eq!(kept(room, &flags, "base"), json!({
            "Test": ["CMD-SHELL", "probe -x"], "Interval": 5_000_000_000_u64,
            "Timeout": 250_000_000, "StartPeriod": 90_000_000_000_u64,
            "StartInterval": 1_000_000_000, "Retries": 7,
        }));
        assert_eq!(kept(room, &["--no-healthcheck"], "base")["Test"], json!(["NONE"]));
        image(room, "silent", "NONE");
        assert_eq!(kept(room, &[], "silent"), json!({"Test": ["NONE"]}));
        let flags = ["--health-cmd", "true"];
        assert_eq!(kept(room, &flags, "silent"), json!({"Test": ["CMD-SHELL", "true"]}));
    }

    fn nonsense_is_refused_with_the_flag(room) {
        for (flags, fault) in [
            (&["--health-interval", "-5s"][..], "--health-interval cannot be negative: -5s"),
            (&["--health-timeout=500us"], "--health-timeout cannot be less than 1ms: 500us"),
            (&["--health-start-period", "soon"], "invalid --health-start-period: \"soon\""),
            (&["--health-start-interval", "5"], "invalid --health-start-interval: \"5\""),
            (&["--health-retries", "-1"], "--health-retries cannot be negative: -1"),
            (&["--health-retries", "many"], "invalid --health-retries: \"many\""),
            (
                &["--no-healthcheck", "--health-cmd", "true"],
                "--no-healthcheck conflicts with --health-* options",
            ),
        ] {
            let words = |verb| [&[verb][..], flags, &["no-such-image", "true"]].concat();
            room.envbox(&words("run")).exits(125).warns(fault);
            room.envbox(&words("create")).exits(1).warns(fault);
        }
    }
}
