//! What a rootfs has and what it lacks: locales, terminal types, programs.
//! Everything is looked up inside it, links included.

use std::path::{Path, PathBuf};

use crate::fs::{FileKind, Rootfs};

/// More of a locale archive is not read: the index of names lies at its
/// beginning.
const ARCHIVE_HEAD: u64 = 4 << 20;

fn exists(rootfs: &Rootfs, path: &Path) -> bool {
    matches!(rootfs.metadata(path), Ok(Some(_)))
}

/// The first of `locales` that the rootfs has; `C` and `POSIX` are
/// everywhere.
pub(super) fn locale<'a>(rootfs: &Rootfs, locales: &'a [String]) -> Option<&'a str> {
    locales.iter().map(String::as_str).find(|name| has_locale(rootfs, name))
}

fn has_locale(rootfs: &Rootfs, name: &str) -> bool {
    if matches!(name, "C" | "POSIX") {
        return true;
    }
    // glibc names folders by the normalised codeset: C.UTF-8 is C.utf8.
    let (language, codeset) = name.split_once('.').unwrap_or((name, ""));
    let codeset: String =
        codeset.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    let normalised =
        if codeset.is_empty() { language.to_owned() } else { format!("{language}.{codeset}") };
    let folders = ["/usr/lib/locale", "/usr/share/locale"];
    let in_folder = folders.iter().any(|folder| {
        [name, normalised.as_str()].iter().any(|name| {
            let folder = Path::new(folder).join(name);
            exists(rootfs, &folder.join("LC_CTYPE"))
                || exists(rootfs, &folder.join("LC_IDENTIFICATION"))
        })
    });
    in_folder || is_musl(rootfs) && codeset == "utf8" || in_archive(rootfs, &normalised)
}

/// musl has every locale, all of them UTF-8.
fn is_musl(rootfs: &Rootfs) -> bool {
    let names = rootfs.open_dir(Path::new("/lib")).and_then(|dir| dir.names());
    names.is_ok_and(|names| names.iter().any(|name| name.to_string_lossy().starts_with("ld-musl-")))
}

fn in_archive(rootfs: &Rootfs, normalised: &str) -> bool {
    let path = Path::new("/usr/lib/locale/locale-archive");
    let Ok(Some(head)) = rootfs.read_head(path, ARCHIVE_HEAD) else { return false };
    let mut wanted = normalised.as_bytes().to_vec();
    wanted.push(0);
    head.windows(wanted.len()).any(|window| window == wanted)
}

/// The first of `types` whose terminfo entry the rootfs has; the last one if
/// it has none of them, since a program without terminfo is told by any.
pub(super) fn terminal_type<'a>(rootfs: &Rootfs, types: &'a [String]) -> Option<&'a str> {
    let known = types.iter().find(|name| has_terminfo(rootfs, name));
    known.or(types.last()).map(String::as_str)
}

fn has_terminfo(rootfs: &Rootfs, name: &str) -> bool {
    let Some(&first) = name.as_bytes().first() else { return false };
    if name.contains('/') {
        return false;
    }
    let folders = ["/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo"];
    folders.iter().any(|folder| {
        // By first letter, or by its hexadecimal number on case-blind systems.
        [char::from(first).to_string(), format!("{first:x}")]
            .iter()
            .any(|letter| exists(rootfs, &Path::new(folder).join(letter).join(name)))
    })
}

/// The first of `commands` whose program the rootfs has; the first one if it
/// has none, whose absence is then told when it is executed.
pub(super) fn command(
    rootfs: &Rootfs,
    commands: &[Vec<String>],
    path_variable: &str,
) -> Vec<String> {
    let has = |command: &&Vec<String>| {
        command.first().is_some_and(|program| has_program(rootfs, program, path_variable))
    };
    let chosen = if commands.len() > 1 { commands.iter().find(has) } else { None };
    chosen.or(commands.first()).cloned().unwrap_or_default()
}

fn has_program(rootfs: &Rootfs, program: &str, path_variable: &str) -> bool {
    let is_program = |path: &Path| {
        matches!(rootfs.metadata(path), Ok(Some(metadata))
            if metadata.kind == FileKind::Regular && metadata.mode & 0o111 != 0)
    };
    if program.contains('/') {
        return is_program(Path::new(program));
    }
    path_variable.split(':').any(|folder| is_program(&PathBuf::from(folder).join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;

    fn room(files: &[&str]) -> (tempfile::TempDir, Rootfs) {
        let room = tempfile::tempdir().unwrap();
        for file in files {
            let path = room.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "en_US.utf8\0").unwrap();
        }
        let rootfs = Rootfs::new(Dir::open(room.path()).unwrap());
        (room, rootfs)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn finds_locales_in_folders_and_in_the_archive() {
        let wanted = strings(&["C.UTF-8", "en_US.UTF-8", "C"]);
        let (_room, rootfs) = room(&["usr/lib/locale/C.utf8/LC_CTYPE"]);
        assert_eq!(locale(&rootfs, &wanted), Some("C.UTF-8"));
        let (_room, rootfs) = room(&["usr/lib/locale/locale-archive"]);
        assert_eq!(locale(&rootfs, &wanted), Some("en_US.UTF-8"));
        let (_room, rootfs) = room(&["bin/sh"]);
        assert_eq!(locale(&rootfs, &wanted), Some("C"));
    }

    #[test]
    fn finds_terminal_types_by_letter_and_by_number() {
        let wanted = strings(&["xterm-kitty", "xterm", "dumb"]);
        let (_room, rootfs) = room(&["lib/terminfo/78/xterm"]);
        assert_eq!(terminal_type(&rootfs, &wanted), Some("xterm"));
        let (_room, rootfs) = room(&["bin/sh"]);
        assert_eq!(terminal_type(&rootfs, &wanted), Some("dumb"));
    }

    #[test]
    fn takes_the_first_command_that_is_there() {
        use std::os::unix::fs::PermissionsExt;
        let (room, rootfs) = room(&["bin/sh"]);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(room.path().join("bin/sh"), mode).unwrap();
        let commands = [strings(&["/bin/bash", "-l"]), strings(&["sh"])];
        assert_eq!(command(&rootfs, &commands, "/usr/bin:/bin"), strings(&["sh"]));
        assert_eq!(command(&rootfs, &commands, "/usr/bin"), strings(&["/bin/bash", "-l"]));
    }
}
