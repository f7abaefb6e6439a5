//! Entries as bytes: a fixed header, the tags, the value (compressed if that pays), and a checksum.
//!
//! *Decides*, does no IO. All numbers are big-endian. The script that fills looks into the header (magic, epoch and
//! base), so their places are part of the format:
//!
//! | bytes | what |
//! |---|---|
//! | 0–2 | magic and format: `Us`, 2 |
//! | 3 | flags: 1 a value follows, 2 a tag belongs to the tenant, 4 the value is compressed (LZ4 block), 8 how long the load took is told, 16 the value is sealed |
//! | 4–11, 12–19 | epoch, base |
//! | 20–27, 28–35, 36–43 | loaded at, expires at, dead at, in ms |
//! | 44–51 | schema |
//! | 52–53 | number of tags, each 8 bytes from 58 on |
//! | 54–57 | length of the value before compression; 0 if it is not compressed |
//! | then, with flag 8, 2 | how long the load took, in ms, at most 65,535 |
//! | then | the value |
//! | last 8 | checksum: XXH3-64 of what stands before the value, seeded with that of the value, seeded with the key's hash: also another key's entry is recognised |
//!
//! What comes back is trusted in nothing: the checksum is looked at first, and no more memory is taken for a value than
//! its reader allows. See `docs/adr/0009-group-commit-and-values.md`.

use bytes::{Buf as _, BufMut as _, Bytes};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    codec::Fingerprint,
    entry::TagIds,
    key::RawKey,
    position::{Epoch, Partition, Position, Sequence},
    store::{Seal, StoredEntry},
    tag::TagId,
    time::Timestamp,
};

/// Raised with every change of the format: entries of another one are absent. `fill.lua` knows it too.
const MAGIC: [u8; 3] = *b"Us\x02";
const HAS_VALUE: u8 = 1;
const HAS_TENANT_TAGS: u8 = 2;
const COMPRESSED: u8 = 4;
const HAS_LOAD_TIME: u8 = 8;
const SEALED: u8 = 16;
const HEADER_BYTES: usize = 58;
const LOAD_TIME_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// Bytes that are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// Of another format, or somebody else's.
    Malformed,
    /// Not what was written, or not for this key.
    Corrupt,
}

/// An entry as it is written: three pieces, so that a value is not copied to stand behind its header.
pub(super) struct Encoded {
    head: Vec<u8>,
    value: Bytes,
    checksum: [u8; CHECKSUM_BYTES],
}

impl Encoded {
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.value.len() + CHECKSUM_BYTES
    }

    /// In the order in which they stand.
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        [&self.head, &self.value, &self.checksum]
    }
}

/// An entry's bytes, its value compressed if it has at least `compress_bytes_min` bytes and an eighth of them is saved;
/// none if it has more tags or a longer value than the format counts.
pub(super) fn encode(key: &RawKey, entry: &StoredEntry, compress_bytes_min: usize) -> Option<Encoded> {
    let tags = u16::try_from(entry.tags.len()).ok()?;
    let value = entry.value.clone().unwrap_or_default();
    let length = u32::try_from(value.len()).ok()?;
    let is_sealed = entry.seal == Seal::Sealed;
    // Noise gets no smaller.
    let smaller = if is_sealed { None } else { compressed(&value, compress_bytes_min) };
    let mut flags = if entry.value.is_some() { HAS_VALUE } else { 0 };
    flags |= if entry.has_tenant_tags { HAS_TENANT_TAGS } else { 0 };
    flags |= if smaller.is_some() { COMPRESSED } else { 0 };
    flags |= if is_sealed { SEALED } else { 0 };
    flags |= if entry.load_ms > 0 { HAS_LOAD_TIME } else { 0 };
    let mut head = Vec::with_capacity(HEADER_BYTES + entry.tags.len() * 8 + LOAD_TIME_BYTES);
    head.put_slice(&MAGIC);
    head.put_u8(flags);
    head.put_u64(entry.base.epoch.0);
    head.put_u64(entry.base.sequence.0);
    head.put_u64(entry.loaded_at.as_millis());
    head.put_u64(entry.expires_at.as_millis());
    head.put_u64(entry.dead_at.as_millis());
    head.put_u64(entry.schema.0);
    head.put_u16(tags);
    head.put_u32(if smaller.is_some() { length } else { 0 });
    entry.tags.iter().for_each(|tag| head.put_u64(tag.0));
    if entry.load_ms > 0 {
        head.put_u16(entry.load_ms);
    }
    let value = smaller.map_or(value, Bytes::from);
    let checksum = checksum(key, &head, &value).to_be_bytes();
    Some(Encoded { head, value, checksum })
}

fn checksum(key: &RawKey, head: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(head, xxh3_64_with_seed(value, key.stable_hash()))
}

fn compressed(value: &[u8], compress_bytes_min: usize) -> Option<Vec<u8>> {
    if value.len() < compress_bytes_min.max(1) {
        return None;
    }
    let smaller = lz4_flex::block::compress(value);
    // Else it only costs its readers time.
    (smaller.len() <= value.len() - value.len() / 8).then_some(smaller)
}

/// The entry of `key` in some bytes, its value a slice of them if it is not compressed. A value longer than
/// `value_bytes_max` is not unpacked.
pub(super) fn decode(
    partition: Partition,
    key: &RawKey,
    value_bytes_max: usize,
    mut bytes: Bytes,
) -> Result<StoredEntry, NoEntry> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes[..MAGIC.len()] != MAGIC {
        return Err(NoEntry::Malformed);
    }
    let mut sealed = bytes.split_off(bytes.len() - CHECKSUM_BYTES);
    let tags = usize::from(u16::from_be_bytes([bytes[52], bytes[53]]));
    let has_load_time = bytes[3] & HAS_LOAD_TIME != 0;
    let head_bytes = HEADER_BYTES + tags * 8 + if has_load_time { LOAD_TIME_BYTES } else { 0 };
    if bytes.len() < head_bytes || sealed.get_u64() != checksum(key, &bytes[..head_bytes], &bytes[head_bytes..]) {
        return Err(NoEntry::Corrupt);
    }
    bytes.advance(MAGIC.len());
    let flags = bytes.get_u8();
    let base = Position { partition, epoch: Epoch(bytes.get_u64()), sequence: Sequence(bytes.get_u64()) };
    let [loaded_at, expires_at, dead_at] = [(); 3].map(|()| Timestamp::from_millis(bytes.get_u64()));
    let schema = Fingerprint(bytes.get_u64());
    bytes.advance(2);
    let length = bytes.get_u32() as usize;
    let (numbers, _) = bytes[..tags * 8].as_chunks();
    let tags: TagIds = numbers.iter().map(|number| TagId(u64::from_be_bytes(*number))).collect();
    bytes.advance(tags.len() * 8);
    let load_ms = if has_load_time { bytes.get_u16() } else { 0 };
    let value = match flags & !(HAS_TENANT_TAGS | HAS_LOAD_TIME | SEALED) {
        0 if bytes.is_empty() => None,
        HAS_VALUE => Some(bytes),
        packed if packed == HAS_VALUE | COMPRESSED && length <= value_bytes_max => Some(unpacked(&bytes, length)?),
        _ => return Err(NoEntry::Corrupt),
    };
    let has_tenant_tags = flags & HAS_TENANT_TAGS != 0;
    let seal = if flags & SEALED == 0 { Seal::None } else { Seal::Sealed };
    let (subjects, is_sensitive) = (0, false);
    Ok(StoredEntry {
        base,
        tags,
        has_tenant_tags,
        loaded_at,
        load_ms,
        expires_at,
        dead_at,
        schema,
        value,
        subjects,
        is_sensitive,
        seal,
    })
}

/// Bytes of the fixed head and of so many tags.
pub(super) const fn head_bytes(tags: usize) -> usize {
    HEADER_BYTES + tags * 8
}

/// The tags in the beginning of an entry's bytes, and whether these are all of them; none if it is no entry's. Nothing is
/// verified: who is to believe it reads the entry.
pub(super) fn tags_of(head: &[u8]) -> Option<(Vec<TagId>, bool)> {
    if head.len() < HEADER_BYTES || head[..MAGIC.len()] != MAGIC {
        return None;
    }
    let count = usize::from(u16::from_be_bytes([head[52], head[53]]));
    let (tags, _) = head[HEADER_BYTES..].as_chunks();
    let tags: Vec<TagId> = tags.iter().take(count).map(|tag| TagId(u64::from_be_bytes(*tag))).collect();
    let are_all = tags.len() == count;
    Some((tags, are_all))
}

/// Exactly `length` bytes.
fn unpacked(packed: &[u8], length: usize) -> Result<Bytes, NoEntry> {
    let mut value = vec![0; length];
    match lz4_flex::block::decompress_into(packed, &mut value) {
        Ok(written) if written == length => Ok(value.into()),
        _ => Err(NoEntry::Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Tenant;

    crate::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A value by its number.
        fn value_of(number) -> u8 = "value";
    }

    const PARTITION: Partition = Partition(3);
    const MAX: usize = 100_000;

    fn key(number: u32) -> RawKey {
        assert_eq!(PATTERNS.len(), 1);
        value_of(&Tenant::new("acme").unwrap(), number).raw().clone()
    }

    fn entry(value: Option<Bytes>) -> StoredEntry {
        StoredEntry {
            base: Position { partition: PARTITION, epoch: Epoch(1), sequence: Sequence(2) },
            tags: [TagId(8), TagId(9)].into_iter().collect(),
            has_tenant_tags: false,
            loaded_at: Timestamp::default(),
            load_ms: 0,
            expires_at: Timestamp::NEVER,
            dead_at: Timestamp::NEVER,
            schema: Fingerprint(4),
            value,
            subjects: 0,
            is_sensitive: false,
            seal: Seal::None,
        }
    }

    fn encode(key: &RawKey, entry: &StoredEntry, compress_bytes_min: usize) -> Vec<u8> {
        let encoded = super::encode(key, entry, compress_bytes_min).unwrap();
        let bytes = encoded.pieces().concat();
        assert_eq!(bytes.len(), encoded.len());
        bytes
    }

    /// What rows look like.
    fn rows(count: usize) -> Bytes {
        let row =
            |number| format!("{{\"id\":{},\"status\":\"active\",\"owner\":\"user {}\"}}", number * 7919, number % 7);
        (0..count).map(row).collect::<Vec<_>>().join(",").into()
    }

    fn values() -> impl Strategy<Value = Option<Bytes>> {
        let noise = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        proptest::option::of(prop_oneof![noise, (0_usize..60).prop_map(rows)])
    }

    fn entries() -> impl Strategy<Value = StoredEntry> {
        let numbers = (any::<[u64; 6]>(), prop_oneof![Just(0), any::<u16>()]);
        let tags = proptest::collection::vec(any::<u64>(), 0..20);
        let flags = any::<(bool, bool)>();
        (numbers, tags, flags, values()).prop_map(|((numbers, load_ms), tags, (has_tenant_tags, is_sealed), value)| {
            let [epoch, sequence, loaded_at, expires_at, dead_at, schema] = numbers;
            StoredEntry {
                base: Position { partition: PARTITION, epoch: Epoch(epoch), sequence: Sequence(sequence) },
                tags: tags.into_iter().map(TagId).collect(),
                has_tenant_tags,
                loaded_at: Timestamp::from_millis(loaded_at),
                load_ms,
                expires_at: Timestamp::from_millis(expires_at),
                dead_at: Timestamp::from_millis(dead_at),
                schema: Fingerprint(schema),
                value,
                subjects: 0,
                is_sensitive: false,
                seal: if is_sealed { Seal::Sealed } else { Seal::None },
            }
        })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_went(entry in entries(), compress_bytes_min in 0_usize..1000) {
            let encoded = encode(&key(1), &entry, compress_bytes_min);
            let decoded = decode(PARTITION, &key(1), MAX, encoded.into()).unwrap();
            prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", entry));
        }

        #[test]
        fn bytes_that_were_changed_or_cut_are_no_entry(entry in entries(), place: prop::sample::Index, flip in 1..=255_u8) {
            let encoded = encode(&key(1), &entry, 100);
            let at = place.index(encoded.len());
            let mut changed = encoded.clone();
            changed[at] ^= flip;
            prop_assert!(decode(PARTITION, &key(1), MAX, changed.into()).is_err(), "byte {} does not matter", at);
            prop_assert!(decode(PARTITION, &key(1), MAX, encoded[..at].to_vec().into()).is_err(), "cut at {}", at);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), ours: bool, sealed: bool) {
            if ours && bytes.len() >= MAGIC.len() {
                bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
            }
            if sealed {
                seal(&mut bytes);
            }
            let _ = decode(PARTITION, &key(1), MAX, bytes.into());
        }
    }

    /// Makes the checksum right, as somebody would who means harm.
    fn seal(bytes: &mut Vec<u8>) {
        bytes.truncate(bytes.len().saturating_sub(CHECKSUM_BYTES));
        let tags = bytes.get(52..54).map_or(0, |count| usize::from(u16::from_be_bytes([count[0], count[1]])));
        let head_bytes = (HEADER_BYTES + tags * 8).min(bytes.len());
        let checksum = checksum(&key(1), &bytes[..head_bytes], &bytes[head_bytes..]);
        bytes.put_u64(checksum);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for compress_bytes_min in [usize::MAX, 1] {
            let encoded = encode(&key(1), &entry(Some(rows(30))), compress_bytes_min);
            for bit in 0..encoded.len() * 8 {
                let mut changed = encoded.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let found = decode(PARTITION, &key(1), MAX, changed.into()).unwrap_err();
                let expected = if bit / 8 < MAGIC.len() { NoEntry::Malformed } else { NoEntry::Corrupt };
                assert_eq!(found, expected, "bit {bit}");
            }
        }
    }

    #[test]
    fn the_entry_of_another_key_is_corrupt() {
        let encoded = Bytes::from(encode(&key(1), &entry(Some(rows(1))), usize::MAX));
        assert!(decode(PARTITION, &key(1), MAX, encoded.clone()).is_ok());
        assert_eq!(decode(PARTITION, &key(2), MAX, encoded).unwrap_err(), NoEntry::Corrupt);
    }

    #[test]
    fn an_older_format_is_no_entry() {
        let mut encoded = encode(&key(1), &entry(None), usize::MAX);
        encoded[2] = 1;
        seal(&mut encoded);
        assert_eq!(decode(PARTITION, &key(1), MAX, encoded.into()).unwrap_err(), NoEntry::Malformed);
    }

    #[test]
    fn a_value_that_is_not_compressed_is_not_copied() {
        let encoded = Bytes::from(encode(&key(1), &entry(Some(rows(100))), usize::MAX));
        let value = decode(PARTITION, &key(1), MAX, encoded.clone()).unwrap().value.unwrap();
        assert_eq!(value.as_ptr(), encoded[HEADER_BYTES + 16..].as_ptr());
    }

    #[test]
    fn what_does_not_get_smaller_is_stored_as_it_is() {
        let noise: Bytes = (0..700).flat_map(|at| xxh3_64_with_seed(&[], at).to_be_bytes()).collect();
        let length = |value: &Bytes| encode(&key(1), &entry(Some(value.clone())), 1).len();
        assert_eq!(length(&noise), noise.len() + HEADER_BYTES + 16 + CHECKSUM_BYTES);
        assert!(length(&rows(100)) < rows(100).len() / 2);
    }

    #[test]
    fn no_more_is_unpacked_than_allowed_and_than_said() {
        let zeros = Bytes::from(vec![0; MAX]);
        let encoded = encode(&key(1), &entry(Some(zeros.clone())), 1);
        assert!(encoded.len() < 1_000);
        let decode = |max, bytes: &Vec<u8>| decode(PARTITION, &key(1), max, bytes.clone().into());
        assert_eq!(decode(MAX, &encoded).unwrap().value.unwrap(), zeros);
        assert_eq!(decode(MAX - 1, &encoded).unwrap_err(), NoEntry::Corrupt);
        // A length that is a lie, either way.
        for said in [0, 1, MAX - 1, MAX + 1, u32::MAX as usize] {
            let mut lying = encoded.clone();
            lying[54..HEADER_BYTES].copy_from_slice(&u32::try_from(said).unwrap().to_be_bytes());
            seal(&mut lying);
            assert_eq!(decode(MAX, &lying).unwrap_err(), NoEntry::Corrupt, "said to be {said}");
        }
    }
}
