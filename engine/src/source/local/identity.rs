//! What names the source of a snapshot, so that the next backup finds the previous one (format, section 8).
//!
//! A path is named by the file system that holds it and the path *inside* that file system, so that a disk keeps its
//! history wherever it is mounted, and two places never share one, bind mounts and btrfs subvolumes included.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use super::SourceInfo;
use super::fstype::fs_type_name;
use super::stat::Device;

/// Where this host says what its disks and mounts are.
#[derive(Debug, Clone)]
pub(super) struct System {
    /// The host's name.
    pub host: String,
    /// `/dev/disk`, with `by-partuuid` and so on in it.
    pub disks: PathBuf,
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
}

impl System {
    pub(super) fn this() -> Self {
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            disks: "/dev/disk".into(),
            mountinfo: "/proc/self/mountinfo".into(),
        }
    }
}

/// Where a root lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Absolute, without symlinks.
    pub path: PathBuf,
    /// The device of its file system.
    pub device: Device,
    /// The mount that it was reached through, on kernels that tell.
    pub mount_id: Option<u64>,
    /// The kind of file system.
    pub fs_type: String,
}

impl Place {
    /// The place of an open folder.
    pub(super) fn of(path: &Path, folder: impl AsFd) -> Result<Self, Errno> {
        let found = rustix::fs::statx(&folder, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(Self {
            path: path.to_owned(),
            device: (found.stx_dev_major, found.stx_dev_minor),
            mount_id: (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id),
            fs_type: rustix::fs::fstatfs(&folder).map_or_else(|_| String::new(), |fs| fs_type_name(fs.f_type as u64)),
        })
    }
}

/// The `source` of the snapshots of a place.
pub(super) fn identify(system: &System, place: &Place) -> SourceInfo {
    let mount = Mount::of(system, place).unwrap_or_else(|| Mount::guess(place));
    let device = mount.device(place);
    let uuid = device.and_then(|device| {
        let partition = name_of_disk(&system.disks.join("by-partuuid"), device);
        partition.or_else(|| name_of_disk(&system.disks.join("by-uuid"), device))
    });
    let (identity, path) = match uuid {
        Some(uuid) => (uuid.to_uppercase(), mount.inner_path(&place.path)),
        None => (system.host.clone(), place.path.clone()),
    };
    let path = path.to_string_lossy().into_owned();
    let label = device.and_then(|device| name_of_disk(&system.disks.join("by-label"), device));
    SourceInfo {
        source_type: "local".to_owned(),
        account: system.host.clone(),
        path: path.clone(),
        identity,
        path_id: path,
        drive_name: label.unwrap_or_default(),
        fs_type: place.fs_type.clone(),
    }
}

/// The name that a folder of `/dev/disk` has for a device; the first if there are several.
fn name_of_disk(folder: &Path, device: Device) -> Option<String> {
    let is_it = |entry: &fs::DirEntry| fs::metadata(entry.path()).is_ok_and(|found| rdev(&found) == device);
    let names = fs::read_dir(folder).ok()?.filter_map(Result::ok).filter(is_it).map(|entry| entry.file_name());
    let unescaped = names.map(|name| unescape(name.as_bytes(), b"\\x", 16)).min()?;
    Some(String::from_utf8_lossy(&unescaped).into_owned())
}

fn rdev(found: &fs::Metadata) -> Device {
    (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()))
}

/// One line of mountinfo, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Which folder of the file system is mounted: not `/` for bind mounts and subvolumes.
    root: PathBuf,
    /// Where.
    point: PathBuf,
    /// From which device node.
    source: PathBuf,
}

impl Mount {
    /// The mount that holds a place, `None` if the system does not say.
    fn of(system: &System, place: &Place) -> Option<Self> {
        let lines = fs::read(&system.mountinfo).ok()?;
        let mounts = lines.split(|byte| *byte == b'\n').filter_map(Self::parse);
        let holding = mounts.filter(|(_, mount)| place.path.starts_with(&mount.point));
        let (_, mount) = match place.mount_id {
            Some(id) => holding.into_iter().find(|(found, _)| *found == id),
            // Of several on one point, the last one hides the others.
            None => holding.max_by_key(|(_, mount)| mount.point.as_os_str().len()),
        }?;
        Some(mount)
    }

    /// `id parent device root point options… - type source options`
    fn parse(line: &[u8]) -> Option<(u64, Self)> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let path = |field: &[u8]| PathBuf::from(OsStr::from_bytes(&unescape(field, b"\\", 8)));
        let (root, point) = (path(fields.nth(2)?), path(fields.next()?));
        let source = path(fields.skip_while(|field| *field != b"-").nth(2)?);
        Some((id, Self { root, point, source }))
    }

    /// Without mountinfo, a mount point is where going up changes the device.
    fn guess(place: &Place) -> Self {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        let here = device(&place.path);
        let point = place.path.ancestors().take_while(|above| device(above) == here).last().unwrap_or(&place.path);
        Self { root: "/".into(), point: point.to_owned(), source: PathBuf::new() }
    }

    /// The device node behind a file system. Some (btrfs) have a device number of their own that no node has.
    fn device(&self, place: &Place) -> Option<Device> {
        if place.device.0 != 0 {
            return Some(place.device);
        }
        if !self.source.is_absolute() {
            return None;
        }
        fs::metadata(&self.source).ok().map(|found| rdev(&found)).filter(|device| *device != (0, 0))
    }

    /// A path inside the file system.
    fn inner_path(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.point).unwrap_or(path);
        self.root.components().chain(below.components()).collect()
    }
}

/// Undoes escapes of a prefix and digits: mountinfo has `\040` for a space, udev `\x20`.
fn unescape(text: &[u8], prefix: &[u8], radix: u32) -> Vec<u8> {
    let digits = if radix == 8 { 3 } else { 2 };
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            rest.strip_prefix(prefix).and_then(|rest| rest.split_at_checked(digits)).and_then(|(code, rest)| {
                let code = std::str::from_utf8(code).ok()?;
                Some((u8::from_str_radix(code, radix).ok()?, rest))
            });
        let (byte, after) = escaped.unwrap_or((byte, after));
        plain.push(byte);
        rest = after;
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `/dev/null` is a device node that every host has; it plays the disk.
    const NULL: Device = (1, 3);

    struct Host {
        temp: tempfile::TempDir,
        system: System,
    }

    fn host(disks: &[&str], mountinfo: &str) -> Host {
        let temp = tempfile::tempdir().unwrap();
        for disk in disks {
            let link = temp.path().join("disk").join(disk);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/dev/null", link).unwrap();
        }
        fs::write(temp.path().join("mountinfo"), mountinfo).unwrap();
        let system =
            System { host: "vm".into(), disks: temp.path().join("disk"), mountinfo: temp.path().join("mountinfo") };
        Host { temp, system }
    }

    fn place(path: &str, device: Device, mount_id: Option<u64>) -> Place {
        Place { path: path.into(), device, mount_id, fs_type: "ext4".into() }
    }

    fn named(info: &SourceInfo) -> (&str, &str, &str) {
        assert_eq!(info.path, info.path_id);
        (&info.identity, &info.path, &info.drive_name)
    }

    const MOUNTS: &str = "\
        27 1 1:3 / / rw - ext4 /dev/null rw\n\
        30 27 1:3 / /mnt/my\\040disk rw,relatime shared:1 master:2 - ext4 /dev/null rw\n\
        31 27 1:3 /srv/data /data rw - ext4 /dev/null rw\n\
        32 27 0:40 /@home /home rw - btrfs /dev/null rw,subvol=/@home\n";

    #[test]
    fn a_disk_keeps_its_identity_wherever_it_is_mounted() {
        let host = host(&["by-partuuid/3f1c-ab", "by-uuid/0000-ffff", "by-label/My\\x20Disk"], MOUNTS);
        let of = |path, id| identify(&host.system, &place(path, NULL, id));
        assert_eq!(named(&of("/mnt/my disk/photos", Some(30))), ("3F1C-AB", "/photos", "My Disk"));
        assert_eq!(named(&of("/mnt/my disk", None)), ("3F1C-AB", "/", "My Disk"));
        assert_eq!(named(&of("/photos", None)), ("3F1C-AB", "/photos", "My Disk"));
        assert_eq!(of("/", None).account, "vm");
    }

    #[test]
    fn a_bind_mount_or_subvolume_is_not_taken_for_the_root_of_its_disk() {
        let host = host(&["by-uuid/aa"], MOUNTS);
        let of = |path, device, id| identify(&host.system, &place(path, device, id));
        assert_eq!(named(&of("/data", NULL, Some(31))), ("AA", "/srv/data", ""));
        assert_eq!(named(&of("/data/x", NULL, None)), ("AA", "/srv/data/x", ""));
        assert_eq!(named(&of("/home/me", (0, 40), Some(32))), ("AA", "/@home/me", ""));
    }

    #[test]
    fn without_a_uuid_the_host_and_the_absolute_path_name_the_source() {
        let host = host(&[], "");
        assert_eq!(named(&identify(&host.system, &place("/srv/x", NULL, None))), ("vm", "/srv/x", ""));
        assert_eq!(named(&identify(&host.system, &place("/srv/x", (0, 99), Some(7)))), ("vm", "/srv/x", ""));
    }

    #[test]
    fn without_mountinfo_the_mount_point_is_where_the_device_changes() {
        let host = host(&["by-uuid/aa"], "");
        let path = fs::canonicalize(host.temp.path()).unwrap();
        let dev = |path: &Path| fs::metadata(path).unwrap().dev();
        let mut point = path.clone();
        while point.parent().is_some_and(|above| dev(above) == dev(&path)) {
            point.pop();
        }
        let info = identify(&host.system, &Place { path: path.clone(), ..place("", NULL, None) });
        assert_eq!(Path::new(&info.path), Path::new("/").join(path.strip_prefix(point).unwrap()));
    }
}
