//! Projects that GNU make builds in an image: by `scripts/envbox.mk`, and by
//! nothing but `SHELL := envbox`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::process::descendant;
use crate::harness::{Room, Terminal, for_everyone, skip};

const ENVBOX: &str = env!("CARGO_BIN_EXE_envbox");

/// Two lines that make a makefile's recipes run inside the image `base`.
const INCLUDE: &str = "ENVBOX_IMAGE := base\ninclude envbox.mk\n";
const BARE: &str = "SHELL := envbox\n.SHELLFLAGS := shell base --mount $(CURDIR) -c\n";

/// A job that notes how many run with it.
const JOB: &str = "touch running/$@; ls running | wc -l >>jobs; sleep 0.1; rm running/$@";

/// Waits for another job, which only a second slot can run.
const MEET: &str = "touch met-$@; for i in `seq 900`; do \
    test -e met-left -a -e met-right && exit 0; sleep 0.02; done; exit 1";

/// A folder of the room with a makefile and `envbox.mk`, beside the image
/// `base`, in which there is a file `/inside`.
struct Project<'a> {
    room: &'a Room,
    folder: PathBuf,
}

impl<'a> Project<'a> {
    fn new(room: &'a Room, name: &str, makefile: &str) -> Self {
        let folder = room.work().join(name);
        fs::create_dir(&folder).unwrap();
        let project = Self { room, folder };
        project.write("Makefile", makefile);
        project.write("envbox.mk", include_str!("../../scripts/envbox.mk"));
        room.give(&project.folder);
        let rootfs = room.rootfs();
        fs::write(rootfs.join("inside"), "").unwrap();
        room.envbox(&["import", rootfs.to_str().unwrap(), "base"]).succeeds();
        project
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.room.give(&self.path(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `make` with `words`, in the folder, as a command that is not started.
    fn make(&self, words: &[&str]) -> Command {
        let mut make = self.room.program("make");
        let bin = Path::new(ENVBOX).parent().unwrap().display();
        make.args(words).current_dir(&self.folder);
        make.env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin"));
        make
    }

    /// Checks that at most `limit` jobs ran at once, and `all` in all.
    fn check_jobs(&self, limit: usize, all: usize) {
        let jobs = self.read("jobs");
        let jobs: Vec<usize> = jobs.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert_eq!(jobs.len(), all, "{jobs:?}");
        assert!(jobs.iter().all(|running| *running <= limit), "{jobs:?}");
    }
}

fn is_missing() -> bool {
    let missing = Command::new("make").arg("--version").output().is_err();
    if missing {
        skip("make is not installed");
    }
    missing
}

/// The makefile of a sub-make whose jobs meet, and count each other.
fn inner() -> String {
    format!("all: left right a b c d e f g h\nleft right:\n\t@{MEET}\na b c d e f g h:\n\t@{JOB}\n")
}

for_everyone! {
    fn an_included_file_takes_the_recipes_inside(room) {
        if is_missing() {
            return;
        }
        let makefile = format!(
            "{INCLUDE}where := $(shell test -e /inside && echo inside)\n\
             all: joined outside\n\
             joined: one $(CURDIR)/two\n\ttest -e /inside && cat $^ >$(CURDIR)/$@\n\
             outside: joined\n\ttest ! -e /inside && cp joined $@ && echo $(where) >>$@\n\
             $(call envbox-outside,outside)\n"
        );
        let project = Project::new(room, "project", &makefile);
        project.write("one", "1\n");
        project.write("two", "2\n");
        room.run(project.make(&[])).succeeds();
        assert_eq!(project.read("outside"), "1\n2\ninside\n");
        let made = fs::metadata(project.path("joined")).unwrap();
        assert_eq!(made.uid(), fs::metadata(&project.folder).unwrap().uid());
        room.run(project.make(&[])).succeeds().says("Nothing to be done");
        // From below, with all of it mounted.
        fs::create_dir(project.path("below")).unwrap();
        let below = format!("{INCLUDE}up: ../one\n\tcp $< $@\n").replace("envbox.mk", "../envbox.mk");
        project.write("below/Makefile", &below);
        room.give(&project.path("below"));
        let mut make = project.make(&["-C", "below"]);
        make.env("ENVBOX_MOUNT", &project.folder);
        room.run(make).succeeds();
        assert_eq!(project.read("below/up"), "1\n");
    }

    fn a_shell_alone_is_enough(room) {
        if is_missing() {
            return;
        }
        let makefile = format!(
            "{BARE}all: a b\n\t@cat $^ >c && pwd && test -e /inside\n\
             quotes:\n\t@echo 'single \"$$HOME\"' \"it's $$((1 + 1))\" a\\ \\ b; \\\n\t  echo more\n\
             fails:\n\texit 3\n"
        );
        let project = Project::new(room, "project", &makefile);
        project.write("a", "1\n");
        project.write("b", "2\n");
        room.run(project.make(&[])).succeeds().says("/builddir\n");
        assert_eq!(project.read("c"), "1\n2\n");
        let output = room.run(project.make(&["quotes"])).succeeds().quietly();
        assert_eq!(output.stdout(), "single \"$HOME\" it's 2 a  b\nmore\n");
        room.run(project.make(&["fails"])).exits(2).warns("Error 3");
    }

    fn a_recipe_can_be_one_shell(room) {
        if is_missing() {
            return;
        }
        for (name, head) in [("bare", BARE), ("included", INCLUDE)] {
            let makefile = format!(
                "{head}.ONESHELL:\nall:\n\t@where=$$(test -e /inside && echo inside)\n\
                 \techo \"$$where\" \\\n\t  'and here' >made\n\tcat made\n"
            );
            let project = Project::new(room, name, &makefile);
            room.run(project.make(&[])).succeeds().says("inside and here\n");
        }
    }

    fn what_cannot_be_is_understandable(room) {
        if is_missing() {
            return;
        }
        let project = Project::new(room, "with blank", &format!("{BARE}all:\n\t@true\n"));
        room.run(project.make(&[])).exits(2).warns("unexpected argument 'blank'");
        project.write("Makefile", &format!("{INCLUDE}all:\n\t@true\n"));
        room.run(project.make(&[])).exits(2).warns("without blanks");
        room.run(project.make(&["ENVBOX_MOUNT=/usr"])).exits(2).warns("does not lie in ENVBOX_MOUNT");
        project.write("Makefile", "include envbox.mk\n");
        room.run(project.make(&[])).exits(2).warns("ENVBOX_IMAGE is not set");
        project.write("Makefile", "SHELL := no-envbox\n.SHELLFLAGS := shell x -c\nall:\n\t@true\n");
        room.run(project.make(&[])).exits(2).warns("no-envbox: No such file");
    }

    fn a_sub_make_inside_shares_the_jobs(room) {
        if is_missing() || !room.install("/usr/bin/make") {
            return;
        }
        let makefile = format!(
            "{INCLUDE}all: sub o1 o2 o3 o4\nsub:\n\t+make -f inner.mk all\no%:\n\t@{JOB}\n"
        );
        let project = Project::new(room, "project", &makefile);
        project.write("inner.mk", &inner());
        fs::create_dir(project.path("running")).unwrap();
        room.give(&project.path("running"));
        let output = room.run(project.make(&["-j3"])).succeeds();
        assert!(!output.stderr().contains("jobserver"), "{output}");
        project.check_jobs(3, 12);
    }

    fn a_jobserver_that_is_a_fifo_is_shared_too(room) {
        if is_missing() || !room.install("/usr/bin/make") {
            return;
        }
        let project = Project::new(room, "project", "");
        project.write("Makefile", &inner());
        fs::create_dir(project.path("running")).unwrap();
        let path = project.path("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        room.give(&project.folder);
        let nonblocking = nix::libc::O_NONBLOCK;
        let mut fifo =
            File::options().read(true).write(true).custom_flags(nonblocking).open(&path).unwrap();
        fifo.write_all(b"++").unwrap();
        let folder = project.folder.to_str().unwrap();
        let mut shell = room.command(&["shell", "base", "--mount", folder, "--", "make"]);
        let flags = format!(" -j3 --jobserver-auth=fifo:{}", path.display());
        shell.env("MAKEFLAGS", flags).env("MAKELEVEL", "1");
        let output = room.run(shell).succeeds();
        assert!(!output.stderr().contains("jobserver"), "{output}");
        project.check_jobs(3, 8);
        let mut tokens = [0; 8];
        assert_eq!(fifo.read(&mut tokens).unwrap(), 2, "all tokens are back");
        // A make that is gone is nothing to wait for.
        fs::remove_file(&path).unwrap();
        let mut shell = room.command(&["shell", "base", "-c", "echo \"$MAKEFLAGS.\""]);
        shell.env("MAKEFLAGS", format!("k -j3 --jobserver-auth=fifo:{}", path.display()));
        shell.env("MAKELEVEL", "1");
        assert_eq!(room.run(shell).succeeds().stdout(), "k.\n");
    }

    fn a_sub_make_inside_has_the_flags_and_variables(room) {
        if is_missing() || !room.install("/usr/bin/make") {
            return;
        }
        let makefile = format!("{INCLUDE}all:\n\t+@make -f inner.mk all\n");
        let project = Project::new(room, "project", &makefile);
        project.write("inner.mk", "all:\n\t@echo $(MAKELEVEL) '$(X)' >made\n");
        room.run(project.make(&["-n", "-j2", "X=a b"])).succeeds().says("echo 1 'a b' >made");
        assert!(!project.path("made").exists());
        room.run(project.make(&["X=a b"])).succeeds();
        assert_eq!(project.read("made"), "1 a b\n");
        // What is no make's stays outside.
        let mut shell = room.command(&["shell", "base", "-c", "echo \"$MAKEFLAGS.\""]);
        shell.env("MAKEFLAGS", "-j8");
        assert_eq!(room.run(shell).succeeds().stdout(), ".\n");
    }

    fn ctrl_c_is_for_the_make_outside(room) {
        if is_missing() {
            return;
        }
        let makefile = format!("{INCLUDE}made:\n\techo half >$@; echo rea''dy; sleep 100\n");
        let project = Project::new(room, "project", &makefile);
        let mut terminal = Terminal::start(&project.make(&[]));
        let before = format!("{:?}", terminal.state());
        terminal.expect("ready");
        descendant(terminal.pid(), "sleep");
        assert_eq!(format!("{:?}", terminal.state()), before, "a recipe leaves it alone");
        terminal.send("\x03");
        terminal.expect("Deleting file 'made'");
        terminal.wait();
        assert!(!project.path("made").exists());
    }
}
