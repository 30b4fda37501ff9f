//! Layers of one image by both drivers, with what an index or a file system does
//! not hold.

use super::python;
use crate::cli::storage_driver::has_erofs;
use crate::harness::{Output, Room, Who, skip};

fn by(room: &Room, driver: &str, words: &[&str]) -> Output {
    room.envbox(&[&["--storage-driver", driver], words].concat())
}

fn with_erofs(test: fn(&Room)) {
    match has_erofs() {
        true => Room::with(Who::Root, test),
        false => skip("the erofs driver cannot be had here"),
    }
}

fn is_whole(room: &Room) {
    room.envbox(&["image", "verify", "--all"]).succeeds().quietly();
}

#[test]
fn what_is_brought_up_from_a_directory_is_the_same_in_an_archive() {
    with_erofs(|room| {
        python(
            room,
            "
zeros = b'a' * 4096 + bytes(2 << 20) + b'b' * 5000
base = layer(('d', 'd'), ('d/zeros', 'f', zeros), member('d/big', 'f', 'x', pax_headers={
    'SCHILY.xattr.user.big': 'v' * 9000}))
top = layer(('l', 'h', 'd/zeros'), ('m', 'h', 'd/big'))
docker('base.tar', image([base], ['base']))
docker('top.tar', image([base, top], ['top']))",
        );
        by(room, "overlay", &["load", "-i", "base.tar"]).succeeds();
        by(room, "erofs", &["load", "-i", "top.tar"]).succeeds();
        is_whole(room);
        let exported = |name: &str| {
            room.envbox(&["export", "-o", name, "top"]).succeeds();
            std::fs::read(room.work().join(name)).unwrap()
        };
        let before = exported("before.tar");
        let has = |bytes: &[u8]| bytes.windows(8).filter(|part| part == b"user.big").count();
        room.envbox(&["system", "migrate", "erofs"]).succeeds();
        is_whole(room);
        let after = exported("after.tar");
        assert!(has(&after) >= has(&before), "{} {}", has(&before), has(&after));
        room.envbox(&["system", "migrate", "overlay"]).succeeds();
        is_whole(room);
    });
}

#[test]
fn what_an_index_does_not_hold_is_known_all_the_same() {
    with_erofs(|room| {
        python(
            room,
            "
node = member('null', 'c', (0, 0))
put('with.tar', [member('.', 'd'), ('x', 'f', 'x'), node])
put('without.tar', [member('.', 'd'), ('x', 'f', 'x')])",
        );
        let of = |driver: &str, words: &[&str]| by(room, driver, words).succeeds().stdout();
        let mut found = Vec::new();
        for driver in ["erofs", "overlay"] {
            let base = of(driver, &["import", "with.tar", "base"]);
            let same = of(driver, &["import", "--parent", "base", "with.tar", "same"]);
            let less = of(driver, &["import", "--parent", "base", "without.tar", "less"]);
            is_whole(room);
            room.envbox(&["export", "-o", "base-out.tar", "base"]).succeeds();
            let tree = std::fs::read(room.work().join("base-out.tar")).unwrap();
            assert!(tree.windows(4).any(|name| name == b"null"), "{driver}");
            found.push((base, same, less, tree));
            room.envbox(&["rmi", "less", "same", "base"]).succeeds();
        }
        assert!(found[0] == found[1]);
    });
}

#[test]
fn a_small_layer_does_not_make_a_large_store() {
    with_erofs(|room| {
        python(
            room,
            "
base = layer(('d', 'd'), ('d/z', 'f', b'z' * (1 << 20)), *[('n%d' % n, 'f') for n in range(500)])
again = [m for n in range(8) for m in (('l%d' % n, 'h', 'd/z'), ('d', 'f'), ('d', 'd'))]
docker('copies.tar', image([base, layer(*again)], ['copies']))
docker('opaque.tar', image([base, layer(*[('.wh..wh..opq', 'f')] * 5000)], ['opaque']))",
        );
        for driver in ["erofs", "overlay"] {
            let words = ["load", "--max-layer-size", "5m", "-i", "copies.tar"];
            by(room, driver, &words).exits(1).warns("which have to be copied, are larger than");
            by(room, driver, &["load", "-i", "copies.tar"]).succeeds();
            by(room, driver, &["load", "-i", "opaque.tar"]).succeeds();
            room.envbox(&["rmi", "copies", "opaque"]).succeeds();
        }
    });
}
