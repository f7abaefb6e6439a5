//! The session's cookie: how the token gets into and out of it; and beside it one that pages can see. Pure.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};

/// The cookie's name.
pub const NAME: &str = "platform_session";
/// Beside it, for scripts of our own pages: that there is one, and from when on its token is to be refreshed, in seconds
/// since 1970. It grants nothing and is never read here; a page that does not find it need not ask who is signed in.
pub const VISIBLE_NAME: &str = "platform_signed_in";
/// How long a browser keeps it; the session decides, this only tidies up.
const MAX_AGE_SECONDS: u64 = 7 * 24 * 3600;

/// How a request says who it is from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A program's `Authorization: Bearer`.
    Bearer(&'a str),
    /// The browser's cookie.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The one a request carries; a bearer token goes before a cookie, because it was sent on purpose.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            return scheme.eq_ignore_ascii_case("bearer").then_some(Self::Bearer(token.trim()));
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
            .filter(|token| !token.is_empty())
            .map(Self::Cookie)
    }

    /// The token itself.
    pub fn token(self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Cookie(_) => "Cookie(…)",
        })
    }
}

/// `Set-Cookie` for a token that is to be refreshed from `refresh_at` on. `secure` wherever the browser speaks TLS to us.
pub fn set(token: &str, refresh_at: DateTime<Utc>, secure: bool) -> [HeaderValue; 2] {
    lines(token, &refresh_at.timestamp().to_string(), MAX_AGE_SECONDS, secure)
}

/// `Set-Cookie` that takes it away.
pub fn clear(secure: bool) -> [HeaderValue; 2] {
    lines("", "", 0, secure)
}

fn lines(token: &str, visible: &str, max_age: u64, secure: bool) -> [HeaderValue; 2] {
    let secure = if secure { "; Secure" } else { "" };
    let line = |name: &str, value: &str, hidden: &str| {
        let line = format!("{name}={value}; Path=/; Max-Age={max_age}; {hidden}SameSite=Strict{secure}");
        HeaderValue::try_from(line).expect("a token is base64url and dots")
    };
    [line(NAME, token, "HttpOnly; "), line(VISIBLE_NAME, visible, "")]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();

    fn check(headers: &[(&'static str, &'static str)], expected: Option<Credential<'_>>) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        assert_eq!(Credential::of(&headers), expected, "{headers:?}");
    }

    #[test]
    fn a_bearer_token_or_the_cookie() {
        check(&[], None);
        check(&[("authorization", "Bearer a.b.c")], Some(Credential::Bearer("a.b.c")));
        check(&[("authorization", "bearer a"), ("cookie", "platform_session=x")], Some(Credential::Bearer("a")));
        check(&[("authorization", "Basic a"), ("cookie", "platform_session=x")], None);
        check(&[("cookie", "a=b; platform_session=x; c=d")], Some(Credential::Cookie("x")));
        check(&[("cookie", "xplatform_session=x; platform_session2=y")], None);
        check(&[("cookie", "platform_session=")], None);
    }

    #[test]
    fn scripts_and_other_sites_cannot_have_it() {
        let [set, _] = set("a.b.c", NOON, true);
        let line = set.to_str().unwrap();
        assert!(line.starts_with("platform_session=a.b.c; Path=/;"), "{line}");
        assert!(line.contains("HttpOnly; SameSite=Strict") && line.ends_with("; Secure"), "{line}");
    }

    #[test]
    fn what_scripts_see_comes_and_goes_with_it_and_says_only_when_to_refresh_it() {
        let texts = |lines: [HeaderValue; 2]| lines.map(|line| line.to_str().unwrap().to_owned());
        let [session, visible] = texts(set("a.b.c", NOON, false));
        assert!(!visible.contains("HttpOnly") && visible.starts_with("platform_signed_in=1800000000; "), "{visible}");
        assert!(!visible.contains("a.b.c"), "{visible}");
        let kept = |line: &str| line.split("; ").find(|part| part.starts_with("Max-Age=")).map(str::to_owned);
        assert_eq!((kept(&session), kept(&session).is_some()), (kept(&visible), true));
        assert!(texts(clear(false)).iter().all(|line| line.contains("=; ") && line.contains("Max-Age=0")));
    }
}
