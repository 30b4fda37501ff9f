//! What a command left: exit code and two texts, with assertions that show all
//! of it when they fail.

use std::fmt;
use std::process::Command;

/// A command that has ended.
pub struct Output {
    command: String,
    output: std::process::Output,
}

impl Output {
    pub fn new(command: &Command, output: std::process::Output) -> Self {
        let words = command.get_args().map(|word| word.to_string_lossy());
        let program = command.get_program().to_string_lossy();
        let words: Vec<_> = std::iter::once(program).chain(words).collect();
        Self { command: words.join(" "), output }
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.output.status.code(), Some(code), "exit code of {self}");
        self
    }

    /// Asserts that standard output contains a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout().contains(text), "no {text:?} on stdout of {self}");
        self
    }

    /// Asserts that standard error contains a text.
    #[track_caller]
    pub fn warns(self, text: &str) -> Self {
        assert!(self.stderr().contains(text), "no {text:?} on stderr of {self}");
        self
    }

    /// Asserts that nothing is on standard error but, perhaps, what root is told
    /// once where the kernel or the file system of the room mounts no archives.
    #[track_caller]
    pub fn quietly(self) -> Self {
        let told = self.stderr();
        let told_once = told.starts_with("envbox: note: layers are kept as directories: ")
            && told.lines().count() == 2;
        assert!(told.is_empty() || told_once, "stderr of {self}");
        self
    }

    /// Standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let value = serde_json::from_slice(&self.output.stdout);
        value.unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, out, err) = (self.output.status, self.stdout(), self.stderr());
        write!(f, "`{}` ({status})\n--- stdout\n{out}\n--- stderr\n{err}", self.command)
    }
}
