//! `--restart`: what is refused, and what a container keeps of it.

use serde_json::json;

use crate::harness::for_everyone;

for_everyone! {
    fn the_policy_is_kept(room) {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        for (flags, name, most) in [
            (&[][..], "no", 0),
            (&["--restart=no", "--rm"], "no", 0),
            (&["--restart", "always"], "always", 0),
            (&["--restart", "unless-stopped"], "unless-stopped", 0),
            (&["--restart", "on-failure"], "on-failure", 0),
            (&["--restart", "on-failure:0"], "on-failure", 0),
            (&["--restart", "on-failure:3"], "on-failure", 3),
        ] {
            let words = [&["create"], flags, &["base", "true"]].concat();
            let id = room.envbox(&words).succeeds().quietly().stdout();
            let found = room.envbox(&["inspect", id.trim_end()]).succeeds().json();
            let expected = json!({"Name": name, "MaximumRetryCount": most});
            assert_eq!(found[0]["HostConfig"]["RestartPolicy"], expected, "{flags:?}");
        }
    }

    fn nonsense_is_refused_in_docker_s_words(room) {
        for (flags, fault) in [
            (&["--restart", "never"][..], "invalid restart policy: unknown policy: \"never\""),
            (
                &["--restart", "on-failure:-1"],
                "invalid restart policy: maximum retry count cannot be negative",
            ),
            (
                &["--restart", "always:2"],
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ),
            (
                &["--restart", "always", "--rm"],
                "conflicting options: cannot specify both --restart and --rm",
            ),
        ] {
            let words = |verb| [&[verb][..], flags, &["no-such-image", "true"]].concat();
            room.envbox(&words("run")).exits(125).warns(fault);
            room.envbox(&words("create")).exits(1).warns(fault);
        }
    }
}
