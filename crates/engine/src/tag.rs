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
/// Longest kind of a tag that is read from text, in bytes.
pub const TAG_KIND_BYTES_MAX: usize = 64;

/// What stands for the home of a shared tag in its text. No tenant is called so.
const SHARED: &str = "*";
/// The kind of the tag that makes an invalidation a purge.
pub(crate) const PURGE_KIND: &str = "unstale:purge";
/// Begins the identity of a tag whose text was cut. No kind begins so.
const CUT: char = '=';

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

    /// Reads what [`to_text`](Self::to_text) wrote, or what something else wrote in the same form: a trigger in a
    /// database, say. Code that knows the fact names it by [`of`](Self::of) or [`shared`](Self::shared).
    ///
    /// ```
    /// use unstale::{Tag, Tenant};
    ///
    /// let flow = Tag::of(&Tenant::new("acme").unwrap(), "flow", 7);
    /// assert_eq!(flow.to_text(), "acme/flow/7");
    /// assert_eq!(Tag::parse("acme/flow/7").unwrap(), flow);
    /// assert_eq!(Tag::parse("*/users/").unwrap(), Tag::shared("users", ""));
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidTag> {
        let invalid = || InvalidTag { text: text.chars().take(TAG_TEXT_BYTES_MAX).collect() };
        let (home, rest) = text.split_once('/').ok_or_else(invalid)?;
        let home = match home {
            SHARED => Home::Shared,
            tenant => Home::Tenant(Tenant::new(tenant).map_err(|_| invalid())?),
        };
        let (kind, id) = rest.split_once('/').ok_or_else(invalid)?;
        if let Some(digits) = kind.strip_prefix(CUT) {
            let is_hex = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex && is_kind(id)).ok_or_else(invalid)?;
            return Ok(Self::cut(TagId(number), home, id));
        }
        if is_kind(kind) { Ok(Self::new(home, kind, id)) } else { Err(invalid()) }
    }

    fn new(home: Home, kind: &str, id: impl fmt::Display) -> Self {
        let text = format!("{kind}/{id}");
        // The kind cannot hold a '/', so the first one ends it and the pair is unambiguous.
        debug_assert!(!kind.contains('/') && !kind.starts_with(CUT), "a kind of tag is a word of code");
        let id = identity(&home, &text);
        if text.len() > TAG_TEXT_BYTES_MAX {
            return Self::cut(id, home, kind);
        }
        Self { id, home, text: text.into() }
    }

    fn cut(id: TagId, home: Home, kind: &str) -> Self {
        Self { id, home, text: format!("{kind}/#{:016x}", id.0).into() }
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

    /// What kind of fact it is.
    pub fn kind(&self) -> &str {
        self.text.split_once('/').map_or("", |(kind, _)| kind)
    }

    /// The tag as text that [`parse`](Self::parse) reads back: `tenant/kind/id`, or `*/kind/id` if it is shared. For
    /// keeping invalidations outside of the cache.
    pub fn to_text(&self) -> String {
        let home = match &self.home {
            Home::Tenant(tenant) => tenant.as_str(),
            Home::Shared => SHARED,
        };
        // What was cut cannot be hashed again: its identity stands in its place.
        if identity(&self.home, &self.text) == self.id {
            format!("{home}/{}", self.text)
        } else {
            format!("{home}/{CUT}{:016x}/{}", self.id.0, self.kind())
        }
    }
}

fn identity(home: &Home, text: &str) -> TagId {
    TagId(match home {
        Home::Tenant(tenant) => hash::fields(&[b"t", tenant.as_str().as_bytes(), text.as_bytes()]),
        Home::Shared => hash::fields(&[b"s", text.as_bytes()]),
    })
}

fn is_kind(text: &str) -> bool {
    (1..=TAG_KIND_BYTES_MAX).contains(&text.len()) && !text.contains('/') && !text.starts_with(CUT)
}

/// Why a text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no tag: write tenant/kind/id, or */kind/id for a shared one")]
pub struct InvalidTag {
    text: String,
}

impl TagId {
    /// Says that a record which has it is a purge; no entry carries it. A tag and not a field: the log's form stays as it
    /// is, and a node that knows of no purges takes one for an invalidation.
    pub(crate) const PURGE: Self = Self(0x299f_d336_0c03_014e);
    /// Says that a record which has it erases somebody, which is a purge too.
    pub(crate) const ERASURE: Self = Self(0x3225_1a1b_1814_4642);

    /// Whether a record that has this tag is a purge.
    pub(crate) fn makes_a_purge(self) -> bool {
        self == Self::PURGE || self == Self::ERASURE
    }

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
    fn the_tags_that_mark_records_are_those_of_their_names() {
        assert_eq!(TagId::PURGE, Tag::shared(PURGE_KIND, "").id());
        assert_eq!(TagId::ERASURE, Tag::shared("unstale:erasure", "").id());
    }

    #[test]
    fn a_long_tag_keeps_its_identity_but_not_its_text() {
        let acme = Tenant::new("acme").unwrap();
        let (long, other) = (Tag::of(&acme, "url", "x".repeat(9000)), Tag::of(&acme, "url", "x".repeat(9001)));
        assert!(long.as_str().len() <= TAG_TEXT_BYTES_MAX);
        assert_ne!(long.id(), other.id());
        let longest = "x".repeat(TAG_TEXT_BYTES_MAX - "url/".len());
        assert!(Tag::of(&acme, "url", &longest).as_str().ends_with(&longest), "it just fits");
        assert!(Tag::of(&acme, "url", longest + "x").as_str().starts_with("url/#"));
    }

    #[test]
    fn debug_tells_whose_fact_it_is() {
        let acme = Tenant::new("acme").unwrap();
        let told = format!("{:?} {:?}", Tag::of(&acme, "flow", 7), Tag::shared("rates", 1));
        assert_eq!(told, "Tag(acme:flow/7) Tag(*:rates/1)");
        assert_eq!(format!("{:?} {}", TagId::from_u64(0xab), TagId(9).as_u64()), "TagId(00000000000000ab) 9");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let acme = Tenant::new("acme").unwrap();
        let long = "x".repeat(9000);
        for tag in [
            Tag::of(&acme, "flow", 7),
            Tag::of(&acme, "flows", ""),
            Tag::shared("pending_for", "ä/b\n=#%"),
            Tag::of(&acme, "url", &long),
            Tag::shared("url", &long),
            Tag::of(&acme, "url", "#0123456789abcdef"),
        ] {
            let again = Tag::parse(&tag.to_text()).unwrap();
            assert_eq!((again.id(), again.home(), again.as_str()), (tag.id(), tag.home(), tag.as_str()));
            assert_eq!(again.kind(), tag.as_str().split('/').next().unwrap());
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for text in
            ["", "acme", "acme/flow", "a b/flow/1", "/flow/1", "acme//1", "*/=12/url", "*/=0123456789abcdeg/url"]
        {
            assert!(Tag::parse(text).is_err(), "{text:?} was taken");
        }
        assert!(Tag::parse(&format!("*/{}/1", "k".repeat(TAG_KIND_BYTES_MAX + 1))).is_err());
        assert!(Tag::parse(&format!("*/{}/1", "k".repeat(TAG_KIND_BYTES_MAX))).is_ok());
        for kind in ["", "a/b", "=a"] {
            assert!(Tag::parse(&format!("*/=0123456789abcdef/{kind}")).is_err(), "{kind:?} is no kind");
        }
        assert!(Tag::parse("*/=0123456789abcdef/").unwrap_err().to_string().contains("tenant/kind/id"));
    }

    #[test]
    fn groups_differ_by_tenant_and_by_secret_and_hide_their_tag() {
        let (acme, globex) = (Tenant::new("acme").unwrap(), Tenant::new("globex").unwrap());
        let tag = Tag::shared("client", "globex");
        let (one, two) = (GroupKey::derive(b"secret"), GroupKey::derive(b"other"));
        assert_eq!(one.group(&acme, tag.id()), one.group(&acme, tag.id()));
        assert_ne!(one.group(&acme, tag.id()), one.group(&globex, tag.id()));
        assert_ne!(one.group(&acme, tag.id()), two.group(&acme, tag.id()));
        assert_ne!(one.group(&acme, tag.id()), one.group(&acme, TagId(1)));
        assert_eq!(one.group(&acme, tag.id()).len(), 24);
        assert_eq!(format!("{one:?}"), "GroupKey(…)");
    }
}
