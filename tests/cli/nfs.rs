//! Volumes of an NFS server. `scripts/guest -n` has one, and says where; few
//! other machines have.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::process::eventually;
use crate::harness::{Room, Who, for_everyone, skip};

/// Where the guest keeps what it exports.
const SERVED: &str = "/srv";

/// The address of the server, if there is one; skips the test if not.
fn server() -> Option<String> {
    let address = std::env::var("ENVBOX_TEST_NFS").ok();
    if address.is_none() {
        skip("no NFS server: scripts/guest -n has one");
    }
    address
}

/// An exported directory that is named like `room`'s own.
fn export(room: &Room) -> PathBuf {
    let path = Path::new(SERVED).join(room.path().file_name().unwrap());
    std::fs::create_dir(&path).unwrap();
    path
}

/// Makes the volume `name` of `path`, a directory that is served.
fn create(room: &Room, (name, kind): (&str, &str), (address, path): (&str, &Path)) {
    let path = path.strip_prefix(SERVED).unwrap().display();
    let (kind, device) = (format!("type={kind}"), format!("device=:/{path}"));
    let version = if kind == "nfs4" { "" } else { ",nfsvers=4.2" };
    let options = format!("o=addr={address},rw{version}");
    let words = ["volume", "create", "-o", &kind, "-o", &device, "-o", &options, name];
    room.envbox(&words).succeeds().says(&format!("{name}\n"));
}

fn base(room: &Room) {
    room.envbox(&["import", room.rootfs().to_str().unwrap(), "base"]).succeeds();
}

fn line(room: &Room, flags: &[&str], line: &str) -> crate::harness::Output {
    room.envbox(&[&["run", "--rm"], flags, &["base", "sh", "-c", line]].concat())
}

#[test]
fn as_root_a_volume_is_what_the_server_has() {
    let Some(address) = server() else { return };
    Room::with(Who::Root, |room| {
        base(room);
        let served = export(room);
        std::fs::write(served.join("greeting"), "of the server").unwrap();
        for (name, kind) in [("one", "nfs"), ("two", "nfs4")] {
            create(room, (name, kind), (&address, &served));
            let volume = format!("{name}:/etc");
            let look = "cat /etc/greeting && grep ' /etc ' /proc/mounts && echo x >/etc/new";
            let seen = line(room, &["-v", &volume], look).succeeds().quietly().stdout();
            assert!(seen.contains("of the server") && seen.contains(",nodev,"), "{seen}");
            // The image's own /etc has not been copied to the server.
            let names = std::fs::read_dir(&served).unwrap().count();
            assert_eq!(names, 2);
            std::fs::remove_file(served.join("new")).unwrap();
            let volume = format!("{name}:/etc:ro");
            line(room, &["-v", &volume], "echo x >/etc/new").exits(1).warns("Read-only");
        }
        let found = room.envbox(&["volume", "inspect", "one"]).succeeds().json();
        assert_eq!(found[0]["Options"]["type"], "nfs");
        room.envbox(&["volume", "export", "one"]).exits(1).warns("are not in the store");
        let part = "type=volume,source=one,target=/x,volume-subpath=deep";
        line(room, &["--mount", part], "true").exits(125).warns("is mounted as a whole");
        // Two containers see each other's writes, and a third takes the volume.
        let flags = ["run", "-d", "--name", "web", "-v", "one:/x", "base", "sleep", "1000"];
        room.envbox(&flags).succeeds();
        line(room, &["--volumes-from", "web"], "echo shared >/x/by-another").succeeds();
        room.envbox(&["exec", "web", "cat", "/x/by-another"]).succeeds().says("shared\n");
        room.envbox(&["cp", "web:/x/by-another", "-"]).succeeds();
        room.envbox(&["volume", "rm", "one"]).exits(1).warns("web");
        room.envbox(&["stop", "-t", "0", "web"]).succeeds();
        room.envbox(&["start", "web"]).succeeds();
        room.envbox(&["exec", "web", "cat", "/x/by-another"]).succeeds().says("shared\n");
        room.envbox(&["rm", "-f", "web"]).succeeds();
        room.envbox(&["volume", "rm", "one", "two"]).succeeds();
        assert!(served.join("greeting").exists());
    });
}

#[test]
fn as_root_options_of_a_mount_make_the_volume() {
    let Some(address) = server() else { return };
    Room::with(Who::Root, |room| {
        base(room);
        let served = export(room);
        let device = served.strip_prefix(SERVED).unwrap().display();
        let mount = format!(
            "type=volume,source=new,target=/x,volume-opt=type=nfs,volume-opt=device=:/{device},\
             \"volume-opt=o=addr={address},nfsvers=4.2,ro,noexec\""
        );
        let look = "grep ' /x ' /proc/mounts; echo y >/x/y";
        let seen = line(room, &["--mount", &mount], look).exits(1).warns("Read-only").stdout();
        assert!(seen.contains(" nfs4 ro,") && seen.contains("noexec"), "{seen}");
    });
}

#[test]
fn as_root_a_mount_that_fails_says_why() {
    let Some(address) = server() else { return };
    Room::with(Who::Root, |room| {
        base(room);
        let closed = TcpListener::bind((address.as_str(), 0)).unwrap();
        let port = closed.local_addr().unwrap().port();
        drop(closed);
        for (number, (device, options, words)) in [
            (":/none", format!("addr={address},nfsvers=4.2"), "exports no such directory"),
            (":/", format!("addr={address},nfsvers=4.2,colour=red"), "NFS option \"colour=red\""),
            (":/", format!("addr={address},nfsvers=9"), "NFS option \"nfsvers=9\""),
            (
                ":/",
                format!("addr={address},nfsvers=4.2,soft,port={port}"),
                "nobody serves NFS there",
            ),
            (":/", "addr=name.invalid,nfsvers=4.2".into(), "name.invalid has no address"),
        ]
        .into_iter()
        .enumerate()
        {
            let (name, device) = (format!("v{number}"), format!("device={device}"));
            let options = format!("o={options}");
            let create = ["volume", "create", "-o", "type=nfs", "-o", &device, "-o", &options];
            room.envbox(&[&create[..], &[&name]].concat()).succeeds();
            let output = line(room, &["-v", &format!("{name}:/x")], "true").exits(125);
            output.warns(words).warns("hint: ");
            room.envbox(&["volume", "rm", &name]).succeeds();
        }
    });
}

#[test]
fn as_root_a_server_that_does_not_answer_is_not_waited_for_against_a_signal() {
    let Some(address) = server() else { return };
    Room::with(Who::Root, |room| {
        base(room);
        // It takes the connection and says nothing.
        let silent = TcpListener::bind((address.as_str(), 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let options = format!("o=addr={address},nfsvers=4.2,port={port}");
        let create = ["volume", "create", "-o", "type=nfs", "-o", "device=:/", "-o", &options];
        room.envbox(&[&create[..], &["dead"]].concat()).succeeds();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let words = ["run", "--rm", "-v", "dead:/x", "base", "true"];
            let mut command = room.command(&words);
            let mut child = command.spawn().unwrap();
            // The kernel's client has connected: the mount is under way.
            let (connection, _) = silent.accept().unwrap();
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
            eventually("the mount was given up", || child.try_wait().unwrap().is_some());
            drop(connection);
        }
        assert_eq!(room.envbox(&["ps", "-aq"]).succeeds().stdout(), "");
        room.envbox(&["volume", "rm", "dead"]).succeeds();
    });
}

for_everyone! {
    fn an_export_needs_an_address(room) {
        let create = ["volume", "create", "-o", "type=nfs"];
        let make = |more: &[&str]| room.envbox(&[&create[..], more].concat());
        make(&["xy"]).exits(1).warns("is no export").warns("device=:/DIRECTORY");
        make(&["-o", "device=files:/x", "xy"]).exits(1).warns("addr=files");
        make(&["-o", "device=:/x", "-o", "o=addr=127.0.0.1", "xy"]).succeeds().says("xy\n");
    }
}

#[test]
fn as_user_an_export_is_not_mounted() {
    Room::with(Who::User, |room| {
        base(room);
        let options = ["-o", "type=nfs", "-o", "device=:/x", "-o", "o=addr=127.0.0.1"];
        room.envbox(&[&["volume", "create"], &options[..], &["xy"]].concat()).succeeds();
        let output = line(room, &["-v", "xy:/x"], "true").exits(125);
        output.warns("only root can mount :/x").warns("run envbox as root");
    });
}
