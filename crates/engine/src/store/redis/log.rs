//! Records as bytes, and what an answer of the log means.
//!
//! *Decides*, does no IO. A record's bytes are: epoch and sequence (put there by the script, 8 bytes each), the number
//! of tags (2 bytes), the tags (8 bytes each), and the note. Big-endian.
//!
//! A message says what one call has appended: epoch and sequence of the last record (put there by the script), and for
//! each record the length (4 bytes) and the bytes of what follows its epoch and sequence in the log. If they are too
//! many, no record: then the message only says that there are some.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::{
    position::{Epoch, Partition, Position, Sequence},
    store::{LogPage, Record},
    tag::TagId,
};

/// Longest message: it goes to every node.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What the script puts its epoch and sequence before; none if there are more tags than the format counts.
pub(super) fn encode(tags: &[TagId], note: &[u8]) -> Option<Vec<u8>> {
    let count = u16::try_from(tags.len()).ok()?;
    let mut out = Vec::with_capacity(2 + tags.len() * 8 + note.len());
    out.put_u16(count);
    tags.iter().for_each(|tag| out.put_u64(tag.0));
    out.put_slice(note);
    Some(out)
}

/// What follows `after` in a log whose head is `head` and that answered with `records`.
///
/// Only a page that begins right after `after` and has no gaps is taken for records: anything else means that some
/// are gone.
pub(super) fn page(after: Position, head: Position, records: impl Iterator<Item = Bytes>) -> LogPage {
    if head.epoch != after.epoch {
        return LogPage::NewEpoch { head };
    }
    let trimmed = LogPage::Trimmed { head: head.sequence };
    let mut last = after;
    let mut page = Vec::new();
    for bytes in records {
        last.sequence = last.sequence.next();
        match decode(last, bytes) {
            Some(record) => page.push(Arc::new(record)),
            None => return trimmed,
        }
    }
    // No records although there must be some: the log was lost.
    if page.is_empty() && head.sequence != after.sequence { trimmed } else { LogPage::Records(page) }
}

/// The record that stands at `position`; none if these are not its bytes.
fn decode(position: Position, mut bytes: Bytes) -> Option<Record> {
    if bytes.len() < 18 {
        return None;
    }
    let found = Position { epoch: Epoch(bytes.get_u64()), sequence: Sequence(bytes.get_u64()), ..position };
    if found == position { record(position, bytes) } else { None }
}

/// The record of which these are the bytes after its epoch and sequence.
fn record(position: Position, mut bytes: Bytes) -> Option<Record> {
    let tags = usize::from(bytes.try_get_u16().ok()?);
    if bytes.len() < tags * 8 {
        return None;
    }
    let tags = (0..tags).map(|_| TagId(bytes.get_u64())).collect();
    Some(Record { position, tags, note: bytes })
}

/// What the script puts the last record's epoch and sequence before, to tell the nodes of these records.
pub(super) fn encode_message<'a>(records: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let bytes: usize = records.clone().map(|record| 4 + record.len()).sum();
    if bytes > MESSAGE_BYTES_MAX {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(bytes);
    for record in records {
        out.put_u32(u32::try_from(record.len()).expect("it is shorter than the message"));
        out.put_slice(record);
    }
    out
}

/// The records of a message, in the order of the log; none if it names none, or is no message.
pub(super) fn decode_message(partition: Partition, mut bytes: Bytes) -> Vec<Arc<Record>> {
    let (Ok(epoch), Ok(last)) = (bytes.try_get_u64(), bytes.try_get_u64()) else { return Vec::new() };
    let mut contents = Vec::new();
    while let Ok(length) = bytes.try_get_u32() {
        match usize::try_from(length) {
            Ok(length) if length <= bytes.len() => contents.push(bytes.split_to(length)),
            _ => return Vec::new(),
        }
    }
    let Some(before) = last.checked_sub(contents.len() as u64) else { return Vec::new() };
    let records = (before + 1..).zip(contents).map(|(sequence, content)| {
        let position = Position { partition, epoch: Epoch(epoch), sequence: Sequence(sequence) };
        record(position, content).map(Arc::new)
    });
    records.collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position { partition: Partition(1), epoch: Epoch(epoch), sequence: Sequence(sequence) }
    }

    fn record(epoch: u64, sequence: u64) -> Bytes {
        let mut bytes = [epoch.to_be_bytes(), sequence.to_be_bytes()].concat();
        bytes.extend(encode(&[TagId(sequence)], b"note").unwrap());
        bytes.into()
    }

    #[track_caller]
    fn check(after: Position, head: Position, records: &[Bytes], expected: &str) {
        let told = match page(after, head, records.iter().cloned()) {
            LogPage::Records(records) => {
                let numbers = records.iter().map(|record| record.tags[0].0.to_string());
                numbers.collect::<Vec<_>>().join(" ")
            }
            LogPage::Trimmed { head } => format!("trimmed, head {}", head.as_u64()),
            LogPage::NewEpoch { head } => format!("new epoch {}", head.epoch.0),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn only_what_follows_without_a_gap_is_records() {
        check(at(7, 4), at(7, 4), &[], "");
        check(at(7, 4), at(7, 6), &[record(7, 5), record(7, 6)], "5 6");
        check(at(7, 4), at(7, 9), &[record(7, 5)], "5");
        check(at(7, 4), at(7, 6), &[record(7, 6)], "trimmed, head 6");
        check(at(7, 4), at(7, 6), &[], "trimmed, head 6");
        check(at(7, 4), at(7, 7), &[record(7, 5), record(7, 7)], "trimmed, head 7");
        check(at(7, 4), at(7, 5), &[record(6, 5)], "trimmed, head 5");
        check(at(7, 4), at(7, 5), &[Bytes::from_static(b"foreign")], "trimmed, head 5");
        check(at(7, 4), at(8, 5), &[record(8, 5)], "new epoch 8");
    }

    /// As the script sends it.
    fn message(epoch: u64, last: u64, records: &[&[u8]]) -> Bytes {
        let mut bytes = [epoch.to_be_bytes(), last.to_be_bytes()].concat();
        bytes.extend(encode_message(records.iter().copied()));
        bytes.into()
    }

    #[test]
    fn a_message_tells_of_what_one_call_appended() {
        let [one, two] = [1, 2].map(|tag| encode(&[TagId(tag)], b"note").unwrap());
        let told = decode_message(Partition(1), message(7, 5, &[&one, &two]));
        let tags = [1, 2].map(TagId);
        let wanted = [at(7, 4), at(7, 5)].into_iter().zip(tags);
        let wanted = wanted
            .map(|(position, tag)| Arc::new(Record { position, tags: vec![tag], note: Bytes::from_static(b"note") }));
        assert_eq!(told, wanted.collect::<Vec<_>>());
        let long = encode(&[], &[0; MESSAGE_BYTES_MAX]).unwrap();
        for nothing in [message(7, 5, &[&long]), message(7, 1, &[&one, &two]), Bytes::from_static(b"3")] {
            assert!(decode_message(Partition(1), nothing).is_empty());
        }
        let cut = message(7, 5, &[&one]);
        assert!(decode_message(Partition(1), cut.slice(..cut.len() - 1)).is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_message(Partition(1), bytes.clone().into());
            let mut ours = record(7, 5).slice(..16).to_vec();
            ours.extend(&bytes);
            for bytes in [bytes, ours] {
                let _ = page(at(7, 4), at(7, 5), std::iter::once(bytes.into()));
            }
        }
    }
}
