//! Random changes of a tree, drawn: what a user, a program or an administrator may do to it between two backups.

use cloudstic_e2e::skip::is_root;
use proptest::prelude::*;
use proptest::strategy::Union;
use rustix::fs::{FileType, IFlags};

/// Something to do to a tree. Paths are built from few names, so that steps meet the same places again.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Makes something where nothing is.
    Make {
        path: Vec<u8>,
        what: What,
    },
    /// Puts something in the place of what is there.
    Become {
        path: Vec<u8>,
        what: What,
    },
    HardLink {
        path: Vec<u8>,
        first: Vec<u8>,
    },
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Remove {
        path: Vec<u8>,
    },
    /// Other bytes, as many as there were or so many.
    Modify {
        path: Vec<u8>,
        size: Option<u32>,
    },
    /// Another modification time and nothing else.
    Touch {
        path: Vec<u8>,
        mtime: (i64, u32),
    },
    Chmod {
        path: Vec<u8>,
        mode: u32,
    },
    Chown {
        path: Vec<u8>,
        uid: u32,
        gid: u32,
    },
    /// `None` removes the attribute.
    Xattr {
        path: Vec<u8>,
        name: &'static str,
        value: Option<Vec<u8>>,
    },
    Flags {
        path: Vec<u8>,
        flags: IFlags,
    },
}

/// What a step makes.
#[derive(Debug, Clone)]
pub(crate) enum What {
    File {
        size: u32,
        mode: u32,
        mtime: (i64, u32),
    },
    /// A file of `size` bytes with nothing but holes around `data` bytes at `at`.
    Sparse {
        size: u32,
        at: u32,
        data: u32,
    },
    Folder {
        mode: u32,
    },
    Symlink {
        target: Vec<u8>,
    },
    Special {
        kind: FileType,
        major: u32,
        minor: u32,
    },
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd = [&b"\xff\xfe"[..], b"new\nline", b"  ", "\u{1f600}<&>\u{2028}".as_bytes(), b"-rf", b"x\xc3"];
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    prop_oneof![
        4 => prop::sample::select(vec![&b"a"[..], b"b", b"c", b"a-b", b"a.txt"]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(odd.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(prop::sample::select(bytes), 1..12)
            .prop_filter("no path", |name| name != b"." && name != b".."),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

/// Both sides of what the format treats differently: inline or chunked, one chunk or more, the largest chunk.
fn size() -> impl Strategy<Value = u32> {
    let edges = [524_288, 1 << 20].into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]);
    let usual: Vec<u32> = edges.chain([0, 1, 1_700_000]).collect();
    prop_oneof![
        600 => 0u32..5000,
        100 => prop::sample::select(usual),
        1 => (8u32 << 20) - 1..=(8 << 20) + 1,
    ]
}

fn mode() -> impl Strategy<Value = u32> {
    let mut modes = vec![0o644, 0o755, 0o400, 0o4755, 0o2711, 0o1777];
    if is_root() {
        // Anybody else cannot read such a file, so it could not be backed up.
        modes.push(0o000);
    }
    prop::sample::select(modes)
}

fn mtime() -> impl Strategy<Value = (i64, u32)> {
    (-2_000_000_000i64..4_000_000_000, prop::sample::select(vec![0u32, 1, 500, 999_999_999]))
}

fn what() -> impl Strategy<Value = What> {
    let mut kinds = vec![FileType::Fifo, FileType::Socket];
    if is_root() {
        kinds.extend([FileType::CharacterDevice, FileType::BlockDevice]);
    }
    let device = prop::sample::select(vec![(1u32, 3u32), (7, 99), (300, 70_000)]);
    prop_oneof![
        8 => (size(), mode(), mtime()).prop_map(|(size, mode, mtime)| What::File { size, mode, mtime }),
        1 => (1u32..2_000_000, any::<u32>(), 0u32..20_000)
            .prop_map(|(size, at, data)| What::Sparse { size, at: at % size, data }),
        2 => mode().prop_map(|mode| What::Folder { mode: mode | 0o700 }),
        2 => path().prop_map(|target| What::Symlink { target }),
        2 => (prop::sample::select(kinds), device)
            .prop_map(|(kind, (major, minor))| What::Special { kind, major, minor }),
    ]
}

fn xattr() -> impl Strategy<Value = (&'static str, Option<Vec<u8>>)> {
    let mut names = vec!["user.test", "user.other", "user.\u{fc}"];
    let mut fixed = vec![
        ("system.posix_acl_access", Some(acl())),
        ("system.posix_acl_access", None),
        ("system.posix_acl_default", Some(acl())),
    ];
    if is_root() {
        names.push("trusted.test");
        fixed.push(("security.capability", Some(CAPABILITY.to_vec())));
    }
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..40));
    prop_oneof![3 => (prop::sample::select(names), value), 2 => prop::sample::select(fixed)]
}

/// `cap_net_bind_service=ep`, as the kernel stores it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An access control list that gives a user more than the mode does: version 2, then tag, permissions and number.
fn acl() -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries = [(0x01u16, 7u16, NOBODY), (0x02, 7, 1234), (0x04, 4, NOBODY), (0x10, 7, NOBODY), (0x20, 0, NOBODY)];
    let entry = |(tag, permissions, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2u32.to_le_bytes().to_vec(), entries.map(entry).concat()].concat()
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let flags = prop::sample::select(vec![IFlags::empty(), IFlags::NODUMP, IFlags::NOATIME | IFlags::NODUMP]);
    let size_or_same = prop::option::of(size());
    let mut steps = vec![
        (16, (path(), what()).prop_map(|(path, what)| Step::Make { path, what }).boxed()),
        (3, (path(), what()).prop_map(|(path, what)| Step::Become { path, what }).boxed()),
        (3, (path(), path()).prop_map(|(path, first)| Step::HardLink { path, first }).boxed()),
        (2, (path(), path()).prop_map(|(from, to)| Step::Rename { from, to }).boxed()),
        (2, path().prop_map(|path| Step::Remove { path }).boxed()),
        (4, (path(), size_or_same).prop_map(|(path, size)| Step::Modify { path, size }).boxed()),
        (2, (path(), mtime()).prop_map(|(path, mtime)| Step::Touch { path, mtime }).boxed()),
        (2, (path(), mode()).prop_map(|(path, mode)| Step::Chmod { path, mode }).boxed()),
        (5, (path(), xattr()).prop_map(|(path, (name, value))| Step::Xattr { path, name, value }).boxed()),
        (2, (path(), flags).prop_map(|(path, flags)| Step::Flags { path, flags }).boxed()),
    ];
    if is_root() {
        let owner = || prop::sample::select(vec![0u32, 1, 1000, 65_534, 3_000_000_000]);
        let chown = (path(), owner(), owner()).prop_map(|(path, uid, gid)| Step::Chown { path, uid, gid });
        steps.push((2, chown.boxed()));
    }
    Union::new_weighted(steps)
}
