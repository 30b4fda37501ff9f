//! `--sysctl`, `--ipc`, `--uts` and `--userns`.

use super::line;
use crate::harness::for_everyone;

/// The host's namespace of a kind, as readlink(1) shows it.
fn own(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned()
}

for_everyone! {
    fn a_setting_of_the_containers_is_set_there_alone(room) {
        let path = "/proc/sys/net/ipv4/ip_default_ttl";
        let before = std::fs::read_to_string(path).unwrap();
        let flags = ["--sysctl", "net.ipv4.ip_default_ttl=77"];
        let text = format!("cat {path}; echo 5 2>/dev/null >{path} || echo refused");
        line(room, &flags, &text).succeeds().says("77\nrefused\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), before);
        let none = ["--sysctl", "net.no_such_thing=1"];
        line(room, &none, "echo ran").exits(125).warns("net/no_such_thing");
    }

    fn a_setting_of_the_hosts_is_refused(room) {
        for setting in [
            "kernel.core_pattern=|/x",
            "net/../kernel/core_pattern=|/x",
            "net.//.kernel.core_pattern=|/x",
            "kernel.domainname=x",
            "vm.swappiness=1",
            "net.ipv4.ip_forward",
        ] {
            line(room, &["--sysctl", setting], "echo ran").exits(125).warns("is not allowed");
        }
        let shared = ["--network", "host", "--sysctl", "net.ipv4.ip_default_ttl=77"];
        line(room, &shared, "echo ran").exits(125).warns("not allowed in host network namespace");
        let shared = ["--ipc", "host", "--sysctl", "kernel.shmmax=1"];
        line(room, &shared, "echo ran").exits(125).warns("not allowed in host ipc namespace");
    }

    fn ipc_is_private_none_or_the_hosts(room) {
        let ipc = |mode: &str| {
            let text = "readlink /proc/self/ns/ipc; grep -c ' /dev/shm ' /proc/self/mountinfo; true";
            line(room, &["--ipc", mode], text).succeeds().stdout()
        };
        let (host, private, none) = (ipc("host"), ipc("private"), ipc("none"));
        assert!(host.starts_with(&own("ipc")), "{host}");
        assert!(!private.starts_with(&own("ipc")) && private.ends_with("\n1\n"), "{private}");
        assert!(!none.starts_with(&own("ipc")) && none.ends_with("\n0\n"), "{none}");
        let shareable = ipc("shareable");
        assert!(!shareable.starts_with(&own("ipc")) && shareable.ends_with("\n1\n"), "{shareable}");
        line(room, &["--ipc", "all"], "echo ran").exits(125).warns("invalid IPC mode");
    }

    fn the_host_name_can_be_the_hosts(room) {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let text = "readlink /proc/self/ns/uts; hostname; echo $HOSTNAME";
        let output = line(room, &["--uts", "host"], text).succeeds().stdout();
        assert_eq!(output, format!("{}\n{name}{name}", own("uts")));
        line(room, &["--uts", "host", "-h", "x"], "echo ran").exits(125).warns("conflicting");
        line(room, &["--userns", "host"], "echo ran").succeeds().says("ran");
        line(room, &["--userns", "keep-id"], "echo ran").exits(125).warns("keep-id");
    }
}
