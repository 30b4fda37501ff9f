//! `--user`: what was typed, and who that is in an image. The rules are those
//! of docker and runc (`moby/sys/user`, `GetExecUser`); the content of
//! `/etc/passwd` and `/etc/group` comes from the caller and from an image, so
//! it may be anything: a line that makes no sense is skipped.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The largest id that docker takes.
const LARGEST_ID: u32 = i32::MAX as u32;
/// setgroups(2) takes no more (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// A user or a group as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// To be looked up.
    Name(String),
    /// A number, which need not be listed in the image.
    Id(u32),
}

/// The value of `--user`: `[USER][:GROUP]`, each a name or a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserSpec {
    /// The user; root where it is left out.
    pub user: Option<Principal>,
    /// The group; the user's own where it is left out.
    pub group: Option<Principal>,
}

/// Who a container runs as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedUser {
    /// The user id inside the container.
    pub uid: u32,
    /// The primary group id inside the container.
    pub gid: u32,
    /// Groups that list the user; none where a group was asked for by name or
    /// number.
    pub additional_gids: Vec<u32>,
    /// An absolute path: the one of passwd, `/` where there is none.
    pub home: String,
    /// The name in passwd, where the user is listed.
    pub name: Option<String>,
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hint = "write a name or a number, as in `1000:1000` or `builder:users`";
        let signed = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !signed.is_empty() && signed.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = text.parse().ok().filter(|id| *id <= LARGEST_ID);
            return id.map(Self::Id).ok_or_else(|| {
                Error::invalid(format!(
                    "invalid user or group \"{text}\": ids are in the range 0-{LARGEST_ID}"
                ))
                .hint(hint)
            });
        }
        let wrong = |c: char| c.is_whitespace() || c.is_control() || c == ':';
        if text.is_empty() || text.contains(wrong) {
            return Err(Error::invalid(format!("invalid user or group {text:?}")).hint(hint));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for UserSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let side = |side: &str| if side.is_empty() { Ok(None) } else { side.parse().map(Some) };
        Ok(Self { user: side(user)?, group: side(group)? })
    }
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}")?;
        }
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

/// Finds out who `spec` is, by the content of the image's `/etc/passwd` and
/// `/etc/group` (empty where the image has none). A number that is not listed
/// stands for itself, with group 0 and home `/`.
pub fn resolve(spec: &UserSpec, passwd: &[u8], group: &[u8]) -> Result<ResolvedUser> {
    let wanted = spec.user.clone().unwrap_or(Principal::Id(0));
    let listed =
        passwd.split(|&byte| byte == b'\n').filter_map(Account::parse).find(
            |account| match &wanted {
                Principal::Id(id) => account.uid == *id,
                Principal::Name(name) => account.name == name.as_bytes(),
            },
        );
    let mut user = match (&listed, &wanted) {
        (Some(account), _) => account.to_user(),
        (None, Principal::Id(id)) => ResolvedUser {
            uid: *id,
            gid: 0,
            additional_gids: Vec::new(),
            home: "/".into(),
            name: None,
        },
        (None, Principal::Name(name)) => {
            return Err(Error::not_found(format!(
                "unable to find user {name}: no matching entries in passwd file"
            ))
            .hint("give a number, or add the user to /etc/passwd of the image"));
        }
    };
    match (&spec.group, &listed) {
        (Some(wanted), _) => user.gid = resolve_group(wanted, group)?,
        (None, Some(account)) => user.additional_gids = memberships(account.name, group),
        (None, None) => {}
    }
    Ok(user)
}

fn resolve_group(wanted: &Principal, group: &[u8]) -> Result<u32> {
    let name = match wanted {
        Principal::Id(id) => return Ok(*id),
        Principal::Name(name) => name,
    };
    let mut groups = group.split(|&byte| byte == b'\n').filter_map(Group::parse);
    let found = groups.find(|group| group.name == name.as_bytes());
    found.map(|group| group.gid).ok_or_else(|| {
        Error::not_found(format!("unable to find group {name}: no matching entries in group file"))
            .hint("give a number, or add the group to /etc/group of the image")
    })
}

/// The groups of `--group-add` by the content of the image's `/etc/group`,
/// after those that `user` has; each once.
///
/// # Errors
/// `NotFound` for a name that is not listed; `Invalid` for more groups than a
/// process can have.
pub fn add_groups(user: &mut ResolvedUser, wanted: &[Principal], group: &[u8]) -> Result<()> {
    for wanted in wanted {
        let gid = resolve_group(wanted, group)?;
        if !user.additional_gids.contains(&gid) {
            user.additional_gids.push(gid);
        }
    }
    if user.additional_gids.len() > MOST_GROUPS {
        return Err(Error::invalid(format!("a process has at most {MOST_GROUPS} groups")));
    }
    Ok(())
}

fn memberships(user: &[u8], group: &[u8]) -> Vec<u32> {
    let mut gids = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for group in group.split(|&byte| byte == b'\n').filter_map(Group::parse) {
        let member =
            group.members.split(|&byte| byte == b',').any(|name| name.trim_ascii() == user);
        if member && gids.len() < MOST_GROUPS && seen.insert(group.gid) {
            gids.push(group.gid);
        }
    }
    gids
}

/// A line of passwd(5).
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

impl<'a> Account<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.trim_ascii().split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Self { name, uid: parse_id(uid)?, gid: parse_id(gid)?, home })
    }

    fn to_user(&self) -> ResolvedUser {
        // A home that no environment variable can carry is none.
        let home = str::from_utf8(self.home).ok().filter(|home| home.starts_with('/'));
        ResolvedUser {
            uid: self.uid,
            gid: self.gid,
            additional_gids: Vec::new(),
            home: home.filter(|home| !home.contains('\0')).unwrap_or("/").to_owned(),
            name: Some(String::from_utf8_lossy(self.name).into_owned()),
        }
    }
}

/// A line of group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl<'a> Group<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.trim_ascii().split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let (_password, gid) = (fields.next()?, fields.next()?);
        Some(Self { name, gid: parse_id(gid)?, members: fields.next().unwrap_or_default() })
    }
}

/// A field that is no number makes the line void: reading it as 0, as runc
/// does, would hand out root.
fn parse_id(field: &[u8]) -> Option<u32> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(field).ok()?.parse().ok())?.filter(|id| *id <= LARGEST_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        +::::::\n\
        broken:x:zero:0::/:/bin/sh\n\
        builder:x:1000:100:Build:/home/builder:/bin/bash\n\
        7zip:x:7000:7000::relative:\n\
        short:x:5:6\n";
    const GROUP: &[u8] = b"root:x:0:\nusers:x:100:\nwheel:x:10:root,builder\nmock:x:135:builder\n\
        bad:x:nan:builder\nwheel2:x:10:builder\n";

    fn resolved(text: &str) -> Result<ResolvedUser> {
        resolve(&text.parse()?, PASSWD, GROUP)
    }

    #[test]
    fn follows_dockers_rules() {
        for (text, uid, gid, groups, home, name) in [
            ("", 0, 0, &[10_u32][..], "/root", Some("root")),
            ("root", 0, 0, &[10], "/root", Some("root")),
            ("builder", 1000, 100, &[10, 135], "/home/builder", Some("builder")),
            ("1000", 1000, 100, &[10, 135], "/home/builder", Some("builder")),
            ("builder:wheel", 1000, 10, &[], "/home/builder", Some("builder")),
            ("builder:4242", 1000, 4242, &[], "/home/builder", Some("builder")),
            (":135", 0, 135, &[], "/root", Some("root")),
            ("4242", 4242, 0, &[], "/", None),
            ("4242:users", 4242, 100, &[], "/", None),
            ("7zip", 7000, 7000, &[], "/", Some("7zip")),
            ("short", 5, 6, &[], "/", Some("short")),
        ] {
            let user = resolved(text).unwrap();
            assert_eq!((user.uid, user.gid), (uid, gid), "{text}");
            assert_eq!(user.additional_gids, groups, "{text}");
            assert_eq!((user.home.as_str(), user.name.as_deref()), (home, name), "{text}");
        }
    }

    #[test]
    fn groups_are_added_by_name_and_number_once() {
        let mut user = resolved("builder").unwrap();
        let wanted = ["users", "10", "4242"].map(|text| text.parse().unwrap());
        add_groups(&mut user, &wanted, GROUP).unwrap();
        assert_eq!(user.additional_gids, [10, 135, 100, 4242]);
        let wrong = add_groups(&mut user, &["none".parse().unwrap()], GROUP).unwrap_err();
        assert_eq!(wrong.kind(), Kind::NotFound);
    }

    #[test]
    fn says_who_is_not_there_in_dockers_words() {
        for (text, message) in [
            ("nobody", "unable to find user nobody: no matching entries in passwd file"),
            ("broken", "unable to find user broken: no matching entries in passwd file"),
            ("root:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ] {
            let error = resolved(text).unwrap_err();
            assert_eq!((error.kind(), error.chain().as_str()), (Kind::NotFound, message));
        }
    }

    #[test]
    fn refuses_what_is_no_user() {
        for text in ["-1", "2147483648", "99999999999999999999", "a b", "a:b:c", "1:-5"] {
            assert_eq!(text.parse::<UserSpec>().unwrap_err().kind(), Kind::Invalid, "{text}");
        }
        let error = "2147483648".parse::<UserSpec>().unwrap_err();
        assert_eq!(
            error.chain(),
            "invalid user or group \"2147483648\": ids are in the range 0-2147483647"
        );
    }

    #[test]
    fn an_image_without_passwd_has_root_by_number_only() {
        let user = resolve(&"0".parse().unwrap(), b"", b"").unwrap();
        assert_eq!((user.uid, user.home.as_str(), user.name), (0, "/", None));
        assert!(resolve(&"root".parse().unwrap(), b"", b"").is_err());
    }

    #[test]
    fn an_overlong_line_is_read_like_any_other() {
        let mut group = b"big:x:77:".to_vec();
        group.extend(b"x,".repeat(1 << 20));
        group.extend(b"builder\n");
        let user = resolve(&"builder".parse().unwrap(), PASSWD, &group).unwrap();
        assert_eq!(user.additional_gids, [77]);
    }

    proptest! {
        #[test]
        fn never_panics(
            text in "[a-z0-9:+-]{0,12}\\PC{0,2}",
            passwd in proptest::collection::vec(any::<u8>(), 0..64),
            group in "([a-z:,0-9]{0,20}\n){0,4}",
        ) {
            if let Ok(spec) = text.parse::<UserSpec>() {
                prop_assert_eq!(spec.to_string().parse::<UserSpec>().unwrap(), spec.clone());
                let _ = resolve(&spec, &passwd, group.as_bytes());
                let _ = resolve(&spec, group.as_bytes(), &passwd);
            }
        }
    }
}
