//! Users and groups of this host, from `/etc/passwd` and `/etc/group`.
//!
//! The C library could ask LDAP and others as well, but only with unsafe code; users of those are named by number in
//! the configuration. The one invariant: a line that makes no sense grants nothing.

use std::collections::BTreeSet;

/// The two files, as they were when they were read.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads the files; one that cannot be read counts as empty.
    pub fn read() -> Self {
        let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { passwd: read("/etc/passwd").unwrap_or_default(), group: read("/etc/group").unwrap_or_default() }
    }

    /// The same from texts.
    pub fn from_texts(passwd: &str, group: &str) -> Self {
        Self { passwd: passwd.to_owned(), group: group.to_owned() }
    }

    /// The number of a user.
    pub fn user_id(&self, name: &str) -> Option<u32> {
        self.users().find(|user| user.name == name).map(|user| user.uid)
    }

    /// The number of a group.
    pub fn group_id(&self, name: &str) -> Option<u32> {
        self.groups().find(|group| group.name == name).map(|group| group.gid)
    }

    /// All groups of a user that the files know of: the one of the user's own line, and those that list the user.
    pub fn groups_of(&self, uid: u32) -> BTreeSet<u32> {
        let mut gids = BTreeSet::new();
        for user in self.users().filter(|user| user.uid == uid) {
            gids.insert(user.gid);
            gids.extend(self.groups().filter(|group| group.has(user.name)).map(|group| group.gid));
        }
        gids
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            Some(User { name, uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            Some(Group { name, gid: fields.nth(1)?.parse().ok()?, members: fields.next().unwrap_or_default() })
        })
    }
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Group<'_> {
    fn has(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::from_texts(
            "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbroken\n:x:1001:1001::\nbob:x:1002:",
            "root:x:0:\nada:x:1000:\nbackup:x:34:bob,ada\nadam:x:35:adam\nbroken:x:\nempty:x:40:",
        )
    }

    #[test]
    fn names_become_numbers() {
        assert_eq!(accounts().user_id("ada"), Some(1000));
        assert_eq!(accounts().group_id("backup"), Some(34));
        assert_eq!(accounts().group_id("empty"), Some(40));
    }

    #[test]
    fn broken_lines_and_unknown_names_grant_nothing() {
        for name in ["broken", "", "bob", "nobody"] {
            assert_eq!(accounts().user_id(name), None, "{name:?}");
        }
        assert_eq!(accounts().group_id("broken"), None);
        assert!(accounts().groups_of(1001).is_empty());
    }

    #[test]
    fn a_user_is_in_its_groups_and_not_in_those_of_a_similar_name() {
        assert_eq!(accounts().groups_of(1000), BTreeSet::from([1000, 34]));
    }
}
