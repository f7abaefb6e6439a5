//! How records stand in a segment file: length, checksum, body. *Decides*, does no IO.
//!
//! A segment is only ever appended to, so that a crash can cut off its end and nothing else. What is cut off was not
//! acknowledged to anybody.

use xxhash_rust::xxh3::xxh3_64;

use crate::audit::{
    fold::{Reads, Spooled},
    record::{Entry, Outcome, Record, decode_text, encode_text, take},
};

/// Bytes before a body.
const HEAD_BYTES: usize = 12;
/// Longest body: every text at its limit, and what is beside them.
const BODY_BYTES_MAX: usize = 16 << 10;

const RECORD: u8 = 0;
const INTENT: u8 = 1;
const END: u8 = 2;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Frame {
    /// Something that has happened.
    Record(Spooled),
    /// Something that is about to happen.
    Intent(Box<Record>),
    /// What became of an intent.
    End {
        /// The intent's number.
        intent: u64,
        /// How it ended.
        end: End,
    },
}

/// How an intent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct End {
    pub(in crate::audit) outcome: String,
    pub(in crate::audit) status: u16,
    pub(in crate::audit) position: String,
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::audit) enum Next {
    /// A frame, its number and its length.
    Frame(Frame, u64, usize),
    /// The beginning of one, or nothing.
    Incomplete,
    /// Something else.
    Damaged,
}

pub(super) fn write_record(out: &mut Vec<u8>, number: u64, entry: &Entry<'_>, is_intent: bool) {
    framed(out, |out| {
        out.push(if is_intent { INTENT } else { RECORD });
        out.extend_from_slice(&number.to_le_bytes());
        entry.encode_fitting(out);
    });
}

pub(super) fn write_end(out: &mut Vec<u8>, number: u64, intent: u64, outcome: Outcome, status: u16, position: &str) {
    framed(out, |out| {
        out.push(END);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&intent.to_le_bytes());
        out.extend_from_slice(&status.to_le_bytes());
        encode_text(out, outcome.as_str());
        encode_text(out, &crate::audit::record::fitting(position));
    });
}

fn framed(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    body(out);
    let (head, body) = out[start..].split_at_mut(HEAD_BYTES);
    head[..4].copy_from_slice(&(body.len() as u64).to_le_bytes()[..4]);
    head[4..].copy_from_slice(&xxh3_64(body).to_le_bytes());
}

/// Reads the frame at the beginning of `bytes`, of a piece whose `reads` are known.
pub(in crate::audit) fn read(mut bytes: &[u8], reads: &mut Reads) -> Next {
    let bytes = &mut bytes;
    let (Some(length), Some(checksum)) = (take(bytes).map(u32::from_le_bytes), take(bytes).map(u64::from_le_bytes))
    else {
        return Next::Incomplete;
    };
    let length = length as usize;
    if length > BODY_BYTES_MAX {
        return Next::Damaged;
    }
    let Some(mut body) = bytes.get(..length) else { return Next::Incomplete };
    if xxh3_64(body) != checksum {
        return Next::Damaged;
    }
    match frame(&mut body, reads).filter(|_| body.is_empty()) {
        Some((frame, number)) => Next::Frame(frame, number, HEAD_BYTES + length),
        None => Next::Damaged,
    }
}

fn frame(body: &mut &[u8], reads: &mut Reads) -> Option<(Frame, u64)> {
    let [kind] = take(body)?;
    let number = u64::from_le_bytes(take(body)?);
    let frame = match kind {
        RECORD => Frame::Record(reads.take(body)?),
        INTENT => Frame::Intent(Box::new(Record::decode(body)?)),
        END => {
            let intent = u64::from_le_bytes(take(body)?);
            let status = u16::from_le_bytes(take(body)?);
            let end = End { status, outcome: decode_text(body)?, position: decode_text(body)? };
            Frame::End { intent, end }
        }
        _ => return None,
    };
    Some((frame, number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::record::{Operation, TEXT_BYTES_MAX};

    fn read(bytes: &[u8]) -> Next {
        super::read(bytes, &mut Reads::default())
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let entry = Entry { key: "flow:7", ..Entry::new("acme", Operation::INVALIDATE, Outcome::Done) };
        write_record(&mut bytes, 7, &entry, true);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = written();
        let first = bytes.len();
        write_end(&mut bytes, 8, 7, Outcome::Pending, 202, "1.2.3");
        let Next::Frame(Frame::Intent(record), 7, length) = read(&bytes) else { panic!("an intent was written") };
        assert_eq!((record.key.as_str(), record.times, length), ("flow:7", 1, first));
        let end = End { outcome: "pending".into(), status: 202, position: "1.2.3".into() };
        assert_eq!(read(&bytes[first..]), Next::Frame(Frame::End { intent: 7, end }, 8, bytes.len() - first));
        assert_eq!(read(&[]), Next::Incomplete);
    }

    #[test]
    fn the_longest_record_fits() {
        let long = "x".repeat(2 * TEXT_BYTES_MAX);
        let mut entry = Entry::new(&long, Operation::READ, Outcome::Hit);
        (entry.principal, entry.agent, entry.entity) = (&long, &long, &long);
        (entry.key, entry.position, entry.detail) = (&long, &long, &long);
        let mut bytes = Vec::new();
        write_record(&mut bytes, 1, &entry, false);
        assert!(matches!(read(&bytes), Next::Frame(..)), "{}", bytes.len());
    }

    #[test]
    fn a_torn_frame_is_incomplete_and_a_changed_one_damaged() {
        let bytes = written();
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Next::Incomplete, "{end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(!matches!(read(&changed), Next::Frame(..)), "a change at {at} was not noticed");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
