//! The decisions of an HTTP cache, pure: of heads of messages and the time, never of a clock or a store.
//!
//! A response from the origin becomes [`Terms`] once, when it is received: how long it is fresh, how old it was, how far
//! it may be used stale, and which fields it may not be used without asking again. A look-up then needs a few numbers:
//! [`reuse::judge`] says what may be done with a stored response, and why.
//!
//! | question | module | RFC |
//! |---|---|---|
//! | what was said | [`control`], [`targeted`] | 9111 §5.2, 9213 |
//! | how old, how long fresh | [`age`], [`freshness`] | 9111 §4.2, §5.1, §5.3 |
//! | may it be stored | [`storing`], [`status`] | 9111 §3, §3.5 |
//! | may it be used | [`reuse`] | 9111 §4, 5861, 8246 |
//! | is it the one that was asked for | [`vary`], [`no_vary_search`] | 9111 §4.1 |
//! | is it still good | [`validation`], [`update`] | 9111 §3.2, §4.3 |
//! | what does a write spoil | [`invalidation`] | 9111 §4.4 |
//! | what of a part | [`partial`] | 9111 §3.3, §3.4 |
//!
//! # What this module does not do
//! Coherence: whether what is stored is still true is the engine's question (tags, clocks, epochs). Here only time and
//! what messages say of themselves count.

pub mod age;
pub mod control;
pub mod freshness;
pub mod invalidation;
pub mod no_vary_search;
pub mod partial;
pub mod reuse;
pub mod status;
pub mod storing;
pub mod targeted;
pub mod update;
pub mod validation;
pub mod vary;

mod terms;

pub use self::terms::{Defaults, Received, Terms};

/// The most seconds that are told apart (RFC 9111, 1.2.2): more is as much.
pub const SECONDS_MAX: u64 = 1 << 31;

/// `delta-seconds`: digits and nothing else.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

#[cfg(test)]
pub(crate) mod testing {
    use http::{HeaderMap, HeaderName, HeaderValue};

    /// A map of these lines, in their order.
    pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_digits_and_have_a_greatest() {
        for (text, expected) in [
            ("0", Some(0)),
            ("003600", Some(3600)),
            ("99999999999999999999999", Some(SECONDS_MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("3600.0", None),
            (" 1", None),
            ("'1'", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
