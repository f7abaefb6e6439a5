//! Which form of a response a request may be given, and by which validator each is known. Pure.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{conditional::is_strong, rfc9111::vary::thousandths};

/// What tells the validator of the encoded form from that of the plain one: its last characters, within the quotes.
const ENDING: &str = ";gz\"";

/// Requests of other sites are given the plain form: see the module above.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request may be given the encoded form.
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    accepts_gzip(headers) && !comes_from_elsewhere(headers)
}

/// Whether `Accept-Encoding` prefers gzip to nothing at all (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight(parameters);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "*" => any = Some(weight),
            "identity" => identity = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && identity.is_none_or(|identity| gzip >= identity)
}

/// A quality value in thousandths; what is none counts as a refusal.
fn weight(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return 1000;
    }
    let value = parameters.strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.and_then(|value| thousandths(value.trim().as_bytes())).unwrap_or(0)
}

/// Whether a browser says that another site's page has asked.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether a response has an encoded form, if it is neither too short nor too long for it.
pub(super) fn has_encoded_form(is_read: bool, status: StatusCode, headers: &HeaderMap) -> bool {
    let is_whole = status.is_success() && status != StatusCode::PARTIAL_CONTENT && status != StatusCode::NO_CONTENT;
    is_whole
        && is_text(headers)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !says(headers, "no-transform")
        && !gives_credentials(is_read, headers)
}

/// Of what is no read `no-store` is said in any case, by the layer within.
fn gives_credentials(is_read: bool, headers: &HeaderMap) -> bool {
    headers.contains_key(header::SET_COOKIE) || (is_read && says(headers, "no-store"))
}

fn says(headers: &HeaderMap, directive: &str) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|said| said.trim().eq_ignore_ascii_case(directive))
}

fn is_text(headers: &HeaderMap) -> bool {
    let Some(full) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        // Whoever reads a stream of events wants each at once.
        Some(("text", kind)) => kind != "event-stream",
        Some(("application", kind)) => {
            matches!(kind, "json" | "xml" | "javascript") || kind.ends_with("+json") || kind.ends_with("+xml")
        }
        Some(("image", kind)) => kind == "svg+xml",
        _ => false,
    }
}

/// The validator of the encoded form of what `etag` names. A weak one names both forms.
pub(super) fn encoded_tag(etag: &HeaderValue) -> Option<HeaderValue> {
    let plain = etag.to_str().ok().filter(|_| is_strong(etag))?;
    HeaderValue::try_from(format!("{}{ENDING}", plain.strip_suffix('"')?)).ok()
}

/// The conditions of a request that name encoded forms, as they were.
#[derive(Debug, Default)]
pub(super) struct NamedForms(Vec<HeaderValue>);

impl NamedForms {
    /// Of a request, in which each condition on an encoded form becomes one on either form: behind this layer there are plain
    /// ones only.
    pub(super) fn widen(headers: &mut HeaderMap) -> Self {
        let mut named = Vec::new();
        for name in [header::IF_NONE_MATCH, header::IF_MATCH] {
            let is_named = |line: &HeaderValue| line.to_str().is_ok_and(|line| line.contains(ENDING));
            if !headers.get_all(&name).iter().any(is_named) {
                continue;
            }
            let lines: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
            headers.remove(&name);
            for line in lines {
                let plain =
                    line.to_str().ok().filter(|line| line.contains(ENDING)).map(|line| line.replace(ENDING, "\""));
                if let Some(plain) = plain.and_then(|plain| HeaderValue::try_from(plain).ok()) {
                    headers.append(&name, plain);
                    if name == header::IF_NONE_MATCH {
                        named.push(line.clone());
                    }
                }
                headers.append(&name, line);
            }
        }
        Self(named)
    }

    /// The validator that a 304 is to carry, where it is not the plain form's: the client has the encoded one.
    pub(super) fn confirmed(&self, plain: &HeaderValue) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let encoded = encoded_tag(plain)?;
        let names = |tag: &HeaderValue| {
            let tag = tag.as_bytes();
            self.0.iter().any(|line| line.as_bytes().windows(tag.len()).any(|part| part == tag))
        };
        (names(&encoded) && !names(plain)).then_some(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn gzip_is_taken_by_who_says_so_and_prefers_it() {
        let taken = |accepted| accepts_gzip(&headers(&[("accept-encoding", accepted)]));
        for yes in [
            "gzip",
            "gzip, deflate, br, zstd",
            "GZIP;q=0.5",
            "*",
            "br;q=1, x-gzip; q=0.001",
            "gzip;q=1.000",
            "*;q=0.1, identity;q=0",
        ] {
            assert!(taken(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0.000",
            "*;q=0",
            "gzip;q=0, *",
            "gzip;q=0.5, identity",
            "gzip;q=x",
            "gzip;q=2",
            "gzip;level=9",
            "gzipped",
        ] {
            assert!(!taken(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        assert!(accepts_gzip(&headers(&[("accept-encoding", "br"), ("accept-encoding", "gzip")])));
    }

    #[test]
    fn pages_of_other_sites_are_given_the_plain_form() {
        for (site, taken) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("?", false)]
        {
            assert_eq!(is_taken(&headers(&[("accept-encoding", "gzip"), ("sec-fetch-site", site)])), taken, "{site}");
        }
    }

    #[test]
    fn text_that_is_whole_and_gives_no_credential_has_an_encoded_form() {
        fn judge(status: u16, pairs: &[(&'static str, &'static str)]) -> bool {
            has_encoded_form(true, StatusCode::from_u16(status).unwrap(), &headers(pairs))
        }
        for kind in ["application/json", "Application/Problem+JSON; charset=utf-8", "text/csv", "image/svg+xml"] {
            assert!(judge(200, &[("content-type", kind), ("cache-control", "private, no-cache")]), "{kind}");
        }
        for kind in ["text/event-stream", "image/png", "application/octet-stream", "", "json"] {
            assert!(!judge(200, &[("content-type", kind)]), "{kind}");
        }
        assert!(judge(201, &[("content-type", "application/json")]));
        for status in [101, 204, 206, 304, 404, 500] {
            assert!(!judge(status, &[("content-type", "application/json")]), "{status}");
        }
        for other in [
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("set-cookie", "session=1"),
            ("cache-control", "no-store"),
            ("cache-control", "public, no-transform"),
        ] {
            assert!(!judge(200, &[("content-type", "application/json"), other]), "{other:?}");
        }
        let answered = headers(&[("content-type", "application/json"), ("cache-control", "no-store")]);
        assert!(has_encoded_form(false, StatusCode::OK, &answered));
    }

    #[test]
    fn each_form_has_a_validator_of_its_own() {
        let tag = |plain| encoded_tag(&HeaderValue::from_static(plain));
        assert_eq!(tag("\"a\"").unwrap(), "\"a;gz\"");
        assert_eq!(tag("\"\"").unwrap(), "\";gz\"");
        assert!(is_strong(&tag("\"a\"").unwrap()));
        for none in ["W/\"a\"", "a", "\"a", ""] {
            assert_eq!(tag(none), None, "{none}");
        }
    }

    #[test]
    fn a_condition_on_the_encoded_form_is_one_on_either() {
        let mut asked =
            headers(&[("if-none-match", "\"a;gz\", W/\"b\""), ("if-none-match", "\"c\""), ("if-match", "\"d;gz\"")]);
        let named = NamedForms::widen(&mut asked);
        let lines =
            |name: &str| asked.get_all(name).iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>().join(" | ");
        assert_eq!(lines("if-none-match"), "\"a\", W/\"b\" | \"a;gz\", W/\"b\" | \"c\"");
        assert_eq!(lines("if-match"), "\"d\" | \"d;gz\"");
        assert_eq!(named.confirmed(&HeaderValue::from_static("\"a\"")).unwrap(), "\"a;gz\"");
        for other in ["\"b\"", "\"c\"", "\"d\"", "W/\"a\""] {
            assert_eq!(named.confirmed(&HeaderValue::from_static(other)), None, "{other}");
        }
    }

    #[test]
    fn who_has_the_plain_form_is_told_of_that() {
        let mut asked = headers(&[("if-none-match", "\"a;gz\", \"a\"")]);
        let named = NamedForms::widen(&mut asked);
        assert_eq!(named.confirmed(&HeaderValue::from_static("\"a\"")), None);
        let mut plain = headers(&[("if-none-match", "\"a\"")]);
        assert_eq!(NamedForms::widen(&mut plain).confirmed(&HeaderValue::from_static("\"a\"")), None);
        assert_eq!(plain, headers(&[("if-none-match", "\"a\"")]));
    }
}
