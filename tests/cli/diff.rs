//! `envbox diff` of kept containers, as overlayfs keeps them for root and for
//! an ordinary user.

use crate::harness::{Room, for_everyone};

/// What differs in a container that ran `script`.
fn after(room: &Room, name: &str, script: &str) -> Vec<String> {
    room.envbox(&["run", "--name", name, "base", "sh", "-ec", script]).succeeds();
    lines(room, name)
}

fn lines(room: &Room, name: &str) -> Vec<String> {
    let output = room.envbox(&["diff", name]).succeeds().quietly();
    output.stdout().lines().map(str::to_owned).collect()
}

fn base(room: &Room) {
    let tree = room.rootfs();
    std::fs::create_dir_all(tree.join("data/deep/er")).unwrap();
    for file in ["data/one", "data/two", "data/deep/three", "data/deep/er/four"] {
        std::fs::write(tree.join(file), "x").unwrap();
    }
    room.give(&tree);
    room.envbox(&["import", tree.to_str().unwrap(), "base"]).succeeds();
}

for_everyone! {
    fn diff_tells_what_was_added_changed_and_deleted(room) {
        base(room);
        assert_eq!(after(room, "none", "cat /data/one >/dev/null"), [""; 0]);
        let script = "echo new >/data/new; echo y >>/data/one; rm /data/two; ln -s /etc /data/etc";
        let expected = ["C /data", "A /data/etc", "A /data/new", "C /data/one", "D /data/two"];
        assert_eq!(after(room, "some", script), expected);
        let script = "chmod 700 /data/deep; mkdir -p /a/b; touch /a/b/c; : >>/data/two";
        let expected = ["A /a", "A /a/b", "A /a/b/c", "C /data", "C /data/deep"];
        assert_eq!(after(room, "metadata", script), expected);
        assert_eq!(lines(room, "some").len(), 5);
        room.envbox(&["container", "diff", "some"]).succeeds().says("D /data/two");
        room.envbox(&["diff", "gone"]).exits(1).warns("no such container: gone");
    }

    fn diff_sees_through_opaque_and_renamed_directories(room) {
        base(room);
        let script = "rm -r /data/deep; mkdir /data/deep; echo >/data/deep/new; mkdir /data/deep/er";
        // It is made anew with its old attributes: only what is in it differs.
        let expected = [
            "C /data",
            "C /data/deep",
            "C /data/deep/er",
            "D /data/deep/er/four",
            "A /data/deep/new",
            "D /data/deep/three",
        ];
        assert_eq!(after(room, "opaque", script), expected);
        let expected = [
            "C /data",
            "D /data/deep",
            "A /moved",
            "A /moved/er",
            "A /moved/er/four",
            "A /moved/three",
        ];
        assert_eq!(after(room, "renamed", "mv /data/deep /moved"), expected);
        let expected = ["C /data", "C /data/deep", "D /data/deep/er", "D /data/deep/three"];
        assert_eq!(after(room, "file", "rm -r /data/deep; echo >/data/deep"), expected);
    }

    fn names_in_a_diff_do_not_speak_to_the_terminal(room) {
        base(room);
        let found = after(room, "shout", "touch \"/$(printf 'a\\033[2Jb')\"");
        assert_eq!(found, ["A /a\\u{1b}[2Jb"]);
    }
}
