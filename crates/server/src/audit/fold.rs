//! Equal reads of one second become one record that says how many it stands for. *Decides*, does no IO.
//!
//! Most of what is spooled at level `all` is a read that was there a moment before. Such a one is recognised by its bytes,
//! which are canonical: nothing of it is decoded but when it was, and in which trace.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::record::{Encoded, Record};

/// A record that was spooled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spooled {
    /// A read, which others may be equal to.
    Read(Read),
    /// Something else: it stands for itself.
    Other(Box<Record>),
}

/// A read: which one of [`Reads`], when, and in which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    of: usize,
    at_ms: u64,
    trace: u128,
}

/// The reads of a piece of a spool; equal ones of one second are there once.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// What each of them says, as the first one said it.
    records: Vec<Record>,
    /// The bytes of [`Encoded::said`] of all of them, one behind the other.
    said: Vec<u8>,
    places: HashTable<Place>,
}

/// Where a read is.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    /// Its place in `records`.
    of: usize,
    second: u64,
    /// Its bytes in `said`.
    from: usize,
    to: usize,
}

impl Reads {
    /// Takes in the canonical bytes of a record, to their end.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Option<Spooled> {
        let encoded = Encoded::of(bytes)?;
        if !encoded.is_read() {
            return Record::decode(bytes).map(|record| Spooled::Other(Box::new(record)));
        }
        let Encoded { at_ms, trace, said } = encoded;
        let second = at_ms / 1000;
        let hash = xxh3_64_with_seed(said, second);
        let is_it = |one: &Place| one.hash == hash && one.second == second && self.said[one.from..one.to] == *said;
        let of = if let Some(known) = self.places.find(hash, is_it) {
            *bytes = &[];
            known.of
        } else {
            let record = Record::decode(bytes).filter(|_| bytes.is_empty())?;
            let (of, from) = (self.records.len(), self.said.len());
            self.said.extend_from_slice(said);
            self.records.push(record);
            let place = Place { hash, of, second, from, to: self.said.len() };
            self.places.insert_unique(hash, place, |place| place.hash);
            of
        };
        Some(Spooled::Read(Read { of, at_ms, trace }))
    }
}

/// What is left of `records`, each with its number, to be shipped after the one of number `shipped`; one of them stands for
/// equal reads of one second, and is the first of them.
pub(super) fn folded(records: &[(u64, Spooled)], reads: &Reads, shipped: u64) -> Vec<(u64, Record)> {
    let mut kept: Vec<(u64, Record)> = Vec::new();
    let mut places = vec![None; reads.records.len()];
    for (number, spooled) in records.iter().filter(|(number, _)| *number > shipped) {
        match spooled {
            Spooled::Other(record) => kept.push((*number, Record::clone(record))),
            Spooled::Read(Read { of, at_ms, trace }) => {
                let read = &reads.records[*of];
                if let Some(place) = places[*of] {
                    let (_, held): &mut (u64, Record) = &mut kept[place];
                    held.times = held.times.saturating_add(read.times);
                } else {
                    places[*of] = Some(kept.len());
                    kept.push((*number, Record { at_ms: *at_ms, trace: *trace, ..read.clone() }));
                }
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::record::Operation;

    fn read(at_ms: u64, key: &str, trace: u128) -> Record {
        let operation = Operation::READ.as_str().to_owned();
        Record { at_ms, operation, key: key.into(), trace, times: 1, ..Record::default() }
    }

    /// Spools records, numbered from 1 on, and reads them.
    fn spooled(records: &[Record]) -> (Vec<(u64, Spooled)>, Reads) {
        let mut reads = Reads::default();
        let take = |record: &Record| {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let mut rest = bytes.as_slice();
            let spooled = reads.take(&mut rest).expect("it was encoded");
            assert!(rest.is_empty());
            spooled
        };
        let spooled: Vec<_> = records.iter().map(take).collect();
        ((1..).zip(spooled).collect(), reads)
    }

    #[test]
    fn equal_reads_of_a_second_are_one_record_and_nothing_else_is() {
        let write = Record { operation: "invalidate".into(), times: 1, ..Record::default() };
        let (records, reads) = spooled(&[
            read(1000, "a", 1),
            read(1001, "b", 2),
            read(1999, "a", 3),
            write.clone(),
            write,
            read(2000, "a", 6),
        ]);
        let told = |shipped| -> Vec<(u64, u64, u32, u128)> {
            folded(&records, &reads, shipped)
                .iter()
                .map(|(number, it)| (*number, it.at_ms, it.times, it.trace))
                .collect()
        };
        assert_eq!(told(0), [(1, 1000, 2, 1), (2, 1001, 1, 2), (4, 0, 1, 0), (5, 0, 1, 0), (6, 2000, 1, 6)]);
        assert_eq!(
            told(2),
            [(3, 1999, 1, 3), (4, 0, 1, 0), (5, 0, 1, 0), (6, 2000, 1, 6)],
            "what others have shipped is not counted again"
        );
        assert!(told(6).is_empty());
    }

    #[test]
    fn what_is_no_record_to_its_end_is_refused_and_nothing_is_equal_to_it() {
        let mut reads = Reads::default();
        let mut bytes = Vec::new();
        read(1000, "a", 1).encode(&mut bytes);
        let whole = bytes.len();
        bytes.push(0);
        assert_eq!(reads.take(&mut bytes.as_slice()), None);
        for end in 0..whole {
            assert_eq!(reads.take(&mut &bytes[..end]), None, "{end}");
        }
        // The key, in place of which no text stands.
        let key = bytes.iter().rposition(|byte| *byte == b'a').unwrap();
        bytes[key] = 0xff;
        assert_eq!(reads.take(&mut &bytes[..whole]), None);
        assert_eq!(reads.take(&mut &bytes[..whole]), None);
    }

    /// What the fold is, said record by record.
    fn folded_one_by_one(records: &[Record], shipped: u64) -> Vec<(u64, Record)> {
        let mut kept: Vec<(u64, Record)> = Vec::new();
        for (number, record) in (1..).zip(records).filter(|(number, _)| *number > shipped) {
            let said = |it: &Record| Record { at_ms: it.at_ms / 1000, trace: 0, times: 0, ..it.clone() };
            let is_read = record.operation == Operation::READ.as_str();
            match kept.iter_mut().find(|(_, held)| is_read && said(held) == said(record)) {
                Some((_, held)) => held.times += record.times,
                None => kept.push((number, record.clone())),
            }
        }
        kept
    }

    proptest! {
        #[test]
        fn reads_are_told_apart_by_their_bytes_as_by_what_they_say(
            records in proptest::collection::vec(
                (0..4_000_u64, 0..3_u128, 0..2_u16, prop_oneof![Just("read"), Just("write")], "[ab]{0,2}", "[ab]{0,2}"),
                0..40,
            ),
            shipped in 0..40_u64,
        ) {
            let records: Vec<Record> = records.into_iter().map(|(at_ms, trace, status, operation, principal, key)| {
                Record { at_ms, trace, status, operation: operation.into(), principal, key, times: 1, ..Record::default() }
            }).collect();
            let (spooled, reads) = spooled(&records);
            prop_assert_eq!(folded(&spooled, &reads, shipped), folded_one_by_one(&records, shipped));
        }
    }
}
