//! In what two filemetas differ.

use super::change::ChangeKind;
use crate::object::{FileMeta, Posix};

/// What of an entry can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// What it is: file, folder, link, …
    Type,
    /// Its bytes.
    Content,
    /// Where a link points.
    Target,
    /// The numbers of a device.
    Device,
    /// Permissions.
    Mode,
    /// User or group.
    Owner,
    /// Modification time.
    Mtime,
    /// Birth time.
    Btime,
    /// Inode flags.
    Flags,
    /// Extended attributes.
    Xattrs,
    /// Of which file it is another name.
    Hardlink,
    /// Whether it has holes.
    Sparse,
    /// Its place: name or folder.
    Path,
    /// Something that only shows in the filemeta itself.
    Other,
}

impl Field {
    /// A word for it, which stays.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Target => "target",
            Self::Device => "device",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Mtime => "mtime",
            Self::Btime => "btime",
            Self::Flags => "flags",
            Self::Xattrs => "xattrs",
            Self::Hardlink => "hardlink",
            Self::Sparse => "sparse",
            Self::Path => "path",
            Self::Other => "other",
        }
    }

    /// In which fields two filemetas differ. Where they lie is not compared.
    pub(super) fn differing(a: &FileMeta, b: &FileMeta) -> Fields {
        let none = Posix::default();
        let (pa, pb) = (a.posix().unwrap_or(&none), b.posix().unwrap_or(&none));
        let all = [
            (Self::Type, (a.entry_type, pa.kind) != (b.entry_type, pb.kind)),
            (Self::Content, (&a.content_hash, a.size) != (&b.content_hash, b.size)),
            (Self::Target, pa.target_bytes() != pb.target_bytes()),
            (Self::Device, (pa.rdev_major, pa.rdev_minor) != (pb.rdev_major, pb.rdev_minor)),
            (Self::Mode, a.mode != b.mode),
            (Self::Owner, (a.uid, a.gid, &a.owner) != (b.uid, b.gid, &b.owner)),
            (Self::Mtime, (a.mtime, pa.mtime_nsec) != (b.mtime, pb.mtime_nsec)),
            (Self::Btime, a.btime != b.btime),
            (Self::Flags, a.flags != b.flags),
            (Self::Xattrs, a.xattrs != b.xattrs),
            (Self::Hardlink, pa.hardlink != pb.hardlink),
            (Self::Sparse, pa.sparse != pb.sparse),
            (Self::Path, (&a.name, &pa.name_b64, &a.parents) != (&b.name, &pb.name_b64, &b.parents)),
            (
                Self::Other,
                (a.version, &a.paths, &a.extra.other) != (b.version, &b.paths, &b.extra.other)
                    || (a.content_hash == b.content_hash && a.content_ref != b.content_ref),
            ),
        ];
        all.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
    }

    /// What sort of change these are together.
    pub(super) fn sort(fields: Fields) -> ChangeKind {
        if fields.has(Self::Type) {
            ChangeKind::Type
        } else if fields.has(Self::Content) {
            ChangeKind::Content
        } else {
            ChangeKind::Metadata
        }
    }
}

const ALL: [Field; 14] = [
    Field::Type,
    Field::Content,
    Field::Target,
    Field::Device,
    Field::Mode,
    Field::Owner,
    Field::Mtime,
    Field::Btime,
    Field::Flags,
    Field::Xattrs,
    Field::Hardlink,
    Field::Sparse,
    Field::Path,
    Field::Other,
];

/// Some fields, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fields(u16);

impl Fields {
    pub(super) const fn has(self, field: Field) -> bool {
        self.0 & 1 << field as u16 != 0
    }

    pub(super) const fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u16)
    }

    pub(super) const fn without(self, field: Field) -> Self {
        Self(self.0 & !(1 << field as u16))
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In their order.
    pub(super) fn to_vec(self) -> Vec<Field> {
        ALL.into_iter().filter(|field| self.has(*field)).collect()
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        fields.into_iter().fold(Self::default(), Self::with)
    }
}
