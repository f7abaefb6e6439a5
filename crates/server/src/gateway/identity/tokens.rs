//! Signed tokens: finding them in a request, and remembering those that were believed.
//!
//! # Invariants
//! - What is remembered of a token is a keyed hash. Its times are judged at every request, and it is verified anew when
//!   the keys have changed.
//! - At most [`SEEN_MAX`] tokens are remembered; those that were refused are not.
//! - The connection that has sent a token holds its text as long as it is in use ([`LastToken`]), and compares it in
//!   constant time: several clients may share a connection.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use constant_time_eq::constant_time_eq;
use http::{HeaderMap, header};
use parking_lot::Mutex;
use quick_cache::sync::Cache as Seen;
use unstale::{Position, Tenant};
use unstale_http::Identity;

use super::{
    claims::{Believed, Rules, TokenFault},
    credentials::{Accounted, Digest, HashKey, cookies},
    jwks::Keys,
    verified::Verified,
};

/// Tokens that are remembered, of one way.
const SEEN_MAX: usize = 50_000;
/// Longest token that a connection holds, in bytes.
const LAST_BYTES_MAX: usize = 2048;
/// The scheme of tokens (RFC 6750, 2.1).
const BEARER: &[u8] = b"bearer";
/// Tells ways from each other, also from those of a former configuration.
static WAYS: AtomicU64 = AtomicU64::new(0);

/// A way of verifying by tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    rules: Rules,
    keys: Keys,
    cookie: Option<String>,
    seen: Seen<Digest, Arc<Remembered>>,
    number: u64,
}

/// The token that came last on a connection, if it was believed: most connections send one and the same again and
/// again, and to hash it costs more than all else that an identity does.
#[derive(Default)]
pub(crate) struct LastToken(Mutex<Option<Presented>>);

struct Presented {
    text: Box<[u8]>,
    held: Arc<Remembered>,
}

impl LastToken {
    /// Lets go of it.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }

    fn find(&self, token: &[u8]) -> Option<Arc<Remembered>> {
        let last = self.0.lock();
        let Presented { text, held } = last.as_ref()?;
        constant_time_eq(text, token).then(|| held.clone())
    }

    fn note(&self, token: &str, held: &Arc<Remembered>) {
        if token.len() <= LAST_BYTES_MAX {
            *self.0.lock() = Some(Presented { text: token.as_bytes().into(), held: held.clone() });
        }
    }
}

impl fmt::Debug for LastToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastToken(…)")
    }
}

/// A token that was believed.
#[derive(Debug)]
pub(crate) struct Remembered {
    believed: Believed,
    /// By which way, and with which keys.
    way: u64,
    generation: u64,
    /// The identity of requests that bring nothing else to tell them apart by, made at the first one.
    identity: OnceLock<Identity>,
}

impl Remembered {
    /// What it tells at this time.
    fn judged(self: Arc<Self>, now: Duration) -> Look {
        match self.believed.times.judge(now) {
            Ok(()) => Look::Believed(self),
            Err(fault) => Look::Refused(fault),
        }
    }

    /// Who has it.
    pub(crate) fn verified(&self) -> &Verified {
        &self.believed.verified
    }

    /// The identity of requests that bring nothing else; of the tenant that the token names.
    pub(crate) fn identity(&self, tenant: &Tenant, key: &HashKey, since: Position) -> &Identity {
        self.identity.get_or_init(|| self.believed.verified.identity(tenant.clone(), None, key, since))
    }
}

/// What a look at a request tells.
#[derive(Debug)]
pub(crate) enum Look {
    /// It has no token.
    None,
    /// It has one that is believed.
    Believed(Arc<Remembered>),
    /// It has one, or several, that are not.
    Refused(TokenFault),
    /// The keys have to be asked for first.
    AskKeys(String),
}

impl Tokens {
    /// Whether tokens name the tenant.
    pub(crate) fn names_tenants(&self) -> bool {
        self.rules.names_tenants()
    }

    pub(crate) fn new(rules: Rules, keys: Keys, cookie: Option<String>) -> Self {
        Self { rules, keys, cookie, seen: Seen::new(SEEN_MAX), number: WAYS.fetch_add(1, Relaxed) }
    }

    /// What of a request's credentials it accounts for.
    pub(crate) fn accounted(&self) -> Accounted<'_> {
        match &self.cookie {
            Some(cookie) => Accounted::Cookie(cookie),
            None => Accounted::Header(&header::AUTHORIZATION),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Looks at a request; `now` is the time since 1970, `last` what its connection sent before.
    pub(crate) fn look(&self, headers: &HeaderMap, now: Duration, key: &HashKey, last: Option<&LastToken>) -> Look {
        match self.token(headers) {
            Ok(None) => Look::None,
            Err(fault) => Look::Refused(fault),
            Ok(Some(token)) => self.judge(token, now, key, last),
        }
    }

    /// Judges a token by the keys that are there.
    pub(crate) fn judge(&self, token: &[u8], now: Duration, key: &HashKey, last: Option<&LastToken>) -> Look {
        let keys = self.keys.now();
        let holds = |held: &Arc<Remembered>| {
            held.way == self.number && keys.as_ref().is_some_and(|keys| held.generation == keys.generation)
        };
        if let Some(held) = last.and_then(|last| last.find(token)).filter(holds) {
            return held.judged(now);
        }
        // Only now, because it is looked at byte by byte.
        let Some(token) = std::str::from_utf8(token).ok().filter(|token| token.is_ascii()) else {
            return Look::Refused(TokenFault::Malformed);
        };
        let Some(keys) = &keys else { return Look::AskKeys(token.to_owned()) };
        let digest = key.digest(&[self.rules.way.as_bytes(), token.as_bytes()]);
        let note = |held: &Arc<Remembered>| last.iter().for_each(|last| last.note(token, held));
        if let Some(held) = self.seen.get(&digest).filter(holds) {
            note(&held);
            return held.judged(now);
        }
        match self.rules.verify(token, &keys.set, now, key) {
            Ok(believed) => {
                let (way, generation) = (self.number, keys.generation);
                let remembered = Arc::new(Remembered { believed, way, generation, identity: OnceLock::new() });
                self.seen.insert(digest, remembered.clone());
                note(&remembered);
                Look::Believed(remembered)
            }
            Err(TokenFault::UnknownKey) => Look::AskKeys(token.to_owned()),
            Err(fault) => Look::Refused(fault),
        }
    }

    /// The request's one token. Of several it could not be told which the backend goes by.
    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a [u8]>, TokenFault> {
        if let Some(name) = &self.cookie {
            let mut found = cookies(headers).filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
            return match (found.next(), found.next()) {
                (value, None) => Ok(value),
                (_, Some(_)) => Err(TokenFault::Malformed),
            };
        }
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = match (lines.next(), lines.next()) {
            (None, _) => return Ok(None),
            (Some(_), Some(_)) => return Err(TokenFault::Malformed),
            (Some(line), None) => line,
        };
        match line.as_bytes().split_at_checked(BEARER.len()) {
            Some((scheme, token @ [b' ', ..])) if scheme.eq_ignore_ascii_case(BEARER) => Ok(Some(token.trim_ascii())),
            // Another scheme: some other way may know it.
            _ => line.to_str().map(|_| None).map_err(|_| TokenFault::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::gateway::identity::keys::KeySet;

    const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

    fn tokens(audience: &str) -> Tokens {
        let file = json!({"secret_env": "S", "issuers": ["i"], "audiences": [audience], "tenant": "org"});
        let rules = Rules::of("own", &serde_json::from_value(file).unwrap(), true);
        Tokens::new(rules, Keys::fixed(KeySet::secret(SECRET)), None)
    }

    fn token(subject: &str) -> String {
        crate::token_crypto::install();
        let claims = json!({"iss": "i", "aud": "a", "sub": subject, "org": "acme", "exp": 1000});
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    fn judged(tokens: &Tokens, token: &str, now: u64, last: &LastToken) -> Option<String> {
        match tokens.judge(token.as_bytes(), Duration::from_secs(now), &HashKey::derive(b"key"), Some(last)) {
            Look::Believed(held) => Some(held.verified().subject.clone()),
            _ => None,
        }
    }

    #[test]
    fn a_connection_knows_its_last_token_and_no_other() {
        let (tokens, last) = (tokens("a"), LastToken::default());
        let (ann, bob) = (token("ann"), token("bob"));
        for (token, subject) in [(&ann, "ann"), (&ann, "ann"), (&bob, "bob"), (&ann, "ann")] {
            assert_eq!(judged(&tokens, token, 10, &last).as_deref(), Some(subject));
            assert!(last.find(token.as_bytes()).is_some());
        }
        assert!(last.find(bob.as_bytes()).is_none());
        for other in [format!("{ann}x"), ann[..ann.len() - 1].to_owned(), ann.to_uppercase(), String::new()] {
            assert_eq!(judged(&tokens, &other, 10, &last), None, "{other}");
        }
        last.forget();
        assert!(last.find(ann.as_bytes()).is_none());
    }

    #[test]
    fn what_a_connection_knows_ends_with_its_time_and_with_the_configuration() {
        let (one, other, last) = (tokens("a"), tokens("b"), LastToken::default());
        let ann = token("ann");
        assert_eq!(judged(&one, &ann, 10, &last).as_deref(), Some("ann"));
        assert_eq!(judged(&one, &ann, 2000, &last), None);
        // As after a reload, with another audience.
        assert_eq!(judged(&other, &ann, 10, &last), None);
    }

    #[test]
    fn what_is_no_bearer_token_is_left_to_others_if_it_can_be_read() {
        let found = |line: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, line.try_into().unwrap());
            tokens("a").token(&headers).map(|token| token.map(<[u8]>::to_vec))
        };
        for line in [&b"Bearer  x.y "[..], b"bearer x.y", b"BEARER x.y"] {
            assert_eq!(found(line), Ok(Some(b"x.y".to_vec())), "{line:?}");
        }
        for line in [&b"Basic eDp5"[..], b"Bearer", b"Bearers x.y", b"", b"x Bearer y"] {
            assert_eq!(found(line), Ok(None), "{line:?}");
        }
        assert_eq!(found(b"Basic \xe4"), Err(TokenFault::Malformed));
        assert_eq!(found(b"Bearer \xe4"), Ok(Some(b"\xe4".to_vec())));
        let judged = |token: &[u8]| tokens("a").judge(token, Duration::ZERO, &HashKey::derive(b"key"), None);
        for token in [&b"\xe4"[..], "ä".as_bytes()] {
            assert!(matches!(judged(token), Look::Refused(TokenFault::Malformed)), "{token:?}");
        }
    }

    #[test]
    fn a_long_token_is_not_held_by_a_connection() {
        let (tokens, last) = (tokens("a"), LastToken::default());
        let claims =
            json!({"iss": "i", "aud": "a", "sub": "u", "org": "o", "exp": 1000, "more": "x".repeat(LAST_BYTES_MAX)});
        let long = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap();
        assert!(judged(&tokens, &long, 10, &last).is_some() && last.find(long.as_bytes()).is_none());
        assert!(!format!("{last:?}").contains("ey"));
    }
}
