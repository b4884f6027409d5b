//! The names of all entries, one after the other.
//!
//! They lie in pieces of a fixed size, so that the room for them grows without ever being copied.

use super::record::{NAME_MAX, Record};

/// A piece holds at most 2 to the power of this many bytes.
const PIECE_BITS: u32 = 20;
const PIECE: usize = 1 << PIECE_BITS;

#[derive(Debug, Default)]
pub(super) struct Names(Vec<Vec<u8>>);

impl Names {
    /// Adds a name of at most [`NAME_MAX`] bytes, and gives its place; `None` beyond 4 GiB of them.
    pub(super) fn push(&mut self, name: &[u8]) -> Option<u32> {
        debug_assert!(name.len() <= NAME_MAX);
        if self.0.last().is_none_or(|piece| piece.len() + name.len() > PIECE) {
            // Few trees fill the first piece; a further one is going to be filled.
            self.0.push(Vec::with_capacity(if self.0.is_empty() { 0 } else { PIECE }));
        }
        let number = u32::try_from(self.0.len() - 1).ok().filter(|&number| number <= u32::MAX >> PIECE_BITS)?;
        let piece = self.0.last_mut()?;
        let at = number << PIECE_BITS | piece.len() as u32;
        piece.extend_from_slice(name);
        Some(at)
    }

    /// The name of an entry, empty if it has none.
    pub(super) fn of(&self, record: &Record) -> &[u8] {
        let (number, at) = (record.name_at >> PIECE_BITS, record.name_at as usize & (PIECE - 1));
        let piece = self.0.get(number as usize).map_or(&[][..], Vec::as_slice);
        piece.get(at..at + usize::from(record.name_len)).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_whichever_piece_it_lies() {
        let mut names = Names::default();
        let name = |number: u32| format!("{number:0width$}", width = 1 + number as usize % NAME_MAX).into_bytes();
        let places: Vec<u32> = (0..20_000).map(|number| names.push(&name(number)).unwrap()).collect();
        assert!(names.0.len() > 2);
        assert!(names.0.iter().all(|piece| piece.len() <= PIECE));
        for (number, name_at) in (0..).zip(places) {
            let name = name(number);
            let mut record = Record::unread();
            (record.name_at, record.name_len) = (name_at, name.len() as u8);
            assert_eq!(names.of(&record), name);
        }
    }
}
