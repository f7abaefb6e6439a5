//! Master keys: what every other key is derived from or wrapped by.
//!
//! A ring has the current key, with which everything new is sealed, and previous ones, with which what is there still
//! opens. A key's id follows from the key, so nobody numbers keys and no two nodes mean different keys by one id.

use std::{collections::HashSet, fmt, sync::Arc};

use zeroize::{Zeroize as _, Zeroizing};

/// Most keys of a ring: each is kept only until what it sealed has expired.
pub const MASTER_KEYS_MAX: usize = 16;

/// Bytes of every key here.
pub(super) const KEY_BYTES: usize = 32;

/// A key of this size, overwritten when it is dropped.
pub(super) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// Which master key it is: a hash of the key that says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    /// From its number, as a table of subject keys holds it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

pub(super) struct MasterKey {
    pub(super) id: KeyId,
    pub(super) bytes: KeyBytes,
}

/// The master keys that are in force: the current one and those before it. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing(Arc<[MasterKey]>);

/// Why keys are no ring. Never holds what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    /// None at all.
    #[error("there is no sealing key; write at least one, of 64 hexadecimal digits (`openssl rand -hex 32` makes one)")]
    Empty,
    /// Too many.
    #[error("there are more than {MASTER_KEYS_MAX} sealing keys; remove those whose entries have expired")]
    TooMany,
    /// The same key twice.
    #[error("sealing key {0} is the same as one before it; remove it")]
    Repeated(usize),
    /// Something else than a key.
    #[error(
        "sealing key {0} is not 64 hexadecimal digits; `openssl rand -hex 32` makes a key; write one per line, the \
         current one first"
    )]
    NotHex(usize),
    /// Not random.
    #[error("sealing key {0} repeats one byte; `openssl rand -hex 32` makes a key")]
    NotRandom(usize),
}

impl KeyRing {
    /// Of the current key and, behind it, previous ones.
    pub fn new(keys: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Result<Self, InvalidKeyRing> {
        let mut ring = Vec::new();
        let mut ids = HashSet::new();
        for (at, mut bytes) in keys.into_iter().enumerate() {
            let key = MasterKey::new(bytes);
            bytes.zeroize();
            if key.bytes.iter().all(|byte| *byte == key.bytes[0]) {
                return Err(InvalidKeyRing::NotRandom(at + 1));
            }
            if !ids.insert(key.id) {
                return Err(InvalidKeyRing::Repeated(at + 1));
            }
            ring.push(key);
        }
        match ring.len() {
            0 => Err(InvalidKeyRing::Empty),
            1..=MASTER_KEYS_MAX => Ok(Self(ring.into())),
            _ => Err(InvalidKeyRing::TooMany),
        }
    }

    /// From text: keys of 64 hexadecimal digits, apart by line breaks, commas or spaces, the current one first. What
    /// follows a `#` in a line is a remark.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(|line| line.split([',', ' ', '\t', '\r'])).filter(|word| !word.is_empty());
        let keys: Result<Vec<_>, _> =
            words.enumerate().map(|(at, word)| from_hex(word).ok_or(InvalidKeyRing::NotHex(at + 1))).collect();
        Self::new(keys?)
    }

    /// Which key everything new is sealed with.
    pub fn current_id(&self) -> KeyId {
        self.current().id
    }

    /// Which keys it has, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|key| key.id)
    }

    pub(super) fn current(&self) -> &MasterKey {
        &self.0[0]
    }

    pub(super) fn get(&self, id: KeyId) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

impl MasterKey {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let name = blake3::derive_key("unstale 2026 sealing: the name of a master key", &bytes);
        let id = KeyId(u64::from_be_bytes(*name.first_chunk().expect("a hash has 32 bytes")));
        Self { id, bytes: Zeroizing::new(bytes) }
    }
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != KEY_BYTES || !rest.is_empty() {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "FF0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn the_first_key_is_current_and_ids_follow_from_keys() {
        let ring = KeyRing::parse(&format!("{TWO} # new\n\n# old ones\n{ONE}\n")).unwrap();
        let [two, one] = [TWO, ONE].map(|text| KeyRing::parse(text).unwrap().current_id());
        assert_eq!(ring.ids().collect::<Vec<_>>(), [two, one]);
        assert_eq!(ring.current_id(), two);
        assert!(ring.get(one).is_some() && ring.get(KeyId(1)).is_none());
        assert_eq!(KeyRing::parse(&format!("{TWO},{ONE}")).unwrap().ids().count(), 2);
    }

    #[test]
    fn what_is_no_ring_is_refused_without_repeating_it() {
        let refused = |text: &str| KeyRing::parse(text).unwrap_err();
        assert_eq!(refused(" # nothing"), InvalidKeyRing::Empty);
        assert_eq!(refused(&format!("{ONE}\n{ONE}")), InvalidKeyRing::Repeated(2));
        assert_eq!(refused(&format!("{ONE} {}", &TWO[1..])), InvalidKeyRing::NotHex(2));
        assert_eq!(refused(&ONE.replace('0', "g")), InvalidKeyRing::NotHex(1));
        assert_eq!(refused(&"00".repeat(32)), InvalidKeyRing::NotRandom(1));
        let many = (0..=MASTER_KEYS_MAX).map(|at| format!("{at:02x}{}", &ONE[2..])).collect::<Vec<_>>().join("\n");
        assert_eq!(refused(&many), InvalidKeyRing::TooMany);
        assert!(!refused("hunter2").to_string().contains("hunter2"));
    }

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", KeyRing::parse(ONE).unwrap()), "KeyRing(…)");
    }
}
