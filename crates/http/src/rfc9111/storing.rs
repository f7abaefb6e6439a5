//! May a response be kept? (RFC 9111, 3 and 3.5)

use http::{HeaderMap, StatusCode, header};

use super::{
    control::{RequestControl, ResponseControl},
    freshness::Lifetime,
    status::{is_keepable, is_understood},
    terms::Terms,
    validation::Validators,
    vary,
};
use crate::{
    decide::{NotStoredReason, is_event_stream},
    headers::WRITTEN_POSITION,
};

/// Of the request, what counts for whether its response may be kept. Its method is GET; a response to HEAD is never
/// kept, it can only freshen one that is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// It says who asks, in `Authorization`.
    pub is_authorized: bool,
    /// Its directives.
    pub control: RequestControl,
    /// It asks for a part.
    pub is_ranged: bool,
    /// Bytes of its head's fields.
    pub head_bytes: usize,
}

/// Bytes of a request's fields; if it has more, an error that answers it is not kept for others. Services have limits
/// that are lower than those of what is before them, and one who knows such a limit would have the error kept for all.
pub const HEAD_BYTES_OF_KEPT_ERRORS_MAX: usize = 4096;

/// What the cache is, and what its operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Keeper {
    /// More than one user is served from it.
    pub is_shared: bool,
    /// Responses that set a cookie may be kept, and set it for everybody. RFC 9111, 7.3, allows it; few origins mean
    /// it.
    pub keeps_cookies: bool,
    /// A response that was not given any lifetime has one by the operator's word.
    pub has_default: bool,
    /// How many bytes of headers are kept at most.
    pub header_bytes_max: usize,
}

/// Whether a response may be kept, or why not. `terms` and `life` are those of the response.
pub fn may_keep(
    asked: &Asked,
    status: StatusCode,
    headers: &HeaderMap,
    control: &ResponseControl,
    (terms, life): (&Terms, Lifetime),
    keeper: &Keeper,
) -> Result<(), NotStoredReason> {
    let refused = |condition: bool, reason| if condition { Err(reason) } else { Ok(()) };
    refused(!is_keepable(status), NotStoredReason::Status)?;
    let is_error = status.is_client_error() || status.is_server_error();
    let may_be_the_heads_fault = asked.is_ranged || asked.head_bytes > HEAD_BYTES_OF_KEPT_ERRORS_MAX;
    refused(keeper.is_shared && is_error && may_be_the_heads_fault, NotStoredReason::Status)?;
    let understood = is_understood(status);
    refused(control.must_understand && !understood, NotStoredReason::NotUnderstood)?;
    // Who understands the status may pass over `no-store` beside it (5.2.2.3).
    refused(control.no_store && !control.must_understand, NotStoredReason::NoStore)?;
    refused(asked.control.no_store, NotStoredReason::RequestNoStore)?;
    refused(keeper.is_shared && control.is_private(), NotStoredReason::Private)?;
    let may_share = control.public || control.must_revalidate || control.s_maxage.is_some();
    refused(keeper.is_shared && asked.is_authorized && !may_share, NotStoredReason::Authorization)?;
    let sets_cookie = headers.contains_key(header::SET_COOKIE) || headers.contains_key("set-cookie2");
    refused(sets_cookie && !keeper.keeps_cookies, NotStoredReason::SetCookie)?;
    refused(headers.contains_key(&WRITTEN_POSITION), NotStoredReason::Written)?;
    refused(is_event_stream(headers), NotStoredReason::EventStream)?;
    vary::names(headers)?;
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    refused(bytes > keeper.header_bytes_max, NotStoredReason::HeadersTooLarge)?;
    // Nothing was said of a lifetime: whatever else is kept, it is not this (3, last point).
    let is_told = life != Lifetime::None || control.public || keeper.has_default;
    let is_usable = terms.useful_for() > 0 || Validators::of(headers).is_any();
    refused(!is_usable, if is_told { NotStoredReason::Expired } else { NotStoredReason::NoLifetime })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::{Defaults, Received, testing};

    const SHARED: Keeper = Keeper { is_shared: true, keeps_cookies: false, has_default: false, header_bytes_max: 500 };

    fn judged(keeper: Keeper, asked: Asked, status: u16, lines: &[(&str, &str)]) -> Result<(), NotStoredReason> {
        let headers = testing::headers(lines);
        let control = ResponseControl::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        let received =
            Received { status, headers: &headers, control: &control, is_targeted: false, at: 1_000, delay: 0 };
        let (terms, life) = Terms::of(&received, keeper.is_shared, &Defaults::default());
        may_keep(&asked, status, &headers, &control, (&terms, life), &keeper)
    }

    fn check(status: u16, lines: &[(&str, &str)], expected: Result<(), NotStoredReason>) {
        assert_eq!(judged(SHARED, Asked::default(), status, lines), expected, "{status} {lines:?}");
    }

    fn fresh(more: &'static str) -> Vec<(&'static str, &'static str)> {
        vec![("cache-control", "max-age=60"), ("cache-control", more)]
    }

    #[test]
    fn a_lifetime_makes_every_final_status_keepable() {
        for status in [200, 203, 204, 299, 301, 307, 400, 404, 499, 500, 503, 599] {
            check(status, &fresh(""), Ok(()));
        }
        for status in [103, 304] {
            check(status, &fresh(""), Err(NotStoredReason::Status));
        }
    }

    #[test]
    fn an_error_that_a_large_head_may_have_caused_is_not_kept_for_others() {
        let asked = |head_bytes| Asked { head_bytes, ..Asked::default() };
        let large = asked(HEAD_BYTES_OF_KEPT_ERRORS_MAX + 1);
        for status in [400, 413, 431, 500] {
            assert_eq!(judged(SHARED, large, status, &fresh("")), Err(NotStoredReason::Status));
            let ranged = Asked { is_ranged: true, ..asked(0) };
            assert_eq!(judged(SHARED, ranged, status, &fresh("")), Err(NotStoredReason::Status));
            assert_eq!(judged(SHARED, asked(HEAD_BYTES_OF_KEPT_ERRORS_MAX), status, &fresh("")), Ok(()));
            assert_eq!(judged(Keeper { is_shared: false, ..SHARED }, large, status, &fresh("")), Ok(()));
        }
        assert_eq!(judged(SHARED, large, 200, &fresh("")), Ok(()));
    }

    #[test]
    fn without_one_only_what_can_be_validated() {
        check(200, &[], Err(NotStoredReason::NoLifetime));
        check(200, &[("etag", "\"a\"")], Ok(()));
        check(200, &[("cache-control", "no-cache"), ("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT")], Ok(()));
        check(200, &[("cache-control", "max-age=0")], Err(NotStoredReason::Expired));
        check(200, &[("cache-control", "max-age=0, stale-if-error=9")], Ok(()));
        check(200, &[("cache-control", "max-age=60"), ("age", "61")], Err(NotStoredReason::Expired));
    }

    #[test]
    fn what_the_origin_said_binds() {
        check(200, &fresh("no-store"), Err(NotStoredReason::NoStore));
        check(200, &fresh("private"), Err(NotStoredReason::Private));
        check(200, &fresh("private=\"x\""), Ok(()));
        check(200, &[fresh("")[0], ("vary", "*")], Err(NotStoredReason::VaryAny));
        check(200, &[fresh("")[0], ("unstale-position", "1.2.3")], Err(NotStoredReason::Written));
        check(200, &[fresh("")[0], ("content-type", "text/event-stream")], Err(NotStoredReason::EventStream));
        check(200, &[fresh("")[0], ("x-long", &"x".repeat(500))], Err(NotStoredReason::HeadersTooLarge));
        let private = Keeper { is_shared: false, ..SHARED };
        assert_eq!(judged(private, Asked::default(), 200, &fresh("private")), Ok(()));
    }

    #[test]
    fn must_understand_goes_before_no_store() {
        check(599, &fresh("must-understand"), Err(NotStoredReason::NotUnderstood));
        check(200, &fresh("must-understand, no-store"), Ok(()));
        check(599, &fresh("must-understand, no-store"), Err(NotStoredReason::NotUnderstood));
    }

    #[test]
    fn an_answer_to_authorization_is_shared_only_by_the_origins_word() {
        let asked = Asked { is_authorized: true, ..Asked::default() };
        assert_eq!(judged(SHARED, asked, 200, &fresh("")), Err(NotStoredReason::Authorization));
        for word in ["public", "must-revalidate", "s-maxage=5"] {
            assert_eq!(judged(SHARED, asked, 200, &fresh(word)), Ok(()), "{word}");
        }
        assert_eq!(judged(Keeper { is_shared: false, ..SHARED }, asked, 200, &fresh("")), Ok(()));
    }

    #[test]
    fn a_request_can_forbid_it_too() {
        let control = RequestControl { no_store: true, ..RequestControl::default() };
        let asked = Asked { control, ..Asked::default() };
        assert_eq!(judged(SHARED, asked, 200, &fresh("public")), Err(NotStoredReason::RequestNoStore));
    }

    #[test]
    fn a_cookie_is_nobody_elses_unless_the_operator_says_so() {
        let lines = [fresh("")[0], ("set-cookie", "a=b")];
        check(200, &lines, Err(NotStoredReason::SetCookie));
        let keeper = Keeper { keeps_cookies: true, ..SHARED };
        assert_eq!(judged(keeper, Asked::default(), 200, &lines), Ok(()));
    }
}
