//! Heads of hits, made once: what is hit often is answered by a copy in which few fields are set.
//!
//! A map of twelve fields costs twelve searches to fill, and a copy of it one. So much is kept beside responses that
//! their size, by which the memory of the cache is bounded, does not count: hence a limit of its own.
//!
//! # Invariants
//! - A copy is what the layer would make anew: it is used only with the same `Cache-Control` and `Vary`.
//! - There are never more heads than [`HEADS_MAX`], however many responses are kept.
//! - The fields that differ stand where they stood in the head that was kept, and are found in one walk to the last of them.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::headers::{CACHE_STATUS, X_CACHE_HITS};

/// Heads that a layer keeps at most, of some 1.5 KB.
const HEADS_MAX: usize = 4096;
/// From so many hits on a response is worth it.
pub(crate) const HITS_MIN: u64 = 3;

/// How many heads a layer keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<AtomicUsize>);

/// The heads of one response's hits: with its body, and without. Most responses are kept without any, so they take no room
/// where they are not.
#[derive(Debug, Default)]
pub(crate) struct ReadyHeads([OnceLock<Box<Ready>>; 2]);

/// What a hit is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    NotModified,
}

#[derive(Debug)]
struct Ready {
    head: ReadyHead,
    cache_control: HeaderValue,
    vary: HeaderValue,
    counted: Heads,
}

/// The head of one hit, of which others are made.
#[derive(Debug, PartialEq)]
pub(crate) struct ReadyHead {
    headers: HeaderMap,
    /// How many values stand before that of each field that differs; none: it has no such field.
    places: [Option<usize>; DIFFERING_COUNT],
}

/// What differs between one hit and the next, in the order in which it is told.
const DIFFERING: [HeaderName; DIFFERING_COUNT] = [header::CACHE_CONTROL, header::AGE, X_CACHE_HITS, CACHE_STATUS];
const DIFFERING_COUNT: usize = 4;
/// From this one on, every hit has them.
const COUNTS: usize = 2;

/// The values of what differs. None: as in the head that was kept.
pub(crate) struct Differing {
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) age: Option<HeaderValue>,
    pub(crate) hits: HeaderValue,
    pub(crate) status: HeaderValue,
}

impl ReadyHeads {
    /// The head, if there is one that was made with these.
    pub(crate) fn get(&self, form: Form, cache_control: &HeaderValue, vary: &HeaderValue) -> Option<&ReadyHead> {
        let ready = self.0[form as usize].get()?;
        (ready.cache_control == *cache_control && ready.vary == *vary).then_some(&ready.head)
    }

    /// Keeps a head of a hit, unless there is one, or there are too many.
    pub(crate) fn keep(
        &self,
        heads: &Heads,
        form: Form,
        headers: &HeaderMap,
        cache_control: &HeaderValue,
        vary: &HeaderValue,
    ) {
        let place = &self.0[form as usize];
        if place.get().is_some() {
            return;
        }
        let Some(head) = ReadyHead::of(headers) else { return };
        if heads.0.fetch_add(1, Relaxed) >= HEADS_MAX {
            heads.0.fetch_sub(1, Relaxed);
            return;
        }
        let (cache_control, vary) = (cache_control.clone(), vary.clone());
        // If another thread was faster, this one is dropped, and counts no more.
        let _ = place.set(Box::new(Ready { head, cache_control, vary, counted: heads.clone() }));
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.counted.0.fetch_sub(1, Relaxed);
    }
}

impl ReadyHead {
    /// Of a hit's head; none if it lacks what differs, or has it in another order.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let places = DIFFERING.map(|name| headers.iter().position(|(own, _)| *own == name));
        let is_whole = places[COUNTS..].iter().all(Option::is_some);
        (is_whole && places.iter().flatten().is_sorted()).then(|| Self { headers: headers.clone(), places })
    }

    /// The head of another hit.
    pub(crate) fn of_hit(&self, differing: Differing) -> HeaderMap {
        let Differing { cache_control, age, hits, status } = differing;
        // A copy has its values in the same order.
        let mut headers = self.headers.clone();
        let mut values = headers.values_mut();
        let mut passed = 0;
        for (place, value) in self.places.into_iter().zip([cache_control, age, Some(hits), Some(status)]) {
            let (Some(place), Some(value)) = (place, value) else { continue };
            *values.nth(place - passed).expect("the copy has as many values") = value;
            passed = place + 1;
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    /// As a hit's.
    fn head(hits: &'static str, status: &'static str) -> HeaderMap {
        let told = [(header::ETAG, "\"a\""), (X_CACHE_HITS, hits), (header::VARY, "accept"), (CACHE_STATUS, status)];
        told.into_iter().map(|(name, text)| (name, value(text))).collect()
    }

    #[test]
    fn a_head_is_used_with_what_it_was_made_with() {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        let headers = head("3", "hit; ttl=9");
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept")), None);
        ready.keep(&heads, Form::Whole, &headers, &value("private"), &value("accept"));
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept")), ReadyHead::of(&headers).as_ref());
        assert_eq!(ready.get(Form::Whole, &value("public"), &value("accept")), None);
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept, cookie")), None);
        assert_eq!(ready.get(Form::NotModified, &value("private"), &value("accept")), None);
    }

    #[test]
    fn of_a_copy_only_what_counts_differs() {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        let mut headers = head("3", "hit; ttl=9");
        headers.append(header::VARY, value("cookie"));
        ready.keep(&heads, Form::Whole, &headers, &value("private"), &value("accept"));
        let kept = ready.get(Form::Whole, &value("private"), &value("accept")).unwrap();
        let mut expected = head("4", "hit; ttl=8");
        expected.append(header::VARY, value("cookie"));
        let made =
            kept.of_hit(Differing { cache_control: None, age: None, hits: value("4"), status: value("hit; ttl=8") });
        assert!(made.iter().eq(expected.iter()), "{made:?}");
    }

    #[test]
    fn a_head_that_does_not_say_what_differs_is_not_kept() {
        for name in &DIFFERING[COUNTS..] {
            let mut headers = head("3", "hit");
            headers.remove(name);
            check_not_kept(&headers);
        }
        let other_order = [(CACHE_STATUS, "hit"), (X_CACHE_HITS, "3")];
        check_not_kept(&other_order.into_iter().map(|(name, text)| (name, value(text))).collect());
    }

    fn check_not_kept(headers: &HeaderMap) {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        ready.keep(&heads, Form::Whole, headers, &value("private"), &value("accept"));
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept")), None);
        assert_eq!(heads.0.load(Relaxed), 0);
    }

    #[test]
    fn there_are_never_more_than_the_limit_and_who_goes_makes_room() {
        let heads = Heads::default();
        let keep = |ready: &ReadyHeads| {
            ready.keep(&heads, Form::Whole, &head("3", "hit"), &value("a"), &value("b"));
            ready.keep(&heads, Form::Whole, &head("3", "hit"), &value("a"), &value("b"));
            ready.get(Form::Whole, &value("a"), &value("b")).is_some()
        };
        let mut all: Vec<ReadyHeads> = (0..HEADS_MAX).map(|_| ReadyHeads::default()).collect();
        assert!(all.iter().all(keep));
        assert!(!keep(&ReadyHeads::default()));
        all.pop();
        assert!(keep(&ReadyHeads::default()));
        drop(all);
        assert_eq!(heads.0.load(Relaxed), 0);
    }
}
