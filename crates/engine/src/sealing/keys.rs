//! The hierarchy: master key → tenant key → subject key, and from them the keys that seal entries. Pure.
//!
//! Tenant keys are derived; subject keys are random, because what is derived cannot be destroyed, and wrapped by their
//! tenant's key. All derivations are BLAKE3, each with a context of its own.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use zeroize::Zeroizing;

use super::master::{KEY_BYTES, KeyBytes, KeyId, MasterKey};
use crate::{tag::TagId, tenant::Tenant};

/// Random bytes that make a derived key one of its kind.
pub(super) const SALT_BYTES: usize = 16;
pub(super) const TAG_BYTES: usize = 16;

/// Bytes of a [`WrappedKey`].
pub const WRAPPED_KEY_BYTES: usize = SALT_BYTES + KEY_BYTES + TAG_BYTES;

pub(super) type Salt = [u8; SALT_BYTES];

/// A subject's key as it is kept: of no use without the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The master key that it is wrapped by.
    pub master: KeyId,
    /// Salt, ciphertext and authentication tag.
    pub bytes: [u8; WRAPPED_KEY_BYTES],
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey(by {})", self.master)
    }
}

/// A subject's key.
pub(super) struct SubjectKey(KeyBytes);

/// A tenant's key under one master key.
pub(super) struct TenantKey(KeyBytes);

/// What an entry's key is derived from: its tenant's key and those of all its subjects.
pub(super) struct Root(KeyBytes);

/// Random bytes of the operating system's.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

fn derived(context: &str, key: &[u8; KEY_BYTES]) -> KeyBytes {
    Zeroizing::new(blake3::derive_key(context, key))
}

pub(super) fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length"))
}

/// The nonce of a key's message number `counter`.
pub(super) fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl TenantKey {
    pub(super) fn new(master: &MasterKey, tenant: &Tenant) -> Self {
        let tenants = derived("unstale 2026 sealing: keys of tenants", &master.bytes);
        Self(Zeroizing::new(*blake3::keyed_hash(&tenants, tenant.as_str().as_bytes()).as_bytes()))
    }

    /// What entries about `subjects` are sealed under; about nobody if there are none. In the order of the subjects,
    /// which the entry holds.
    pub(super) fn root<'a>(&self, subjects: impl IntoIterator<Item = (TagId, &'a SubjectKey)>) -> Root {
        let entries = derived("unstale 2026 sealing: keys of entries", &self.0);
        let mut hasher = blake3::Hasher::new_keyed(&entries);
        for (subject, key) in subjects {
            hasher.update(&subject.0.to_be_bytes());
            hasher.update(&*key.0);
        }
        Root(Zeroizing::new(*hasher.finalize().as_bytes()))
    }

    /// A subject's key, to be kept outside.
    pub(super) fn wrap(&self, master: KeyId, tenant: &Tenant, subject: TagId, key: &SubjectKey) -> WrappedKey {
        let salt: Salt = random();
        let mut text = Zeroizing::new(*key.0);
        let tag = self
            .wrapping(&salt)
            .seal_in_place_separate_tag(nonce(0), Aad::from(said(tenant, subject)), &mut *text)
            .expect("a key is shorter than the cipher's limit");
        let mut bytes = [0; WRAPPED_KEY_BYTES];
        bytes[..SALT_BYTES].copy_from_slice(&salt);
        bytes[SALT_BYTES..SALT_BYTES + KEY_BYTES].copy_from_slice(&*text);
        bytes[SALT_BYTES + KEY_BYTES..].copy_from_slice(tag.as_ref());
        WrappedKey { master, bytes }
    }

    /// The key within, if it was wrapped by this key for this subject.
    pub(super) fn unwrap(&self, tenant: &Tenant, subject: TagId, wrapped: &WrappedKey) -> Option<SubjectKey> {
        let (salt, text) = wrapped.bytes.split_first_chunk::<SALT_BYTES>().expect("it begins with its salt");
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(said(tenant, subject));
        let key = self.wrapping(salt).open_in_place(nonce(0), aad, &mut text).ok()?;
        Some(SubjectKey(Zeroizing::new((&*key).try_into().ok()?)))
    }

    /// Each wrapping has a key of its own: then nonces need no thought.
    fn wrapping(&self, salt: &Salt) -> LessSafeKey {
        let wrapping = derived("unstale 2026 sealing: wrapping of subjects' keys", &self.0);
        cipher(blake3::keyed_hash(&wrapping, salt).as_bytes())
    }
}

fn said(tenant: &Tenant, subject: TagId) -> Vec<u8> {
    [&subject.0.to_be_bytes()[..], tenant.as_str().as_bytes()].concat()
}

impl SubjectKey {
    pub(super) fn random() -> Self {
        Self(Zeroizing::new(random()))
    }
}

impl Root {
    /// The cipher of all messages with this salt.
    pub(super) fn cipher(&self, salt: &Salt) -> LessSafeKey {
        cipher(blake3::keyed_hash(&self.0, salt).as_bytes())
    }
}

macro_rules! secret {
    ($($type:ty),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    )*};
}
secret!(SubjectKey, TenantKey, Root, MasterKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::KeyRing;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn key(first: u8, name: &str) -> TenantKey {
        let mut bytes = [7; 32];
        bytes[0] = first;
        TenantKey::new(KeyRing::new([bytes]).unwrap().current(), &tenant(name))
    }

    #[test]
    fn master_tenant_and_every_subject_make_another_root() {
        let (one, two) = (SubjectKey(Zeroizing::new([1; 32])), SubjectKey(Zeroizing::new([2; 32])));
        let (acme, globex) = (key(1, "acme"), key(1, "globex"));
        let roots = [
            acme.root([]),
            globex.root([]),
            key(2, "acme").root([]),
            acme.root([(TagId(1), &one)]),
            acme.root([(TagId(2), &one)]),
            acme.root([(TagId(1), &two)]),
            acme.root([(TagId(1), &one), (TagId(2), &two)]),
            globex.root([(TagId(1), &one)]),
        ];
        for (at, root) in roots.iter().enumerate() {
            assert!(roots[..at].iter().all(|other| other.0 != root.0), "root {at}");
        }
        assert_eq!(acme.root([(TagId(1), &one)]).0, roots[3].0);
    }

    #[test]
    fn a_wrapped_key_opens_for_its_tenant_and_subject_and_master_only() {
        let (acme, subject) = (tenant("acme"), SubjectKey::random());
        let id = KeyId::from_u64(1);
        let wrapped = key(1, "acme").wrap(id, &acme, TagId(7), &subject);
        assert_eq!(*key(1, "acme").unwrap(&acme, TagId(7), &wrapped).unwrap().0, *subject.0);
        assert!(key(1, "acme").unwrap(&acme, TagId(8), &wrapped).is_none());
        assert!(key(1, "globex").unwrap(&tenant("globex"), TagId(7), &wrapped).is_none());
        assert!(key(2, "acme").unwrap(&acme, TagId(7), &wrapped).is_none());
        for at in 0..WRAPPED_KEY_BYTES {
            let mut changed = wrapped.clone();
            changed.bytes[at] ^= 1;
            assert!(key(1, "acme").unwrap(&acme, TagId(7), &changed).is_none(), "byte {at}");
        }
        assert_ne!(key(1, "acme").wrap(id, &acme, TagId(7), &subject).bytes, wrapped.bytes, "the same salt twice");
    }

    #[test]
    fn debug_tells_nothing() {
        let secret = SubjectKey(Zeroizing::new([0xAB; 32]));
        let acme = key(1, "acme");
        let wrapped = acme.wrap(KeyId::from_u64(0), &tenant("acme"), TagId(1), &secret);
        let told = format!("{secret:?} {acme:?} {:?} {wrapped:?}", acme.root([]));
        assert_eq!(told, "SubjectKey(…) TenantKey(…) Root(…) WrappedKey(by 0000000000000000)");
    }
}
