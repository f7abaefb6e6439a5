//! A sealed value as bytes, and what is sealed along with it. *Decides*, does no IO.
//!
//! All numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | format: 1 |
//! | 1 | flags: 1 a value is within (else an absence), 2 it is compressed (LZ4 block), 4 it is sensitive |
//! | 2 | how many of the entry's tags, the first ones, stand for people |
//! | 3–6 | length of the value before compression; 0 if it is not compressed |
//! | 7–14 | master key |
//! | 15–30, 31–38 | salt of the key, number of the message under it |
//! | then | ciphertext and, at the end, 16 bytes by which it is authenticated |
//!
//! Nothing that an entry is judged by can be altered: base, times, tags and schema are authenticated with the value,
//! and so are the key, the tenant, the partition and the cache version that it stands under.

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

const FORMAT: u8 = 1;
const HAS_VALUE: u8 = 1;
const COMPRESSED: u8 = 2;
const SENSITIVE: u8 = 4;
pub(super) const HEAD_BYTES: usize = 23 + SALT_BYTES;

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
    let mut out = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    head.put(&mut out);
    out.put_slice(plain);
    let aad = along(key, version, entry, &out[..HEAD_BYTES]);
    let tag = cipher
        .seal_in_place_separate_tag(nonce(counter), Aad::from(aad), &mut out[HEAD_BYTES..])
        .expect("a value is shorter than the cipher's limit");
    out.put_slice(tag.as_ref());
    out.into()
}

/// Opens what [`seal`] made for the same place: the entry as it was. A value longer than `value_bytes_max` is not unpacked.
pub(super) fn open(
    key: &RawKey,
    version: &CacheVersion,
    mut entry: StoredEntry,
    value_bytes_max: usize,
    cipher: &LessSafeKey,
) -> Result<StoredEntry, Unauthentic> {
    let sealed = entry.value.take().ok_or(Unauthentic)?;
    let head = Head::of(&sealed).ok_or(Unauthentic)?;
    let aad = along(key, version, &entry, &sealed[..HEAD_BYTES]);
    // In place, unless somebody else holds the bytes.
    let mut bytes = sealed.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let opened = cipher.open_in_place(nonce(head.counter), Aad::from(aad), &mut bytes[HEAD_BYTES..]);
    let length = opened.map_err(|_| Unauthentic)?.len();
    bytes.truncate(HEAD_BYTES + length);
    bytes.advance(HEAD_BYTES);
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
    Ok(entry)
}

impl Head {
    /// The head of some bytes; none if they are of no known format.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes;
        if bytes.len() < HEAD_BYTES + TAG_BYTES || bytes.get_u8() != FORMAT {
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

/// What is authenticated beside the value. Texts are preceded by their lengths, so that no two places read alike.
fn along(key: &RawKey, version: &CacheVersion, entry: &StoredEntry, head: &[u8]) -> Vec<u8> {
    let texts = [version.as_str(), key.tenant().as_str(), key.as_str()];
    let mut out =
        Vec::with_capacity(96 + HEAD_BYTES + entry.tags.len() * 8 + texts.map(str::len).iter().sum::<usize>());
    out.put_slice(head);
    for text in texts {
        out.put_u32(u32::try_from(text.len()).expect("a key is shorter than 4 GiB"));
        out.put_slice(text.as_bytes());
    }
    out.put_u64(entry.base.partition.index() as u64);
    out.put_u64(entry.base.epoch.0);
    out.put_u64(entry.base.sequence.0);
    for time in [entry.loaded_at, entry.expires_at, entry.dead_at] {
        out.put_u64(time.as_millis());
    }
    out.put_u64(entry.schema.0);
    out.put_u16(entry.load_ms);
    out.put_u8(entry.has_tenant_tags.into());
    entry.tags.iter().for_each(|tag| out.put_u64(tag.0));
    out
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
