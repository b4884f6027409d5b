//! The stored form of the catalog (format, section 10): canonical JSON, sorted by key. It has some 180 bytes for every
//! object of the repository, so it is written and read in pieces and never held as a whole.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::catalog::{Builder, Catalog, Location};
use crate::object::json;

/// A catalog that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the pack catalog is damaged: {0}")]
pub struct CatalogError(String);

/// Writes a catalog.
pub fn write(catalog: &Catalog, out: &mut impl Write) -> io::Result<()> {
    let mut separator: &[u8] = b"{";
    let mut pointers = catalog.pointers().iter().peekable();
    let mut entry = |key: &dyn fmt::Display, location: &Location| {
        out.write_all(std::mem::replace(&mut separator, b","))?;
        let Location { pack, offset, length } = location;
        write!(out, "\"{key}\":{{\"p\":\"packs/{pack}\",\"o\":{offset},\"l\":{length}}}")
    };
    let text = |key: &str| String::from_utf8(json::encode(key)).unwrap_or_default().trim_matches('"').to_owned();
    for (object, location) in catalog.located() {
        while let Some((key, pointer)) = pointers.next_if(|(key, _)| key.as_str() < object.kind.as_str()) {
            entry(&text(key), pointer)?;
        }
        entry(&object, &location)?;
    }
    for (key, pointer) in pointers {
        entry(&text(key), pointer)?;
    }
    out.write_all(if separator == b"{" { b"{}" } else { b"}" })
}

/// Reads a catalog that is written in just the canonical form, in pieces.
#[derive(Default)]
pub struct CatalogReader {
    builder: Builder,
    /// What has come and is not read yet.
    rest: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl CatalogReader {
    /// Takes the next piece. An error may only mean that the form is another one: see [`parse`].
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), CatalogError> {
        self.rest.extend_from_slice(piece);
        let mut at = 0;
        while let Some(length) = self.rest[at..].iter().position(|byte| *byte == b'}') {
            let entry = &self.rest[at..at + length];
            at += length + 1;
            if self.ended {
                return Err(unexpected());
            }
            if entry.is_empty() && self.begun || entry == b"{" {
                self.ended = true;
                continue;
            }
            let lead: &[u8] = if self.begun { b"," } else { b"{" };
            self.begun = true;
            let entry = entry.strip_prefix(lead).and_then(|entry| std::str::from_utf8(entry).ok());
            entry.and_then(|entry| read_entry(&mut self.builder, entry)).ok_or_else(unexpected)?;
        }
        self.rest.drain(..at);
        Ok(())
    }

    /// The catalog, when all pieces have come.
    pub fn finish(self) -> Result<Catalog, CatalogError> {
        if self.ended && self.rest.is_empty() { Ok(self.builder.build()) } else { Err(unexpected()) }
    }
}

fn unexpected() -> CatalogError {
    CatalogError("it ends too early, or is not in canonical form".to_owned())
}

/// Reads `"key":{"p":"packs/…","o":…,"l":…`.
fn read_entry(builder: &mut Builder, entry: &str) -> Option<()> {
    let (key, place) = entry.strip_prefix('"')?.split_once("\":{\"p\":\"packs/")?;
    let (pack, numbers) = place.split_once("\",\"o\":")?;
    let (offset, length) = numbers.split_once(",\"l\":")?;
    let location = Location { pack: pack.parse().ok()?, offset: offset.parse().ok()?, length: length.parse().ok()? };
    if key.contains(['"', '\\']) { None } else { add(builder, key, location) }
}

/// `None` for an object that lies beyond 4 GiB in its pack.
fn add(builder: &mut Builder, key: &str, location: Location) -> Option<()> {
    match key.parse() {
        Ok(object) => {
            let (offset, length) = (location.offset.try_into().ok()?, location.length.try_into().ok()?);
            builder.add(object, location.pack, offset, length);
        }
        Err(_) => builder.add_pointer(key, location),
    }
    Some(())
}

/// Reads a catalog in whatever form of JSON.
pub fn parse(bytes: &[u8]) -> Result<Catalog, CatalogError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut builder = Builder::default();
    deserializer.deserialize_map(&mut builder).map_err(|cause| CatalogError(cause.to_string()))?;
    deserializer.end().map_err(|cause| CatalogError(cause.to_string()))?;
    Ok(builder.build())
}

/// What can still be read of a damaged catalog in canonical form: each entry by itself. Of an entry that was hit nothing
/// is left, or something that is not so: hold what comes of this against the packs.
pub(crate) fn salvage(bytes: &[u8]) -> Catalog {
    let mut builder = Builder::default();
    for piece in bytes.split(|byte| *byte == b'}') {
        let entry = str::from_utf8(piece).ok().and_then(|piece| piece.get(piece.find('"')?..));
        let _ = entry.and_then(|entry| read_entry(&mut builder, entry));
    }
    builder.build()
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    p: Cow<'a, str>,
    o: u64,
    l: u64,
}

impl<'de> Visitor<'de> for &mut Builder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of objects to their places")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;

        while let Some((key, place)) = map.next_entry::<Cow<'de, str>, Place<'de>>()? {
            let pack = place.p.strip_prefix("packs/").and_then(|name| name.parse().ok());
            let pack = pack.ok_or_else(|| A::Error::custom(format!("{:?} is not a pack", place.p)))?;
            let location = Location { pack, offset: place.o, length: place.l };
            let added = add(self, &key, location);
            added.ok_or_else(|| A::Error::custom(format!("{key} lies beyond 4 GiB in its pack")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::ObjectKind;
    use crate::pack::catalog::tests::pack;

    fn text(catalog: &Catalog) -> String {
        let mut out = Vec::new();
        write(catalog, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Catalog, CatalogError> {
        let mut reader = CatalogReader::default();
        bytes.chunks(piece).try_for_each(|piece| reader.feed(piece))?;
        reader.finish()
    }

    #[test]
    fn the_catalog_of_the_cli_is_written_again_byte_for_byte() {
        for name in ["plain", "gzfiles", "encrypted"] {
            let path = format!("{}/../tests/fixtures/golden/{name}/repo/index/packs", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            for catalog in [parse(&bytes).unwrap(), read(&bytes, 7).unwrap(), read(&bytes, 1 << 20).unwrap()] {
                assert_eq!(text(&catalog).as_bytes(), bytes);
                assert!(catalog.pointer("index/latest").is_some());
            }
        }
    }

    #[test]
    fn a_cut_catalog_is_an_error_and_no_smaller_one() {
        let catalog =
            Catalog::default().with(vec![pack("p", &[("a", ObjectKind::Chunk, 0), ("b", ObjectKind::Node, 5)])]);
        let whole = text(&catalog);
        assert_eq!(text(&read(whole.as_bytes(), 3).unwrap()), whole);
        for length in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..length]).is_err(), "{length}");
            assert!(read(&whole.as_bytes()[..length], 10).is_err(), "{length}");
        }
        assert!(read(format!("{whole}}}").as_bytes(), 100).is_err());
        assert!(parse(b"{\"chunk/x\":{\"p\":\"elsewhere\",\"o\":0,\"l\":1}}").is_err());
    }

    #[test]
    fn of_a_damaged_catalog_all_entries_are_left_but_those_that_were_hit() {
        let members: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, ObjectKind::Chunk, 0)).to_vec();
        let whole = text(&Catalog::default().with(vec![pack("p", &members)]));
        for at in 0..whole.len() {
            let mut damaged = whole.clone().into_bytes();
            damaged[at] ^= 0x80;
            assert!(salvage(&damaged).len() >= 2, "byte {at}");
            assert!(salvage(&whole.as_bytes()[..at]).len() >= at * 4 / (whole.len() + 4) / 2, "cut at {at}");
        }
        assert_eq!(text(&salvage(whole.as_bytes())), whole);
    }

    #[test]
    fn an_empty_catalog_and_one_in_another_form_are_read() {
        assert_eq!(text(&Catalog::default()), "{}");
        assert!(read(b"{}", 1).unwrap().is_empty());
        let catalog = Catalog::default().with(vec![pack("p", &[("a", ObjectKind::Chunk, 0)])]);
        let spaced = text(&catalog).replace(':', ": ");
        assert!(read(spaced.as_bytes(), 9).is_err());
        assert_eq!(text(&parse(spaced.as_bytes()).unwrap()), text(&catalog));
    }
}
