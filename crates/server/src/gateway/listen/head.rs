//! The heads of the plainest requests of HTTP/1.1: a GET without a body.
//!
//! *Decides*, does no IO. What is answered from memory takes about as long as a library's state machine takes to have it
//! sent; of most such exchanges nothing needs one. Whatever needs thought is not plain, and the library's: it reads the
//! same bytes once more (see [`plain`](super::plain)).
//!
//! # Invariants
//! - What is plain is read by the library in the same way: the same parser with the same settings finds the fields.
//! - Nothing is plain that has a body, that says anything of the connection but that it stays open, or behind which more
//!   has come.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, Request, Uri, Version, request};

use crate::gateway::fields;

/// Fields of a request; one with more is not plain.
const FIELDS_MAX: usize = 64;

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) head_bytes_max: usize,
    pub(crate) headers_max: usize,
}

/// A plain request.
pub(crate) struct PlainRequest {
    pub(crate) parts: request::Parts,
    /// All of it, as it came.
    pub(crate) bytes: Bytes,
}

/// Reads a request. None, if these bytes are anything but one whole head of a plain one.
pub(crate) fn read(bytes: &[u8], limits: HeadLimits) -> Option<PlainRequest> {
    if !bytes.starts_with(b"GET /") || bytes.len() > limits.head_bytes_max.min(usize::from(u16::MAX)) {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let room = &mut room[..limits.headers_max.min(FIELDS_MAX)];
    let mut read = httparse::Request::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_request_with_uninit_headers(&mut read, bytes, room) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() && read.version == Some(1) => {}
        _ => return None,
    }
    let target = read.path?.len();
    if read.headers.iter().any(|field| needs_thought(field.name, field.value)) {
        return None;
    }
    // What becomes of it is cut out of one copy.
    let places = fields::places(bytes, read.headers);
    let bytes = Bytes::copy_from_slice(bytes);
    let mut parts = Request::new(()).into_parts().0;
    parts.uri = Uri::from_maybe_shared(bytes.slice(METHOD.len()..METHOD.len() + target)).ok()?;
    fields::fill(places, &bytes, &mut parts.headers).then_some(PlainRequest { parts, bytes })
}

/// What is ahead of the target.
const METHOD: &str = "GET ";

/// Whether such a request would be plain, had it come alone: for who has it from the library.
pub(crate) fn is_plain(request: &request::Parts) -> bool {
    request.method == Method::GET
        && request.version == Version::HTTP_11
        && request.uri.authority().is_none()
        && !request.headers.iter().any(|(name, value)| needs_thought(name.as_str(), value.as_bytes()))
}

/// Whether a field of a request says how it is framed, or something of the connection but that it stays open.
fn needs_thought(name: &str, value: &[u8]) -> bool {
    let is = |own: &str| name.eq_ignore_ascii_case(own);
    match name.len() {
        6 => is("expect"),
        7 => is("upgrade"),
        10 => is("connection") && !value.eq_ignore_ascii_case(b"keep-alive"),
        14 => is("content-length"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}
