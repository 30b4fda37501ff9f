"""Makes what the fuzz targets begin with: seeds.py FOLDER makes a directory for
each target in FOLDER, with its seeds."""
import gzip, json, os, pathlib, runpy, struct, sys, tarfile, tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What the tests of `load` write archives by.
globals().update(runpy.run_path(str(HERE.parent / "tests/cli/load/archive.py")))


def header(name, kind=b"0", size=0, **fields):
    """A GNU header that no program would write."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for at, value in fields.items():
        at = int(at[2:])
        block[at:at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def extended(*records, kind=b"x", body=b""):
    for key, value in records:
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        body += b"%d %s=%s\n" % (length, key, value)
    return header("PaxHeaders/0", kind, len(body)) + padded(body)


END = bytes(1024)
MEMBERS = [("./", "d"), ("d/", "d"), ("d/f", "f", "data"), ("d/f2", "h", "d/f"),
           ("l", "l", "d/f"), ("c", "c", (1, 3)), ("b", "b", (8, 0)), ("p", "p"),
           ("n" * 120, "f", "long"), ("e", "f", "")]


def sparse_1(text, stored, data=b""):
    return extended((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                    (b"GNU.sparse.name", b"s"), (b"GNU.sparse.realsize", b"9000"),
                    ) + header("GNUSparseFile.0/s", size=stored) + padded(text) + padded(data)


def tars():
    yield "empty", END
    for name, form in ("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT):
        yield name, layer(*MEMBERS, form=form)
    yield "ustar", layer(*MEMBERS[:-2], form=tarfile.USTAR_FORMAT)
    info, data = member("x", "f", "x")
    info.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "12.5", "uid": "4000000000",
                        "LIBARCHIVE.xattr.user.%61": "aGk", "SCHILY.acl.access":
                        "user::rw-,user:12:r--,group::r--,mask::r--,other::---"}
    yield "records", tar([(info, data)])
    yield "global", extended((b"comment", b"c"), (b"gid", b"7"), kind=b"g") + header("a") + END
    yield "map_0_1", extended((b"GNU.sparse.map", b"0,4,4096,4"), (b"GNU.sparse.size", b"9000"),
                              ) + header("s", size=8) + padded(b"12345678") + END
    yield "map_0_0", extended((b"GNU.sparse.size", b"9000"), (b"GNU.sparse.offset", b"0"),
                              (b"GNU.sparse.numbytes", b"8")) + header("s", size=8) \
        + padded(b"12345678") + END
    yield "map_1_0", sparse_1(b"2\n0\n4\n4096\n4\n", 520, b"12345678") + END
    yield "map_short", sparse_1(b"0\n", 100) + header("after") + END
    old = b"00000000000\0" + b"00000000010\0" + b"00000010000\0" + b"00000000000\0"
    yield "map_old", header("s", b"S", 8, at386=old, at483=b"00000021450\0") \
        + padded(b"12345678") + END
    yield "base_256", header("a", at108=b"\x80" + bytes(3) + b"\xb2\xd0\x5e\0",
                             at136=b"\xff" * 12) + END
    yield "replaced", layer(("a", "f", "1"), ("a", "f", "2"), ("a/", "d"), ("a/b", "f", "3"))
    yield "up", layer(("x", "l", "../.."), ("x/canary", "f", "quiet"))
    yield "hard", layer(("x", "h", "../../canary"), ("y", "h", "x"))
    yield "dots", layer(("../canary", "f", "quiet"), ("a/../../../canary", "f", ""))
    yield "whiteouts", layer(("a/", "d"), ("a/.wh.b", "f"), ("a/.wh..wh..opq", "f"), (".wh.c", "f"))
    yield "trailing", layer(("a", "f", "a")) + b"more"
    yield "lies", extended((b"size", b"512")) + header("a") + header("hidden") + END
    yield "names", header("././@LongLink", b"L", 5) + padded(b"long\0") + header("short") + END


def archives():
    base = layer(("etc/", "d"), ("etc/a", "f", "A"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a")
        docker(path, image([base], ["a:1", "b"]), image([base, base], []))
        yield "docker", open(path, "rb").read()
        docker(path, image([base], ["a"]), extra=[("link", "l", "manifest.json")])
        yield "links", gzip.compress(open(path, "rb").read(), mtime=0)
        for name in "plain", "packed":
            layout = Layout()
            pack = (lambda data: gzip.compress(data, mtime=0)) if name == "packed" else bytes
            text = layout.manifest([base], pack=pack)
            line = layout.blob(OCI + "manifest.v1+json", text, **name_of("a:1"))
            inner = layout.blob(OCI + "index.v1+json", layout.index([line]))
            layout.manifests = [line, inner]
            put(path, layout.files())
            yield name, open(path, "rb").read()


def documents():
    conf = config([b""], created="2024-01-02T03:04:05Z", history=[{"created_by": "x"}], variant="v8")
    yield "config", conf
    yield "docker", json.dumps({**json.loads(conf), "config": {
        "Env": ["A=b"], "Volumes": None, "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"},
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1000000000}, "OnBuild": None,
        "Entrypoint": ["a"], "User": "1:2", "StopSignal": "TERM", "Shell": ["sh"]}}).encode()
    layout = Layout()
    text = layout.manifest([b""])
    yield "manifest", text
    line = descriptor(OCI + "manifest.v1+json", text, **platform("linux/arm64"), **name_of("a"))
    yield "index", layout.index([line])


def indexes():
    for number, kind in (2, "manifest"), (3, "index"), (4, "index"):
        line = '{"mediaType":"application/vnd.oci.image.%s.v1+json",$%d}' % (kind, number)
        yield kind + str(number), ('{"schemaVersion":2,"manifests":[%s]}' % line).encode()
    line = '{"mediaType":"application/vnd.oci.image.manifest.v1+json",$2,"annotations":{' \
        '"org.opencontainers.image.ref.name":"%s"},"platform":{"os":"linux","architecture":"%s"}}'
    lines = ",".join(line % pair for pair in [("a", "amd64"), ("a", "arm64"), ("b", "s390x")])
    yield "several", ('{"schemaVersion":2,"manifests":[%s]}' % lines).encode()


def programs():
    for bits, order in (1, "<"), (2, "<"), (1, ">"), (2, ">"):
        size, entry, at = (52, 32, 28) if bits == 1 else (64, 56, 32)
        head = bytearray(size + entry + 32)
        head[:8] = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2, 1, 0])
        struct.pack_into(order + "HHI", head, 16, 3, 40 if bits == 1 else 62, 1)
        struct.pack_into(order + ("I" if bits == 1 else "Q"), head, at, size)
        struct.pack_into(order + "HHH", head, 40 if bits == 1 else 52, size, entry, 1)
        struct.pack_into(order + "I", head, size, 3)
        place = "II" if bits == 1 else "QQ"
        struct.pack_into(order + place[0], head, size + (4 if bits == 1 else 8), size + entry)
        struct.pack_into(order + place[0], head, size + (16 if bits == 1 else 32), 16)
        head[size + entry:size + entry + 16] = b"/lib/ld-linux.so"
        yield "%d%s" % (bits, "le" if order == "<" else "be"), bytes(head)


def lines(text):
    return ((str(number), line.encode()) for number, line in enumerate(text.strip().split("\n")))


REFERENCES = """
debian
debian:12
localhost:5000/a/b-c:T.1
docker.io/library/busybox@sha256:%s
[::1]:80/x
linux/arm64/v8
sha256:%s
""" % ("a" * 64, "b" * 64)
CHANGES = r"""
CMD ["sh", "-c", "echo"]
ENTRYPOINT exec x
ENV A=b C="d e" F=${A:-x}$E
EXPOSE 80 53/udp 1000-1010
HEALTHCHECK --interval=1m30s --retries=3 CMD ["true"]
LABEL a.b="c\"d" e='f'
ONBUILD RUN x
STOPSIGNAL RTMIN+3
USER ${A}:0
VOLUME ["/a", "/b"]
WORKDIR ../x/${PATH%%:*}
"""
TEMPLATES = r"""
{{.ID}}\t{{.Names}}
table {{.ID}} {{.Size}}
{{range $i, $n := .Names}}{{if $i}}, {{end}}{{$n | upper}}{{else}}none{{end}}
{{with .Labels}}{{index . "a"}}{{end}}{{/* c */ -}}
{{json .Config}} {{printf "%5.2f|%-8q|%x" .Ratio .ID 17}}
{{join .Names ","}} {{len .Names}} {{eq .Size 17 18}} {{and .Is (not .Empty)}}
{{slice .ID 0 6}} {{split "a,b" ","}} {{title "a"}} {{pad "a" 1 2}} {{truncate .ID 3}}
{{index .Config.Deep 0 1}}
"""
OPTIONS = """
type=bind,source=/a,target=/b,readonly,bind-propagation=rshared
type=volume,src=v,dst=/b,volume-nocopy,"volume-label=a=b"
type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777
/a:/b:ro,z
./a:/b
/run:rw,size=64m,mode=1777
on-failure:3
1000:staff
/dev/a:/dev/b:rwm
nofile=1024:2048
net.ipv4.ip_forward=1
a=b
container:x
host.docker.internal:host-gateway
vendor.com/gpu=all
seccomp=unconfined
1h2m3.5s
1.5g
ndots:2
label=disable
SIGRTMIN+3
device=0,1
"""
EXCLUDES = [b"*.o\n/tmp/*\na/b.o", b"{a,b{c,d}}/?[!x-z[:alpha:]]\nbd/q1", b"./x\\*y\n**/z\nx*y",
            b"a*b*c*d*e\naabbccddee"]
ACCOUNTS = [b"bob:adm\0root:x:0:0::/root:/bin/sh\nbob:x:7:8:B:/home/bob:\0adm:x:4:bob\nvideo:x:44:\n",
            b"7\0bob:x:7:8\0video:x:44:bob,eve", b":video\0\0video::9:"]
MEMBER_BYTES = [b"", bytes(range(256)), bytes([1] * 40), b"\x00\x01\x04name\x03\x01\x05bytes" * 4,
                b"\x01\x01\x01s\x00\x03\x02\x10\x00\x01\x04data\x03\x20\x00\x00\x01\x02xy" * 3,
                # The earliest and the latest time.
                b"\x06\x01\x01p\x00\x00\x08\x80" + bytes(8), b"\x06\x01\x01p\x00\x00\x08\x7f" + b"\xff" * 7]

SEEDS = {
    "tar": tars, "layer": tars, "archive": archives, "json": documents, "index": indexes,
    "elf": programs,
    "canonical": lambda: ((str(n), data) for n, data in enumerate(MEMBER_BYTES)),
    "reference": lambda: lines(REFERENCES), "change": lambda: lines(CHANGES),
    "template": lambda: lines(TEMPLATES), "options": lambda: lines(OPTIONS),
    "exclude": lambda: ((str(n), data) for n, data in enumerate(EXCLUDES)),
    "accounts": lambda: ((str(n), data) for n, data in enumerate(ACCOUNTS)),
}

for target, seeds in SEEDS.items():
    folder = pathlib.Path(sys.argv[1]) / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds():
        (folder / name).write_bytes(data)
