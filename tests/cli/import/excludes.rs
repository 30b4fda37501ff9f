//! What is left out.

use std::fs;
use std::process::Stdio;

use super::{fails, identity_of, import, tar, text, tree};
use crate::harness::{Output, Room, for_everyone};

/// The tree without what GNU tar leaves out by the same words.
fn expected(room: &Room, options: &[&str]) -> String {
    let archive = room.work().join("tree");
    let mut words = options.to_vec();
    words.push(".");
    import(room, &[text(&tar(room, &archive, &words))])
}

for_everyone! {
    fn patterns_mean_what_they_mean_to_tar(room) {
        let tree = tree(room);
        for pattern in ["var", "*.log", "deep", "va*che", "./var/log", "[a-c]in", "sh"] {
            let option = format!("--exclude={pattern}");
            let ours = import(room, &[text(&tree), &option]);
            assert_eq!(ours, expected(room, &[&option]), "{pattern}");
        }
    }

    fn a_tar_is_left_without_the_same_members_as_a_directory(room) {
        let tree = tree(room);
        let archive = tar(room, &tree, &["."]);
        // Of the two names in bin the archive has the data once.
        for pattern in ["/var/{cache,log}/*", "usr/share", "{bin/,ba}sh", "bin/sh", "bin/bash"] {
            let from = |source: &str| import(room, &[source, "--exclude", pattern]);
            assert_eq!(from(text(&tree)), from(text(&archive)), "{pattern}");
        }
    }

    fn braces_and_anchors_work_quoted(room) {
        let tree = tree(room);
        let braces = import(room, &[text(&tree), "--exclude={passwd,empty-file}"]);
        let two = [text(&tree), "--exclude=passwd", "--exclude=empty-file"];
        assert_eq!(braces, import(room, &two));
        // Of `bin` and `usr/bin` only the first is at the root.
        fs::create_dir(tree.join("usr/bin")).unwrap();
        room.give(&tree.join("usr"));
        assert_ne!(
            import(room, &[text(&tree), "--exclude=/bin"]),
            import(room, &[text(&tree), "--exclude=bin"])
        );
    }

    fn a_file_of_patterns_is_the_same_as_its_lines(room) {
        let tree = tree(room);
        let list = room.work().join("list");
        // White space at the end is none of the pattern, # is; the last newline
        // is missing.
        fs::write(&list, "var/log \t\n\n#deep\nusr/share\nbin/bash").unwrap();
        room.give(&list);
        let lines = ["var/log", "#deep", "usr/share", "bin/bash"].map(|p| format!("--exclude={p}"));
        let mut words = vec![text(&tree)];
        words.extend(lines.iter().map(String::as_str));
        let by_lines = import(room, &words);
        assert_eq!(import(room, &[text(&tree), "--exclude-from", text(&list)]), by_lines);
        assert_eq!(by_lines, expected(room, &["--exclude-from", text(&list)]));
        // Together with others, in any order; short as in tar.
        fs::write(&list, "var/log\n#deep\n").unwrap();
        let mixed =
            [text(&tree), "--exclude=usr/share", "-X", text(&list), "--exclude", "bin/bash"];
        assert_eq!(import(room, &mixed), by_lines);
    }

    fn stdin_may_be_the_list(room) {
        let tree = tree(room);
        let list = room.work().join("list");
        fs::write(&list, "var\n").unwrap();
        let read = |words: &[&str]| -> Output {
            let mut command = room.command(words);
            command.stdin(Stdio::from(fs::File::open(&list).unwrap()));
            room.run(command)
        };
        let output = read(&["import", text(&tree), "--exclude-from", "-"]).succeeds();
        assert_eq!(identity_of(&output), import(room, &[text(&tree), "--exclude=var"]));
        let (source, list) = (["import", "-", "-X", "-"], ["import", "/", "-X", "-", "-X", "-"]);
        for words in [source.as_slice(), &list] {
            read(words).exits(1).warns("stdin cannot be read twice").warns("hint: ");
        }
    }

    fn the_profile_and_the_command_line_add_up(room) {
        let tree = tree(room);
        let profiles = room.path().join("home/.config/envbox/profiles");
        fs::create_dir_all(&profiles).unwrap();
        let profile = "[import]\n\
                       exclude = [\"var/log/\", \"usr/share\"]\n\
                       clean = [\"var/cache/*\"]\n";
        fs::write(profiles.join("mine.toml"), profile).unwrap();
        room.give(&room.path().join("home"));
        let with_profile =
            [text(&tree), "--profile=mine", "--exclude=bin/bash", "-c", "LABEL envbox.profile="];
        // Of the profile's patterns a dead one is its author's matter: quiet.
        let id = import(room, &with_profile);
        let by_hand = [
            text(&tree),
            "--exclude={usr/share,/var/cache/*,bin/bash}",
            "-c",
            "LABEL envbox.profile=",
        ];
        assert_eq!(id, import(room, &by_hand));
    }

    fn a_pattern_that_can_match_nothing_is_told_once(room) {
        let tree = tree(room);
        let words = ["import", text(&tree), "--exclude=var/", "--exclude=a//b", "--exclude=usr"];
        let output = room.envbox(&words).succeeds();
        let notes = output.stderr();
        assert_eq!(notes.matches("note: ").count(), 1, "{notes}");
        output.warns("match nothing: var/, a//b").warns("hint: ");
    }

    fn a_list_that_cannot_be_read_is_named(room) {
        let tree = tree(room);
        fails(room, &[text(&tree), "-X", "no-such-list"])
            .warns("no-such-list: No such file")
            .warns("hint: ");
        fails(room, &[text(&tree), "-X", "."]).warns("Is a directory");
        let long = "x".repeat(20_000);
        fails(room, &[text(&tree), "--exclude", &long]).warns("20000 bytes").warns("hint: ");
    }

    fn nothing_but_the_root_is_no_filesystem(room) {
        let tree = tree(room);
        fails(room, &[text(&tree), "--exclude=*"]).warns("is empty").warns("hint: ");
        let archive = tar(room, &tree, &["."]);
        fails(room, &[text(&archive), "--exclude=*"]).warns("is empty").warns("hint: ");
    }
}
