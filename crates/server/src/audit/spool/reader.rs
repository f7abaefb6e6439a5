//! Reading a spool's segments in order, in pieces. Blocks.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    super::fold::Reads,
    frame::{self, Frame, Next},
    path_of, segments_in,
};

/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 512 << 10;

/// Reads one spool from its beginning.
#[derive(Debug)]
pub(in crate::audit) struct SpoolReader {
    folder: PathBuf,
    segment: u64,
    offset: u64,
    last: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub(in crate::audit) struct Chunk {
    /// Each with its number and its segment.
    pub(in crate::audit) frames: Vec<(u64, u64, Frame)>,
    /// What those of them say that are reads.
    pub(in crate::audit) reads: Reads,
    /// Bytes at the end of a segment that are the beginning of a frame: never acknowledged.
    pub(in crate::audit) torn: u64,
    /// Bytes that are no frames.
    pub(in crate::audit) damaged: u64,
    /// The segment at which the reader is: those before it are read to their end.
    pub(in crate::audit) segment: u64,
    /// Segments that were begun.
    pub(in crate::audit) begun: Vec<u64>,
    /// Whether there is no more for now.
    pub(in crate::audit) is_last: bool,
}

impl SpoolReader {
    pub(in crate::audit) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), segment: 0, offset: 0, last: 0 }
    }

    /// The next piece. `end` says how far the segments of a spool go that is being written to.
    pub(in crate::audit) fn read(&mut self, end: Option<(u64, u64)>) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        loop {
            let bound = match end {
                Some((segment, bytes)) if segment == self.segment => bytes,
                _ => self.segment_bytes()?,
            };
            if self.offset >= bound {
                let next = segments_in(&self.folder)?.into_iter().find(|segment| *segment > self.segment);
                let next = next.filter(|next| end.is_none_or(|(segment, _)| *next <= segment));
                let is_more = chunk.frames.is_empty() && next.is_some();
                chunk.segment = self.segment;
                chunk.is_last = next.is_none();
                if !is_more {
                    return Ok(chunk);
                }
                self.segment = next.expect("there is one");
                self.offset = 0;
                chunk.begun.push(self.segment);
                continue;
            }
            self.read_piece(bound, &mut chunk)?;
            chunk.segment = self.segment;
            if !chunk.frames.is_empty() {
                // What has come meanwhile is for the next time: a few records would cost as much as many.
                chunk.is_last = end.is_some_and(|end| (self.segment, self.offset) >= end);
                return Ok(chunk);
            }
        }
    }

    fn read_piece(&mut self, bound: u64, chunk: &mut Chunk) -> io::Result<()> {
        let mut file = File::open(path_of(&self.folder, self.segment))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let length = CHUNK_BYTES.min(bound - self.offset);
        // With a byte to spare, or it grows to see that there is no more.
        let mut bytes = Vec::with_capacity(usize::try_from(length).expect("a piece is small") + 1);
        file.take(length).read_to_end(&mut bytes)?;
        let is_end = self.offset + bytes.len() as u64 >= bound || (bytes.len() as u64) < CHUNK_BYTES;
        let mut at = 0;
        loop {
            let rest = (bytes.len() - at) as u64;
            match frame::read(&bytes[at..], &mut chunk.reads) {
                Next::Frame(frame, number, length) => {
                    at += length;
                    // It stands twice after a write that failed half-way.
                    if number > self.last {
                        self.last = number;
                        chunk.frames.push((number, self.segment, frame));
                    }
                    continue;
                }
                Next::Incomplete if is_end => {
                    chunk.torn += rest;
                    self.offset = bound;
                }
                Next::Incomplete => self.offset += at as u64,
                Next::Damaged => {
                    chunk.damaged += bound - self.offset - at as u64;
                    self.offset = bound;
                }
            }
            return Ok(());
        }
    }

    fn segment_bytes(&self) -> io::Result<u64> {
        match std::fs::metadata(path_of(&self.folder, self.segment)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}
