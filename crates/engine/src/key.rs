//! Keys: the tenant-scoped identity of an entry.
//!
//! A [`Key`] can only be made through a catalogue (see [`catalogue!`](crate::catalogue)), whose functions all take
//! the tenant first: a key without a tenant does not type-check, and no key text stands outside the catalogue.
//!
//! The text of a key is `tenant:pattern/part/part`. `/` and `%` inside a part are percent-escaped, and a pattern
//! holds neither, so different keys never share a text. Stores put the [`CacheVersion`] before it.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    marker::PhantomData,
    sync::Arc,
};

use crate::{hash, tenant::Tenant};

/// Longest key text, in bytes; a longer one is not cached ([`crate::BypassReason::KeyTooLong`]).
pub const KEY_BYTES_MAX: usize = 4096;

thread_local! {
    /// Where the text of a key is put together: it is copied once, when its length is known.
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
}

/// The generation of everything in shared stores: raising it makes every older entry unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheVersion(Arc<str>);

/// Why a text is no cache version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a cache version: use 1 to 32 letters, digits, '-', '_' or '.', such as v1 or v1-dev")]
pub struct InvalidVersion {
    text: String,
}

impl CacheVersion {
    /// Makes a version of its text, e.g. `v1` or `v1-dev`.
    pub fn new(text: &str) -> Result<Self, InvalidVersion> {
        let well_formed = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidVersion { text: text.chars().take(64).collect() }) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for CacheVersion {
    fn default() -> Self {
        Self("v1".into())
    }
}

/// One pattern of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPattern {
    /// The pattern's name as it stands in keys, e.g. `user:context`.
    pub name: &'static str,
    /// The names of its parts, after the tenant.
    pub parts: &'static [&'static str],
}

/// The identity of an entry that holds a `V`.
///
/// Cheap to clone; equal keys are equal in tenant, pattern and parts.
pub struct Key<V> {
    raw: RawKey,
    value: PhantomData<fn() -> V>,
}

impl<V> Key<V> {
    /// Makes a key from its pattern; called by catalogues only.
    #[doc(hidden)]
    pub fn from_catalogue(tenant: &Tenant, pattern: &'static KeyPattern, parts: &[&dyn fmt::Display]) -> Self {
        // Taken, not borrowed: a part may make a key to display itself.
        let mut text = SCRATCH.take();
        text.clear();
        text.push_str(tenant.as_str());
        text.push(':');
        text.push_str(pattern.name);
        for part in parts {
            text.push('/');
            write!(Escaped(&mut text), "{part}").expect("writing to a String cannot fail");
        }
        let hash = hash::fields(&[text.as_bytes()]);
        let raw = RawKey { hash, tenant: tenant.clone(), pattern, text: text.as_str().into() };
        if text.capacity() <= KEY_BYTES_MAX {
            SCRATCH.set(text);
        }
        Self { raw, value: PhantomData }
    }

    /// The key that differs from this one in its last part alone.
    #[must_use]
    pub fn with_last(&self, part: impl fmt::Display) -> Self {
        // What stands in a part is escaped, so the last '/' is the one before the last part.
        let kept = self.raw.text.rfind('/').map_or(self.raw.text.len(), |at| at + 1);
        let mut text = self.raw.text[..kept].to_owned();
        write!(Escaped(&mut text), "{part}").expect("writing to a String cannot fail");
        let hash = hash::fields(&[text.as_bytes()]);
        Self { raw: RawKey { hash, text: text.into(), ..self.raw.clone() }, value: PhantomData }
    }

    /// The key without the type of its value, as stores and observers see it.
    pub fn raw(&self) -> &RawKey {
        &self.raw
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), value: PhantomData }
    }
}

impl<V> fmt::Debug for Key<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// A key without the type of its value.
///
/// Hash and pointers stand in the key itself, what a look-up reads first: it follows one pointer, to the text, as for
/// a `String`.
#[derive(Clone)]
#[repr(C)]
pub struct RawKey {
    hash: u64,
    text: Arc<str>,
    tenant: Tenant,
    pattern: &'static KeyPattern,
}

/// The pattern of keys that are only known by their text.
static UNKNOWN: KeyPattern = KeyPattern { name: "(unknown)", parts: &[] };

impl RawKey {
    /// The key of an entry that is only known by its text: for removing it.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let tenant = Tenant::new(text.split_once(':')?.0).ok()?;
        Some(Self { hash: hash::fields(&[text.as_bytes()]), text: text.into(), tenant, pattern: &UNKNOWN })
    }

    /// The tenant it belongs to.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The name of its pattern: the kind of entity, a bounded label for metrics.
    pub fn entity(&self) -> &'static str {
        self.pattern.name
    }

    /// The text, without the cache version.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether its text is longer than what is cached.
    pub(crate) fn is_too_long(&self) -> bool {
        self.text.len() > KEY_BYTES_MAX
    }

    /// The hash by which tables find it.
    pub(crate) fn stable_hash(&self) -> u64 {
        self.hash
    }

    /// The part of the hash that an entry remembers; tables of up to 2²⁵ places per shard need no more.
    pub(crate) fn table_hash(&self) -> u32 {
        table_hash(self.hash)
    }

    /// The same key, with the hash of another: what chance hardly ever brings about.
    #[cfg(test)]
    pub(crate) fn hashed_as(&self, other: &Self) -> Self {
        Self { hash: other.hash, ..self.clone() }
    }

    /// Which of `count` shards it falls in. From other bits than the hash tables use.
    pub(crate) fn shard(&self, count: usize) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "24 bits are left")]
        let high_bits = (self.hash >> 40) as usize;
        high_bits % count
    }

    /// The text as shared stores hold it: `version:tenant:pattern/part/part`.
    pub fn stored_text(&self, version: &CacheVersion) -> String {
        format!("{}:{}", version.as_str(), self.text)
    }
}

impl PartialEq for RawKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for RawKey {}

impl Hash for RawKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

impl fmt::Display for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// See [`RawKey::table_hash`].
#[allow(clippy::cast_possible_truncation, reason = "the low bits are all that is wanted")]
pub(crate) fn table_hash(stable_hash: u64) -> u32 {
    stable_hash as u32
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'/' | b'%')
}

/// Where the first byte is that must be escaped.
fn escaped_at(bytes: &[u8]) -> Option<usize> {
    // Most texts hold none. Without a way out within a piece, all of it is looked at in one step; pieces may overlap.
    fn is_in<const N: usize>(piece: &[u8; N]) -> bool {
        piece.iter().fold(false, |any, byte| any | is_escaped(*byte))
    }
    let may_be_in = match bytes.len() {
        0..8 => true,
        8..16 => bytes.first_chunk::<8>().is_some_and(is_in) || bytes.last_chunk::<8>().is_some_and(is_in),
        16.. => bytes.as_chunks::<16>().0.iter().any(is_in) || bytes.last_chunk::<16>().is_some_and(is_in),
    };
    may_be_in.then(|| bytes.iter().position(|byte| is_escaped(*byte))).flatten()
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (mut rest, mut next) = (text, escaped_at(text.as_bytes()));
        // Both are one byte: no need to look at characters.
        while let Some(at) = next {
            self.0.push_str(&rest[..at]);
            self.0.push_str(if rest.as_bytes()[at] == b'/' { "%2F" } else { "%25" });
            rest = &rest[at + 1..];
            // Where there is one, as in a path, the next is near.
            next = rest.bytes().position(is_escaped);
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// Declares the one catalogue of an application's keys.
///
/// Each line becomes a function that takes the tenant and the parts and returns the typed [`Key`]; all patterns
/// together are listed in a constant, for metrics and for the tests that walk the catalogue.
///
/// ```
/// use unstale::{Tenant, catalogue};
///
/// catalogue! {
///     /// Every key of the example.
///     pub const PATTERNS;
///     /// What a user sees first.
///     pub fn user_context(user) -> String = "user:context";
///     /// The mappings of an import.
///     pub fn field_mappings(import) -> Vec<u8> = "import:field_mappings";
/// }
///
/// let acme = Tenant::new("acme").unwrap();
/// assert_eq!(user_context(&acme, 42).raw().as_str(), "acme:user:context/42");
/// assert_eq!(PATTERNS.len(), 2);
/// ```
///
/// A key without its tenant does not compile:
///
/// ```compile_fail
/// # unstale::catalogue! { /// x
/// #     const PATTERNS; /// x
/// #     fn user_context(user) -> String = "user:context"; }
/// let key = user_context(42);
/// ```
#[macro_export]
macro_rules! catalogue {
    (
        $(#[$list_meta:meta])* $list_vis:vis const $list:ident;
        $($(#[$meta:meta])* $vis:vis fn $name:ident($($part:ident),* $(,)?) -> $value:ty = $pattern:literal;)*
    ) => {
        $(#[$list_meta])*
        $list_vis const $list: &[$crate::KeyPattern] =
            &[$($crate::KeyPattern { name: $pattern, parts: &[$(stringify!($part)),*] }),*];
        $(
            $(#[$meta])*
            $vis fn $name(tenant: &$crate::Tenant $(, $part: impl ::std::fmt::Display)*) -> $crate::Key<$value> {
                const PATTERN: $crate::KeyPattern =
                    $crate::KeyPattern { name: $pattern, parts: &[$(stringify!($part)),*] };
                const { assert!($crate::key::well_formed($pattern), "a pattern holds a-z, 0-9, '_' and ':' only") };
                $crate::Key::from_catalogue(tenant, &PATTERN, &[$(&$part as &dyn ::std::fmt::Display),*])
            }
        )*
    };
}

/// Whether a pattern's name keeps keys unambiguous; checked when a catalogue is compiled.
#[doc(hidden)]
pub const fn well_formed(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || matches!(bytes[at], b'_' | b':')) {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    crate::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// One part.
        fn one(a) -> u8 = "one";
        /// Two parts.
        fn two(a, b) -> u8 = "two";
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    #[test]
    fn the_text_holds_version_tenant_pattern_and_parts() {
        let key = two(&tenant("acme"), "u/1", "50%");
        assert_eq!(key.raw().stored_text(&CacheVersion::new("v1-dev").unwrap()), "v1-dev:acme:two/u%2F1/50%25");
        assert_eq!(key.raw().entity(), "two");
        assert_eq!(PATTERNS[1].parts, ["a", "b"]);
    }

    #[test]
    fn a_version_is_a_short_plain_word() {
        for text in ["", "v 1", "v1:x", &"v".repeat(33)] {
            assert!(CacheVersion::new(text).is_err(), "{text:?} was accepted");
        }
        assert!(CacheVersion::new(&"v".repeat(32)).is_ok() && CacheVersion::new("V1-a_b.c").is_ok());
        assert_eq!(CacheVersion::default().as_str(), "v1");
    }

    #[test]
    fn the_last_part_can_be_exchanged() {
        let acme = tenant("acme");
        let key = two(&acme, "a/b", "c/d").with_last("e/%");
        assert_eq!((key.raw(), key.raw().as_str()), (two(&acme, "a/b", "e/%").raw(), "acme:two/a%2Fb/e%2F%25"));
        assert_eq!(format!("{key:?} {}", key.raw()), "Key(acme:two/a%2Fb/e%2F%25) acme:two/a%2Fb/e%2F%25");
    }

    #[test]
    fn a_key_can_be_read_from_its_text() {
        let key = two(&tenant("acme"), 1, 2);
        let again = RawKey::of_text(key.raw().as_str()).unwrap();
        assert_eq!((&again, again.tenant(), again.entity()), (key.raw(), key.raw().tenant(), "(unknown)"));
        assert!(RawKey::of_text("acme").is_none() && RawKey::of_text(":two/1/2").is_none());
    }

    #[test]
    fn keys_of_one_hash_are_different_keys_and_every_shard_has_some() {
        let keys: Vec<RawKey> = (0..100).map(|part| one(&tenant("acme"), part).raw().clone()).collect();
        assert_ne!(keys[0].hashed_as(&keys[1]), keys[1]);
        let mut seen = [false; 4];
        keys.iter().for_each(|key| seen[key.shard(4)] = true);
        assert_eq!(seen, [true; 4]);
    }

    #[test]
    fn patterns_cannot_hold_a_separator_of_parts() {
        assert!(well_formed("user:context") && well_formed("v2:a_b"));
        assert!(!well_formed("user/context") && !well_formed("User") && !well_formed(""));
    }

    proptest! {
        #[test]
        fn what_must_be_escaped_is_found_wherever_it_stands(text in "[a-z]{0,40}[/%]?[a-z/%]{0,40}") {
            prop_assert_eq!(escaped_at(text.as_bytes()), text.find(['/', '%']));
        }

        #[test]
        fn different_parts_make_different_keys(a in "[/%:a]{0,4}", b in "[/%:a]{0,4}", c in "[/%:a]{0,4}", d in "[/%:a]{0,4}") {
            let acme = tenant("acme");
            let same = (&a, &b) == (&c, &d);
            prop_assert_eq!(two(&acme, &a, &b).raw() == two(&acme, &c, &d).raw(), same);
            prop_assert!(one(&acme, &a).raw() != two(&acme, &a, "").raw());
        }
    }
}
