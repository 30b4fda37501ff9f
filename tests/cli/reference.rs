//! What is made of the definition of the command line.

use crate::harness::for_everyone;

for_everyone! {
    fn completions_are_printed_for_each_shell(room) {
        for shell in ["bash", "zsh", "fish"] {
            let output = room.envbox(&["completion", shell]).succeeds().quietly();
            assert!(output.stdout().contains("shell"), "{output}");
        }
        room.envbox(&["completion", "csh"]).exits(1);
    }

    fn every_verb_has_a_page(room) {
        let paths = room.envbox(&["manual", "man1"]).succeeds().stdout();
        for verb in ["envbox", "envbox-import", "envbox-shell", "envbox-profile-show"] {
            let page = std::fs::read_to_string(room.work().join(format!("man1/{verb}.1"))).unwrap();
            assert!(page.contains(".SH SYNOPSIS") && paths.contains(verb), "{verb}: {page}");
        }
    }

    fn help_needs_no_store_and_is_a_success(room) {
        for words in [&["--help"][..], &["-h"], &["run", "--help"], &["help", "shell"]] {
            room.envbox(words).succeeds().quietly().says("Usage: envbox");
        }
        assert!(!room.path().join("store").exists());
        room.envbox(&["no-such-verb"]).exits(1);
    }

    fn the_unit_runs_verbs_that_there_are(room) {
        let unit = include_str!("../../scripts/envbox-boot.service");
        let line = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        for key in ["ExecStart=/usr/local/bin/envbox ", "ExecStop=/usr/local/bin/envbox "] {
            let words: Vec<&str> = line(key).split(' ').collect();
            room.envbox(&words).succeeds().quietly();
        }
        room.envbox(&["manual", "man1"]).succeeds();
        for page in line("Documentation=").split(' ') {
            let name = page.trim_start_matches("man:").replace("(1)", ".1");
            assert!(room.work().join("man1").join(&name).exists(), "{name}");
        }
    }
}
