//! Writing with another user's rights, which the kernel enforces: a thread of our own takes the user's credentials
//! before it touches the file system, and ends with them.
//!
//! Never a thread of the runtime: it would keep them. And such a thread must not start others, nor anything of the
//! runtime that starts one: they would inherit them.

use std::io;

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Identity;

/// Gives this thread, for the rest of its life, the rights of a user.
pub(super) fn assume(identity: Option<&Identity>) -> io::Result<()> {
    let Some(Identity { uid, gid, groups }) = identity else { return Ok(()) };
    if *uid == u32::MAX || *gid == u32::MAX || groups.contains(&u32::MAX) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no user or group has the number 4294967295"));
    }
    let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
    if (geteuid(), getegid()) != (uid, gid) {
        let groups: Vec<Gid> = groups.iter().map(|&group| Gid::from_raw(group)).collect();
        // The user last: without root's rights the groups could not be changed any more.
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    if !uid.is_root() {
        // Leaving root drops them, but a daemon that never was root may have been given some.
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    }
    Ok(())
}
