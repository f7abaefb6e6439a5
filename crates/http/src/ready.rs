//! Heads of hits, made once: what is hit often is answered by a copy in which few fields are set, or by a text to which few
//! are added.
//!
//! A map of twelve fields costs twelve searches to fill, and a copy of it one; to write it costs as much again. So much is
//! kept beside responses that their size, by which the memory of the cache is bounded, does not count: hence a limit of its
//! own.
//!
//! # Invariants
//! - A copy is what the layer would make anew: it is used only with the same `Cache-Control` and `Vary`.
//! - There are never more heads than [`HEADS_MAX`], however many responses are kept.
//! - The fields that differ stand where they stood in the head that was kept, and are found in one walk to the last of them.
//! - The text says what the copy says. It stands for a head that [`wire`](crate::wire) would write.

use std::{
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body;

use crate::{
    body::CacheBody,
    compression::EncodedForm,
    headers::{CACHE_STATUS, X_CACHE_HITS},
    wire,
};

/// Heads that a layer keeps at most, of some 2 KB.
const HEADS_MAX: usize = 4096;
/// From so many hits on a response is worth it.
pub(crate) const HITS_MIN: u64 = 3;

/// How many heads a layer keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Arc<AtomicUsize>);

/// The heads of one response's hits: with its body, and without. Most responses are kept without any, so they take no room
/// where they are not.
#[derive(Debug, Default)]
pub(crate) struct ReadyHeads([OnceLock<Arc<Ready>>; 2]);

/// What a hit is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    NotModified,
}

impl Form {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::NotModified => StatusCode::NOT_MODIFIED,
        }
    }
}

/// The head of a hit that is kept.
#[derive(Debug)]
pub(crate) struct Ready {
    head: ReadyHead,
    /// The first line and all fields but those that differ, if the head can be sent as it is.
    text: Option<Box<[u8]>>,
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
    pub(crate) fn get(&self, form: Form, cache_control: &HeaderValue, vary: &HeaderValue) -> Option<&Arc<Ready>> {
        let ready = self.0[form as usize].get()?;
        (ready.cache_control == *cache_control && ready.vary == *vary).then_some(ready)
    }

    /// Keeps the head of a hit whose body has so many bytes, unless there is one, or there are too many.
    pub(crate) fn keep(
        &self,
        heads: &Heads,
        form: Form,
        (headers, body_bytes): (&HeaderMap, usize),
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
        let text = head.text(form.status(), body_bytes);
        let (cache_control, vary) = (cache_control.clone(), vary.clone());
        // If another thread was faster, this one is dropped, and counts no more.
        let _ = place.set(Arc::new(Ready { head, text, cache_control, vary, counted: heads.clone() }));
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

    /// What of it does not differ, as it is sent; none, if that takes thought.
    fn text(&self, status: StatusCode, body_bytes: usize) -> Option<Box<[u8]>> {
        let mut text = Vec::new();
        if !wire::write_head(status, &self.headers, body_bytes, &mut text) {
            return None;
        }
        text.clear();
        wire::write_status(status, &mut text)?;
        let same = self.headers.iter().enumerate().filter(|(place, _)| !self.places.contains(&Some(*place)));
        same.for_each(|(_, (name, value))| wire::write_field(name, value, &mut text));
        Some(text.into())
    }

    /// The head of another hit.
    fn of_hit(&self, differing: &Differing) -> HeaderMap {
        // A copy has its values in the same order.
        let mut headers = self.headers.clone();
        let mut values = headers.values_mut();
        let mut passed = 0;
        for (place, value) in self.places.into_iter().zip(differing.values()) {
            let (Some(place), Some(value)) = (place, value) else { continue };
            values.nth(place - passed).expect("the copy has as many values").clone_from(value);
            passed = place + 1;
        }
        headers
    }
}

impl Differing {
    /// In the order of [`DIFFERING`].
    fn values(&self) -> [Option<&HeaderValue>; DIFFERING_COUNT] {
        let Self { cache_control, age, hits, status } = self;
        [cache_control.as_ref(), age.as_ref(), Some(hits), Some(status)]
    }
}

/// A hit whose head is there already: a copy is made of it, or it is sent as it is.
pub(crate) struct ReadyHit {
    pub(crate) ready: Arc<Ready>,
    pub(crate) form: Form,
    pub(crate) differing: Differing,
    pub(crate) body: Bytes,
    /// For who encodes answers outside of the layer.
    pub(crate) encoded: Option<EncodedForm>,
}

impl ReadyHit {
    pub(crate) fn status(&self) -> StatusCode {
        self.form.status()
    }

    pub(crate) fn response<B: Body>(self) -> Response<CacheBody<B>> {
        let Self { ready, form, differing, body, encoded } = self;
        let mut response = Response::new(CacheBody::full(body));
        *response.status_mut() = form.status();
        *response.headers_mut() = ready.head.of_hit(&differing);
        if let Some(encoded) = encoded {
            response.extensions_mut().insert(encoded);
        }
        response
    }

    /// Writes the head, if that takes no thought, and gives the body away.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> Option<Bytes> {
        let text = self.ready.text.as_deref().filter(|_| self.encoded.is_none())?;
        out.clear();
        out.extend_from_slice(text);
        let ReadyHead { headers, places } = &self.ready.head;
        for ((name, place), value) in DIFFERING.iter().zip(places).zip(self.differing.values()) {
            let Some(place) = place else { continue };
            let kept = || headers.values().nth(*place).expect("it is a place in the head");
            wire::write_field(name, value.unwrap_or_else(kept), out);
        }
        out.extend_from_slice(wire::END);
        Some(mem::take(&mut self.body))
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
        let kept = |form, control, vary| ready.get(form, &value(control), &value(vary)).map(|ready| &ready.head);
        assert_eq!(kept(Form::Whole, "private", "accept"), None);
        ready.keep(&heads, Form::Whole, (&headers, 0), &value("private"), &value("accept"));
        assert_eq!(kept(Form::Whole, "private", "accept"), ReadyHead::of(&headers).as_ref());
        assert_eq!(kept(Form::Whole, "public", "accept"), None);
        assert_eq!(kept(Form::Whole, "private", "accept, cookie"), None);
        assert_eq!(kept(Form::NotModified, "private", "accept"), None);
    }

    #[test]
    fn of_a_copy_only_what_counts_differs() {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        let mut headers = head("3", "hit; ttl=9");
        headers.append(header::VARY, value("cookie"));
        ready.keep(&heads, Form::Whole, (&headers, 0), &value("private"), &value("accept"));
        let kept = ready.get(Form::Whole, &value("private"), &value("accept")).unwrap();
        let mut expected = head("4", "hit; ttl=8");
        expected.append(header::VARY, value("cookie"));
        let differing = Differing { cache_control: None, age: None, hits: value("4"), status: value("hit; ttl=8") };
        let made = kept.head.of_hit(&differing);
        assert!(made.iter().eq(expected.iter()), "{made:?}");
    }

    /// The hit of this head, with these for what differs.
    fn hit(
        headers: &HeaderMap,
        body: &'static str,
        cache_control: Option<&'static str>,
        age: &'static str,
    ) -> ReadyHit {
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        ready.keep(&heads, Form::Whole, (headers, body.len()), &value("private"), &value("accept"));
        ReadyHit {
            ready: ready.get(Form::Whole, &value("private"), &value("accept")).unwrap().clone(),
            form: Form::Whole,
            differing: Differing {
                cache_control: cache_control.map(value),
                age: Some(value(age)),
                hits: value("4"),
                status: value("hit; ttl=8"),
            },
            body: Bytes::from_static(body.as_bytes()),
            encoded: None,
        }
    }

    #[test]
    fn the_text_says_what_the_copy_says() {
        let told = [
            (header::CONTENT_LENGTH, "2"),
            (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (header::CACHE_CONTROL, "private, max-age=9"),
            (header::AGE, "3"),
            (header::LINK, "</a>"),
            (header::LINK, "</b>"),
        ];
        let mut headers = HeaderMap::new();
        for (name, text) in told {
            headers.append(name, value(text));
        }
        headers.extend(head("3", "hit; ttl=9"));
        for cache_control in [None, Some("private, max-age=10")] {
            let mut text = Vec::new();
            let body = hit(&headers, "hi", cache_control, "4").write(&mut text).unwrap();
            assert_eq!(body, "hi");
            let copy = hit(&headers, "hi", cache_control, "4").response::<http_body_util::Empty<Bytes>>();
            let mut expected = Vec::new();
            assert!(wire::write_head(copy.status(), copy.headers(), 2, &mut expected));
            let lines = |text: Vec<u8>| {
                let text = String::from_utf8(text).unwrap();
                let mut lines: Vec<_> =
                    text.strip_suffix("\r\n\r\n").unwrap().split("\r\n").map(str::to_owned).collect();
                lines[1..].sort();
                lines
            };
            assert_eq!(lines(text), lines(expected));
        }
    }

    #[test]
    fn what_has_not_changed_says_so() {
        let mut headers = head("3", "hit; ttl=9");
        headers.insert(header::DATE, value("Sun, 06 Nov 1994 08:49:37 GMT"));
        let (heads, ready) = (Heads::default(), ReadyHeads::default());
        ready.keep(&heads, Form::NotModified, (&headers, 0), &value("private"), &value("accept"));
        let ready = ready.get(Form::NotModified, &value("private"), &value("accept")).unwrap().clone();
        let mut same = ReadyHit { ready, form: Form::NotModified, body: Bytes::new(), ..hit(&headers, "", None, "4") };
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
        let mut text = Vec::new();
        assert_eq!(same.write(&mut text).as_deref(), Some(&[][..]));
        assert!(text.starts_with(b"HTTP/1.1 304 Not Modified\r\n"));
        assert_eq!(same.response::<http_body_util::Empty<Bytes>>().status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn what_takes_thought_is_not_written() {
        let mut headers = head("3", "hit; ttl=9");
        headers.insert(header::CONTENT_LENGTH, value("2"));
        let mut out = Vec::new();
        assert!(hit(&headers, "hi", None, "4").write(&mut out).is_none(), "it has no date");
        headers.insert(header::DATE, value("Sun, 06 Nov 1994 08:49:37 GMT"));
        let mut encodable = hit(&headers, "hi", None, "4");
        assert!(encodable.write(&mut out).is_some());
        encodable.encoded = Some(EncodedForm::default());
        assert!(encodable.write(&mut out).is_none(), "somebody else has a say in it");
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
        ready.keep(&heads, Form::Whole, (headers, 0), &value("private"), &value("accept"));
        assert!(ready.get(Form::Whole, &value("private"), &value("accept")).is_none());
        assert_eq!(heads.0.load(Relaxed), 0);
    }

    #[test]
    fn there_are_never_more_than_the_limit_and_who_goes_makes_room() {
        let heads = Heads::default();
        let keep = |ready: &ReadyHeads| {
            ready.keep(&heads, Form::Whole, (&head("3", "hit"), 0), &value("a"), &value("b"));
            ready.keep(&heads, Form::Whole, (&head("3", "hit"), 0), &value("a"), &value("b"));
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
