//! Whether the room's user has cgroups here, which is the host's matter.

use super::{Output, Room, skip};

impl Output {
    /// Whether envbox said that its user has none.
    pub fn lacks_groups(&self) -> bool {
        let reason = self.stderr();
        reason.contains("there are no cgroups") || reason.contains("no cgroup controller")
    }
}

impl Room {
    /// Whether this room's user has cgroups, by a container of the image `base`;
    /// skips the test if not.
    pub fn has_groups(&self) -> bool {
        let output = self.envbox(&["run", "--rm", "--pids-limit", "100", "base", "true"]);
        if output.lacks_groups() {
            // The way out is part of the answer.
            let output = output.exits(125).warns("cannot set --pids-limit").warns("hint: ");
            skip(output.stderr().lines().next().unwrap_or_default());
            return false;
        }
        output.succeeds();
        true
    }
}
