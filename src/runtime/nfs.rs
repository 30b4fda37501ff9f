//! An export of an NFS server, as a detached mount of one container's.
//!
//! The kernel's client does everything but two things: it looks up no names, so
//! the server's address is resolved here (nfs(5), `addr`), and it tells in its
//! log what it did not like, which is read here (fsopen(2), "Message retrieval
//! interface"). It waits for a server that does not answer as long as the
//! options say, and only a signal that kills ends that.

use std::ffi::CStr;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::error::{Error, Kind, Result};

use super::idmap::UserNamespace;
use super::source::split_options;
use super::spec::{Access, NfsExport, NfsType};
use super::step::c_string;

/// Of what a message of the kernel's is read by, in bytes. A longer one is not
/// read: EMSGSIZE.
const MAX_MESSAGE: usize = 1024;

/// The option that names the server.
const ADDRESS: &str = "addr=";

/// Mounts `export`, with `nodev` always: root in a container may make nodes on
/// the server.
///
/// # Errors
/// `Denied` in a user namespace, where the kernel mounts no NFS; `Unavailable`
/// for a server that has no address, does not answer or does not serve it;
/// `Invalid` for options that the kernel takes not.
pub(super) fn mount(
    export: &NfsExport,
    access: Access,
    user_namespace: UserNamespace,
) -> Result<OwnedFd> {
    if user_namespace == UserNamespace::Entered {
        return Err(Error::new(Kind::Denied, format!("only root can mount {}", export.device))
            .hint("run envbox as root, or have it mounted on the host and bind it with -v"));
    }
    let (mut attributes, options) = split_options(&resolved(&export.options)?)?;
    attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    if access != Access::Writable {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let fstype = match export.fstype {
        NfsType::Nfs => c"nfs",
        NfsType::Nfs4 => c"nfs4",
    };
    let context =
        fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| explain(error, export, &[]))?;
    let source = c_string(&export.device)?;
    fsconfig_set_string(context.as_fd(), c"source", &source)
        .map_err(|error| explain(error, export, &messages(&context)))?;
    if export.fstype == NfsType::Nfs4 {
        // mount(2) does that; a version among the options comes later, and wins.
        fsconfig_set_string(context.as_fd(), c"vers", c"4")
            .map_err(|error| refused((c"vers", c"4"), error))?;
    }
    for (key, value) in &options {
        set(&context, (key, value)).map_err(|error| refused((key, value), error))?;
    }
    fsconfig_create(context.as_fd())
        .and_then(|()| fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes))
        .map_err(|error| explain(error, export, &messages(&context)))
}

/// An option with an empty value is a flag.
fn set(context: &OwnedFd, (key, value): (&CStr, &CStr)) -> Result<(), Errno> {
    if value.is_empty() {
        fsconfig_set_flag(context.as_fd(), key)
    } else {
        fsconfig_set_string(context.as_fd(), key, value)
    }
}

fn refused((key, value): (&CStr, &CStr), error: Errno) -> Error {
    let mut option = key.to_string_lossy().into_owned();
    if !value.is_empty() {
        option = format!("{option}={}", value.to_string_lossy());
    }
    Error::io_named(format!("the kernel does not take the NFS option \"{option}\""), error)
        .hint("see nfs(5): this kernel has no such option, or the option no such value")
}

/// `options` with the address of the server where its name was.
fn resolved(options: &[String]) -> Result<Vec<String>> {
    let resolve = |option: &String| match option.strip_prefix(ADDRESS) {
        Some(name) => address(name).map(|address| format!("{ADDRESS}{address}")),
        None => Ok(option.clone()),
    };
    options.iter().map(resolve).collect()
}

/// What is an address stays as it was typed, with the link of one that is local
/// to it.
fn address(name: &str) -> Result<String> {
    let (number, _link) = name.split_once('%').unwrap_or((name, ""));
    if number.parse::<IpAddr>().is_ok() {
        return Ok(name.to_owned());
    }
    let unknown = || {
        Error::new(Kind::Unavailable, format!("the NFS server {name} has no address"))
            .hint("check the spelling of `addr=`, or give the number: `addr=10.0.0.1`")
    };
    let mut found = (name, 0).to_socket_addrs().map_err(|error| unknown().because(error))?;
    found.next().map(|found| found.ip().to_string()).ok_or_else(unknown)
}

/// What the kernel has said of `context`, each without its class and end.
fn messages(context: &OwnedFd) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; MAX_MESSAGE];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        let text = text.trim_end();
        all.push(text.split_once(' ').map_or(text, |(_class, words)| words).to_owned());
    }
    all
}

fn explain(error: Errno, export: &NfsExport, messages: &[String]) -> Error {
    let mut name = format!("cannot mount {}", export.device);
    if let Some(server) = export.options.iter().find_map(|option| option.strip_prefix(ADDRESS)) {
        name = format!("{name} of {server}");
    }
    if !messages.is_empty() {
        name = format!("{name}: {}", messages.join(", "));
    }
    let failed = |kind| Error::new(kind, name.clone()).because(std::io::Error::from(error));
    match error {
        Errno::NODEV => failed(Kind::Unsupported)
            .hint("the kernel has no NFS client, or has not loaded it: modprobe nfs"),
        Errno::PROTONOSUPPORT | Errno::PROTOTYPE => failed(Kind::Unsupported)
            .hint("server or kernel do not speak that version: `nfsvers=4` says another than 3"),
        Errno::CONNREFUSED => failed(Kind::Unavailable).hint(
            "nobody serves NFS there: start the server, or correct address, port and version \
             (`nfsvers=4` needs no rpcbind)",
        ),
        Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::IO => {
            failed(Kind::Unavailable)
                .hint("the server does not answer: check `addr=`, the network and its firewall")
        }
        Errno::NOENT => failed(Kind::NotFound)
            .hint("the server exports no such directory: showmount -e SERVER lists them"),
        Errno::ACCESS | Errno::PERM => failed(Kind::Denied)
            .hint("let the server's /etc/exports give it to this host; a container cannot mount"),
        Errno::INVAL => failed(Kind::Invalid)
            .hint("its options do not go together: see nfs(5) and the kernel's log (dmesg)"),
        _ => failed(Kind::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_servers_name_is_resolved_and_nothing_else_is_touched() {
        for (given, expected) in [
            (&["addr=10.0.0.1", "rw", "nfsvers=4"], &["addr=10.0.0.1", "rw", "nfsvers=4"]),
            (&["addr=fe80::1%eth0", "vers=3", "ro"], &["addr=fe80::1%eth0", "vers=3", "ro"]),
            (&["hard", "addr=fd00::7", "clientaddr=x"], &["hard", "addr=fd00::7", "clientaddr=x"]),
        ] {
            assert_eq!(resolved(&strings(given)).unwrap(), strings(expected));
        }
        let local = resolved(&strings(&["addr=localhost"])).unwrap();
        assert!(["addr=127.0.0.1", "addr=::1"].contains(&local[0].as_str()), "{local:?}");
        let unknown = resolved(&strings(&["addr=no such name"])).unwrap_err();
        assert_eq!(unknown.kind(), Kind::Unavailable);
        assert!(unknown.chain().contains("no such name"), "{}", unknown.chain());
    }

    #[test]
    fn an_error_says_whose_it_is_and_what_to_do() {
        let export = NfsExport {
            fstype: NfsType::Nfs,
            device: ":/srv".into(),
            options: strings(&["addr=files", "rw"]),
        };
        for (errno, kind) in [
            (Errno::NODEV, Kind::Unsupported),
            (Errno::CONNREFUSED, Kind::Unavailable),
            (Errno::NOENT, Kind::NotFound),
            (Errno::ACCESS, Kind::Denied),
            (Errno::INVAL, Kind::Invalid),
        ] {
            let error = explain(errno, &export, &["NFS: no".into()]);
            assert_eq!(error.kind(), kind);
            assert!(error.hint_text().is_some(), "{errno}");
            let chain = error.chain();
            assert!(chain.starts_with("cannot mount :/srv of files: NFS: no: "), "{chain}");
        }
    }

    #[test]
    fn a_user_namespace_is_refused_before_anything_is_asked() {
        let export = NfsExport {
            fstype: NfsType::Nfs4,
            device: ":/".into(),
            options: strings(&["addr=no such name"]),
        };
        let refused = mount(&export, Access::Writable, UserNamespace::Entered).unwrap_err();
        assert_eq!(refused.kind(), Kind::Denied);
    }
}
