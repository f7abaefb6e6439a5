//! Messages between nodes that have the same master key: what one asks the others, and what they answer.
//!
//! A message is the id of the master key (8 bytes), a salt of its own (16), the text, and an authentication tag (16). Its
//! key is derived from the salt, so that no nonce is used twice.

use ring::aead::{Aad, LessSafeKey};

use super::{
    Sealing,
    keys::{SALT_BYTES, Salt, cipher, nonce, random},
    master::{KeyId, MasterKey},
};

const HEAD_BYTES: usize = 8 + SALT_BYTES;

impl Sealing {
    /// Seals a message of which receivers know `about`: what it is, and to what it belongs.
    pub(crate) fn seal_message(&self, about: &[u8], mut text: Vec<u8>) -> Vec<u8> {
        let (salt, ring): (Salt, _) = (random(), self.0.ring.read());
        let sealing = key(ring.current(), &salt);
        let tag = sealing.seal_in_place_separate_tag(nonce(0), Aad::from(about), &mut text);
        let tag = tag.expect("a message is shorter than the cipher's limit");
        [&ring.current_id().as_u64().to_be_bytes()[..], &salt, &text, tag.as_ref()].concat()
    }

    /// What a message says, if somebody who has one of the master keys sealed it about just this.
    pub(crate) fn open_message(&self, about: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = message.split_at_checked(HEAD_BYTES)?;
        let (id, salt) = head.split_first_chunk()?;
        let ring = self.0.ring.read();
        let opening = key(ring.get(KeyId::from_u64(u64::from_be_bytes(*id)))?, salt.try_into().ok()?);
        let mut text = text.to_vec();
        let length = opening.open_in_place(nonce(0), Aad::from(about), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn key(master: &MasterKey, salt: &Salt) -> LessSafeKey {
    let messages = blake3::derive_key("unstale 2026 sealing: messages between nodes", &*master.bytes);
    cipher(blake3::keyed_hash(&messages, salt).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{CacheVersion, KeyRing, SealingLimits, sealing::MemorySubjectKeys};

    fn sealing(keys: &[u8]) -> Sealing {
        let ring = KeyRing::new(keys.iter().map(|first| std::array::from_fn(|at| if at == 0 { *first } else { 7 })));
        let (keys, limits) = (Arc::<MemorySubjectKeys>::default(), SealingLimits::default());
        Sealing::new(ring.unwrap(), keys, CacheVersion::default(), limits)
    }

    #[test]
    fn a_message_opens_for_who_has_the_key_and_about_what_it_was_sealed() {
        let message = sealing(&[1]).seal_message(b"question 7", b"who?".to_vec());
        assert_eq!(sealing(&[1]).open_message(b"question 7", &message).unwrap(), b"who?");
        assert_eq!(sealing(&[2, 1]).open_message(b"question 7", &message).unwrap(), b"who?", "in a rotation");
        assert_eq!(sealing(&[2]).open_message(b"question 7", &message), None);
        assert_eq!(sealing(&[1]).open_message(b"question 8", &message), None);
        assert!(!message.windows(4).any(|bytes| bytes == b"who?"));
        assert_ne!(sealing(&[1]).seal_message(b"question 7", b"who?".to_vec()), message, "the same salt twice");
    }

    #[test]
    fn a_message_that_was_altered_or_cut_does_not_open() {
        let sealing = sealing(&[1]);
        let message = sealing.seal_message(b"about", b"text".to_vec());
        for at in 0..message.len() {
            let mut altered = message.clone();
            altered[at] ^= 1;
            assert_eq!(sealing.open_message(b"about", &altered), None, "byte {at}");
            assert_eq!(sealing.open_message(b"about", &message[..at]), None, "{at} bytes");
        }
    }
}
