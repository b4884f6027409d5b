//! Scattered data that nobody can compress: most files small, most bytes in large ones.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use cloudstic_e2e::random;

const SMALLEST: f64 = 4096.0;
const LARGEST: f64 = 100e6;
const FOLDERS: u64 = 50;
const PIECE: usize = 4 << 20;

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// Makes files of so many bytes together.
pub(super) fn make(folder: &Path, seed: u64, bytes: u64) -> io::Result<Files> {
    let mut made = Files::default();
    while made.bytes < bytes {
        let seed = mix(seed ^ made.count << 20);
        let chance = seed as f64 / u64::MAX as f64;
        let size = SMALLEST * (LARGEST / SMALLEST).powf(chance.powi(4));
        let size = (size as u64).min(bytes - made.bytes);
        let folder = folder.join(format!("{:02}", made.count % FOLDERS));
        fs::create_dir_all(&folder)?;
        let mut file = fs::File::create(folder.join(format!("{:06}", made.count)))?;
        let mut left = size as usize;
        for piece in 1.. {
            if left == 0 {
                break;
            }
            let length = left.min(PIECE);
            file.write_all(&random::bytes(mix(seed ^ piece), length))?;
            left -= length;
        }
        made = Files { count: made.count + 1, bytes: made.bytes + size };
    }
    Ok(made)
}

/// A seed of one's own.
fn mix(seed: u64) -> u64 {
    let bytes = random::bytes(seed, 8);
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
