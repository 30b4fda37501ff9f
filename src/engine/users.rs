//! The container's user: found in the rootfs, and entered there where it is
//! missing, so that nobody has no name.

use std::path::Path;

use crate::error::Result;
use crate::fs::Rootfs;

use super::options::user::{self, Principal, ResolvedUser, UserSpec, resolve};

/// passwd(5) and group(5) of real systems are far below this.
const MAX_FILE: u64 = 4 << 20;

/// The shell in an entry that is made up.
const SHELL: &str = "/bin/sh";

/// Who `spec` is in the rootfs.
///
/// # Errors
/// `Invalid` if the name is not in the rootfs's passwd or group file.
pub(super) fn find(rootfs: &Rootfs, spec: &UserSpec) -> Result<ResolvedUser> {
    let read = |path: &str| rootfs.read_file(Path::new(path), MAX_FILE);
    let passwd = read("/etc/passwd")?.unwrap_or_default();
    let group = read("/etc/group")?.unwrap_or_default();
    resolve(spec, &passwd, &group)
}

/// Puts `user` into the groups `wanted` of the rootfs.
///
/// # Errors
/// `NotFound` if a name is not in the rootfs's group file.
pub(super) fn add_groups(
    rootfs: &Rootfs,
    user: &mut ResolvedUser,
    wanted: &[Principal],
) -> Result<()> {
    let group = rootfs.read_file(Path::new("/etc/group"), MAX_FILE)?.unwrap_or_default();
    user::add_groups(user, wanted, &group)
}

/// Enters `user` in the rootfs's passwd and group files, where they are
/// regular files that lack it. `name` is taken if it is free.
///
/// # Errors
/// Those of writing.
pub(super) fn ensure_entries(rootfs: &Rootfs, user: &ResolvedUser, name: &str) -> Result<()> {
    let name = if plain(name) { name } else { "builder" };
    let (uid, gid) = (user.uid, user.gid);
    let home = if user.home.is_empty() { "/" } else { &user.home };
    ensure_line(rootfs, "/etc/passwd", (uid, name), &|name| {
        format!("{name}:x:{uid}:{gid}:{name}:{home}:{SHELL}\n")
    })?;
    ensure_line(rootfs, "/etc/group", (gid, name), &|name| format!("{name}:x:{gid}:\n"))
}

/// Appends `line` with the wanted name, or one made of the ID if that name is
/// taken, to the file at `path` that has no entry of this ID.
fn ensure_line(
    rootfs: &Rootfs,
    path: &str,
    (id, name): (u32, &str),
    line: &dyn Fn(&str) -> String,
) -> Result<()> {
    let path = Path::new(path);
    let Some(text) = rootfs.read_file(path, MAX_FILE)? else { return Ok(()) };
    if has_id(&text, id) {
        return Ok(());
    }
    let own = format!("user{id}");
    let name = if has_name(&text, name) { own.as_str() } else { name };
    let mut entry = line(name).into_bytes();
    if text.last().is_some_and(|&last| last != b'\n') {
        entry.insert(0, b'\n');
    }
    rootfs.append(path, &entry)?;
    Ok(())
}

fn fields(text: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    text.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == b':'))
}

/// True if the third field of a line is `id`.
fn has_id(text: &[u8], id: u32) -> bool {
    let id = id.to_string();
    fields(text).any(|mut fields| fields.nth(2) == Some(id.as_bytes()))
}

fn has_name(text: &[u8], name: &str) -> bool {
    fields(text).any(|mut fields| fields.next() == Some(name.as_bytes()))
}

/// A name that breaks no line of passwd(5).
fn plain(name: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= 32 && name.bytes().all(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;

    fn user(uid: u32) -> ResolvedUser {
        ResolvedUser { uid, gid: uid, additional_gids: vec![], home: "/home/x".into(), name: None }
    }

    #[test]
    fn enters_a_missing_user_once() {
        let room = tempfile::tempdir().unwrap();
        let etc = room.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh").unwrap();
        std::fs::write(etc.join("group"), "root:x:0:\nbuild:x:7:\n").unwrap();
        let rootfs = Rootfs::new(Dir::open(room.path()).unwrap());
        for _ in 0..2 {
            ensure_entries(&rootfs, &user(1000), "build").unwrap();
            ensure_entries(&rootfs, &user(0), "build").unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(etc.join(name)).unwrap();
        assert_eq!(
            read("passwd"),
            "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/x:/bin/sh\n"
        );
        assert_eq!(read("group"), "root:x:0:\nbuild:x:7:\nuser1000:x:1000:\n");
    }

    #[test]
    fn a_name_cannot_break_a_line() {
        assert!(!plain("a:b") && !plain("a\nb") && !plain("") && plain("build-1.x"));
    }
}
