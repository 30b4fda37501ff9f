//! Where the kernel shows its cgroups: `/proc/self/mountinfo` and
//! `/proc/self/cgroup` (proc(5), cgroups(7)). Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Controller;

/// One cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CgroupMount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which cgroup is seen there.
    pub root: PathBuf,
    /// What it is.
    pub kind: MountKind,
}

/// Which cgroup file system it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MountKind {
    /// v2.
    Unified,
    /// v1, with those of its controllers that are used here.
    Legacy(Vec<Controller>),
}

/// The cgroup file systems in a mountinfo table, v1 ones without any of our
/// controllers left out.
pub(super) fn parse(mountinfo: &str) -> Vec<CgroupMount> {
    mountinfo.lines().filter_map(parse_line).collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS`
fn parse_line(line: &str) -> Option<CgroupMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (unescape(mount.next()?), unescape(mount.next()?));
    let mut filesystem = filesystem.split(' ');
    let kind = match filesystem.next()? {
        "cgroup2" => MountKind::Unified,
        "cgroup" => {
            let options = filesystem.nth(1)?;
            let there = |controller: &Controller| {
                options.split(',').any(|option| option == controller.legacy_name())
            };
            MountKind::Legacy(Controller::ALL.into_iter().filter(there).collect())
        }
        _ => return None,
    };
    let useless = matches!(&kind, MountKind::Legacy(controllers) if controllers.is_empty());
    (!useless).then_some(CgroupMount { point, root, kind })
}

/// The table writes blanks, tabs, line ends and backslashes as `\OOO`.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

/// The v2 cgroup in `/proc/self/cgroup`: the line `0::PATH`.
pub(super) fn own_unified(cgroups: &str) -> Option<&Path> {
    cgroups.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_versions() {
        let table = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
38 31 0:35 /docker/x /odd\\040place rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";
        let mount = |point: &str, root: &str, kind| CgroupMount {
            point: point.into(),
            root: root.into(),
            kind,
        };
        let cpu = vec![Controller::Cpu, Controller::Cpuacct];
        let expected = [
            mount("/sys/fs/cgroup/cpu,cpuacct", "/", MountKind::Legacy(cpu)),
            mount("/odd place", "/docker/x", MountKind::Legacy(vec![Controller::Memory])),
            mount("/sys/fs/cgroup/unified", "/", MountKind::Unified),
        ];
        assert_eq!(parse(table), expected);
    }

    #[test]
    fn finds_the_own_cgroup() {
        let table = "9:name=systemd:/\n4:memory:/a\n0::/user.slice/user-1000.slice\n";
        assert_eq!(own_unified(table), Some(Path::new("/user.slice/user-1000.slice")));
        assert_eq!(own_unified("4:memory:/a\n"), None);
    }
}
