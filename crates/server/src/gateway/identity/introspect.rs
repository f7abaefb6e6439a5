//! Introspection: the backend is asked who has these credentials, and its answer is remembered for a short while.
//!
//! # Invariants
//! - What is remembered, and what is joined while it is asked for, is found by a keyed hash of all that the question
//!   says: the credentials, and the host in the client's own spelling. Who somebody is at one host says nothing of
//!   another.
//! - An answer is used for at most the way's `max_age` since it was asked for, and no longer once the principal or the session
//!   that it names was declared wrong. Who waited for it uses it once, however long it took (at most `timeout`).
//! - Many requests with the same credentials cause one question. If it fails, all of them know; nobody queues.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{HeaderName, HeaderValue, Request, StatusCode, header, request};
use parking_lot::Mutex;
use quick_cache::sync::Cache as Remembered;
use serde_json::Value;
use tokio::time::Instant;
use unstale::{Cache, PositionSet, Tenant};

use super::{
    ask::Ask,
    credentials::{Digest, HashKey, Known},
    tenancy,
    verified::{Verified, digest_of, text_at},
};
use crate::gateway::config::file::IntrospectionFile;

/// How long a refusal is remembered at most: who has just signed in must not wait for long.
const REFUSED_MAX_AGE: Duration = Duration::from_secs(2);
/// Questions that others may join; more are asked each by itself.
const QUESTIONS_MAX: usize = 10_000;
/// Longest answer, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A way of verifying by asking.
#[derive(Debug)]
pub(crate) struct Introspection {
    way: Arc<str>,
    rule: IntrospectionFile,
    known: Known,
    key: HashKey,
    cache: Cache,
    ask: Ask,
    answers: Remembered<Digest, Arc<Answer>>,
    questions: Mutex<HashMap<Digest, Question>>,
    this: Weak<Self>,
}

type Question = Shared<BoxFuture<'static, Asked>>;

/// What became of a question.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// There is an answer.
    Answered(Arc<Answer>),
    /// There is none; why was logged.
    Failed,
}

/// Who has some credentials.
#[derive(Debug)]
pub(crate) struct Answer {
    /// None: nobody; the credentials are not good.
    pub(crate) verified: Option<Verified>,
    /// Where the logs were before it was asked for.
    pub(crate) since: PositionSet,
    asked_at: Instant,
}

impl Introspection {
    pub(crate) fn new(
        way: &str,
        rule: IntrospectionFile,
        known: &Known,
        key: HashKey,
        cache: Cache,
        ask: Ask,
    ) -> Arc<Self> {
        let headers: Vec<HeaderName> =
            rule.headers.iter().filter_map(|name| HeaderName::try_from(name.as_str()).ok()).collect();
        Arc::new_cyclic(|this| Self {
            way: way.into(),
            known: known.and(&headers),
            answers: Remembered::new(rule.answers_max),
            questions: Mutex::default(),
            rule,
            key,
            cache,
            ask,
            this: this.clone(),
        })
    }

    /// Whether answers name the tenant.
    pub(crate) fn names_tenants(&self) -> bool {
        self.rule.tenant.is_some()
    }

    /// A hash of a request's credentials and of the host that it presents them to; none if it has none.
    pub(crate) fn credentials(&self, head: &request::Parts) -> Option<Digest> {
        let credentials = self.known.digest(&head.headers, &self.key)?;
        Some(self.key.digest(&[credentials.bytes(), host_as_written(head).unwrap_or_default()]))
    }

    /// What is remembered of credentials, and still holds. `tenant` is the one by rule, for answers that name none.
    pub(crate) fn remembered(&self, credentials: &Digest, tenant: Option<&Tenant>) -> Option<Arc<Answer>> {
        self.answers.get(credentials).filter(|answer| self.holds(answer, tenant))
    }

    /// Asks, or joins a question that is under way.
    pub(crate) async fn ask(&self, credentials: Digest, head: &request::Parts, tenant: Option<&Tenant>) -> Asked {
        let (question, joined) = self.question(credentials, head);
        let asked = question.await;
        match &asked {
            // It began before this request came: what was declared wrong in between, it may not have seen.
            Asked::Answered(answer) if joined && self.is_wrong(answer, tenant) => {
                self.question_alone(credentials, head).await
            }
            _ => asked,
        }
    }

    fn holds(&self, answer: &Answer, tenant: Option<&Tenant>) -> bool {
        let max_age = self.rule.max_age.0;
        let max_age = if answer.verified.is_none() { max_age.min(REFUSED_MAX_AGE) } else { max_age };
        answer.asked_at.elapsed() < max_age && !self.is_wrong(answer, tenant)
    }

    /// Whether the principal or the session of an answer was declared wrong since it was asked for.
    fn is_wrong(&self, answer: &Answer, tenant: Option<&Tenant>) -> bool {
        answer.verified.as_ref().is_some_and(|verified| {
            let tenant = verified.tenant.as_ref().or(tenant);
            tenant.is_some_and(|tenant| self.cache.has_changed(tenant, &verified.tags(tenant), &answer.since))
        })
    }

    fn question(&self, credentials: Digest, head: &request::Parts) -> (Question, bool) {
        let mut questions = self.questions.lock();
        if let Some(question) = questions.get(&credentials) {
            return (question.clone(), true);
        }
        let question = self.question_alone(credentials, head).shared();
        if questions.len() < QUESTIONS_MAX {
            questions.insert(credentials, question.clone());
        }
        (question, false)
    }

    fn question_alone(&self, credentials: Digest, head: &request::Parts) -> BoxFuture<'static, Asked> {
        let this = self.this.upgrade().expect("who asks holds it");
        let request = self.request(head);
        // In a task of its own: whoever asked first may go away, and others wait.
        let asking = tokio::spawn(async move {
            let since = this.cache.frontiers();
            let asked = this.answer(request, &credentials, since).await;
            if let Asked::Answered(answer) = &asked {
                this.answers.insert(credentials, answer.clone());
            }
            this.questions.lock().remove(&credentials);
            asked
        });
        async move { asking.await.unwrap_or(Asked::Failed) }.boxed()
    }

    fn request(&self, head: &request::Parts) -> Request<()> {
        let mut request = Request::get(self.rule.path.as_str()).body(()).expect("the path was checked");
        let headers = request.headers_mut();
        *headers = self.known.copied(&head.headers);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(host) = host_as_written(head).and_then(|host| HeaderValue::from_bytes(host).ok()) {
            headers.insert(header::HOST, host);
        }
        request
    }

    async fn answer(&self, request: Request<()>, credentials: &Digest, since: PositionSet) -> Asked {
        // By when it is from, not by when it came: the backend may have found it out at once and answered late.
        let asked_at = Instant::now();
        let answered = |verified| Asked::Answered(Arc::new(Answer { verified, since, asked_at }));
        let reason = match tokio::time::timeout(self.rule.timeout.0, self.ask.ask(request)).await {
            Err(_) => format!("no answer within {} ms", self.rule.timeout.0.as_millis()),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok((status, body))) if status.is_success() => match serde_json::from_slice(&body) {
                Ok(value) => match read(&self.rule, &self.way, &value, credentials, &self.key) {
                    Ok(verified) => return answered(Some(verified)),
                    Err(path) => format!("the answer does not name {path:?}"),
                },
                Err(_) => "the answer is no JSON".to_owned(),
            },
            // Sent away to sign in, or refused.
            Ok(Ok((status, _)))
                if status.is_redirection() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
            {
                return answered(None);
            }
            Ok(Ok((status, _))) => format!("the answer is {status}"),
        };
        tracing::warn!(way = &*self.way, path = self.rule.path, reason, "an identity could not be asked for");
        Asked::Failed
    }
}

/// The host of a request as its client has written it; the tenant by host is read from the same.
fn host_as_written(head: &request::Parts) -> Option<&[u8]> {
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    authority.or_else(|| head.headers.get(header::HOST).map(HeaderValue::as_bytes))
}

/// Reads an answer; the place of what it lacks.
pub(crate) fn read(
    rule: &IntrospectionFile,
    way: &Arc<str>,
    value: &Value,
    credentials: &Digest,
    key: &HashKey,
) -> Result<Verified, String> {
    let subject = text_at(value, &rule.principal).ok_or_else(|| rule.principal.clone())?;
    let tenant = match &rule.tenant {
        None => None,
        Some(path) => {
            let name = text_at(value, path).ok_or_else(|| path.clone())?;
            Some(tenancy::tenant(&name).ok_or_else(|| path.clone())?)
        }
    };
    let session = rule.session.as_ref().and_then(|path| text_at(value, path));
    let said = match &rule.distinguish {
        Some(paths) => digest_of(value, paths, key),
        None => key.digest(&[value.to_string().as_bytes()]),
    };
    let own: &[u8] = if rule.share_sessions { &[] } else { credentials.bytes() };
    let apart = key.digest(&[said.bytes(), own]);
    Ok(Verified { way: way.clone(), subject, apart: Some(apart), tenant, session })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use bytes::Bytes;
    use futures_util::future::join_all;
    use serde_json::json;
    use tokio::time::{advance, sleep};
    use unstale::MemoryStore;

    use super::*;

    /// How long the backend takes.
    const TAKES: Duration = Duration::from_secs(3);

    /// A way whose answers are good for so long, and how often its backend was asked.
    async fn way(max_age: &str) -> (Arc<Introspection>, Arc<AtomicUsize>) {
        let rule = json!({"upstream": "api", "path": "/me", "principal": "id", "max_age": max_age, "timeout": "9s"});
        let (rule, asked) = (serde_json::from_value(rule).unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        let ask = Ask::new(move |_| {
            counted.fetch_add(1, Relaxed);
            async {
                sleep(TAKES).await;
                Ok((StatusCode::OK, Bytes::from_static(b"{\"id\": \"ann\"}")))
            }
        });
        let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
        let known = Known::of(&serde_json::from_value(json!({})).unwrap());
        (Introspection::new("way", rule, &known, HashKey::derive(b"secret"), cache, ask), asked)
    }

    fn head() -> request::Parts {
        Request::get("/").header("authorization", "Bearer one").body(()).unwrap().into_parts().0
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_as_old_as_its_question() {
        let (way, _) = way("5s").await;
        let credentials = way.credentials(&head()).unwrap();
        assert!(matches!(way.ask(credentials, &head(), None).await, Asked::Answered(_)));
        advance(Duration::from_millis(1_900)).await;
        assert!(way.remembered(&credentials, None).is_some());
        advance(Duration::from_millis(200)).await;
        assert!(way.remembered(&credentials, None).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_an_answer_asks_no_more_however_long_it_took() {
        let (way, asked) = way("1s").await;
        let (credentials, head) = (way.credentials(&head()).unwrap(), head());
        let all = join_all((0..5).map(|_| way.ask(credentials, &head, None))).await;
        assert!(all.iter().all(|one| matches!(one, Asked::Answered(_))));
        assert_eq!(asked.load(Relaxed), 1);
    }
}
