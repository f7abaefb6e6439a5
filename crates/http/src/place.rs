//! At which host, and where else, a request's client has asked.
//!
//! *Decides*, does no IO.

use std::borrow::Cow;

use http::{HeaderValue, header, request, uri::Authority};

use crate::{notable::Notable, reasons::BypassReason, told};

/// Whom the request is for: of HTTP/2 and proxies in the URL, of HTTP/1.1 in `Host`. Where both say it, they must agree:
/// the service may go by either.
pub(crate) fn host(head: &request::Parts) -> Result<&str, BypassReason> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (host, authority) = (hosts.next(), head.uri.authority().map(Authority::as_str));
    let disagrees = |host: &HeaderValue| {
        authority.is_some_and(|authority| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
    };
    if hosts.next().is_some() || host.is_some_and(disagrees) {
        return Err(BypassReason::Url);
    }
    let host = match host {
        Some(host) => host.to_str().map_err(|_| BypassReason::Url)?,
        None => authority.unwrap_or_default(),
    };
    if host.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(host) } else { Err(BypassReason::Url) }
}

/// The host as part of a key, with what else the request says of where its client has asked. A blank parts them, which
/// no host has.
pub(crate) fn place_of(head: &request::Parts, notable: Notable) -> Result<Cow<'_, str>, BypassReason> {
    let host = host(head)?;
    let told = notable.told.then(|| told::digest(&head.headers)).flatten();
    Ok(told.map_or(Cow::Borrowed(host), |told| Cow::Owned(format!("{host} {told:032x}"))))
}
