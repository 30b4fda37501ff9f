//! What layers say about those below them.

use super::{python, shell};
use crate::harness::for_everyone;

/// The merged tree, a line a member: as tar lists it, without times.
fn tree(room: &crate::harness::Room, image: &str) -> String {
    let list = "tar -t --verbose --numeric-owner | sed -E 's/ +[0-9]+ [0-9-]+ [0-9:]+ / /'";
    shell(room, &format!("\"$0\" export {image} | {list}")).succeeds().stdout()
}

for_everyone! {
    fn whiteouts_hide_what_is_below_and_nothing_else(room) {
        python(room, "
top = layer(('etc/.wh.a', 'f'), ('.wh.gone', 'f'), ('d/.wh..wh..opq', 'f'), ('d/new', 'f', 'N'),
            ('.wh.nothing', 'f'), ('no/.wh.such', 'f'), ('.wh..wh.plnk', 'd'), ('.wh..wh.plnk/1', 'f'))
late = layer(('d/', 'd'), ('d/own', 'f', 'O'), ('d/.wh..wh..opq', 'f'), ('etc/a', 'f', 'new'), ('etc/.wh.a', 'f'))
again = layer(('.wh.etc', 'f'), ('etc/', 'd'), ('etc/only', 'f', 'o'))
behind = layer(('etc/', 'd'), ('etc/only', 'f', 'o'), ('.wh.etc', 'f'))
for name, layers in dict(top=[BASE, top], late=[BASE, late], again=[BASE, again], behind=[BASE, behind],
                         third=[BASE, top, late]).items():
    docker(name + '.tar', image(layers, [name]))");
        for name in ["top", "late", "again", "behind", "third"] {
            room.envbox(&["load", "-i", &format!("{name}.tar")]).succeeds().quietly();
        }
        let rest = "-rw-r--r-- 0/0 file\n";
        let links = "lrwxrwxrwx 0/0 lnk -> etc\nlrwxrwxrwx 0/0 turn -> etc\n";
        let file = |path: &str| format!("-rw-r--r-- 0/0 {path}\n");
        let dir = |path: &str| format!("drwxr-xr-x 0/0 {path}\n");
        let closed = "drwx------ 0/0 d/\n";
        let root = dir("./");
        let top = [&root, closed, &file("d/new"), &dir("etc/"), &file("etc/b"), rest, links].concat();
        assert_eq!(tree(room, "top"), top);
        let gone = [dir("gone/"), file("gone/z")].concat();
        let late = [&root, &dir("d/"), &file("d/own"), &dir("etc/"), &file("etc/a"), &file("etc/b"), rest, &gone, links];
        assert_eq!(tree(room, "late"), late.concat());
        let below = [closed, &dir("d/s/"), &file("d/s/y"), &file("d/x")].concat();
        let again = [&root, &below[..], &dir("etc/"), &file("etc/only"), rest, &gone, links].concat();
        assert_eq!(tree(room, "again"), again);
        assert_eq!(tree(room, "behind"), again);
        let third = [&root, &dir("d/"), &file("d/own"), &dir("etc/"), &file("etc/a"), &file("etc/b"), rest, links];
        assert_eq!(tree(room, "third"), third.concat());
    }

    fn an_opaque_root_hides_everything(room) {
        python(room, "
docker('a.tar', image([BASE, layer(('etc/', 'd'), ('etc/n', 'f', 'n'), ('.wh..wh..opq', 'f'), ('d/', 'd'))], ['a']))
docker('b.tar', image([BASE, layer(('.wh..wh..opq', 'f'), ('etc/n', 'f', 'n'), ('d/', 'd'))], ['b']))");
        for name in ["a", "b"] {
            room.envbox(&["load", "-i", &format!("{name}.tar")]).succeeds();
            let seen = tree(room, name);
            let seen: Vec<&str> = seen.lines().filter_map(|line| line.split(' ').nth(2)).collect();
            assert_eq!(seen, ["./", "d/", "etc/", "etc/n"], "{name}");
        }
    }

    fn types_change_and_links_below_are_not_followed(room) {
        python(room, "
top = layer(('file/', 'd'), ('file/in', 'f', 'in'), ('turn/', 'd'), ('turn/in', 'f', 'in'), ('etc', 'f', 'now a file'),
            ('d', 'l', '/etc'), ('lnk/in', 'f', 'in'))
docker('a.tar', image([BASE, top], ['a']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let seen = tree(room, "a");
        let (file, dir) = ("-rw-r--r-- 0/0", "drwxr-xr-x 0/0");
        let expected = format!(
            "{dir} ./\nlrwxrwxrwx 0/0 d -> /etc\n{file} etc\n{dir} file/\n{file} file/in\n{dir} gone/\n\
             {file} gone/z\n{dir} lnk/\n{file} lnk/in\n{dir} turn/\n{file} turn/in\n"
        );
        assert_eq!(seen, expected);
    }

    fn hard_links_bring_up_what_is_below(room) {
        python(room, "
top = layer(('linked', 'h', 'etc/b'), ('d/also', 'h', 'etc/b'), ('sym', 'h', 'lnk'))
docker('a.tar', image([BASE, top], ['a']))
docker('gone.tar', image([BASE, layer(('etc/.wh.b', 'f'), ('linked', 'h', 'etc/b'))], ['b']))
docker('dir.tar', image([BASE, layer(('linked', 'h', 'd/s'))], ['b']))
docker('out.tar', image([BASE, layer(('linked', 'h', 'lnk/a'))], ['b']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let script = "\"$0\" export a | tar -x; cmp linked etc/b; test linked -ef etc/b; test d/also -ef etc/b
            test \"$(readlink sym)\" = etc; stat -c %Y linked; stat -c %a d";
        let seen = shell(room, script).succeeds().stdout();
        assert_eq!(seen, "1000000000\n700\n");
        for name in ["gone", "dir", "out"] {
            room.envbox(&["load", "-i", &format!("{name}.tar")]).exits(1).warns("the hard link \"linked\"");
        }
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "a"]).succeeds();
    }

    fn every_form_of_tar_comes_back_as_it_was(room) {
        python(room, "
import random
random.seed(1)
big = bytes(random.randrange(256) for _ in range(200000))
hole = b'x' + bytes(3 << 20) + b'y'
forms = [layer(('f' * 120, 'f', big), ('z', 'f', b''), ('hole', 'f', hole), ('dup', 'f', 'one'), ('dup', 'f', 'two'),
               ('dup', 'l', 'z'), ('t/', 'd'), ('t/x', 'f', 'in t'), ('t', 'f', 'no dir'), ('p', 'p'), form=form)
         for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
forms.append(layer(('u', 'f', 'u'), form=tarfile.USTAR_FORMAT) + b'more' * 300)
pax = member('x', 'f', 'x'); pax[0].pax_headers = {'SCHILY.xattr.user.k': 'v', 'mtime': '1.123456789'}
forms.append(layer(pax))
docker('a.tar', image(forms, ['a']))");
        shell(room, "truncate -s 5M s; printf x | dd of=s bs=1 seek=2000000 conv=notrunc status=none
            tar --sparse -cf s.tar s; tar --sparse --posix -cf p.tar s; sed -n 1p /dev/null").succeeds();
        python(room, "
extra = [open(n, 'rb').read() for n in ('s.tar', 'p.tar')]
docker('b.tar', image(extra, ['b']))");
        for name in ["a", "b"] {
            room.envbox(&["load", "-i", &format!("{name}.tar")]).succeeds().quietly();
            // What is written is believed by its digest alone.
            room.envbox(&["save", "--format", "oci-dir", "-o", &format!("{name}.out"), name]).succeeds();
        }
        let seen = shell(room, "\"$0\" export b | tar -x; cmp s s; du -k s | cut -f1").succeeds().stdout();
        assert!(seen.trim().parse::<u32>().unwrap() < 5000, "{seen}");
    }

    fn devices_are_kept_for_who_may_have_none(room) {
        python(room, "
base = layer(('dev/', 'd'), ('dev/null', 'f', 'a file'))
docker('a.tar', image([base, layer(('dev/null', 'c', (1, 3)), ('dev/sda', 'b', (8, 0)))], ['a']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        assert!(!tree(room, "a").contains("-rw-r--r-- 0/0 dev/null"));
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "a"]).succeeds();
    }
}
