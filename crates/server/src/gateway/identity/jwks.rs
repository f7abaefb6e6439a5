//! The keys of tokens as they are at this moment: from a secret, from a file, or from a URL that is asked again and again.
//!
//! # Invariants
//! - A URL is asked by one at a time, and at most once in [`ASKED_EVERY`], whatever tokens come.
//! - Keys that could not be confirmed for [`UNCONFIRMED_MAX`] are used no more.

use std::{ops::Deref, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::{Request, Uri};
use tokio::{sync::Mutex, time::Instant};

use super::{ask::Ask, keys::KeySet};

/// At most once in so long a URL is asked, also for tokens with keys that nobody knows.
pub(crate) const ASKED_EVERY: Duration = Duration::from_secs(10);
/// So long keys are used that the URL does not confirm, at least.
pub(crate) const UNCONFIRMED_MAX: Duration = Duration::from_secs(3600);

/// The keys at this moment.
#[derive(Debug)]
pub(crate) enum Keys {
    /// Those of a secret or a file.
    Fixed(Held),
    /// Those of a URL.
    Asked(Asked),
}

/// Keys from a URL.
#[derive(Debug)]
pub(crate) struct Asked {
    held: ArcSwapOption<Held>,
    from: From,
}

/// The keys, as long as somebody looks at them.
pub(crate) enum Now<'a> {
    Fixed(&'a Held),
    Asked(Arc<Held>),
}

impl Deref for Now<'_> {
    type Target = Held;

    fn deref(&self) -> &Held {
        match self {
            Self::Fixed(held) => held,
            Self::Asked(held) => held,
        }
    }
}

/// Keys, and when they came.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) set: KeySet,
    /// Tells one set from those before it.
    pub(crate) generation: u64,
    confirmed_at: Instant,
}

#[derive(Debug)]
struct From {
    url: Uri,
    ask: Ask,
    refresh: Duration,
    timeout: Duration,
    /// When it was asked last; held by the one who asks.
    asked_at: Mutex<Option<Instant>>,
}

impl Keys {
    /// Keys that stay as they are.
    pub(crate) fn fixed(set: KeySet) -> Self {
        Self::Fixed(Held { set, generation: 0, confirmed_at: Instant::now() })
    }

    /// Keys from a URL, which is not asked yet.
    pub(crate) fn from_url(url: Uri, ask: Ask, refresh: Duration, timeout: Duration) -> Self {
        let from = From { url, ask, refresh, timeout, asked_at: Mutex::new(None) };
        Self::Asked(Asked { held: ArcSwapOption::empty(), from })
    }

    /// The keys, if there are any that may be used.
    pub(crate) fn now(&self) -> Option<Now<'_>> {
        match self {
            Self::Fixed(held) => Some(Now::Fixed(held)),
            Self::Asked(asked) => asked.now().map(Now::Asked),
        }
    }

    /// Whether they should be asked for again.
    pub(crate) fn are_due(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Asked(asked) => asked.are_due(),
        }
    }

    /// Whether they are as their source has given them out since then, or cannot change.
    pub(crate) fn are_confirmed_since(&self, then: Instant) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Asked(asked) => asked.held.load().as_ref().is_some_and(|held| held.confirmed_at >= then),
        }
    }

    /// Asks for them again, unless that was done just now. Whoever comes meanwhile waits for the same answer.
    pub(crate) async fn refresh(&self) {
        match self {
            Self::Fixed(_) => {}
            Self::Asked(asked) => asked.refresh().await,
        }
    }
}

impl Asked {
    fn now(&self) -> Option<Arc<Held>> {
        let held = self.held.load_full()?;
        let limit = UNCONFIRMED_MAX.max(self.from.refresh * 6);
        (held.confirmed_at.elapsed() <= limit).then_some(held)
    }

    fn are_due(&self) -> bool {
        self.held.load().as_ref().is_none_or(|held| held.confirmed_at.elapsed() >= self.from.refresh)
    }

    async fn refresh(&self) {
        let From { url, ask, timeout, asked_at, .. } = &self.from;
        let mut asked_at = asked_at.lock().await;
        if asked_at.is_some_and(|asked_at| asked_at.elapsed() < ASKED_EVERY) {
            return;
        }
        *asked_at = Some(Instant::now());
        let request = Request::get(url.clone()).header("accept", "application/json").body(());
        let request = request.expect("a URL that was parsed makes a request");
        let reason = match tokio::time::timeout(*timeout, ask.ask(request)).await {
            Err(_) => format!("no answer within {} ms", timeout.as_millis()),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok((status, _))) if !status.is_success() => format!("the answer is {status}"),
            Ok(Ok((_, body))) => match KeySet::parse(&String::from_utf8_lossy(&body)) {
                Ok(set) => return self.put(set),
                Err(error) => error.to_string(),
            },
        };
        tracing::warn!(%url, reason, "the keys of tokens could not be fetched; those known stay in use for a while");
    }

    fn put(&self, set: KeySet) {
        let generation = self.held.load().as_ref().map_or(1, |held| held.generation + 1);
        tracing::debug!(keys = set.len(), generation, "the keys of tokens were fetched");
        self.held.store(Some(Arc::new(Held { set, generation, confirmed_at: Instant::now() })));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    /// RFC 7517, A.1, and the same under another id.
    fn jwks(id: &str) -> Bytes {
        let key = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"ID"}"#;
        Bytes::from(format!(r#"{{"keys":[{}]}}"#, key.replace("ID", id)))
    }

    fn keys(answers: Vec<Result<(StatusCode, Bytes), String>>) -> (Keys, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answers) = (asked.clone(), Arc::new(answers));
        let ask = Ask::new(move |_| {
            let at = count.fetch_add(1, Relaxed).min(answers.len() - 1);
            let answer = answers[at].clone().map_err(super::super::ask::AskError);
            async move { answer }
        });
        let url = "https://issuer/keys".parse().unwrap();
        (Keys::from_url(url, ask, Duration::from_secs(600), Duration::from_secs(2)), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_asked_for_once_in_a_while_and_rotate() {
        let (keys, asked) = keys(vec![Ok((StatusCode::OK, jwks("one"))), Ok((StatusCode::OK, jwks("two")))]);
        assert!(keys.now().is_none() && keys.are_due());
        keys.refresh().await;
        assert!(keys.now().unwrap().set.knows("one") && !keys.are_due());
        // Many tokens with unknown keys: the URL is left in peace.
        for _ in 0..100 {
            keys.refresh().await;
        }
        assert_eq!(asked.load(Relaxed), 1);
        tokio::time::advance(ASKED_EVERY).await;
        keys.refresh().await;
        let held = keys.now().unwrap();
        assert!(held.set.knows("two") && !held.set.knows("one"));
        assert_eq!((asked.load(Relaxed), held.generation), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_outlive_an_outage_within_a_bound() {
        let (keys, _) = keys(vec![Ok((StatusCode::OK, jwks("one"))), Err("away".to_owned())]);
        keys.refresh().await;
        tokio::time::advance(UNCONFIRMED_MAX).await;
        keys.refresh().await;
        assert!(keys.now().is_some() && keys.are_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(keys.now().is_none(), "keys that nobody confirms are still used");
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_that_came_since_confirms_them() {
        let (keys, _) = keys(vec![Ok((StatusCode::OK, jwks("one"))), Err("away".to_owned())]);
        let mut confirmed = Vec::new();
        for _ in 0..3 {
            let then = Instant::now();
            keys.refresh().await;
            confirmed.push(keys.are_confirmed_since(then));
            tokio::time::advance(ASKED_EVERY / 2 + Duration::from_secs(1)).await;
        }
        // Asked for; too early to be asked for again; away.
        assert_eq!(confirmed, [true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_keys_changes_nothing() {
        let bad = [(StatusCode::OK, Bytes::from("{}")), (StatusCode::NOT_FOUND, jwks("two"))];
        let answers = [Ok((StatusCode::OK, jwks("one")))].into_iter().chain(bad.map(Ok)).collect();
        let (keys, asked) = keys(answers);
        for _ in 0..3 {
            keys.refresh().await;
            tokio::time::advance(ASKED_EVERY).await;
        }
        assert_eq!(asked.load(Relaxed), 3);
        assert!(keys.now().unwrap().set.knows("one"));
    }
}
