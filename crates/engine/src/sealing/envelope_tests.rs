use proptest::prelude::*;

use super::*;
use crate::{
    Fingerprint, Tenant,
    position::{Epoch, Partition, Position, Sequence},
    sealing::keys::cipher,
    store::Seal,
    tag::TagId,
    time::Timestamp,
};

crate::catalogue! {
    /// Of these tests.
    const PATTERNS;
    /// A page.
    fn page(name) -> u8 = "page";
}

const MAX: usize = 100_000;
const UNDER: Under = Under { master: KeyId::from_u64(5), salt: [3; SALT_BYTES], counter: 9 };

fn key(tenant: &str, name: &str) -> RawKey {
    assert_eq!(PATTERNS.len(), 1);
    page(&Tenant::new(tenant).unwrap(), name).raw().clone()
}

fn entry(value: Option<Bytes>) -> StoredEntry {
    StoredEntry {
        base: Position { partition: Partition(3), epoch: Epoch(1), sequence: Sequence(2) },
        tags: [TagId(8), TagId(9)].into_iter().collect(),
        has_tenant_tags: true,
        loaded_at: Timestamp::from_millis(10),
        load_ms: 4,
        expires_at: Timestamp::from_millis(20),
        dead_at: Timestamp::from_millis(30),
        schema: Fingerprint(4),
        value,
        subjects: 1,
        is_sensitive: true,
        seal: Seal::None,
    }
}

fn sealed(entry: &StoredEntry, compress_bytes_min: usize) -> StoredEntry {
    let value = seal(&key("acme", "1"), &version("v1"), entry, compress_bytes_min, (&cipher(&[1; 32]), UNDER));
    StoredEntry { value: Some(value), subjects: 0, is_sensitive: false, ..entry.clone() }
}

fn version(text: &str) -> CacheVersion {
    CacheVersion::new(text).unwrap()
}

fn opens(mut entry: StoredEntry) -> Result<StoredEntry, Unauthentic> {
    open(&key("acme", "1"), &version("v1"), &mut entry, MAX, &cipher(&[1; 32]))?;
    Ok(entry)
}

fn same(one: &StoredEntry, other: &StoredEntry) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

proptest! {
    #[test]
    fn what_was_sealed_opens_as_it_was(
        value in proptest::option::of(proptest::collection::vec(0..4_u8, 0..3_000)), packed: bool, is_sensitive: bool,
    ) {
        let entry = StoredEntry { is_sensitive, ..entry(value.map(Bytes::from)) };
        let opened = opens(sealed(&entry, if packed { 1 } else { usize::MAX })).unwrap();
        prop_assert!(same(&opened, &entry));
    }

    #[test]
    fn arbitrary_bytes_do_not_open_and_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), ours: bool) {
        let mut bytes = bytes;
        if ours && !bytes.is_empty() {
            bytes[0] = FORMAT;
        }
        let entry = StoredEntry { value: Some(bytes.into()), ..entry(None) };
        prop_assert!(opens(entry).is_err());
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let whole = sealed(&entry(Some(Bytes::from(vec![7; 300]))), 1);
    let bytes = whole.value.clone().unwrap();
    let changed = |bytes: Vec<u8>| opens(StoredEntry { value: Some(bytes.into()), ..whole.clone() });
    // Which key it is, the key tells: `tests::every_flipped_bit_is_a_miss` flips these, too.
    let names_key = JUDGED_BYTES..JUDGED_BYTES + 8 + SALT_BYTES;
    for bit in (0..bytes.len() * 8).filter(|bit| !names_key.contains(&(bit / 8))) {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(changed(flipped).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(changed(bytes[..length].to_vec()).is_err(), "cut at {length}");
    }
    assert!(changed([&bytes[..], b"x"].concat()).is_err(), "made longer");
    assert!(opens(whole.clone()).is_ok());
}

#[test]
fn nothing_that_an_entry_is_judged_by_can_be_altered() {
    let whole = sealed(&entry(Some(Bytes::from_static(b"value"))), usize::MAX);
    let alterations: [fn(&mut StoredEntry); 12] = [
        |entry| entry.base.epoch = Epoch(2),
        |entry| entry.base.sequence = Sequence(3),
        |entry| entry.base.partition = Partition(4),
        |entry| entry.loaded_at = Timestamp::from_millis(11),
        |entry| entry.expires_at = Timestamp::NEVER,
        |entry| entry.dead_at = Timestamp::NEVER,
        |entry| entry.load_ms = 5,
        |entry| entry.schema = Fingerprint(5),
        |entry| entry.has_tenant_tags = false,
        |entry| entry.tags.truncate(1),
        |entry| entry.tags.push(TagId(10)),
        |entry| entry.tags.reverse(),
    ];
    for (at, alter) in alterations.iter().enumerate() {
        let mut altered = whole.clone();
        alter(&mut altered);
        assert_eq!(opens(altered).unwrap_err(), Unauthentic, "alteration {at}");
    }
}

#[test]
fn an_entry_opens_in_its_own_place_only() {
    let whole = sealed(&entry(Some(Bytes::from_static(b"value"))), usize::MAX);
    let tries = |key: RawKey, text: &str, bytes: [u8; 32]| {
        open(&key, &version(text), &mut whole.clone(), MAX, &cipher(&bytes)).is_ok()
    };
    assert!(tries(key("acme", "1"), "v1", [1; 32]));
    assert!(!tries(key("acme", "2"), "v1", [1; 32]), "another key");
    assert!(!tries(key("globex", "1"), "v1", [1; 32]), "another tenant");
    assert!(!tries(key("acme", "1"), "v2", [1; 32]), "another cache version");
    assert!(!tries(key("acme", "1"), "v1", [2; 32]), "another sealing key");
}

#[test]
fn no_more_is_unpacked_than_allowed() {
    let packed = sealed(&entry(Some(Bytes::from(vec![0; MAX + 1]))), 1);
    assert!(packed.value.as_ref().unwrap().len() < 2_000);
    assert_eq!(opens(packed).unwrap_err(), Unauthentic);
}

/// What only who has the key can make: a head that says what it likes, and some text.
fn made(entry: &StoredEntry, (flags, length): (u8, u32), text: &[u8]) -> StoredEntry {
    let Under { master, salt, counter } = UNDER;
    let mut bytes = Vec::new();
    Head { flags, subjects: 1, length, master, salt, counter }.put(&mut bytes);
    bytes.put_slice(&[0; TEXT_AT - HEAD_BYTES]);
    bytes.put_slice(text);
    let (before, text) = bytes.split_at_mut(TEXT_AT);
    let tag = along(&key("acme", "1"), &version("v1"), entry, before, |aad| {
        cipher(&[1; 32]).seal_in_place_separate_tag(nonce(counter), Aad::from(aad), text).unwrap()
    });
    before[HEAD_BYTES..TAG_END].copy_from_slice(tag.as_ref());
    StoredEntry { value: Some(bytes.into()), ..entry.clone() }
}

#[test]
fn what_unpacks_to_another_length_than_was_said_does_not_open() {
    let entry = entry(Some(Bytes::from(vec![7; 300])));
    for (said, opens_so) in [(299, false), (300, true), (301, false)] {
        let whole = made(&entry, (HAS_VALUE | COMPRESSED | SENSITIVE, said), &lz4_flex::block::compress(&[7; 300]));
        assert_eq!(opens(whole).is_ok_and(|opened| same(&opened, &entry)), opens_so, "{said}");
    }
}

#[test]
fn what_has_no_value_has_no_text_and_nothing_packed() {
    let entry = entry(None);
    assert!(opens(made(&entry, (SENSITIVE, 0), b"")).is_ok_and(|opened| same(&opened, &entry)));
    assert_eq!(opens(made(&entry, (SENSITIVE, 0), b"text")).unwrap_err(), Unauthentic);
    let packed = lz4_flex::block::compress(&[7; 300]);
    assert_eq!(opens(made(&entry, (COMPRESSED, 300), &packed)).unwrap_err(), Unauthentic);
}

#[test]
fn what_is_authenticated_beside_a_value_may_be_long() {
    for (name, tags) in [("2".repeat(500), 1), ("2".to_owned(), 100), ("2".repeat(ALONG_BYTES), 0)] {
        let (key, version) = (key("acme", &name), version("v1"));
        let entry = StoredEntry {
            tags: (0..tags).map(TagId).collect(),
            subjects: 0,
            ..entry(Some(Bytes::from_static(b"value")))
        };
        let sealed = seal(&key, &version, &entry, usize::MAX, (&cipher(&[1; 32]), UNDER));
        let whole = StoredEntry { value: Some(sealed), ..entry.clone() };
        let mut opened = whole.clone();
        open(&key, &version, &mut opened, MAX, &cipher(&[1; 32])).unwrap();
        assert!(same(&opened, &entry));
        let mut altered = whole.clone();
        altered.tags.push(TagId(7));
        assert!(open(&key, &version, &mut altered, MAX, &cipher(&[1; 32])).is_err());
        assert!(opens(whole).is_err(), "another key");
    }
}

#[test]
fn a_value_is_packed_from_the_least_length_on_and_if_an_eighth_is_saved() {
    let even = [7; 64];
    assert!(compressed(&even, 64).is_some() && compressed(&even, 65).is_none());
    assert!(compressed(&[], 0).is_none());
    // Nothing comes again but the first 60 bytes.
    let mut uneven = vec![0; 800];
    blake3::Hasher::new().finalize_xof().fill(&mut uneven);
    uneven.extend_from_within(..60);
    let smaller = lz4_flex::block::compress(&uneven).len();
    assert!(smaller < uneven.len() && compressed(&uneven, 1).is_none(), "{smaller}");
}
