//! Tags: the facts that a value was loaded from.
//!
//! A tag names a row (`flow` 42), a list (`engagements` of a tenant) or any other fact that can change. A write
//! invalidates tags; every entry that carries one of them is out of date from then on, however many there are.
//!
//! A tag belongs to one tenant, or is **shared**: a fact that entries of several tenants are loaded from, such as a
//! user who works for two of them. Invalidating a shared tag costs one record per partition; see `docs/adr/0003`.

use std::fmt;

use crate::{hash, tenant::Tenant};

/// Longest text of a tag (kind and id together), in bytes; longer ones are cut into their hash.
pub const TAG_TEXT_BYTES_MAX: usize = 256;

/// A fact that can change.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag {
    id: TagId,
    home: Home,
    text: Box<str>,
}

/// Where a tag's clock is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Home {
    /// In the partition of one tenant.
    Tenant(Tenant),
    /// In every partition.
    Shared,
}

/// A tag's identity on every node: 64 bits of its hash.
///
/// Two tags with one id would invalidate each other, which is safe and, at 2⁻⁶⁴ a pair, rare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagId(pub(crate) u64);

impl Tag {
    /// The tag `kind`/`id` of one tenant. For a list, `id` is what it is a list of, or empty.
    pub fn of(tenant: &Tenant, kind: &'static str, id: impl fmt::Display) -> Self {
        Self::new(Home::Tenant(tenant.clone()), kind, id)
    }

    /// A tag that entries of any tenant may carry.
    pub fn shared(kind: &'static str, id: impl fmt::Display) -> Self {
        Self::new(Home::Shared, kind, id)
    }

    fn new(home: Home, kind: &'static str, id: impl fmt::Display) -> Self {
        let mut text = format!("{kind}/{id}");
        // The kind cannot hold a '/', so the first one ends it and the pair is unambiguous.
        debug_assert!(!kind.contains('/'), "a kind of tag holds no '/'");
        let tag_id = match &home {
            Home::Tenant(tenant) => hash::fields(&[b"t", tenant.as_str().as_bytes(), text.as_bytes()]),
            Home::Shared => hash::fields(&[b"s", text.as_bytes()]),
        };
        if text.len() > TAG_TEXT_BYTES_MAX {
            text = format!("{kind}/#{tag_id:016x}");
        }
        Self { id: TagId(tag_id), home, text: text.into() }
    }

    /// The identity.
    pub fn id(&self) -> TagId {
        self.id
    }

    /// Where its clock is kept.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// `kind/id`, for people.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TagId {
    /// From its number, as [`as_u64`](Self::as_u64) has it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The id as a number, stable over nodes and builds.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.home {
            Home::Tenant(tenant) => write!(f, "Tag({tenant}:{})", self.text),
            Home::Shared => write!(f, "Tag(*:{})", self.text),
        }
    }
}

impl fmt::Debug for TagId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagId({:016x})", self.0)
    }
}

/// The opaque form of tags on the wire: a *group* says nothing about its tag and cannot be guessed.
///
/// A group is a keyed BLAKE3 hash over the reader's tenant and the tag, so the same shared tag has another group in
/// each tenant.
#[derive(Clone)]
pub struct GroupKey([u8; 32]);

impl GroupKey {
    /// Derives the key from a secret that all nodes share.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("unstale 2026 groups on the wire", secret))
    }

    /// The group of `tag` for readers of `tenant`: 24 hexadecimal digits (96 bits).
    pub fn group(&self, tenant: &Tenant, tag: TagId) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(tenant.as_str().len() as u64).to_le_bytes());
        hasher.update(tenant.as_str().as_bytes());
        hasher.update(&tag.0.to_le_bytes());
        hasher.finalize().to_hex()[..24].to_owned()
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_and_kinds_keep_their_tags_apart() {
        let (acme, globex) = (Tenant::new("acme").unwrap(), Tenant::new("globex").unwrap());
        let ids = [
            Tag::of(&acme, "flow", 1).id(),
            Tag::of(&globex, "flow", 1).id(),
            Tag::of(&acme, "flow", 2).id(),
            Tag::of(&acme, "flows", 1).id(),
            Tag::shared("flow", 1).id(),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id));
        }
        assert_eq!(Tag::of(&acme, "flow", 1).id(), ids[0]);
    }

    #[test]
    fn a_long_tag_keeps_its_identity_but_not_its_text() {
        let acme = Tenant::new("acme").unwrap();
        let (long, other) = (Tag::of(&acme, "url", "x".repeat(9000)), Tag::of(&acme, "url", "x".repeat(9001)));
        assert!(long.as_str().len() <= TAG_TEXT_BYTES_MAX);
        assert_ne!(long.id(), other.id());
    }

    #[test]
    fn groups_differ_by_tenant_and_by_secret_and_hide_their_tag() {
        let (acme, globex) = (Tenant::new("acme").unwrap(), Tenant::new("globex").unwrap());
        let tag = Tag::shared("client", "globex");
        let (one, two) = (GroupKey::derive(b"secret"), GroupKey::derive(b"other"));
        assert_eq!(one.group(&acme, tag.id()), one.group(&acme, tag.id()));
        assert_ne!(one.group(&acme, tag.id()), one.group(&globex, tag.id()));
        assert_ne!(one.group(&acme, tag.id()), two.group(&acme, tag.id()));
        assert_eq!(format!("{one:?}"), "GroupKey(…)");
    }
}
