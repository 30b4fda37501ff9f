//! `--add-host`, `--dns` and its kin, `--domainname`, `--group-add`,
//! `--annotation`, and what of a network is not there.

use super::line;
use crate::harness::for_everyone;

for_everyone! {
    fn hosts_and_resolver_are_as_asked(room) {
        let flags = ["--add-host", "db:192.0.2.7", "--add-host", "six=[2001:db8::1]"];
        let hosts = line(room, &flags, "cat /etc/hosts").succeeds().stdout();
        assert!(hosts.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"), "{hosts}");
        assert!(hosts.starts_with("127.0.0.1\tlocalhost "), "{hosts}");
        let flags = ["--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:2"];
        let resolver = line(room, &flags, "cat /etc/resolv.conf").succeeds().stdout();
        assert_eq!(resolver, "nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n");
        let host = ["--network", "host", "--dns", "192.0.2.53"];
        let servers = line(room, &host, "grep ^nameserver /etc/resolv.conf").succeeds().stdout();
        assert_eq!(servers, "nameserver 192.0.2.53\n");
    }

    fn no_value_brings_a_second_line(room) {
        for flags in [
            ["--add-host", "a\n6.6.6.6 b:1.2.3.4"],
            ["--add-host", "a:1.2.3.4\n6.6.6.6 b"],
            ["--dns", "1.1.1.1\nnameserver 6.6.6.6"],
            ["--dns-search", "a\nnameserver 6.6.6.6"],
            ["--dns-option", "a\nnameserver 6.6.6.6"],
            ["--add-host", "a:host-gateway"],
        ] {
            assert_eq!(line(room, &flags, "echo ran").exits(125).stdout(), "", "{flags:?}");
        }
    }

    fn the_domain_is_set(room) {
        let flags = ["--domainname", "example.org", "-h", "one"];
        let text = "cat /proc/sys/kernel/domainname; grep -c one.example.org /etc/hosts";
        line(room, &flags, text).succeeds().says("example.org\n2\n");
    }

    fn groups_are_added_by_name_and_number(room) {
        let flags = ["-u", "1000:1000", "--group-add", "root", "--group-add", "12"];
        let output = line(room, &flags, "id -G");
        if output.stderr().contains("no sub-IDs") {
            return crate::harness::skip("this user has no sub-IDs");
        }
        let output = output.succeeds().stdout();
        let mut groups: Vec<&str> = output.split_whitespace().collect();
        groups.sort_unstable();
        assert_eq!(groups, ["0", "1000", "12"]);
        line(room, &["--group-add", "nobody-here"], "echo ran").exits(125).warns("nobody-here");
        line(room, &["--group-add", "4294967296"], "echo ran").exits(125).warns("0-2147483647");
        line(room, &["--group-add", "-1"], "echo ran").exits(125);
    }

    fn what_was_asked_for_is_kept_for_the_next_start(room) {
        line(room, &[], "true").succeeds();
        let words = [
            "create", "--name", "job", "--add-host", "db:192.0.2.7", "--dns", "192.0.2.53",
            "--domainname", "example.org", "--annotation", "org.example/why=test",
            "--sysctl", "net.ipv4.ip_default_ttl=77", "--device", "/dev/null:/dev/mine",
            "base", "sh", "-c",
            "tail -n 1 /etc/hosts; cat /etc/resolv.conf /proc/sys/kernel/domainname \
             /proc/sys/net/ipv4/ip_default_ttl; ls /dev/mine",
        ];
        room.envbox(&words).succeeds();
        let expected =
            "192.0.2.7\tdb\nnameserver 192.0.2.53\nexample.org\n77\n/dev/mine\n";
        for _ in 0..2 {
            let output = room.envbox(&["start", "-a", "job"]).succeeds();
            assert_eq!(output.stdout(), expected);
        }
    }

    fn ports_are_refused_and_not_ignored(room) {
        for flag in ["-p=80:80", "--publish=80", "-P", "--publish-all"] {
            line(room, &[flag], "echo ran").exits(125).warns("ports cannot be published");
        }
    }
}
