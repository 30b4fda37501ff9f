//! Who holds a lock, as far as the kernel tells (proc_locks(5)): for messages
//! alone.

use std::path::Path;

use crate::fs;

/// How much of a command is shown, in characters.
const SHOWN: usize = 80;

/// How many processes are shown.
const MANY: usize = 3;

/// The commands that hold a flock(2) on the file `path`.
pub(super) fn describe(path: &Path) -> String {
    let processes = rustix::fs::stat(path).ok().and_then(|found| {
        let text = fs::read_to_string(Path::new("/proc/locks")).ok()?;
        let (major, minor) = (rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        Some(holders(&text, &format!("{major:02x}:{minor:02x}:{}", found.st_ino)))
    });
    let mut commands: Vec<String> =
        processes.unwrap_or_default().into_iter().filter_map(command).collect();
    commands.truncate(MANY);
    match commands.is_empty() {
        true => "another envbox changes it".to_owned(),
        false => commands.join(", "),
    }
}

/// The processes that hold a flock(2) on the file `wanted`, as the kernel writes
/// it: major and minor number in hexadecimal digits, and the inode.
fn holders(locks: &str, wanted: &str) -> Vec<u32> {
    let mut found: Vec<u32> = locks
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            // `->` is one who waits.
            let is_held = words.next() == Some("FLOCK");
            let process = words.nth(2)?.parse().ok()?;
            (is_held && words.next() == Some(wanted)).then_some(process)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn command(process: u32) -> Option<String> {
    let bytes = fs::read(Path::new(&format!("/proc/{process}/cmdline"))).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let shown: String = text.trim().chars().take(SHOWN).collect();
    (!shown.is_empty()).then(|| format!("{} (process {process})", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_those_who_wait_and_from_others() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 10 fd:00:42 0 EOF
2: FLOCK  ADVISORY  READ  11 fd:00:42 0 EOF
2: -> FLOCK  ADVISORY  WRITE 12 fd:00:42 0 EOF
3: FLOCK  ADVISORY  READ  13 fd:00:43 0 EOF
4: FLOCK  ADVISORY  READ  9 fd:00:42 0 EOF
5: nonsense
";
        assert_eq!(holders(locks, "fd:00:42"), [9, 11]);
    }

    #[test]
    fn a_lock_of_this_process_is_found() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("lock");
        let file = fs::create_new(&path).unwrap();
        assert_eq!(describe(&path), "another envbox changes it");
        fs::lock(&file, fs::LockMode::Shared, &path).unwrap();
        let told = describe(&path);
        // Some file systems have other numbers there than stat(2) tells.
        let own = format!("(process {})", std::process::id());
        assert!(told.contains(&own) || told.starts_with("another"), "{told}");
    }
}
