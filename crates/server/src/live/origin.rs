//! Who may open a socket from a browser: pages of this very host.
//!
//! Browsers send cookies with WebSocket requests of any page and apply no same-origin policy to them, so the server
//! has to look at `Origin` (RFC 6455, §10.2).

use http::{HeaderMap, Uri, header};

/// What a request was verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A cookie, which a browser sends by itself.
    Cookie,
    /// A bearer token, which no page can send without knowing it.
    Bearer,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginRefused {
    /// Another page's.
    #[error("This request comes from a page of another origin. Open it from this host's own pages.")]
    Foreign,
    /// There is none, and the credential is one that browsers send by themselves.
    #[error("This request has no Origin. Send one, or use a bearer token instead of the cookie.")]
    Missing,
}

/// Checks that a request comes from a page of the host it is sent to.
pub fn check_origin(headers: &HeaderMap, credential: Credential) -> Result<(), OriginRefused> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next(), credential) {
        (None, _, Credential::Bearer) => return Ok(()),
        (None, _, Credential::Cookie) => return Err(OriginRefused::Missing),
        (Some(origin), None, _) => origin,
        (Some(_), Some(_), _) => return Err(OriginRefused::Foreign),
    };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // `null` parses as an authority; a real origin has a scheme.
    match (origin.as_ref().filter(|origin| origin.scheme().is_some()).and_then(Uri::authority), host) {
        (Some(authority), Some(host)) if authority.as_str().eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(OriginRefused::Foreign),
    }
}

/// Checks that an answer can be read by pages of the host it is asked of only, or by whoever knows a token.
///
/// For requests whose answers browsers keep from other origins. Browsers send no `Origin` with a page's own `GET`, but
/// `Sec-Fetch-Site`.
pub fn check_reader(headers: &HeaderMap, credential: Credential) -> Result<(), OriginRefused> {
    let is_own = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    match check_origin(headers, credential) {
        Err(OriginRefused::Missing) if is_own => Ok(()),
        checked => checked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, origins: &[&str], credential: Credential, expected: Result<(), OriginRefused>) {
        let mut headers = HeaderMap::new();
        host.iter().for_each(|host| drop(headers.insert(header::HOST, host.parse().unwrap())));
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(check_origin(&headers, credential), expected, "{host:?} {origins:?}");
    }

    #[test]
    fn only_pages_of_the_same_host_are_taken() {
        for credential in [Credential::Cookie, Credential::Bearer] {
            check(Some("app.example"), &["https://app.example"], credential, Ok(()));
            check(Some("APP.example:8080"), &["http://app.EXAMPLE:8080"], credential, Ok(()));
            for foreign in [
                "https://evil.example",
                "https://app.example.evil.example",
                "http://app.example:81",
                "https://app.example@evil.example",
                "null",
                "app.example",
                "",
            ] {
                check(Some("app.example"), &[foreign], credential, Err(OriginRefused::Foreign));
            }
            let both = ["https://app.example", "https://evil.example"];
            check(Some("app.example"), &both, credential, Err(OriginRefused::Foreign));
            check(None, &["https://app.example"], credential, Err(OriginRefused::Foreign));
        }
    }

    #[test]
    fn without_an_origin_only_a_bearer_is_taken() {
        check(Some("app.example"), &[], Credential::Bearer, Ok(()));
        check(Some("app.example"), &[], Credential::Cookie, Err(OriginRefused::Missing));
    }

    #[test]
    fn a_page_reads_of_its_own_host_without_an_origin() {
        let read = |site: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("sec-fetch-site"),
                http::HeaderValue::from_static(site),
            )]);
            check_reader(&headers, Credential::Cookie)
        };
        assert_eq!(read("same-origin"), Ok(()));
        for foreign in ["same-site", "cross-site", "none", ""] {
            assert_eq!(read(foreign), Err(OriginRefused::Missing), "{foreign}");
        }
    }
}
