//! The names of file systems by the number that statfs gives (format, section 8).

/// The name of a file system, `unknown:0x<HEX>` if it is none of these.
pub(super) fn fs_type_name(magic: u64) -> String {
    // Some systems give the 32 bits with their sign extended.
    let magic = magic & 0xffff_ffff;
    match NAMES.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("unknown:0x{magic:X}"),
    }
}

/// From `linux/magic.h` and the file systems' own sources. ext2 and ext3 have the number of ext4.
const NAMES: [(u64, &str); 30] = [
    (0x0000_ef53, "ext4"),
    (0x9123_683e, "btrfs"),
    (0x5846_5342, "xfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x0000_6969, "nfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlayfs"),
    (0xca45_1a4e, "bcachefs"),
    (0xf2f5_2010, "f2fs"),
    (0x2011_bab0, "exfat"),
    (0x0000_4d44, "vfat"),
    (0x5346_544e, "ntfs"),
    (0x7366_746e, "ntfs3"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0000_517b, "smb"),
    (0x6573_5546, "fuse"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x0000_9660, "iso9660"),
    (0x1501_3346, "udf"),
    (0x5265_4973, "reiserfs"),
    (0x3153_464a, "jfs"),
    (0x8584_58f6, "ramfs"),
    (0x0000_482b, "hfsplus"),
    (0x0000_f15f, "ecryptfs"),
    (0x2405_1905, "ubifs"),
    (0x0000_9fa0, "proc"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_number_with_its_sign_extended_is_still_known() {
        assert_eq!(fs_type_name(0xffff_ffff_9123_683e), "btrfs");
        assert_eq!(fs_type_name(0xabc), "unknown:0xABC");
    }
}
