//! Archives that mean harm, or are damaged: refused by the name of what is
//! wrong, and the store stays as it was.

use super::{open_store, python, shell, state};
use crate::harness::{Room, for_everyone};

/// Makes each archive of `script`, `NAME.tar`, and asserts that it is refused
/// with the words.
fn refuses(room: &Room, script: &str, cases: &[(&str, &str)]) {
    let before = open_store(room);
    python(room, script);
    for (name, words) in cases {
        let archive = format!("{name}.tar");
        room.envbox(&["load", "-i", &archive]).exits(1).warns(words);
        shell(room, &format!("\"$0\" load <{archive}")).exits(1).warns(words);
    }
    assert_eq!(state(room), before);
}

for_everyone! {
    fn members_of_layers_stay_in_their_tree(room) {
        let script = "
def bad(name, *members):
    docker(name + '.tar', image([BASE, layer(('ok', 'f', 'ok')), layer(*members)], [name]))
bad('up', ('a/../../up', 'f', 'x'))
bad('root', ('/absolute', 'f', 'x'))
bad('link', ('way', 'l', '/tmp'), ('way/through', 'f', 'x'))
bad('hard', ('hard', 'h', '../../etc/passwd'))
bad('hardabs', ('hard', 'h', '/etc/passwd'))
bad('hardlink', ('way', 'l', '/etc'), ('hard', 'h', 'way/passwd'))
bad('whiteup', ('.wh...', 'f'))
bad('whitedot', ('etc/.wh..', 'f'))
bad('whitenone', ('etc/.wh.', 'f'))
bad('whitein', ('etc/.wh.x/y', 'f'))
bad('whitepath', ('etc/../../.wh.x', 'f'))
bad('long', ('n' * 256, 'f', 'x'))
";
        refuses(room, script, &[
            ("up", "a/../../up"),
            ("root", "/absolute"),
            ("link", "way/through"),
            ("hard", "../../etc/passwd"),
            ("hardabs", "hard"),
            ("hardlink", "way/passwd"),
            ("whiteup", ".wh..."),
            ("whitedot", "etc/.wh.."),
            ("whitenone", "etc/.wh."),
            ("whitein", "etc/.wh.x/y"),
            ("whitepath", "etc/../../.wh.x"),
            ("long", "longer than 255 bytes"),
        ]);
    }

    fn a_whiteout_through_a_link_removes_nothing(room) {
        let before = open_store(room);
        python(room, "
docker('a.tar', image([BASE, layer(('lnk/.wh.a', 'f'), ('turn/.wh..wh..opq', 'f'))], ['a']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        shell(room, "\"$0\" export a | tar -t").succeeds().says("etc/a\n").says("lnk\n");
        room.envbox(&["rmi", "a"]).succeeds();
        assert_eq!(state(room), before);
    }

    fn tars_do_not_lie_about_sizes(room) {
        let script = "
huge = bytearray(member('x')[0].tobuf())
huge[124:136] = b'10000000000\\0'
huge[156:157] = b'x'
huge[148:156] = b' ' * 8
huge[148:156] = b'%06o\\0 ' % sum(huge[:512])
docker('gigabyte.tar', image([bytes(huge) + bytes(1024)], ['x']))
docker('cut.tar', image([BASE[:700]], ['x']))
docker('flip.tar', image([BASE[:520] + b'?' + BASE[521:]], ['x']))
";
        refuses(room, script, &[
            ("gigabyte", "an extended tar header has 1073741824 bytes"),
            ("cut", "cut off"),
            ("flip", "damaged tar header"),
        ]);
    }

    fn where_sizes_differ_the_record_is_right_for_all(room) {
        // The header says that the inner archive is data, the record that it
        // is not (CVE-2025-62518): one file, or two members.
        python(room, "
inner = layer(('inner', 'f', 'x'))
info, _ = member('outer', 'f', inner)
info.pax_headers = {'size': '0'}
lying = info.tobuf(tarfile.PAX_FORMAT) + inner
names = tarfile.open(fileobj=io.BytesIO(lying)).getnames()
assert names == ['outer', 'inner'], names
docker('a.tar', image([lying], ['a']))");
        room.envbox(&["load", "-i", "a.tar"]).succeeds();
        let seen = shell(room, "\"$0\" export a | tar -t").succeeds().stdout();
        assert_eq!(seen, "./\ninner\nouter\n");
        room.envbox(&["save", "--format", "oci-dir", "-o", "out", "a"]).succeeds();
    }

    fn digests_and_sizes_are_held_to(room) {
        let script = "
def manifest(path, change, pack=lambda data: data):
    layout = Layout()
    layers = [BASE, layer(('n', 'f', 'n'))]
    text = json.loads(layout.manifest(layers, pack=pack))
    change(text, layout)
    layout.manifests = layout.manifests or [layout.blob(OCI + 'manifest.v1+json', json.dumps(text).encode())]
    put(path, layout.files())
def size(text, layout): text['layers'][1]['size'] += 1
def config_size(text, layout): text['config']['size'] = 1
def other(text, layout): layout.blobs['blobs/sha256/' + text['layers'][1]['digest'][7:]] = layer(('m', 'f', 'm'))
def lacks(text, layout): del layout.blobs['blobs/sha256/' + text['layers'][1]['digest'][7:]]
def swapped(text, layout): text['layers'].reverse()
def fewer(text, layout): text['layers'].pop()
def no_config(text, layout): del layout.blobs['blobs/sha256/' + text['config']['digest'][7:]]
def escapes(text, layout): text['config']['digest'] = 'sha256:../../../etc/passwd'
for change in (size, config_size, other, lacks, swapped, fewer, no_config, escapes):
    manifest(change.__name__ + '.tar', change)
def deep(text, layout):
    line = layout.blob(OCI + 'manifest.v1+json', json.dumps(text).encode(), **platform('linux/amd64'))
    for _ in range(10):
        line = layout.blob(OCI + 'index.v1+json', layout.index([line]), **platform('linux/amd64'))
    layout.manifests = [line]
def wide(text, layout):
    line = layout.blob(OCI + 'manifest.v1+json', json.dumps(text).encode(), **platform('linux/amd64'))
    layout.manifests = [line] * 5000
def cyclic(text, layout):
    line = {'mediaType': OCI + 'index.v1+json', 'digest': 'sha256:' + 'a' * 64, 'size': 0, **platform('linux/amd64')}
    text = layout.index([line])
    line['size'] = len(text)
    layout.blobs['blobs/sha256/' + 'a' * 64] = text
    layout.manifests = [line]
for change in (deep, wide, cyclic): manifest(change.__name__ + '.tar', change)
line, files = image([BASE], ['x'])
files[line['Config']] += b' '
docker('docker_config.tar', (line, files))
line, files = image([BASE], ['x'])
files[line['Layers'][0]] = layer(('n', 'f', 'n'))
docker('docker_layer.tar', (line, files))
";
        refuses(room, script, &[
            ("size", "sha256:"),
            ("config_size", "of 1 bytes"),
            ("other", "cannot load layer sha256:"),
            ("lacks", "the archive has no blobs/sha256/"),
            ("swapped", "its tar is sha256:"),
            ("fewer", "the archive has 1 layers"),
            ("no_config", "the archive has no blobs/sha256/"),
            ("escapes", "malformed"),
            ("deep", "too deep"),
            ("wide", "more than 4096 manifests"),
            ("cyclic", "sha256:aaaa"),
            ("docker_config", "the config"),
            ("docker_layer", "its tar is sha256:"),
        ]);
    }

    fn archives_reach_for_nothing_outside(room) {
        let script = "
def changed(name, change, extra=()):
    line, files = image([BASE], ['x'])
    change(line)
    docker(name + '.tar', (line, files), extra=extra)
changed('config', lambda line: line.update(Config='../../etc/passwd'))
changed('layers', lambda line: line.update(Layers=['../../etc/passwd']))
changed('absolute', lambda line: line.update(Layers=['/etc/passwd']))
changed('missing', lambda line: line.update(Layers=['none/layer.tar']))
changed('reference', lambda line: line.update(RepoTags=['UPPER CASE']))
link = lambda line: line.update(Layers=['l/layer.tar'])
changed('out', link, [('l/layer.tar', 'l', '../../../etc/passwd')])
changed('host', link, [('l/layer.tar', 'l', '/etc/passwd')])
changed('circle', link, [('l/layer.tar', 'l', '../m'), ('m', 'l', 'l/layer.tar')])
changed('twice', lambda line: None, [('b', 'f', '1'), ('b', 'f', '2')])
changed('device', lambda line: None, [('b', 'c', (1, 3))])
changed('up', lambda line: None, [('../up', 'f', '2')])
put('empty.tar', [('a', 'f', 'a')])
put('none.tar', [('manifest.json', 'f', '[]')])
put('json.tar', [('manifest.json', 'f', '{')])
put('large.tar', [('manifest.json', 'f', '[' + ' ' * (5 << 20) + ']')])
open('text.tar', 'w').write('no tar' * 1000)
";
        refuses(room, script, &[
            ("config", "\"../../etc/passwd\" leads out of the archive"),
            ("layers", "\"../../etc/passwd\" leads out of the archive"),
            ("absolute", "\"/etc/passwd\" leads out of the archive"),
            ("missing", "the archive has no none/layer.tar"),
            ("reference", "UPPER CASE"),
            ("out", "\"l/layer.tar\" to \"../../../etc/passwd\""),
            ("host", "\"l/layer.tar\" to \"/etc/passwd\""),
            ("circle", "circles"),
            ("twice", "\"b\" twice"),
            ("device", "\"b\" is a device"),
            ("up", "../up"),
            ("empty", "neither manifest.json nor index.json"),
            ("none", "no images"),
            ("json", "manifest.json"),
            ("large", "manifest.json"),
            ("text", "not a tar archive"),
        ]);
    }

    fn an_archive_has_only_so_many_members(room) {
        let before = open_store(room);
        python(room, "
head = member('00000')[0].tobuf(tarfile.USTAR_FORMAT)
with open('many.tar', 'wb') as many:
    for n in range(70000):
        name = b'%05d' % n
        total = int(head[148:154], 8) + sum(name) - 5 * 48
        many.write(name + head[5:148] + b'%06o' % total + head[154:])");
        let refused = room.envbox(&["load", "-i", "many.tar"]);
        refused.exits(1).warns("too many members").warns("\"65536\"");
        assert_eq!(state(room), before);
    }

    fn a_layer_has_only_so_many_members_unless_more_are_allowed(room) {
        let before = open_store(room);
        python(room, "
docker('many.tar', image([layer(*[(n, 'f') for n in 'abcde'])], ['many:1']))");
        let load = |most: &str| room.envbox(&["load", "-i", "many.tar", "--max-entries", most]);
        load("4").exits(1).warns("more than 4 members, at last \"e\"").warns("--max-entries");
        assert_eq!(state(room), before);
        load("5").succeeds().says("Loaded image: many:1");
    }

    fn a_directory_reaches_for_nothing_outside(room) {
        let before = open_store(room);
        python(room, "
layout = Layout()
layout.manifests = [layout.blob(OCI + 'manifest.v1+json', layout.manifest([BASE]))]
put('a.tar', layout.files())
print(digest(BASE)[7:], file=open('blob', 'w'))");
        shell(room, "mkdir l; tar -C l -xf a.tar; cd l/blobs/sha256; mv $(cat ../../../blob) ../../../blob.tar
            ln -s ../../../blob.tar $(cat ../../../blob)").succeeds();
        room.envbox(&["load", "-i", "l"]).exits(1);
        shell(room, "rm l/blobs/sha256/$(cat blob); mkfifo l/blobs/sha256/$(cat blob)").succeeds();
        room.envbox(&["load", "-i", "l"]).exits(1).warns("is no regular file");
        assert_eq!(state(room), before);
    }

    fn bombs_are_refused_and_the_limit_can_be_raised(room) {
        let before = open_store(room);
        python(room, "
bomb = layer(('zeros', 'f', bytes(8 << 20)))
layout = Layout()
text = layout.manifest([bomb], pack=lzma.compress)
layout.manifests = [layout.blob(OCI + 'manifest.v1+json', text, **name_of('bomb:1'))]
put('bomb.tar', layout.files())");
        let load = |limit: &str| room.envbox(&["load", "-i", "bomb.tar", "--max-layer-size", limit]);
        load("1m").exits(1).warns("larger than 1048576 bytes").warns("--max-layer-size");
        assert_eq!(state(room), before);
        // The archive itself may be one, too.
        shell(room, "head -c 8M /dev/zero >zeros; tar -c zeros | zstd -q | \"$0\" load --max-layer-size 1m")
            .exits(1).warns("the member \"zeros\" is larger than 1048576 bytes");
        assert_eq!(state(room), before);
        load("9m").succeeds().says("Loaded image: bomb:1");
        let used = shell(room, "du -sk \"$ENVBOX_ROOT\"/layers | cut -f1").succeeds().stdout();
        assert!(used.trim().parse::<u32>().unwrap() < 2048, "zeros are holes: {used}");
    }
}
