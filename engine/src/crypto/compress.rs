//! One step of compression: zstd when writing; zstd or gzip, told by their magics, when reading.

use std::cell::RefCell;
use std::io::Read;

use zstd::bulk::{Compressor, Decompressor};

const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const LEVEL: i32 = 3;

thread_local! {
    // A new context for each object would cost several times the compression of a small one.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Whether a reader would decompress these bytes.
pub(super) fn looks_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(ZSTD_MAGIC) || bytes.starts_with(GZIP_MAGIC)
}

/// Appends the zstd frame of `plain`, with a checksum of its own if asked for, to `out`; or `plain` itself where that is not longer and no reader could take it
/// for compressed data.
pub(super) fn compress_into(plain: &[u8], checksum: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    let start = out.len();
    out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
    let written = COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(LEVEL)?),
        };
        compressor.include_checksum(checksum)?;
        compressor.compress_to_buffer(plain, &mut out[start..])
    })?;
    if written >= plain.len() && !looks_compressed(plain) {
        out[start..start + plain.len()].copy_from_slice(plain);
        out.truncate(start + plain.len());
    } else {
        out.truncate(start + written);
    }
    Ok(())
}

/// What the bytes decompress to, the bytes themselves if they have no magic. `Err` says why they do not decompress, or
/// that they would give more than `limit` bytes.
pub(super) fn decompress(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, (Vec<u8>, String)> {
    let result = if bytes.starts_with(ZSTD_MAGIC) {
        decompress_zstd(&bytes, limit)
    } else if bytes.starts_with(GZIP_MAGIC) {
        read_limited(flate2::read::GzDecoder::new(bytes.as_slice()), limit)
    } else {
        return Ok(bytes);
    };
    result.map_err(|problem| (bytes, problem))
}

fn decompress_zstd(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let too_long = || format!("it would decompress to more than {limit} bytes");
    match zstd::zstd_safe::get_frame_content_size(bytes) {
        Ok(Some(size)) => {
            let size = usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(too_long)?;
            DECOMPRESSOR.with_borrow_mut(|slot| {
                let decompressor = match slot {
                    Some(decompressor) => decompressor,
                    None => slot.insert(Decompressor::new().map_err(|cause| cause.to_string())?),
                };
                decompressor.decompress(bytes, size).map_err(|cause| format!("it does not decompress: {cause}"))
            })
        }
        _ => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|cause| cause.to_string())?;
            read_limited(decoder, limit)
        }
    }
}

fn read_limited(reader: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(|cause| format!("it does not decompress: {cause}"))?;
    if out.len() > limit { Err(format!("it would decompress to more than {limit} bytes")) } else { Ok(out) }
}
