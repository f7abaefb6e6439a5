//! What people typed and what stands in keys: rows have a keyed hash in its place. *Decides*, does no IO.
//!
//! A search may be for somebody's name, and nobody knows afterwards whose names were searched for. So the text of a query is
//! not written at all; equal ones are told apart from others all the same.

use std::{borrow::Cow, collections::HashMap, fmt};

use unstale::{KeyPattern, RawKey};

/// How keys are written: the query of a URL as a keyed hash, and so are the parts that are named.
#[derive(Clone)]
pub struct Concealed {
    key: [u8; 32],
    parts: HashMap<&'static str, Vec<usize>>,
}

impl Concealed {
    /// By a key that all nodes share, such as [`Purpose::Records`](crate::secret::Purpose)'s: else a key is a row for each of
    /// them.
    pub fn by(key: [u8; 32]) -> Self {
        Self { key, parts: HashMap::new() }
    }

    /// What stands in this part of a pattern's keys, too.
    ///
    /// # Panics
    /// If the pattern has no such part.
    #[must_use]
    pub fn part(mut self, pattern: &'static KeyPattern, name: &str) -> Self {
        let place = pattern.parts.iter().position(|part| *part == name);
        self.parts.entry(pattern.name).or_default().push(place.expect("the pattern has a part of this name"));
        self
    }

    /// A key's text as it is written.
    pub(crate) fn text<'a>(&self, key: &'a RawKey) -> Cow<'a, str> {
        let text = key.as_str();
        let named = self.parts.get(key.entity());
        if named.is_none() && !text.contains('?') {
            return Cow::Borrowed(text);
        }
        let Some((head, parts)) = text.split_once('/') else { return Cow::Borrowed(text) };
        let mut written = head.to_owned();
        for (at, part) in parts.split('/').enumerate() {
            written.push('/');
            if named.is_some_and(|named| named.contains(&at)) {
                self.push(&mut written, part);
            } else if let Some((path, query)) = part.split_once('?') {
                written.push_str(path);
                written.push('?');
                self.push(&mut written, query);
            } else {
                written.push_str(part);
            }
        }
        Cow::Owned(written)
    }

    /// Nothing stays nothing.
    fn push(&self, written: &mut String, text: &str) {
        if !text.is_empty() {
            written.push('#');
            written.push_str(&blake3::keyed_hash(&self.key, text.as_bytes()).to_hex()[..16]);
        }
    }
}

impl fmt::Debug for Concealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concealed").field("parts", &self.parts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    unstale::catalogue! {
        /// Of these tests.
        const PATTERNS;
        /// A page.
        fn page(place, search, number) -> String = "page";
        /// A response.
        fn response(owner, url) -> String = "response";
        /// Something of a tenant.
        fn all() -> String = "all";
    }

    fn concealed(key: u8) -> Concealed {
        Concealed::by([key; 32]).part(&PATTERNS[0], "search")
    }

    fn acme() -> Tenant {
        Tenant::new("acme").unwrap()
    }

    #[test]
    fn what_was_searched_for_is_a_keyed_hash_and_all_else_stays() {
        let text = |search: &str, key| concealed(key).text(page(&acme(), "any", search, 2).raw()).into_owned();
        let ada = text("ada/lovelace?", 1);
        let hash = ada.strip_prefix("acme:page/any/#").unwrap().strip_suffix("/2").unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{ada}");
        assert_eq!(text("ada/lovelace?", 1), ada);
        assert_ne!(text("ada/lovelace", 1), ada);
        assert_ne!(text("ada/lovelace?", 2), ada, "without the key nobody can try names");
        assert_eq!(text("", 1), "acme:page/any//2");
    }

    #[test]
    fn a_query_is_a_keyed_hash_and_its_path_stays() {
        let text = |url: &str| concealed(1).text(response(&acme(), "@7", url).raw()).into_owned();
        assert_eq!(text("/assets/7"), "acme:response/@7/%2Fassets%2F7");
        let queried = text("/assets?search=ada&page=1");
        assert!(queried.starts_with("acme:response/@7/%2Fassets?#") && !queried.contains("ada"), "{queried}");
        assert_eq!(concealed(1).text(all(&acme()).raw()), "acme:all");
        assert!(!format!("{:?}", concealed(0xAB)).contains("171"));
    }
}
