//! The small trees that the processes back up. Most contents come from one small pool, so that a backup finds much of what
//! it needs in packs that others wrote, and that a prune would sweep if it could. One is new each time, so that a backup
//! that is killed leaves packs that nobody is going to need.

use std::fs;
use std::io::Write;
use std::path::Path;

use cloudstic_e2e::random;
use cloudstic_engine::object::{Hash, Hasher};

const FILES: u32 = 12;
const POOL: u64 = 60;

/// Writes some files anew.
pub(crate) fn change(root: &Path) -> std::io::Result<()> {
    fs::create_dir_all(root)?;
    fs::write(root.join("new"), random::bytes(fastrand::u64(..), 2_000_000))?;
    for _ in 0..fastrand::u32(1..4) {
        let chosen = fastrand::u64(0..POOL);
        let data = random::bytes(chosen, 200 + chosen as usize * 700);
        let mut file = fs::File::create(root.join(format!("file-{}", fastrand::u32(0..FILES))))?;
        file.write_all(&data)?;
    }
    Ok(())
}

/// Tells one state of a tree from all others.
pub(crate) fn fingerprint(root: &Path) -> std::io::Result<Hash> {
    let mut names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    let mut hasher = Hasher::default();
    for name in names {
        hasher.update(name.as_encoded_bytes());
        hasher.update(Hash::of(&fs::read(root.join(&name))?).as_bytes());
    }
    Ok(hasher.finish())
}
