//! Heads of hits, made once: what is hit often is answered by a copy in which two fields are set.
//!
//! A map of twelve fields costs twelve searches to fill, and a copy of it one. So much is kept beside responses that
//! their size, by which the memory of the cache is bounded, does not count: hence a limit of its own.
//!
//! # Invariants
//! - A copy is what the layer would make anew: it is used only with the same `Cache-Control` and `Vary`.
//! - There are never more heads than [`HEADS_MAX`], however many responses are kept.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{HeaderMap, HeaderValue};

/// Heads that a layer keeps at most, of some 1.5 KB.
const HEADS_MAX: usize = 4096;
/// From so many hits on a response is worth it.
pub(crate) const HITS_MIN: u64 = 3;

/// How many heads a layer keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<AtomicUsize>);

/// The heads of one response's hits: with its body, and without.
#[derive(Debug, Default)]
pub(crate) struct ReadyHeads([OnceLock<Ready>; 2]);

/// What a hit is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    NotModified,
}

#[derive(Debug)]
struct Ready {
    headers: HeaderMap,
    cache_control: HeaderValue,
    vary: HeaderValue,
    counted: Heads,
}

impl ReadyHeads {
    /// A copy of the head, if there is one that was made with these.
    pub(crate) fn get(&self, form: Form, cache_control: &HeaderValue, vary: &HeaderValue) -> Option<HeaderMap> {
        let ready = self.0[form as usize].get()?;
        (ready.cache_control == *cache_control && ready.vary == *vary).then(|| ready.headers.clone())
    }

    /// Keeps a head, unless there is one, or there are too many.
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
        if heads.0.fetch_add(1, Relaxed) >= HEADS_MAX {
            heads.0.fetch_sub(1, Relaxed);
            return;
        }
        let (cache_control, vary) = (cache_control.clone(), vary.clone());
        // If another thread was faster, this one is dropped, and counts no more.
        let _ = place.set(Ready { headers: headers.clone(), cache_control, vary, counted: heads.clone() });
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.counted.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn a_head_is_used_with_what_it_was_made_with() {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        let headers: HeaderMap = [(header::ETAG, value("\"a\""))].into_iter().collect();
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept")), None);
        ready.keep(&heads, Form::Whole, &headers, &value("private"), &value("accept"));
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept")), Some(headers));
        assert_eq!(ready.get(Form::Whole, &value("public"), &value("accept")), None);
        assert_eq!(ready.get(Form::Whole, &value("private"), &value("accept, cookie")), None);
        assert_eq!(ready.get(Form::NotModified, &value("private"), &value("accept")), None);
    }

    #[test]
    fn there_are_never_more_than_the_limit_and_who_goes_makes_room() {
        let heads = Heads::default();
        let keep = |ready: &ReadyHeads| {
            ready.keep(&heads, Form::Whole, &HeaderMap::new(), &value("a"), &value("b"));
            ready.keep(&heads, Form::Whole, &HeaderMap::new(), &value("a"), &value("b"));
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
