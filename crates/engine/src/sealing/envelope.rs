//! A sealed value as bytes, and what is sealed along with it. *Decides*, does no IO.
//!
//! All numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | format: 2 |
//! | 1 | flags: 1 a value is within (else an absence), 2 it is compressed (LZ4 block), 4 it is sensitive |
//! | 2 | how many of the entry's tags, the first ones, stand for people |
//! | 3–6 | length of the value before compression; 0 if it is not compressed |
//! | 7–14 | master key |
//! | 15–30, 31–38 | salt of the key, number of the message under it |
//! | 39–54 | by which all of it is authenticated |
//! | 55–63 | zeros, so that the value begins at a multiple of 16, as the cipher likes it |
//! | then | ciphertext |
//!
//! Nothing that an entry is judged by can be altered: base, times, tags and schema are authenticated with the value,
//! and so are the key, the tenant, the partition and the cache version that it stands under. Master key, salt and number
//! are not among it: they are the key and the nonce that it opens with, and with others it does not.
//!
//! What is authenticated beside the value goes through the cipher block by block, which takes several times as long as the
//! same bytes of the value do. So it is kept short, and each text in it stands once.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ring::aead::{Aad, LessSafeKey};

use super::{
    keys::{SALT_BYTES, Salt, TAG_BYTES, nonce},
    master::KeyId,
};
use crate::{
    key::{CacheVersion, RawKey},
    store::StoredEntry,
};

const FORMAT: u8 = 2;
const HAS_VALUE: u8 = 1;
const COMPRESSED: u8 = 2;
const SENSITIVE: u8 = 4;
/// What of the head is authenticated as it stands.
const JUDGED_BYTES: usize = 7;
const HEAD_BYTES: usize = JUDGED_BYTES + 16 + SALT_BYTES;
/// Where the ciphertext begins. What authenticates it stands before it: then opening leaves nothing over at the end, and
/// the value keeps the memory it came in.
const TAG_END: usize = HEAD_BYTES + TAG_BYTES;
const TEXT_AT: usize = 64;
/// What an entry has beside its key, its tags and the cache version.
const FIXED_BYTES: usize = JUDGED_BYTES + 4 + 6 * 8 + 2 + 1 + 4 + 2;
/// Longer than what is authenticated beside most values: it is put together without memory of its own.
const ALONG_BYTES: usize = 256;

/// What stands before the ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    flags: u8,
    pub(super) subjects: u8,
    length: u32,
    pub(super) master: KeyId,
    pub(super) salt: Salt,
    pub(super) counter: u64,
}

/// Which key and which message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Under {
    pub(super) master: KeyId,
    pub(super) salt: Salt,
    pub(super) counter: u64,
}

/// Bytes that do not open: not what was sealed, or not for this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unauthentic;

/// Seals the value of an entry of `key`, compressed if it has at least `compress_bytes_min` bytes and an eighth of them
/// is saved.
pub(super) fn seal(
    key: &RawKey,
    version: &CacheVersion,
    entry: &StoredEntry,
    compress_bytes_min: usize,
    (cipher, under): (&LessSafeKey, Under),
) -> Bytes {
    let plain = entry.value.as_deref().unwrap_or_default();
    let smaller = compressed(plain, compress_bytes_min);
    let length = smaller.as_ref().map_or(0, |_| u32::try_from(plain.len()).expect("a value is below 4 GiB"));
    let mut flags = if entry.value.is_some() { HAS_VALUE } else { 0 };
    flags |= if smaller.is_some() { COMPRESSED } else { 0 };
    flags |= if entry.is_sensitive { SENSITIVE } else { 0 };
    let Under { master, salt, counter } = under;
    let head = Head { flags, subjects: entry.subjects, length, master, salt, counter };
    let plain = smaller.as_deref().unwrap_or(plain);
    let mut out = Vec::with_capacity(TEXT_AT + plain.len());
    head.put(&mut out);
    out.put_slice(&[0; TEXT_AT - HEAD_BYTES]);
    out.put_slice(plain);
    let (head, text) = out.split_at_mut(TEXT_AT);
    let tag =
        along(key, version, entry, head, |aad| cipher.seal_in_place_separate_tag(nonce(counter), Aad::from(aad), text));
    head[HEAD_BYTES..TAG_END].copy_from_slice(tag.expect("a value is shorter than the cipher's limit").as_ref());
    out.into()
}

/// Opens what [`seal`] made for the same place: the entry is then as it was. A value longer than `value_bytes_max` is not
/// unpacked. What does not open has no value any more.
pub(super) fn open(
    key: &RawKey,
    version: &CacheVersion,
    entry: &mut StoredEntry,
    value_bytes_max: usize,
    cipher: &LessSafeKey,
) -> Result<(), Unauthentic> {
    let sealed = entry.value.take().ok_or(Unauthentic)?;
    let head = Head::of(&sealed).ok_or(Unauthentic)?;
    // In place, unless somebody else holds the bytes.
    let mut bytes = sealed.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let (before, text) = bytes.split_at_mut(TEXT_AT);
    let tag: [u8; TAG_BYTES] = before[HEAD_BYTES..TAG_END].try_into().expect("it is so long");
    let opened = along(key, version, entry, before, |aad| {
        cipher.open_in_place_separate_tag(nonce(head.counter), Aad::from(aad), tag.into(), text, 0..).map(|_| ())
    });
    opened.map_err(|_| Unauthentic)?;
    bytes.advance(TEXT_AT);
    entry.subjects = head.subjects;
    entry.is_sensitive = head.flags & SENSITIVE != 0;
    let unpacked_bytes = head.length as usize;
    entry.value = match head.flags & (HAS_VALUE | COMPRESSED) {
        0 if bytes.is_empty() => None,
        HAS_VALUE => Some(bytes.freeze()),
        packed if packed == HAS_VALUE | COMPRESSED && unpacked_bytes <= value_bytes_max => {
            let mut value = vec![0; unpacked_bytes];
            let written = lz4_flex::block::decompress_into(&bytes, &mut value).map_err(|_| Unauthentic)?;
            if written != unpacked_bytes {
                return Err(Unauthentic);
            }
            Some(value.into())
        }
        _ => return Err(Unauthentic),
    };
    Ok(())
}

impl Head {
    /// The head of some bytes; none if they are of no known format.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes;
        if bytes.len() < TEXT_AT || bytes[TAG_END..TEXT_AT] != [0; TEXT_AT - TAG_END] || bytes.get_u8() != FORMAT {
            return None;
        }
        let (flags, subjects, length) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u32());
        let master = KeyId::from_u64(bytes.get_u64());
        let mut salt = [0; SALT_BYTES];
        bytes.copy_to_slice(&mut salt);
        Some(Self { flags, subjects, length, master, salt, counter: bytes.get_u64() })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let Self { flags, subjects, length, master, salt, counter } = self;
        out.put_slice(&[FORMAT, *flags, *subjects]);
        out.put_u32(*length);
        out.put_u64(master.as_u64());
        out.put_slice(salt);
        out.put_u64(*counter);
    }
}

/// What is authenticated beside the value: what is of one length first, then what is preceded by its length, then the key's
/// text, which begins with the tenant, to the end. So no two places read alike.
fn along<T>(
    key: &RawKey,
    version: &CacheVersion,
    entry: &StoredEntry,
    sealed: &[u8],
    then: impl FnOnce(&[u8]) -> T,
) -> T {
    let (version, key) = (version.as_str().as_bytes(), key.as_str().as_bytes());
    let length = FIXED_BYTES + entry.tags.len() * 8 + version.len() + key.len();
    let (mut here, mut elsewhere) = ([0; ALONG_BYTES], Vec::new());
    let all = if length <= ALONG_BYTES {
        &mut here[..length]
    } else {
        elsewhere.resize(length, 0);
        &mut elsewhere[..]
    };
    let mut left = &mut all[..];
    left.put_slice(&sealed[..JUDGED_BYTES]);
    left.put_u32(u32::try_from(entry.base.partition.index()).expect("there are far fewer partitions"));
    for number in [
        entry.base.epoch.0,
        entry.base.sequence.0,
        entry.loaded_at.as_millis(),
        entry.expires_at.as_millis(),
        entry.dead_at.as_millis(),
        entry.schema.0,
    ] {
        left.put_u64(number);
    }
    left.put_u16(entry.load_ms);
    left.put_u8(entry.has_tenant_tags.into());
    left.put_u32(u32::try_from(entry.tags.len()).expect("there are fewer tags than bytes in a value"));
    left.put_u16(u16::try_from(version.len()).expect("a cache version is short"));
    entry.tags.iter().for_each(|tag| left.put_u64(tag.0));
    left.put_slice(version);
    left.put_slice(key);
    debug_assert!(left.is_empty(), "the length was reckoned right");
    then(all)
}

fn compressed(value: &[u8], compress_bytes_min: usize) -> Option<Vec<u8>> {
    if value.len() < compress_bytes_min.max(1) {
        return None;
    }
    let smaller = lz4_flex::block::compress(value);
    // Else it only costs its readers time.
    (smaller.len() <= value.len() - value.len() / 8).then_some(smaller)
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
