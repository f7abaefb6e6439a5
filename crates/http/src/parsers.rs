//! The readers of what comes from outside that have no other public name, for fuzzing. No part of the interface.

use http::{HeaderMap, HeaderName};
use unstale::PositionSet;

/// The members of a list of strings, as `Cache-Groups` is one.
pub fn groups(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    crate::named::strings(headers, name).ok()
}

/// The position that a request demands.
pub fn position(headers: &HeaderMap) -> Option<PositionSet> {
    crate::position::demanded(headers).ok()
}

/// Whether a request may be given the encoded form of a response.
pub fn takes_encoded(headers: &HeaderMap) -> bool {
    crate::compression::negotiation::is_taken(headers)
}

/// The words of `Surrogate-Key`.
pub fn surrogate_keys(headers: &HeaderMap) -> Option<Vec<String>> {
    crate::named::words(headers, &crate::headers::SURROGATE_KEY).ok()
}
