//! What is known of status codes (RFC 9110, 15).

use http::StatusCode;

/// Whether a response with this status may be given a lifetime that the origin did not say (RFC 9110, 15.1).
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether this cache knows the status and does what it asks of caches (RFC 9111, 3: `must-understand`).
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451 | 500..=505 | 511
    )
}

/// Whether the status is that of an answer at all, and of one that a cache keeps as an answer of its own: a 304 says
/// something of another response.
pub fn is_keepable(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NOT_MODIFIED
}

/// Whether a stale response may be used in its place (RFC 5861, 4).
pub fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: fn(StatusCode) -> bool, yes: &[u16], no: &[u16]) {
        for (statuses, expected) in [(yes, true), (no, false)] {
            for status in statuses {
                assert_eq!(known(StatusCode::from_u16(*status).unwrap()), expected, "{status}");
            }
        }
    }

    #[test]
    fn few_statuses_may_be_guessed_about() {
        check(is_heuristically_cacheable, &[200, 204, 301, 404, 410, 501], &[201, 202, 302, 403, 502, 503, 504, 599]);
    }

    #[test]
    fn unassigned_statuses_are_not_understood() {
        check(is_understood, &[200, 206, 308, 404, 451, 503], &[100, 299, 304, 306, 418, 499, 599, 999]);
        check(is_keepable, &[200, 299, 404, 599], &[100, 101, 103, 304]);
        check(is_failure, &[500, 502, 503, 504], &[200, 404, 501, 599]);
    }
}
