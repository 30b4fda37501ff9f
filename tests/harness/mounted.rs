//! A room whose store, or part of it, is a file system of its own: a small one,
//! one that cannot be written.

use std::process::{Command, Stdio};

use super::Room;

impl Room {
    /// A script whose `$@` is envbox with `words`, in a mount namespace in which
    /// `mount` has been run before; both are a shell's words.
    pub fn mounted(&self, mount: &str, script: &str, words: &[&str]) -> Command {
        let inner = self.command(words);
        let script = format!("set -e; {mount}; set +e; {script}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_clear().current_dir(self.work()).stdin(Stdio::null());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// The same with a store of `size` bytes in memory.
    pub fn small_store(&self, size: &str, script: &str, words: &[&str]) -> Command {
        let mount = format!(
            "mkdir -p $ENVBOX_ROOT; mount -t tmpfs -o mode=0777,size={size} none $ENVBOX_ROOT"
        );
        self.mounted(&mount, script, words)
    }
}
