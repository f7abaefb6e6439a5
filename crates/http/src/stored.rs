//! A response as the cache keeps it: one entry, one validator.
//!
//! What every answer from the entry shares is made once: the kept headers and the validator when it is loaded, the
//! groups when it is first served (its tags are known only then). Whatever belongs to one connection, one request or
//! to this layer is not kept.
//!
//! # Invariants
//! - Its bytes are in memory of its own, of their size: the cache's memory is bounded by the bytes of its entries. They come
//!   as slices of what a connection has read at a time, which would be held as long as they are.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use unstale::{Cacheable, CodecError, Fingerprint};

use crate::{compression::EncodedForm, headers, origin::kept::Kept, ready::ReadyHeads, rfc9111::update::Fields};

/// A response, its body and its validator: with status 200, or what its origin said.
#[derive(Debug)]
pub struct StoredResponse {
    etag: HeaderValue,
    headers: Box<[(HeaderName, HeaderValue)]>,
    body: Bytes,
    /// Times this resource had to be loaded, as far as this node knew when it was loaded last.
    misses: u64,
    hits: AtomicU64,
    groups: OnceLock<Option<HeaderValue>>,
    encoded: EncodedForm,
    ready: ReadyHeads,
    /// When it was made, in seconds since 1970, or [`NOT_TOLD`].
    made_at: u64,
    /// What its origin said, where the origin says how long it is fresh.
    origin: Option<Box<Kept>>,
}

/// Headers that are not kept: of the connection (RFC 9110, 7.6.1), of one request, of a cookie, and those that the
/// layer sets itself.
const NOT_KEPT: [HeaderName; 25] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceresponse"),
    header::AGE,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::ETAG,
    header::EXPIRES,
    header::VARY,
    headers::CACHE_GROUPS,
    headers::CACHE_STATUS,
    headers::SERVER_TIMING,
    headers::X_CACHE,
    headers::X_CACHE_HITS,
    headers::X_CACHE_MISSES,
];

/// Of a response that was made by the service behind the layer itself, which tells no age: it is as old as its answer.
const NOT_TOLD: u64 = u64::MAX;

impl StoredResponse {
    /// The validator of a part whose origin gave it none.
    pub(crate) const NO_ETAG: HeaderValue = HeaderValue::from_static("");

    /// Of an origin's response that may be kept, and was made at `made_at` (seconds since 1970) if it says anything of its age.
    pub(crate) fn new(etag: HeaderValue, headers: &HeaderMap, body: Bytes, misses: u64, made_at: Option<u64>) -> Self {
        let named: Vec<&str> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').map(str::trim))
            .collect();
        let kept = headers
            .iter()
            .filter(|(name, _)| !NOT_KEPT.contains(name))
            .filter(|(name, _)| !named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str())))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self { made_at: made_at.unwrap_or(NOT_TOLD), ..Self::owned(etag, kept, body, misses, None) }
    }

    /// Of a response whose origin says how long it is fresh.
    pub(crate) fn of_origin(etag: HeaderValue, fields: Fields, body: Bytes, misses: u64, kept: Kept) -> Self {
        Self::owned(etag, fields.into(), body, misses, Some(Box::new(kept)))
    }

    /// In memory of its own: the values in one piece, the body in another.
    fn owned(
        mut etag: HeaderValue,
        mut headers: Box<[(HeaderName, HeaderValue)]>,
        body: Bytes,
        misses: u64,
        origin: Option<Box<Kept>>,
    ) -> Self {
        let bytes = etag.len() + headers.iter().map(|(_, value)| value.len()).sum::<usize>();
        let mut piece = BytesMut::with_capacity(bytes);
        let mut own = |value: &mut HeaderValue| {
            piece.extend_from_slice(value.as_bytes());
            let copy = HeaderValue::from_maybe_shared(piece.split().freeze());
            *value = copy.expect("a copy of a value is one");
        };
        own(&mut etag);
        headers.iter_mut().for_each(|(_, value)| own(value));
        Self::made(etag, headers, in_its_size(body), misses, origin)
    }

    fn made(
        etag: HeaderValue,
        headers: Box<[(HeaderName, HeaderValue)]>,
        body: Bytes,
        misses: u64,
        origin: Option<Box<Kept>>,
    ) -> Self {
        let (hits, groups, encoded) = (AtomicU64::new(0), OnceLock::new(), EncodedForm::default());
        let (ready, made_at) = (ReadyHeads::default(), NOT_TOLD);
        Self { etag, headers, body, misses, hits, groups, encoded, ready, made_at, origin }
    }

    /// What its origin said; none if the route says how long it is kept.
    pub(crate) fn origin(&self) -> Option<&Kept> {
        self.origin.as_deref()
    }

    /// The validator, or [`NO_ETAG`](Self::NO_ETAG).
    pub(crate) fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// The kept headers, without the validator.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// A kept header.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(kept, _)| kept == name).map(|(_, value)| value)
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The place for its encoded form.
    pub(crate) fn encoded(&self) -> &EncodedForm {
        &self.encoded
    }

    /// The heads of its hits.
    pub(crate) fn ready(&self) -> &ReadyHeads {
        &self.ready
    }

    /// How old it is at `now` (seconds since 1970), if it came from where that is told. What its origin gives a life has its age
    /// among its terms.
    pub(crate) fn age(&self, now: u64) -> Option<u64> {
        (self.made_at != NOT_TOLD).then(|| now.saturating_sub(self.made_at))
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses
    }

    /// How often it was used.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Counts a use; returns how many there were, this one included.
    pub(crate) fn count_hit(&self) -> u64 {
        self.hits.fetch_add(1, Relaxed) + 1
    }

    /// The value of `Cache-Groups`, made at the first use.
    pub(crate) fn groups(&self, make: impl FnOnce() -> Option<HeaderValue>) -> Option<&HeaderValue> {
        self.groups.get_or_init(make).as_ref()
    }
}

/// The same bytes, copied unless nobody else holds their memory and hardly more than they fill is in it.
fn in_its_size(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(own) if own.capacity() - own.len() <= own.len() / 8 => own.freeze(),
        Ok(roomy) => Bytes::copy_from_slice(&roomy),
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

/// What an allocator and the counts of shared bytes add to a response's pieces, on average.
const ALLOCATED_BYTES: usize = 200;

/// Raised with every change of the layout below.
const LAYOUT: &str = "unstale-http stored response 4: misses u64, made at u64, etag, headers u16 × (name, value), \
     origin u8 × (status u16, terms 5 × u64, flags u8, part 0 or 3 × u64, search 0 or u32 × text, u8, u32 × text, selection u128, selected by u16 × name), body";

impl Cacheable for StoredResponse {
    fn fingerprint() -> Fingerprint {
        static FINGERPRINT: OnceLock<Fingerprint> = OnceLock::new();
        *FINGERPRINT.get_or_init(|| Fingerprint::of(LAYOUT))
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let too_many = || failed("encoded", "a response has more than 65,535 headers");
        let headers = u16::try_from(self.headers.len()).map_err(|_| too_many())?;
        out.reserve(64 + self.body.len());
        out.put_u64(self.misses);
        out.put_u64(self.made_at);
        put(out, self.etag.as_bytes())?;
        out.put_u16(headers);
        for (name, value) in &self.headers {
            put(out, name.as_str().as_bytes())?;
            put(out, value.as_bytes())?;
        }
        out.put_u8(u8::from(self.origin.is_some()));
        if let Some(kept) = &self.origin {
            kept.encode(out);
        }
        out.extend_from_slice(&self.body);
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let mut rest = bytes.clone();
        let mut number = || -> Result<u64, CodecError> {
            Ok(u64::from_be_bytes(*take(&mut rest, 8)?.first_chunk().expect("eight bytes were taken")))
        };
        let (misses, made_at) = (number()?, number()?);
        let etag = value(take_field(&mut rest)?)?;
        let count = u16::from_be_bytes(*take(&mut rest, 2)?.first_chunk().expect("two bytes were taken"));
        let mut headers = Vec::with_capacity(usize::from(count).min(64));
        for _ in 0..count {
            let name = HeaderName::from_bytes(&take_field(&mut rest)?)
                .map_err(|_| failed("decoded", "a header's name is none"))?;
            headers.push((name, value(take_field(&mut rest)?)?));
        }
        let no_origin = || failed("decoded", "what the origin said cannot be read");
        let origin = match rest.try_get_u8().map_err(|_| no_origin())? {
            0 => None,
            _ => Some(Box::new(Kept::decode(&mut rest).ok_or_else(no_origin)?)),
        };
        Ok(Self { made_at, ..Self::made(etag, headers.into(), rest, misses, origin) })
    }

    /// Its bytes, and the pieces that hold them. Ready heads and the encoded form have limits of their own.
    fn memory_bytes(&self, encoded: usize) -> usize {
        let origin = self.origin.as_deref().map_or(0, size_of_val);
        encoded + size_of::<Self>() + size_of_val(&*self.headers) + origin + ALLOCATED_BYTES
    }
}

fn put(out: &mut Vec<u8>, field: &[u8]) -> Result<(), CodecError> {
    let length = u32::try_from(field.len()).map_err(|_| failed("encoded", "a header is longer than 4 GiB"))?;
    out.put_u32(length);
    out.extend_from_slice(field);
    Ok(())
}

fn take(rest: &mut Bytes, length: usize) -> Result<Bytes, CodecError> {
    if rest.len() < length { Err(failed("decoded", "the bytes end too early")) } else { Ok(rest.split_to(length)) }
}

fn take_field(rest: &mut Bytes) -> Result<Bytes, CodecError> {
    let length = u32::from_be_bytes(*take(rest, 4)?.first_chunk().expect("four bytes were taken"));
    take(rest, length as usize)
}

fn value(bytes: Bytes) -> Result<HeaderValue, CodecError> {
    HeaderValue::from_maybe_shared(bytes).map_err(|_| failed("decoded", "a header's value is none"))
}

fn failed(action: &'static str, reason: &str) -> CodecError {
    CodecError { schema: StoredResponse::fingerprint(), action, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(pairs: &[(&'static str, &'static str)], body: &'static [u8]) -> StoredResponse {
        let mut headers = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| {
            headers.append(*name, HeaderValue::from_static(value));
        });
        StoredResponse::new(HeaderValue::from_static("\"v1\""), &headers, Bytes::from_static(body), 3, Some(7))
    }

    fn encoded(stored: &StoredResponse) -> Bytes {
        let mut out = Vec::new();
        stored.encode(&mut out).unwrap();
        out.into()
    }

    #[test]
    fn keeps_what_describes_the_content_and_nothing_else() {
        let stored = stored(
            &[
                ("content-type", "a/b"),
                ("last-modified", "x"),
                ("link", "<1>"),
                ("link", "<2>"),
                ("x-mine", "1"),
                ("connection", "close, X-Mine"),
                ("set-cookie", "a=b"),
                ("etag", "W/\"o\""),
                ("cache-control", "max-age=5"),
                ("content-length", "99"),
                ("x-cache", "HIT"),
                ("x-request-id", "7"),
            ],
            b"body",
        );
        let names: Vec<&str> = stored.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "last-modified", "link", "link"]);
    }

    #[test]
    fn of_what_it_came_in_it_holds_nothing() {
        let read = Bytes::from([b"text/plain#body".as_slice(), &[0; 8000]].concat());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_maybe_shared(read.slice(..10)).unwrap());
        let etag = HeaderValue::from_maybe_shared(read.slice(..4)).unwrap();
        let stored = StoredResponse::new(etag.clone(), &headers, read.slice(11..15), 1, None);
        drop((headers, etag));
        assert!(read.is_unique(), "what a connection has read is held");
        assert_eq!((stored.etag().as_bytes(), stored.body().as_ref()), (b"text".as_slice(), b"body".as_slice()));
        assert_eq!(stored.header(&header::CONTENT_TYPE).unwrap(), "text/plain");
    }

    #[test]
    fn a_body_is_copied_only_where_that_saves_memory() {
        let exact = Bytes::from(vec![7; 1000]);
        let at = exact.as_ptr();
        assert_eq!(in_its_size(exact).as_ptr(), at);
        let mut roomy = BytesMut::with_capacity(2000);
        roomy.extend_from_slice(&[7; 1000]);
        let at = roomy.as_ptr();
        let own = in_its_size(roomy.freeze());
        assert_ne!(own.as_ptr(), at);
        assert_eq!(own, [7; 1000].as_slice());
    }

    #[test]
    fn what_it_takes_beside_its_bytes_grows_with_its_fields() {
        let (plain, described) = (stored(&[], b"body"), stored(&[("content-type", "a/b"), ("link", "<1>")], b"body"));
        assert!(plain.memory_bytes(100) > 100 + size_of::<StoredResponse>());
        let fields = 2 * size_of::<(HeaderName, HeaderValue)>();
        assert_eq!(described.memory_bytes(100), plain.memory_bytes(100) + fields);
    }

    #[test]
    fn survives_its_encoding() {
        let before = stored(&[("content-type", "a/b"), ("link", "<1>"), ("link", "<2>")], b"body");
        before.count_hit();
        let after = StoredResponse::decode(&encoded(&before)).unwrap();
        assert_eq!((after.etag(), after.headers(), after.body()), (before.etag(), before.headers(), before.body()));
        assert_eq!((after.misses(), after.count_hit(), after.age(9)), (3, 1, Some(2)));
    }

    #[test]
    fn bytes_that_end_early_or_hold_no_headers_are_an_error() {
        let bytes = encoded(&stored(&[("content-type", "a/b")], b""));
        for length in 0..bytes.len() {
            assert!(StoredResponse::decode(&bytes.slice(..length)).is_err(), "{length} bytes were enough");
        }
        let mut spoiled = bytes.to_vec();
        let at = spoiled.windows(3).position(|part| part == b"a/b").unwrap();
        spoiled[at] = b'\n';
        assert!(StoredResponse::decode(&spoiled.into()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = StoredResponse::decode(&bytes.into());
        }
    }
}
