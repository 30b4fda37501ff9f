"""What goes round, after the definitions of archive.py: a tree with every type
of file, its layers by Python's tarfile and GNU tar, and ten layers."""
import socket

CAPABILITY = b"\1\0\0\2\0\x20" + bytes(14)
# Owner, user 54321, group, mask and others (linux/posix_acl_xattr.h).
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [(1, 6, 2**32 - 1), (2, 4, 54321), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 4, 2**32 - 1)])


def attempt(call, *arguments):
    """What the file system or the user may not do is not in the tree."""
    try:
        call(*arguments)
    except OSError:
        pass


def every_type(root):
    """A directory with one of each."""
    os.makedirs(root + "/dir/" + "d/" * 150 + "end")
    os.chdir(root)
    for name in ["file", "empty", "setuid", "n" * 255, "na\xefve name", "new\nline"]:
        with open(name, "w") as out:
            out.write("" if name == "empty" else name)
    open(b"bad\xffname", "w").close()
    os.link("file", "dir/link")
    os.link("file", "dir/d/link")
    os.symlink("../file", "dir/symlink")
    os.symlink("n" * 1000, "dangling")
    os.mkfifo("pipe", 0o640)
    attempt(os.setxattr, "file", "user.note", b"\0binary\xff")
    attempt(os.setxattr, "dir", "user.note", b"text")
    attempt(os.setxattr, "empty", "system.posix_acl_access", ACL)
    attempt(os.setxattr, "dir", "system.posix_acl_default", ACL)
    if os.getuid() == 0:
        os.mknod("null", 0o20666, os.makedev(1, 3))
        os.mknod("loop", 0o60660, os.makedev(7, 300))
        os.chown("setuid", 1000, 100_000)
        os.chown("dangling", 5, 6, follow_symlinks=False)
        os.setxattr("new\nline", "security.capability", CAPABILITY)
    os.chmod("setuid", 0o6755)
    os.chmod("dir", 0o1777)
    os.utime("file", ns=(1, 123456789_123456789))
    os.utime("dangling", ns=(1, -500_000_000), follow_symlinks=False)
    os.chdir("..")


def holes(root):
    """A directory with holes at the beginning, in the middle, at the end and all over."""
    os.mkdir(root)
    for name, size, places in [
            ("all", 3_000_000, []), ("first", 2_000_001, [2_000_000]), ("middle", 9_000_000, [0, 5_000_000]),
            ("comb", 8_000_000, range(0, 8_000_000, 200_000))]:
        with open(root + "/" + name, "wb") as out:
            for place in places:
                out.seek(place)
                out.write(b"x")
            out.truncate(size)


def gnu_tar(root, form, *flags):
    words = ["tar", "-C", root, "--format=" + form, "--sparse", "--acls", "--numeric-owner", *flags, "-cf", "-", "."]
    if form == "posix":
        words[1:1] = ["--xattrs", "--xattrs-include=*"]
    made = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return made.stdout


def pax(name, kind="f", arg="", mode=None, **headers):
    info, data = member(name, kind, arg, mode)
    info.pax_headers = {"SCHILY." + key.replace("__", "."): value for key, value in headers.items()}
    return info, data


# What an ordinary user can write into an archive, but not make.
WRITTEN = layer(
    ("dev/", "d"), ("dev/null", "c", (1, 3), 0o666), ("dev/loop", "b", (7, 300), 0o660),
    ("dev/pipe", "p", "", 0o600), member("owned", "f", "x", 0o6755, uid=1000, gid=2_000_000_000),
    ("bad\udcffname", "f", "x"), ("l" * 255, "l", "t" * 1000), ("deep/" * 200 + "file", "f", "x"),
    ("first", "f", "x"), ("second", "h", "first"), member("half", "f", "x", mtime=1.5),
    pax("capable", xattr__security__capability=CAPABILITY.decode()),
    pax("noted", xattr__user__note="text"),
    pax("listed", acl__access="user::rw-,user:5:r--,group::r--,mask::r--,other::r--"))


def step(n):
    """One of ten layers: it hides, replaces and adds."""
    kind = [("kind/", "d"), ("kind/f", "f", "x")] if n % 2 else [("kind", "f", "file")]
    return layer(
        ("gone/.wh.%d" % n, "f"), ("opaque%d/" % n, "d"), ("opaque%d/.wh..wh..opq" % n, "f"),
        ("opaque%d/new" % n, "f", str(n)), ("each", "f", "x" * n), ("link%d" % n, "h", "each"),
        *kind, *([("link%d" % (n - 1), "l", "each"), (".wh.old%d" % n, "f")] if n > 1 else []),
        form=tarfile.GNU_FORMAT if n % 3 else tarfile.USTAR_FORMAT)


TEN = [layer(("gone/", "d"), *[("gone/%d" % n, "f") for n in range(1, 10)],
             *[m for n in range(1, 10) for m in [
                 ("opaque%d/" % n, "d"), ("opaque%d/old/" % n, "d"), ("opaque%d/old/f" % n, "f", "x"),
                 ("old%d/" % n, "d"), ("old%d/f" % n, "f", "x")]])]
TEN += [step(n) for n in range(1, 10)]

every_type("tree")
holes("sparse")
docker("types.tar", image([WRITTEN, gnu_tar("tree", "posix"), gnu_tar("tree", "gnu")], ["types:1"]))
of_root = ["--owner=0", "--group=0"]
docker("sparse.tar", image([gnu_tar("sparse", form, *of_root) for form in ["posix", "gnu"]], ["sparse:1"]))
docker("ten.tar", image(TEN, ["ten:1"]))
box = io.BytesIO()
with tarfile.open(fileobj=box, mode="w") as archive:
    def of_root_alone(info):
        info.uid = info.gid = 0
        return info
    archive.add("rootfs", ".", filter=of_root_alone)
docker("box.tar", image([box.getvalue(), layer(
    ("etc/.wh.group", "f"), ("data/", "d"), ("data/one", "f", "1"), ("data/two/", "d"), ("data/two/deep", "f", "x"))],
    ["box:1"]))
# A layer has none, and says so.
socket.socket(socket.AF_UNIX).bind("tree/socket")
