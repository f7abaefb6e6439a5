//! Which of the fields that the layer goes by a request has: found out in one look at its names.
//!
//! Nearly no request has any of them. To ask the map for each would cost a hash and a search a time, some fifteen times.
//!
//! *Decides*, does no IO.

use http::{HeaderMap, HeaderName, header};

use crate::{headers::WRITTEN_POSITION, overrides::is_override, told};

/// What a request has. What is not set is not there; what is set has to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each stands for other fields")]
pub(crate) struct Notable {
    /// `If-…`.
    pub(crate) conditions: bool,
    /// `Range`.
    pub(crate) range: bool,
    /// `Unstale-Position`.
    pub(crate) position: bool,
    /// `Upgrade`, `Transfer-Encoding`, `Expect`, `Content-Length`: more than a plain read.
    pub(crate) more_than_read: bool,
    /// What some servers read as another method or URL.
    pub(crate) overrides: bool,
    /// `Cache-Control`.
    pub(crate) directives: bool,
    /// What services build links of.
    pub(crate) told: bool,
}

impl Notable {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut notable = Self::default();
        headers.keys().for_each(|name| notable.add(name));
        notable
    }

    fn add(&mut self, name: &HeaderName) {
        let text = name.as_str();
        // Most names are told by their first byte.
        match text.as_bytes().first() {
            Some(b'i') => self.conditions |= text.starts_with("if-"),
            Some(b'r') => self.range |= *name == header::RANGE,
            Some(b'e') => self.more_than_read |= *name == header::EXPECT,
            Some(b't') => self.more_than_read |= *name == header::TRANSFER_ENCODING,
            Some(b'u') => {
                self.more_than_read |= *name == header::UPGRADE;
                self.position |= *name == WRITTEN_POSITION;
            }
            Some(b'c') => {
                self.more_than_read |= *name == header::CONTENT_LENGTH;
                self.directives |= *name == header::CACHE_CONTROL;
            }
            Some(b'x') => {
                self.overrides |= is_override(text);
                self.told |= told::is_of_url(name);
            }
            Some(b'f' | b'v') => self.told |= told::is_of_url(name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        overrides::{METHOD_OVERRIDES, URL_OVERRIDES},
        rfc9111::testing::headers,
    };

    fn check(name: &'static str, expected: Notable) {
        let plain = [("host", "a"), ("accept", "*/*"), ("cookie", "a"), ("user-agent", "a"), ("x-a", "a"), ("te", "a")];
        assert_eq!(Notable::of(&headers(&plain)), Notable::default());
        let mut all = plain.to_vec();
        all.push((name, "a"));
        assert_eq!(Notable::of(&headers(&all)), expected, "{name}");
    }

    #[test]
    fn each_field_is_noted() {
        let none = Notable::default();
        for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"] {
            check(name, Notable { conditions: true, ..none });
        }
        check("range", Notable { range: true, ..none });
        check("unstale-position", Notable { position: true, ..none });
        for name in ["upgrade", "transfer-encoding", "expect", "content-length"] {
            check(name, Notable { more_than_read: true, ..none });
        }
        for name in METHOD_OVERRIDES.into_iter().chain(URL_OVERRIDES) {
            check(name, Notable { overrides: true, ..none });
        }
        check("cache-control", Notable { directives: true, ..none });
        for name in told::OF_URL.into_iter().chain(["x-forwarded-proto"]) {
            check(name, Notable { told: true, ..none });
        }
    }
}
