//! Asking the origin whether a stored response is still good (RFC 9111, 4.3).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::status::is_failure;
use crate::conditional::is_strong;

/// By what an origin can tell a response again: as it sent them, not what this cache made itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its entity tag.
    pub etag: Option<HeaderValue>,
    /// When it was last modified.
    pub last_modified: Option<HeaderValue>,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validated {
    /// The stored response is still good.
    Good,
    /// There is another one: this.
    Replaced,
    /// The origin failed; the stored one may stand in if its terms allow that.
    Failed,
}

impl Validators {
    /// Of an origin's response.
    pub fn of(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(header::ETAG).cloned(), last_modified: headers.get(header::LAST_MODIFIED).cloned() }
    }

    /// Whether there is one.
    pub fn is_any(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// The tag that says that bytes are the same; none if there is no such.
    pub fn strong(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().filter(|etag| is_strong(etag))
    }

    /// Makes a request ask whether the response is still good, in place of what its sender asked.
    pub fn ask(&self, request: &mut HeaderMap) {
        let pairs = [(header::IF_NONE_MATCH, &self.etag), (header::IF_MODIFIED_SINCE, &self.last_modified)];
        for (name, validator) in pairs {
            match validator {
                Some(validator) => request.insert(name, validator.clone()),
                None => request.remove(name),
            };
        }
    }
}

/// Reads the answer to a request that [asked](Validators::ask).
///
/// A 304 is about the response whose tag was sent, which is one: also if it names another tag itself.
pub fn read(status: StatusCode) -> Validated {
    match status {
        StatusCode::NOT_MODIFIED => Validated::Good,
        status if is_failure(status) => Validated::Failed,
        _ => Validated::Replaced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::testing::headers;

    #[test]
    fn every_validator_is_sent_and_none_of_the_clients() {
        let check = |stored: &[(&str, &str)], expected: &[(&str, &str)]| {
            let mut request = headers(&[("if-none-match", "\"mine\""), ("if-modified-since", "x"), ("accept", "a")]);
            Validators::of(&headers(stored)).ask(&mut request);
            request.remove("accept");
            assert_eq!(request, headers(expected), "{stored:?}");
        };
        check(&[("etag", "W/\"a\"")], &[("if-none-match", "W/\"a\"")]);
        check(&[("last-modified", "then")], &[("if-modified-since", "then")]);
        check(
            &[("etag", "\"a\""), ("last-modified", "then")],
            &[("if-none-match", "\"a\""), ("if-modified-since", "then")],
        );
        check(&[], &[]);
    }

    #[test]
    fn only_a_strong_tag_says_that_bytes_are_the_same() {
        let strong = |etag| Validators::of(&headers(&[("etag", etag)])).strong().is_some();
        assert!(strong("\"a\"") && !strong("W/\"a\"") && !strong("a"));
    }

    #[test]
    fn an_answer_is_good_news_other_news_or_none() {
        for (status, expected) in [
            (304, Validated::Good),
            (200, Validated::Replaced),
            (404, Validated::Replaced),
            (501, Validated::Replaced),
            (503, Validated::Failed),
        ] {
            assert_eq!(read(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
