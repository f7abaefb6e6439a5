//! What is kept besides of a response whose lifetime its origin said: enough to judge it at each look-up without reading
//! its headers again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::{
    rfc9111::{Terms, no_vary_search::Search, partial::Held, vary},
    searches::Searched,
};

/// What the origin's word makes of a stored response.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) status: StatusCode,
    pub(crate) terms: Terms,
    /// The request headers that selected it.
    pub(crate) selected_by: Box<[HeaderName]>,
    /// The digest of their values.
    pub(crate) selection: u128,
    /// Which part of the whole it is; none: it is the whole.
    pub(crate) part: Option<Held>,
    /// Where it is kept for more than one query: the one that it was made for, and which others mean the same.
    search: Option<(Search, Option<String>)>,
    /// Somebody asks the origin for another one while it is served stale.
    refreshing: AtomicBool,
}

impl Kept {
    pub(crate) fn new(
        status: StatusCode,
        terms: Terms,
        (selected_by, selection): (Vec<HeaderName>, u128),
        part: Option<Held>,
    ) -> Self {
        let refreshing = AtomicBool::new(false);
        Self { status, terms, selected_by: selected_by.into(), selection, part, search: None, refreshing }
    }

    /// Sets for which query it was made, and which others mean the same by its own word.
    pub(crate) fn searched(self, search: Option<(Search, Option<String>)>) -> Self {
        Self { search, ..self }
    }

    /// Whether it is the response that a request with these headers selects, and this query, where it is kept for more
    /// than one.
    pub(crate) fn is_selected_by(&self, request: &HeaderMap, searched: Option<&Searched>) -> bool {
        self.is_of_query(searched)
            && (self.selected_by.is_empty() || self.selection == vary::digest(&self.selected_by, request))
    }

    fn is_of_query(&self, searched: Option<&Searched>) -> bool {
        match (&self.search, searched) {
            (None, None) => true,
            (Some((search, own)), Some(asked)) => search.is_same(own.as_deref(), asked.query.as_deref()),
            _ => false,
        }
    }

    /// Under which digest a response is to be looked for that this request selects, which does not select this one.
    pub(crate) fn other(&self, request: &HeaderMap, searched: Option<&Searched>) -> u128 {
        let digest = vary::digest(&self.selected_by, request);
        if self.is_of_query(searched) {
            return digest;
        }
        // By its own query: what this one's origin says of queries holds for this one alone.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&digest.to_le_bytes());
        if let Some(query) = searched.and_then(|asked| asked.query.as_deref()) {
            hasher.update(query.as_bytes());
        }
        u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// What selects a part that cannot be cut, besides what the origin names.
    pub(crate) const RANGE: [HeaderName; 2] = [header::RANGE, header::IF_RANGE];

    /// Whether it is a part that cannot be cut: it answers the range that it was asked for, and no other.
    pub(crate) fn is_for_its_range(&self) -> bool {
        self.selected_by.contains(&header::RANGE)
    }

    /// Claims to ask the origin; no if somebody does.
    pub(crate) fn claim_refresh(&self) -> bool {
        !self.refreshing.swap(true, Relaxed)
    }

    /// Gives the claim back: nothing came of it.
    pub(crate) fn release_refresh(&self) {
        self.refreshing.store(false, Relaxed);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Terms { no_cache, must_revalidate, immutable, .. } = self.terms;
        out.put_u16(self.status.as_u16());
        for number in numbers(&self.terms) {
            out.put_u64(number);
        }
        let flags = [no_cache, must_revalidate, immutable, self.part.is_some(), self.search.is_some()];
        out.put_u8(flags.iter().enumerate().map(|(bit, flag)| u8::from(*flag) << bit).sum());
        if let Some(Held { first, end, whole }) = self.part {
            [first, end, whole].into_iter().for_each(|number| out.put_u64(number));
        }
        if let Some((search, query)) = &self.search {
            encode_search(search, query.as_deref(), out);
        }
        out.put_u128(self.selection);
        // A response with more is not kept: its headers are limited.
        out.put_u16(u16::try_from(self.selected_by.len()).unwrap_or(u16::MAX));
        for name in &self.selected_by {
            out.put_u16(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
            out.extend_from_slice(name.as_str().as_bytes());
        }
    }

    /// None if the bytes are not such.
    pub(crate) fn decode(bytes: &mut Bytes) -> Option<Self> {
        let status = StatusCode::from_u16(bytes.try_get_u16().ok()?).ok()?;
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = bytes.try_get_u64().ok()?;
        }
        let [received_at, initial_age, lifetime, stale_while_revalidate, stale_if_error] = numbers;
        let flags = bytes.try_get_u8().ok()?;
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let terms = Terms {
            received_at,
            initial_age,
            lifetime,
            stale_while_revalidate,
            stale_if_error,
            no_cache: flag(0),
            must_revalidate: flag(1),
            immutable: flag(2),
        };
        let part = if flag(3) {
            let mut number = || bytes.try_get_u64().ok();
            let held = Held { first: number()?, end: number()?, whole: number()? };
            Some(held).filter(|held| held.first < held.end && held.end <= held.whole).map(Some)?
        } else {
            None
        };
        let search = if flag(4) { Some(decode_search(bytes)?) } else { None };
        let selection = bytes.try_get_u128().ok()?;
        let count = bytes.try_get_u16().ok()?;
        let mut names = Vec::with_capacity(usize::from(count).min(16));
        for _ in 0..count {
            let length = usize::from(bytes.try_get_u16().ok()?);
            let name = (bytes.len() >= length).then(|| bytes.split_to(length))?;
            names.push(HeaderName::from_bytes(&name).ok()?);
        }
        Some(Self::new(status, terms, (names, selection), part).searched(search))
    }
}

/// As the header says it, which is read again: it is limited as all headers are.
fn encode_search(search: &Search, query: Option<&str>, out: &mut Vec<u8>) {
    let said = search.to_string();
    out.put_u32(u32::try_from(said.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(said.as_bytes());
    out.put_u8(u8::from(query.is_some()));
    let query = query.unwrap_or_default();
    out.put_u32(u32::try_from(query.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(query.as_bytes());
}

fn decode_search(bytes: &mut Bytes) -> Option<(Search, Option<String>)> {
    let text = |bytes: &mut Bytes| {
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let text = (bytes.len() >= length).then(|| bytes.split_to(length))?;
        String::from_utf8(text.to_vec()).ok()
    };
    let said = text(bytes)?;
    let search = Search::parse(&said)?;
    let has_query = bytes.try_get_u8().ok()? != 0;
    let query = text(bytes)?;
    Some((search, has_query.then_some(query)))
}

fn numbers(terms: &Terms) -> [u64; 5] {
    let Terms { received_at, initial_age, lifetime, stale_while_revalidate, stale_if_error, .. } = *terms;
    [received_at, initial_age, lifetime, stale_while_revalidate, stale_if_error]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rfc9111::testing::headers;

    fn kept(part: Option<Held>) -> Kept {
        let terms = Terms {
            received_at: 1,
            initial_age: 2,
            lifetime: 3,
            stale_while_revalidate: 4,
            stale_if_error: 5,
            no_cache: true,
            must_revalidate: false,
            immutable: true,
        };
        let names = vec![header::ACCEPT, header::COOKIE];
        Kept::new(StatusCode::NOT_FOUND, terms, (names, 1 << 100), part)
    }

    #[test]
    fn survives_its_encoding() {
        let search = |said: &str| Search::of(&headers(&[("no-vary-search", said)]));
        let searches = [
            None,
            Some((Search::default(), None)),
            Some((search("key-order, params=(\"a b\" \"\\\"%C3%A9\")"), Some("x=1".to_owned()))),
            Some((search("params, except=()"), Some(String::new()))),
        ];
        let parts = [None, Some(Held { first: 1, end: 2, whole: 3 })];
        for (part, search) in parts.into_iter().flat_map(|part| searches.clone().map(|search| (part, search))) {
            let before = kept(part).searched(search.clone());
            let mut bytes = Vec::new();
            before.encode(&mut bytes);
            let after = Kept::decode(&mut bytes.clone().into()).unwrap();
            let parts = |kept: &Kept| (kept.status, kept.terms, kept.selected_by.clone(), kept.selection, kept.part);
            assert_eq!(parts(&after), parts(&before));
            assert_eq!(after.search, search);
            for length in 0..bytes.len() {
                assert!(Kept::decode(&mut Bytes::copy_from_slice(&bytes[..length])).is_none(), "{length}");
            }
        }
    }

    #[test]
    fn a_response_is_for_the_queries_that_mean_the_same_by_its_own_word() {
        let asks = |query: &str| Searched { query: Some(query.to_owned()), url: String::new() };
        let nothing = HeaderMap::new();
        let plain = |search: Option<Search>| {
            let search = search.map(|search| (search, Some("x=1&utm=2".to_owned())));
            Kept::new(StatusCode::OK, kept(None).terms, (Vec::new(), 0), None).searched(search)
        };
        let utm = plain(Some(Search::of(&headers(&[("no-vary-search", "params=(\"utm\")")]))));
        assert!(utm.is_selected_by(&nothing, Some(&asks("x=1&utm=3"))));
        assert!(!utm.is_selected_by(&nothing, Some(&asks("x=2&utm=2"))));
        // One that says nothing of queries is for its own alone, wherever it is found.
        let silent = plain(Some(Search::default()));
        assert!(silent.is_selected_by(&nothing, Some(&asks("x=1&utm=2"))));
        assert!(!silent.is_selected_by(&nothing, Some(&asks("x=1&utm=3"))));
        assert_ne!(silent.other(&nothing, Some(&asks("x=1&utm=3"))), silent.other(&nothing, Some(&asks("x=1&utm=4"))));
        // What was kept under its exact URL is not found otherwise.
        assert!(plain(None).is_selected_by(&nothing, None));
        assert!(!plain(None).is_selected_by(&nothing, Some(&asks("x=1&utm=2"))));
        assert!(!utm.is_selected_by(&nothing, None));
    }

    #[test]
    fn one_at_a_time_claims_it() {
        let kept = kept(None);
        assert!(kept.claim_refresh() && !kept.claim_refresh());
        kept.release_refresh();
        assert!(kept.claim_refresh());
    }

    proptest! {
        #[test]
        fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Kept::decode(&mut bytes.into());
        }
    }
}
