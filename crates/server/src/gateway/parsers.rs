//! The readers of what comes from outside that have no other public name, for fuzzing. No part of the interface.

use std::{net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Version, request, response};
use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;
use unstale::{Tag, Tenant};
use unstale_http::wire;

use super::{
    config::file::{self, IntrospectionFile, JwtFile},
    control::{Purge, Warm},
    fields,
    identity::{HashKey, Known, claims::Rules, cookies, introspect, keys::KeySet},
    listen::{
        PeerCertificate,
        head::{self as plain, HeadLimits},
        hygiene,
    },
    proxy::{
        attempt,
        forwarded::{self, Hop, HopText, Via},
    },
    upstream::head::{self, Read},
};

/// Of a head that a fuzzer makes.
const PLAIN_BYTES_MAX: usize = 16 * 1024;

/// Whether a request's head is one that everybody reads alike. What `Connection` names is then taken out of it.
pub fn hygiene(head: &mut request::Parts) -> bool {
    hygiene::clean(head).is_ok()
}

/// Whether a server's answer can be passed on. What concerned the connection to it is then taken out of its head.
pub fn answer_head(head: &mut response::Parts) -> bool {
    attempt::clean(head).is_ok()
}

/// Rewrites what a request says of who asked, and adds this hop: a client at 192.0.2.1, over TLS. No if it has come round too
/// often.
pub fn forwarded(headers: &mut HeaderMap, host: Option<&HeaderValue>, trusted: bool) -> bool {
    let hop = Hop { peer: Some(Ipv4Addr::new(192, 0, 2, 1).into()), https: true, host, trusted };
    forwarded::rewrite(headers, &hop, HopText::of(&hop), true);
    let via = Via::new("fuzzed").expect("the name can stand in a header");
    forwarded::add_via(headers, Version::HTTP_11, &via).is_ok()
}

/// An answer that is read without a library's help: its head's length, and its body's, and the rest.
pub fn plain_answer(bytes: &[u8]) -> Option<(usize, u64, response::Parts)> {
    let mut places = Vec::new();
    let Read::Plain(plain) = head::read(bytes, PLAIN_BYTES_MAX, &mut places) else { return None };
    let (mut read, ()) = Response::new(()).into_parts();
    read.status = plain.status;
    let whole = Bytes::copy_from_slice(&bytes[..plain.head_bytes]);
    fields::fill(places.iter().copied(), &whole, &mut read.headers).then_some((
        plain.head_bytes,
        plain.body_bytes,
        read,
    ))
}

/// A request that is read without a library's help, if nothing comes behind its head.
pub fn plain_request(bytes: &[u8]) -> Option<request::Parts> {
    let limits = HeadLimits { head_bytes_max: PLAIN_BYTES_MAX, headers_max: 100 };
    plain::read(bytes, limits).map(|request| request.parts)
}

/// The head of an answer to it whose body has so many bytes, as it is written without a library's help.
pub fn plain_written(answer: &Response<()>, body_bytes: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    wire::write_head(answer.status(), answer.headers(), body_bytes, &mut out).then_some(out)
}

/// Whether the head of a token may be believed by such rules, and the algorithm that it names.
pub fn token_head(rules: &JwtFile, token: &str) -> Option<String> {
    let rules = Rules::of("fuzzed", rules, true);
    rules.head(token).ok().map(|head| format!("{:?}", head.alg))
}

/// How many keys a JWKS has, and how many of them would verify a token that is signed with a secret.
pub fn keys(text: &str) -> Option<(usize, usize)> {
    let keys = KeySet::parse(text).ok()?;
    let of_secrets = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    Some((keys.len(), of_secrets.iter().flat_map(|algorithm| keys.candidates(None, *algorithm)).count()))
}

/// Who an answer to an introspection says it is: the tenant, the subject, and what else tells their answers apart.
pub fn identity_answer(rule: &IntrospectionFile, body: &[u8]) -> Option<(Option<Tenant>, String, [u8; 32])> {
    let key = HashKey::derive(b"fuzzed");
    let value = serde_json::from_slice(body).ok()?;
    let read = introspect::read(rule, &Arc::from("fuzzed"), &value, &key.digest(&[]), &key).ok()?;
    Some((read.tenant, read.subject, *read.apart?.bytes()))
}

/// Every cookie of a request, with its value.
pub fn cookie_pairs(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    cookies(headers).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// By what a request's credentials are known; none if it has none.
pub fn credentials(known: &file::Credentials, headers: &HeaderMap) -> Option<[u8; 32]> {
    let known = Known::of(known);
    known.digest(headers, &HashKey::derive(b"fuzzed")).map(|digest| *digest.bytes())
}

/// What is known of a client's certificate.
pub fn certificate(der: &[u8]) -> Option<PeerCertificate> {
    PeerCertificate::read(&CertificateDer::from_slice(der))
}

/// What the body of a purge declares wrong in a tenant.
pub fn purge(body: &[u8], tenant: &Tenant) -> Option<Vec<Tag>> {
    let purge: Purge = serde_json::from_slice(body).ok()?;
    purge.tags(tenant).ok()
}

/// The heads of the requests that the body of a warming means.
pub fn warm(body: &[u8]) -> Option<Vec<request::Parts>> {
    let warm: Warm = serde_json::from_slice(body).ok()?;
    Some(warm.requests().ok()?.into_iter().map(|request| request.into_parts().0).collect())
}
