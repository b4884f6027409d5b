//! Who may call the daemon.
//!
//! The kernel says who the caller is (SO_PEERCRED); nothing that the caller sends is believed. Root and the daemon's own
//! user always may, others if the configuration lists them or one of their groups.

use std::collections::BTreeSet;

use cloudstic_engine::restore::Identity;

use crate::accounts::Accounts;
use crate::config::AccessConfig;

/// Who is at the other end of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// The group of the calling process.
    pub gid: u32,
    /// All groups that the user is in, as far as this host's files know.
    pub groups: BTreeSet<u32>,
}

impl Caller {
    /// Completes what the kernel says with the user's groups.
    pub fn new(uid: u32, gid: u32, accounts: &Accounts) -> Self {
        Self { uid, gid, groups: accounts.groups_of(uid) }
    }

    /// The rights of the caller, for whoever acts in the caller's name.
    pub fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid, groups: self.groups.iter().copied().collect() }
    }
}

/// The rule.
#[derive(Debug, Clone)]
pub struct Access {
    config: AccessConfig,
    own_uid: u32,
}

impl Access {
    /// The configured rule of a daemon that runs as `own_uid`.
    pub fn new(config: AccessConfig, own_uid: u32) -> Self {
        Self { config, own_uid }
    }

    /// Whether this caller may call the daemon at all.
    pub fn allows(&self, caller: &Caller) -> bool {
        self.is_master(caller)
            || self.config.users.contains(&caller.uid)
            || self.config.groups.contains(&caller.gid)
            || !self.config.groups.is_disjoint(&caller.groups)
    }

    /// Whether the caller can do whatever the daemon can: root, or the daemon's own user.
    pub fn is_master(&self, caller: &Caller) -> bool {
        caller.uid == 0 || caller.uid == self.own_uid
    }

    /// Whether the daemon can take on the rights of other users.
    pub fn can_impersonate(&self) -> bool {
        self.own_uid == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_the_own_user_and_those_listed_get_in() {
        let config = AccessConfig { users: [1000].into(), groups: [34].into() };
        let access = Access::new(config, 500);
        let allowed =
            |uid, gid, groups: &[u32]| access.allows(&Caller { uid, gid, groups: groups.iter().copied().collect() });
        assert!(allowed(0, 0, &[]), "root");
        assert!(allowed(500, 500, &[]), "the daemon's own user");
        assert!(allowed(1000, 1000, &[]), "a listed user");
        assert!(allowed(1001, 34, &[]), "the group of the process");
        assert!(allowed(1001, 1001, &[7, 34]), "a further group");
        assert!(!allowed(1001, 1001, &[7]), "a stranger");
        // Numbers of users are not numbers of groups.
        assert!(!allowed(34, 1000, &[1000, 0, 500]), "users and groups mixed up");
    }

    #[test]
    fn without_a_list_nobody_else_gets_in() {
        let access = Access::new(AccessConfig::default(), 0);
        assert!(!access.allows(&Caller { uid: 1000, gid: 0, groups: [0].into() }));
    }
}
