//! Whether a request that carries the session's cookie was meant by the page it came from.
//!
//! The cookie is `SameSite=Strict` already; this holds where that is not enough (another application on the same
//! site, an old browser). Pure: headers in, decision out. Bearer tokens are not sent by themselves and need none.

use axum::http::{HeaderMap, Method, header};

/// Why a request was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The browser says it comes from elsewhere.
    CrossSite,
    /// Its origin is not this host.
    ForeignOrigin,
    /// Nothing says where it comes from.
    UnknownOrigin,
}

impl Refusal {
    /// What to tell the caller.
    pub fn message(self) -> &'static str {
        match self {
            Self::CrossSite => "This request came from another site. Use the application's own page.",
            Self::ForeignOrigin => "The Origin header names another host. Use the application's own page.",
            Self::UnknownOrigin => {
                "A request that changes something with the session's cookie needs Sec-Fetch-Site or Origin. \
                 Programs use `Authorization: Bearer` instead."
            }
        }
    }
}

/// Judges a request that is authenticated by its cookie.
pub fn judge(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    judge_origin(headers)
}

/// Judges where a request comes from, whatever its method: for sign-in and for WebSockets, which are `GET`s.
pub fn judge_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    match text(headers, "sec-fetch-site") {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(Refusal::CrossSite),
        None => {}
    }
    let origin = text(headers, header::ORIGIN.as_str()).ok_or(Refusal::UnknownOrigin)?;
    let host = text(headers, header::HOST.as_str()).ok_or(Refusal::UnknownOrigin)?;
    let origin_host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    if origin_host.is_some_and(|origin_host| origin_host.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        Err(Refusal::ForeignOrigin)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, headers: &[(&'static str, &'static str)], expected: Result<(), Refusal>) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        assert_eq!(judge(method, &headers), expected, "{method} {headers:?}");
    }

    #[test]
    fn reading_is_always_meant() {
        check(&Method::GET, &[("sec-fetch-site", "cross-site")], Ok(()));
    }

    #[test]
    fn the_browsers_own_word_decides() {
        check(&Method::POST, &[("sec-fetch-site", "same-origin")], Ok(()));
        check(&Method::POST, &[("sec-fetch-site", "none")], Ok(()));
        check(&Method::PUT, &[("sec-fetch-site", "same-site")], Err(Refusal::CrossSite));
        let forged = [("sec-fetch-site", "cross-site"), ("origin", "http://here"), ("host", "here")];
        check(&Method::DELETE, &forged, Err(Refusal::CrossSite));
    }

    #[test]
    fn without_it_the_origin_must_be_the_host() {
        check(&Method::POST, &[("origin", "https://here:8080"), ("host", "here:8080")], Ok(()));
        check(&Method::POST, &[("origin", "https://HERE"), ("host", "here")], Ok(()));
        check(&Method::POST, &[("origin", "https://evil"), ("host", "here")], Err(Refusal::ForeignOrigin));
        check(&Method::POST, &[("origin", "https://here.evil"), ("host", "here")], Err(Refusal::ForeignOrigin));
        check(&Method::POST, &[("origin", "null"), ("host", "here")], Err(Refusal::ForeignOrigin));
        check(&Method::POST, &[("host", "here")], Err(Refusal::UnknownOrigin));
    }
}
