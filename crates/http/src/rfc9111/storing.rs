//! May a response be kept? (RFC 9111, 3 and 3.5)

use http::{HeaderMap, StatusCode, header};

use super::{
    control::{RequestControl, ResponseControl},
    freshness::{Lifetime, may_assume},
    status::{is_keepable, is_understood},
    terms::Terms,
    validation::Validators,
    vary,
};
use crate::{headers::WRITTEN_POSITION, reasons::NotStoredReason};

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
    // Where the origin says nothing, an error or a redirection is an answer to one request (3, last point).
    let is_told = matches!(life, Lifetime::Explicit(_)) || (!keeper.is_shared && control.private.is_some());
    refused(!is_told && !may_assume(status, control), NotStoredReason::NoLifetime)?;
    let is_usable = terms.useful_for() > 0 || Validators::of(headers).is_any();
    let had_one = life != Lifetime::None || terms.lifetime > 0;
    refused(!is_usable, if had_one { NotStoredReason::Expired } else { NotStoredReason::NoLifetime })
}

/// Whether a response is a stream of events, which ends when somebody goes away.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..17));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc9111::{Defaults, Received, testing};

    const SHARED: Keeper = Keeper { is_shared: true, keeps_cookies: false, header_bytes_max: 500 };

    fn judged(keeper: Keeper, asked: Asked, status: u16, lines: &[(&str, &str)]) -> Result<(), NotStoredReason> {
        judged_by(Defaults::default(), keeper, asked, status, lines)
    }

    fn judged_by(
        defaults: Defaults,
        keeper: Keeper,
        asked: Asked,
        status: u16,
        lines: &[(&str, &str)],
    ) -> Result<(), NotStoredReason> {
        let headers = testing::headers(lines);
        let control = ResponseControl::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        let received =
            Received { status, headers: &headers, control: &control, is_targeted: false, at: 1_000, delay: 0 };
        let (terms, life) = Terms::of(&received, keeper.is_shared, &defaults);
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

    /// RFC 9111, 3, last point; RFC 9110, 15.1.
    #[test]
    fn without_a_word_of_the_origin_only_some_statuses_are_kept() {
        let tagged = ("etag", "\"a\"");
        let operators = Defaults { lifetime: 60, stale_if_error: 60, ..Defaults::default() };
        let silent = |status, lines: &[_]| judged_by(operators, SHARED, Asked::default(), status, lines);
        for status in [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501] {
            check(status, &[tagged], Ok(()));
            assert_eq!(silent(status, &[]), Ok(()), "{status}, by the operator's word");
        }
        for status in [201, 202, 205, 302, 303, 307, 400, 403, 409, 429, 500, 502, 503, 504, 599] {
            for lines in [&[tagged][..], &[tagged, ("cache-control", "no-cache")], &[tagged, ("cache-control", "x")]] {
                check(status, lines, Err(NotStoredReason::NoLifetime));
                assert_eq!(silent(status, lines), Err(NotStoredReason::NoLifetime), "{status} {lines:?}");
            }
            for word in ["public", "max-age=0", "s-maxage=0"] {
                check(status, &[tagged, ("cache-control", word)], Ok(()));
            }
            check(status, &[tagged, ("expires", "0")], Ok(()));
        }
    }

    /// RFC 9111, 3, last point: what says that it is one user's may be kept for that user, whatever its status.
    #[test]
    fn what_is_one_users_is_kept_for_that_user() {
        let own = Keeper { is_shared: false, ..SHARED };
        let judged =
            |keeper, word| judged(keeper, Asked::default(), 403, &[("etag", "\"a\""), ("cache-control", word)]);
        assert_eq!(judged(own, "private"), Ok(()));
        assert_eq!(judged(own, "private=\"x\""), Ok(()));
        assert_eq!(judged(SHARED, "private=\"x\""), Err(NotStoredReason::NoLifetime));
        // `s-maxage` says nothing to it.
        assert_eq!(judged(own, "s-maxage=60"), Err(NotStoredReason::NoLifetime));
    }

    #[test]
    fn what_had_a_lifetime_is_told_from_what_never_had_one() {
        let operators = Defaults { lifetime: 60, ..Defaults::default() };
        let aged = |age| judged_by(operators, SHARED, Asked::default(), 200, &[("age", age)]);
        assert_eq!((aged("59"), aged("60")), (Ok(()), Err(NotStoredReason::Expired)));
        check(200, &[("cache-control", "public")], Err(NotStoredReason::NoLifetime));
    }

    #[test]
    fn names_and_values_of_headers_count_up_to_the_limit() {
        let line = |length: usize| "x".repeat(length);
        // `cache-control: max-age=60` has 23 bytes.
        check(200, &[fresh("")[0], ("x-long", &line(500 - 23 - 6))], Ok(()));
        check(200, &[fresh("")[0], ("x-long", &line(500 - 23 - 6 + 1))], Err(NotStoredReason::HeadersTooLarge));
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
        check(200, &[fresh("")[0], ("set-cookie2", "a=b")], Err(NotStoredReason::SetCookie));
        let keeper = Keeper { keeps_cookies: true, ..SHARED };
        assert_eq!(judged(keeper, Asked::default(), 200, &lines), Ok(()));
    }
}
