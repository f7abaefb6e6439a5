//! Entries as bytes: a fixed header, the tags, and the value as it is.
//!
//! *Decides*, does no IO. All numbers are big-endian. The script that fills looks into the header (magic, epoch and
//! base), so their places are part of the format:
//!
//! | bytes | what |
//! |---|---|
//! | 0–2 | magic and format: `Us`, 1 |
//! | 3 | flags: 1 a value follows, 2 a tag belongs to the tenant |
//! | 4–11, 12–19 | epoch, base |
//! | 20–27, 28–35, 36–43 | loaded at, expires at, dead at, in ms |
//! | 44–51 | schema |
//! | 52–53 | number of tags, each 8 bytes from 54 on |
//! | rest | the value |

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::{
    codec::Fingerprint,
    entry::TagIds,
    position::{Epoch, Partition, Position, Sequence},
    store::StoredEntry,
    tag::TagId,
    time::Timestamp,
};

/// Raised with every change of the format: entries of another one are absent.
const MAGIC: [u8; 3] = *b"Us\x01";
const HAS_VALUE: u8 = 1;
const HAS_TENANT_TAGS: u8 = 2;
const HEADER_BYTES: usize = 54;

/// The bytes of an entry; none if it has more tags than the format counts.
pub(super) fn encode(entry: &StoredEntry) -> Option<Vec<u8>> {
    let tags = u16::try_from(entry.tags.len()).ok()?;
    let value = entry.value.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(HEADER_BYTES + entry.tags.len() * 8 + value.len());
    out.put_slice(&MAGIC);
    out.put_u8(
        if entry.value.is_some() { HAS_VALUE } else { 0 } | if entry.has_tenant_tags { HAS_TENANT_TAGS } else { 0 },
    );
    out.put_u64(entry.base.epoch.0);
    out.put_u64(entry.base.sequence.0);
    out.put_u64(entry.loaded_at.as_millis());
    out.put_u64(entry.expires_at.as_millis());
    out.put_u64(entry.dead_at.as_millis());
    out.put_u64(entry.schema.0);
    out.put_u16(tags);
    entry.tags.iter().for_each(|tag| out.put_u64(tag.0));
    out.put_slice(value);
    Some(out)
}

/// The entry of some bytes, its value a slice of them; none if they are no entry of this format.
pub(super) fn decode(partition: Partition, mut bytes: Bytes) -> Option<StoredEntry> {
    if bytes.len() < HEADER_BYTES || bytes[..MAGIC.len()] != MAGIC {
        return None;
    }
    bytes.advance(MAGIC.len());
    let flags = bytes.get_u8();
    let base = Position { partition, epoch: Epoch(bytes.get_u64()), sequence: Sequence(bytes.get_u64()) };
    let [loaded_at, expires_at, dead_at] = [(); 3].map(|()| Timestamp::from_millis(bytes.get_u64()));
    let schema = Fingerprint(bytes.get_u64());
    let tags = usize::from(bytes.get_u16());
    if bytes.len() < tags * 8 || flags & !(HAS_VALUE | HAS_TENANT_TAGS) != 0 {
        return None;
    }
    let tags: TagIds = (0..tags).map(|_| TagId(bytes.get_u64())).collect();
    let value = match flags & HAS_VALUE {
        0 if !bytes.is_empty() => return None,
        0 => None,
        _ => Some(bytes),
    };
    let has_tenant_tags = flags & HAS_TENANT_TAGS != 0;
    Some(StoredEntry { base, tags, has_tenant_tags, loaded_at, expires_at, dead_at, schema, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = StoredEntry> {
        let numbers = any::<[u64; 6]>();
        let tags = proptest::collection::vec(any::<u64>(), 0..20);
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
        (numbers, tags, any::<bool>(), value).prop_map(|(numbers, tags, has_tenant_tags, value)| {
            let [epoch, sequence, loaded_at, expires_at, dead_at, schema] = numbers;
            StoredEntry {
                base: Position { partition: Partition(3), epoch: Epoch(epoch), sequence: Sequence(sequence) },
                tags: tags.into_iter().map(TagId).collect(),
                has_tenant_tags,
                loaded_at: Timestamp::from_millis(loaded_at),
                expires_at: Timestamp::from_millis(expires_at),
                dead_at: Timestamp::from_millis(dead_at),
                schema: Fingerprint(schema),
                value: value.map(Bytes::from),
            }
        })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_went(entry in entries()) {
            let decoded = decode(Partition(3), encode(&entry).unwrap().into()).unwrap();
            prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", entry));
        }

        #[test]
        fn cut_or_changed_bytes_are_an_entry_or_none(entry in entries(), cut: prop::sample::Index, flip: u8) {
            let mut bytes = encode(&entry).unwrap();
            let at = cut.index(bytes.len());
            bytes[at] ^= flip;
            let _ = decode(Partition(3), bytes.clone().into());
            bytes.truncate(at.min(HEADER_BYTES + entry.tags.len() * 8 - 1));
            prop_assert!(decode(Partition(3), bytes.into()).is_none(), "a header that is cut is no entry");
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), ours: bool) {
            if ours && bytes.len() >= MAGIC.len() {
                bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
            }
            let _ = decode(Partition(0), bytes.into());
        }
    }

    #[test]
    fn the_value_is_not_copied_and_another_format_is_none() {
        let entry = StoredEntry {
            base: Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(2) },
            tags: TagIds::new(),
            has_tenant_tags: false,
            loaded_at: Timestamp::default(),
            expires_at: Timestamp::NEVER,
            dead_at: Timestamp::NEVER,
            schema: Fingerprint(4),
            value: Some(Bytes::from_static(b"value")),
        };
        let encoded = Bytes::from(encode(&entry).unwrap());
        let value = decode(Partition(0), encoded.clone()).unwrap().value.unwrap();
        assert_eq!(value.as_ptr(), encoded[HEADER_BYTES..].as_ptr());
        for place in [0, 2, 3] {
            let mut other = encoded.to_vec();
            other[place] ^= 0x80;
            assert!(decode(Partition(0), other.into()).is_none(), "byte {place} does not matter");
        }
    }
}
