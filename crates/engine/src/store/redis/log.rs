//! Records as bytes, and what an answer of the log means.
//!
//! *Decides*, does no IO. A record's bytes are: epoch and sequence (put there by the script, 8 bytes each), the number
//! of tags (2 bytes), the tags (8 bytes each), and the note. Big-endian.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::{
    position::{Epoch, Position, Sequence},
    store::{LogPage, Record},
    tag::TagId,
};

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
    let tags = usize::from(bytes.get_u16());
    if found != position || bytes.len() < tags * 8 {
        return None;
    }
    let tags = (0..tags).map(|_| TagId(bytes.get_u64())).collect();
    Some(Record { position, tags, note: bytes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::position::Partition;

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

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut ours = record(7, 5).slice(..16).to_vec();
            ours.extend(&bytes);
            for bytes in [bytes, ours] {
                let _ = page(at(7, 4), at(7, 5), std::iter::once(bytes.into()));
            }
        }
    }
}
