"""Archives of images, written by Python's tarfile: tests add what they make."""
import gzip, hashlib, io, json, lzma, bz2, os, struct, subprocess, sys, tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def member(name, kind="f", arg="", mode=None, **attributes):
    info = tarfile.TarInfo(name)
    info.mtime, data = 1000000000, None
    if kind == "f":
        data = arg if isinstance(arg, bytes) else arg.encode()
        info.size, info.mode = len(data), 0o644
    elif kind == "d":
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif kind in "lh":
        info.type = tarfile.SYMTYPE if kind == "l" else tarfile.LNKTYPE
        info.linkname, info.mode = arg, 0o777
    elif kind in "cb":
        info.type = tarfile.CHRTYPE if kind == "c" else tarfile.BLKTYPE
        info.devmajor, info.devminor = arg
    elif kind == "p":
        info.type = tarfile.FIFOTYPE
    if mode is not None:
        info.mode = mode
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def tar(members, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, None if data is None else io.BytesIO(data))
    return out.getvalue()


def layer(*members, form=tarfile.PAX_FORMAT):
    return tar([m if isinstance(m[0], tarfile.TarInfo) else member(*m) for m in members], form)


def config(layers, architecture="amd64", **more):
    return json.dumps({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(l) for l in layers]}, **more,
    }).encode()


def put(path, files):
    with open(path, "wb") as out:
        out.write(tar([f if isinstance(f[0], tarfile.TarInfo) else member(*f) for f in files]))


def image(layers, tags, **more):
    """The line of manifest.json, and the files."""
    conf = config(layers, **more)
    name = digest(conf)[7:] + ".json"
    paths = [digest(l)[7:] + "/layer.tar" for l in layers]
    files = dict(zip(paths, layers)) | {name: conf}
    return {"Config": name, "RepoTags": tags, "Layers": paths}, files


def docker(path, *images, extra=()):
    files = {}
    for _, of_image in images:
        files |= of_image
    lines = json.dumps([line for line, _ in images])
    put(path, [(n, "f", d) for n, d in files.items()] + list(extra)
        + [("manifest.json", "f", lines)])


def descriptor(kind, data, **more):
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


class Layout:
    def __init__(self):
        self.blobs, self.manifests = {}, []

    def blob(self, kind, data, **more):
        self.blobs["blobs/sha256/" + digest(data)[7:]] = data
        return descriptor(kind, data, **more)

    def manifest(self, layers, pack=lambda data: data, suffix="", **more):
        conf = self.blob(OCI + "config.v1+json", config(layers, **more))
        lines = [self.blob(OCI + "layer.v1.tar" + suffix, pack(l)) for l in layers]
        text = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": conf,
                "layers": lines}
        return json.dumps(text).encode()

    def index(self, manifests):
        return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()

    def files(self):
        return [(n, "f", d) for n, d in self.blobs.items()] + [
            ("index.json", "f", self.index(self.manifests)),
            ("oci-layout", "f", '{"imageLayoutVersion":"1.0.0"}')]


def name_of(name):
    return {"annotations": {"org.opencontainers.image.ref.name": name}}


def platform(text):
    keys = ("os", "architecture", "variant")
    return {"platform": dict(zip(keys, text.split("/")))}


BASE = layer(("etc/", "d"), ("etc/a", "f", "A"), ("etc/b", "f", "B"), ("d/", "d", "", 0o700),
             ("d/x", "f", "X"), ("d/s/", "d"), ("d/s/y", "f", "Y"), ("gone/", "d"),
             ("gone/z", "f", "Z"), ("lnk", "l", "etc"), ("file", "f", "F"), ("turn", "l", "etc"))
