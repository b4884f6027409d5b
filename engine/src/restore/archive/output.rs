//! The way of an archive's bytes to whoever reads it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Sender;

/// What is sent at once, in bytes.
const PIECE: usize = 256 << 10;

/// Ends the way: what is written from then on goes nowhere.
///
/// The archive's writer finishes the archive when it is dropped, even after an error, and then a broken archive would
/// look like a whole one.
#[derive(Debug, Clone, Default)]
pub(super) struct Poison(Arc<AtomicBool>);

impl Poison {
    pub(super) fn take(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn taken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Collects what is written into pieces and sends them, waiting while the reader is slow.
#[derive(Debug)]
pub(super) struct Output {
    sender: Sender<Bytes>,
    poison: Poison,
    piece: BytesMut,
}

impl Output {
    pub(super) fn new(sender: Sender<Bytes>, poison: Poison) -> Self {
        Self { sender, poison, piece: BytesMut::new() }
    }

    /// Sends what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.poison.taken() || self.piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(self.piece.split().freeze()).map_err(|_| {
            self.poison.take();
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.poison.taken() {
            return Ok(data.len());
        }
        if self.piece.capacity() == 0 {
            self.piece.reserve(PIECE);
        }
        let taken = data.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&data[..taken]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
