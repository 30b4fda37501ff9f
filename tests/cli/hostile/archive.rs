//! Archives whose members want out of the tree that they are applied to.

use std::fs;
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use super::{Attack, SECRET, text};
use crate::harness::for_everyone;

/// A member by its type, name, link target and content.
type Member<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

/// Writes an archive of `members` whose names are taken as they are: the
/// `tar` crate itself would refuse them.
fn archive(attack: &Attack<'_>, members: &[Member<'_>]) -> PathBuf {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, link, content) in members {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    let path = attack.room.work().join("evil.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    attack.room.give(&path);
    path
}

/// Imports an archive; its outcome may be any, its effect outside none.
#[track_caller]
fn import(attack: &Attack<'_>, members: &[Member<'_>]) -> crate::harness::Output {
    let path = archive(attack, members);
    attack.envbox(&["import", text(&path), "evil"])
}

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;
const DIR: EntryType = EntryType::Directory;

for_everyone! {
    fn a_member_that_climbs_is_refused(room) {
        let attack = Attack::new(room);
        let up = "../".repeat(12);
        for name in ["../evil", "a/../../evil", "..", &format!("{up}tmp/evil")] {
            import(&attack, &[(FILE, name, "", b"evil")]).exits(1);
        }
        assert!(!room.work().join("evil").exists());
    }

    fn an_absolute_member_is_inside(room) {
        let attack = Attack::new(room);
        let absolute = attack.outside("made");
        import(&attack, &[(FILE, text(&absolute), "", b"evil")]);
        let passwd = attack.outside("passwd");
        import(&attack, &[(FILE, text(&passwd), "", b"evil")]);
    }

    fn a_member_through_a_link_is_refused(room) {
        let attack = Attack::new(room);
        let outside = attack.outside("dir");
        for target in [text(&outside), "../../../../../../../../tmp", "/proc/self/cwd"] {
            import(&attack, &[(LINK, "a", target, b""), (FILE, "a/evil", "", b"evil")]).exits(1);
            import(&attack, &[(LINK, "a", target, b""), (DIR, "a/evil/", "", b"")]).exits(1);
            import(&attack, &[(LINK, "a", target, b""), (LINK, "a/evil", "x", b"")]).exits(1);
            let replaced: [Member<'_>; 3] =
                [(DIR, "a/", "", b""), (LINK, "a", target, b""), (FILE, "a/evil", "", b"evil")];
            import(&attack, &replaced).exits(1);
        }
    }

    fn a_file_over_a_link_replaces_the_link(room) {
        let attack = Attack::new(room);
        let passwd = attack.outside("passwd");
        let members: [Member<'_>; 2] =
            [(LINK, "a", text(&passwd), b""), (FILE, "a", "", b"evil")];
        import(&attack, &members).succeeds();
        let dir = attack.outside("dir");
        let members: [Member<'_>; 2] = [(LINK, "a", text(&dir), b""), (DIR, "a/", "", b"")];
        import(&attack, &members).succeeds();
    }

    fn a_hard_link_out_of_the_tree_is_refused(room) {
        let attack = Attack::new(room);
        let passwd = attack.outside("passwd");
        let climb = "../".repeat(12) + text(&passwd).trim_start_matches('/');
        for target in [text(&passwd), climb.as_str(), "/etc/passwd", "../x"] {
            import(&attack, &[(HARD, "a", target, b"")]).exits(1);
        }
        let outside = attack.outside("");
        let members: [Member<'_>; 2] = [
            (LINK, "a", text(&outside), b""),
            (HARD, "b", "a/passwd", b""),
        ];
        import(&attack, &members).exits(1);
        // A hard link to a symbolic link is another name of the link.
        let members: [Member<'_>; 3] = [
            (LINK, "a", text(&passwd), b""),
            (HARD, "b", "a", b""),
            (FILE, "b", "", b"evil"),
        ];
        import(&attack, &members).succeeds();
    }

    fn a_device_in_an_archive_is_never_opened(room) {
        let attack = Attack::new(room);
        let members: [Member<'_>; 4] = [
            (EntryType::Char, "null", "", b""),
            (EntryType::Block, "disk", "", b""),
            (EntryType::Fifo, "fifo", "", b""),
            (FILE, "null/below", "", b"evil"),
        ];
        import(&attack, &members[..3]).succeeds();
        import(&attack, &members).exits(1);
        let members: [Member<'_>; 2] =
            [(EntryType::Char, "null", "", b""), (FILE, "null", "", b"evil")];
        import(&attack, &members).succeeds();
    }

    fn an_image_of_an_archive_shows_nothing_of_the_host(room) {
        let attack = Attack::new(room);
        let passwd = attack.outside("passwd");
        let busybox = fs::read(attack.rootfs("bin/busybox")).unwrap();
        let members: [Member<'_>; 5] = [
            (FILE, "bin/sh", "", &busybox),
            (LINK, "etc/passwd", text(&passwd), b""),
            (LINK, "etc/hosts", text(&passwd), b""),
            (EntryType::Fifo, "etc/group", "", b""),
            (EntryType::Char, "etc/resolv.conf", "", b""),
        ];
        import(&attack, &members).succeeds();
        let line = "while read l; do echo $l; done < /etc/hosts; echo written >> /etc/hosts; exit 0";
        for network in ["none", "host"] {
            let output = attack.run(&["--network", network, "evil", "sh", "-c", line]).exits(0);
            assert!(!output.stdout().contains(SECRET));
        }
    }
}
