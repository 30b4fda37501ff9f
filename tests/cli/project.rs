//! `envbox init`, and a bare `envbox shell` beside the file that it writes.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Output, Room, for_everyone};

/// A project folder with `src/lib` in it, of the room's user; `base` is
/// imported.
fn project(room: &Room) -> PathBuf {
    let project = room.work().join("project");
    if !project.exists() {
        let rootfs = room.rootfs();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        std::fs::create_dir_all(project.join("src/lib")).unwrap();
        room.give(&project);
    }
    project
}

/// Runs envbox in `folder` of the project.
fn at(room: &Room, folder: &str, words: &[&str]) -> Output {
    let folder = project(room).join(folder);
    let mut command: Command = room.command(words);
    command.current_dir(folder);
    room.run(command)
}

fn write(room: &Room, text: &str) {
    let file = project(room).join("envbox.toml");
    std::fs::write(&file, text).unwrap();
    room.give(&file);
}

for_everyone! {
    fn init_writes_the_file_once(room) {
        let path = project(room).join("envbox.toml");
        at(room, "", &["init", "base", "--network", "host"]).succeeds().says("envbox.toml\n");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("image = \"base\"\n"), "{text}");
        assert!(text.contains("network = \"host\"\n"), "{text}");
        at(room, "", &["init", "base"]).exits(1).warns("--force");
        at(room, "", &["init", "base", "--force", "--pin"]).succeeds();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("image = \"base@sha256:"), "{text}");
        at(room, "", &["shell", "-c", "true"]).succeeds();
    }

    fn init_needs_an_image_where_nobody_can_be_asked(room) {
        at(room, "", &["init"]).exits(1).warns("envbox init IMAGE");
        at(room, "", &["init", "none", "--pin"]).exits(1).warns("none");
        at(room, "", &["init", "none"]).succeeds().warns("import it");
    }

    fn a_bare_shell_works_there_and_below(room) {
        write(room, "image = \"base\"\n");
        at(room, "", &["shell", "-c", "pwd; ls"]).succeeds().says("/builddir\nenvbox.toml\n");
        at(room, "src/lib", &["shell", "-c", "pwd"]).succeeds().says("/builddir/src/lib\n");
        at(room, "src", &["shell", "--", "touch", "made"]).succeeds();
        assert!(project(room).join("src/made").exists());
    }

    fn the_file_is_below_what_is_asked_for(room) {
        write(
            room,
            "image = \"base\"\ncommand = [\"echo\", \"of the project\"]\n\
             pass_environment = [\"PASSED\"]\nmounts = [\"./src:/sources:ro\"]\n\
             [environment]\nA = \"project\"\nTZ = false\n",
        );
        at(room, "", &["shell"]).succeeds().says("of the project");
        let mut command = room.command(&["shell", "-e", "B=flag", "-c", "env; ls -d /sources"]);
        command.current_dir(project(room)).env("PASSED", "on").env("NOT", "on");
        let output = room.run(command).succeeds().stdout();
        for line in ["A=project", "B=flag", "PASSED=on", "/sources"] {
            assert!(output.lines().any(|found| found == line), "no {line} in {output}");
        }
        assert!(!output.contains("TZ=") && !output.contains("NOT="), "{output}");
        let output = at(room, "", &["shell", "-e", "A=flag", "-c", "echo $A"]).succeeds();
        output.says("flag");
    }

    fn an_image_that_is_named_needs_no_file(room) {
        write(room, "image = \"none\"\n");
        at(room, "", &["shell", "base", "-c", "pwd"]).succeeds().says("/\n");
    }

    fn a_mistake_is_named_by_line(room) {
        write(room, "image = \"base\"\nnetwrok = \"none\"\n");
        at(room, "src", &["shell"]).exits(125).warns("envbox.toml:2:").warns("network");
    }

    fn without_a_file_the_way_out_is_told(room) {
        at(room, "", &["shell"]).exits(125).warns("envbox init");
    }
}

#[test]
fn somebody_elses_file_is_refused() {
    Room::with(crate::harness::Who::User, |room| {
        write(room, "image = \"base\"\n");
        let file = project(room).join("envbox.toml");
        if std::os::unix::fs::chown(&file, Some(4242), None).is_err() {
            return crate::harness::skip("needs root to give a file away");
        }
        at(room, "src", &["shell", "-c", "true"]).exits(125).warns("uid 4242");
    });
}
