//! Who is asking: credentials are verified first, and only then is anything looked up.
//!
//! [`Identities`] asks its ways one after the other; the first one whose credentials a request has decides. What a
//! way has not accounted for of the credentials that backends go by becomes part of the principal, as a keyed hash: two
//! requests that a backend may answer differently never share an entry.
//!
//! *Decide* (pure, time is an argument): [`claims`], [`keys`], [`credentials`], [`tenancy`], [`verified`],
//! [`certificate`], [`trusted`]. *Do*: [`tokens`] remembers, [`jwks`] and [`introspect`] ask through [`ask`].
//!
//! # Invariants
//! - No token, cookie or key in clear in a key, a log line, a header of ours, a metric or in `Debug`.
//! - A header that a proxy may set is taken out of everybody else's requests, whatever becomes of them.
//! - If it cannot be found out who is asking, nothing is looked up: the backend decides.

mod ask;
mod certificate;
pub(crate) mod claims;
mod credentials;
pub(crate) mod introspect;
mod jwks;
pub(crate) mod keys;
pub(crate) mod tenancy;
mod tokens;
mod trusted;
mod verified;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderName, header, request};
use tokio::time::Instant;
use unstale::Cache;
use unstale_http::Identity;

pub(crate) use self::{
    ask::{Ask, AskError},
    credentials::{HashKey, Known, cookies},
    introspect::ANSWER_BYTES_MAX,
    keys::JWKS_BYTES_MAX,
    tokens::LastToken,
};
use self::{
    claims::Rules,
    credentials::{Accounted, Digest},
    introspect::{Asked, Introspection},
    jwks::Keys,
    keys::KeySet,
    tenancy::Tenancy,
    tokens::{Look, Remembered, Tokens},
    trusted::{Said, TrustedHeader},
    verified::Verified,
};
use crate::gateway::{
    config::{KeySource, Plan, file::MutualTlsFile},
    listen::PeerCertificate,
};

/// It is known who it is: as a label.
pub(crate) const KNOWN: &str = "known";
/// The keys of tokens could not be asked for.
const NO_KEYS: &str = "no-keys";
/// The backend could not be asked.
const NO_ANSWER: &str = "introspection-failed";

/// What is known of a request's sender.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// They are who they say.
    Known(Identity),
    /// They say nothing.
    Anonymous,
    /// They say something that is not right.
    Bad,
    /// It cannot be found out now; the reason is a short stable word.
    Unknown(&'static str),
}

impl Outcome {
    /// As a label.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Known(_) => KNOWN,
            Self::Anonymous => "anonymous",
            Self::Bad => "bad",
            Self::Unknown(reason) => reason,
        }
    }

    /// Whether it may be known a little later: somebody who has to be asked did not answer.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unknown(NO_KEYS | NO_ANSWER))
    }
}

/// An outcome, or a wait for it.
pub(crate) enum Identified {
    Now(Outcome),
    Later(BoxFuture<'static, Outcome>),
}

/// Who has sent a connection, as the listener knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer<'a> {
    pub(crate) address: Option<IpAddr>,
    /// The certificate that the connection was verified by.
    pub(crate) certificate: Option<&'a PeerCertificate>,
    /// The token that came last on the connection.
    pub(crate) last_token: Option<&'a LastToken>,
}

/// A stranger has sent a header that is a proxy's to set, and the configuration refuses that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stranger;

/// Every way of verifying.
#[derive(Debug)]
pub(crate) struct Identities {
    ways: Vec<Way>,
    known: Known,
    tenancy: Tenancy,
    key: HashKey,
    cache: Cache,
}

#[derive(Debug)]
enum Way {
    Tokens(Arc<Tokens>),
    Introspection(Arc<Introspection>),
    Certificate(Arc<str>, MutualTlsFile),
    Trusted(TrustedHeader),
}

impl Identities {
    /// The ways of a configuration. `ask_upstream` asks an upstream by name, `ask_url` anybody.
    pub(crate) fn new(
        plan: &Plan,
        key: HashKey,
        cache: &Cache,
        ask_upstream: impl Fn(&str) -> Option<Ask>,
        ask_url: impl Fn(&http::Uri) -> Option<Ask>,
    ) -> Self {
        let known = Known::of(&plan.file.credentials);
        let mut ways = Vec::new();
        for (identity, source) in plan.file.identity.iter().zip(&plan.keys) {
            let name = identity.name.as_str();
            if let (Some(file), Some(source)) = (&identity.jwt, source) {
                let keys = match source {
                    KeySource::Secret(secret) => Keys::fixed(KeySet::secret(secret.expose())),
                    KeySource::Jwks(text) => Keys::fixed(KeySet::parse(text).expect("the file was checked")),
                    KeySource::Url(url) => {
                        let url: http::Uri = url.parse().expect("the file was checked");
                        let Some(ask) = ask_url(&url) else { continue };
                        Keys::from_url(url, ask, file.refresh.0, file.fetch_timeout.0)
                    }
                };
                let rules = Rules::of(name, file, matches!(source, KeySource::Secret(_)));
                ways.push(Way::Tokens(Arc::new(Tokens::new(rules, keys, file.cookie.clone()))));
            } else if let Some(file) = &identity.introspection {
                let Some(ask) = ask_upstream(&file.upstream) else { continue };
                let way = Introspection::new(name, file.clone(), &known, key.clone(), cache.clone(), ask);
                ways.push(Way::Introspection(way));
            } else if let Some(rule) = &identity.mutual_tls {
                ways.push(Way::Certificate(name.into(), rule.clone()));
            } else if let Some(file) = &identity.trusted_header {
                ways.push(Way::Trusted(TrustedHeader::of(name, file)));
            }
        }
        Self { ways, known, tenancy: Tenancy::of(&plan.file.tenant), key, cache: cache.clone() }
    }

    /// Every header from which an identity may be made: what `Vary` has to name.
    pub(crate) fn headers(&self) -> Vec<HeaderName> {
        let mut all = vec![header::COOKIE];
        let trusted = self.ways.iter().filter_map(|way| match way {
            Way::Trusted(trusted) => Some(trusted.headers()),
            _ => None,
        });
        for name in self.known.headers().iter().chain([&header::AUTHORIZATION]).chain(trusted.flatten()) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all
    }

    /// Takes headers out of a request that only a proxy may set, unless the peer is that proxy.
    pub(crate) fn strip(&self, head: &mut request::Parts, peer: Peer<'_>) -> Result<(), Stranger> {
        for way in &self.ways {
            let Way::Trusted(trusted) = way else { continue };
            if !trusted.headers().any(|name| head.headers.contains_key(name)) || trusts(trusted, peer) {
                continue;
            }
            if trusted.refuses_strangers() {
                return Err(Stranger);
            }
            for name in trusted.headers() {
                head.headers.remove(name);
            }
        }
        Ok(())
    }

    /// Who has sent a request, from which [`strip`](Self::strip) has taken what is not the peer's to say; `now` is the
    /// time since 1970.
    pub(crate) fn identify(self: &Arc<Self>, head: &request::Parts, peer: Peer<'_>, now: Duration) -> Identified {
        for way in &self.ways {
            let outcome = match way {
                Way::Tokens(tokens) => match tokens.look(&head.headers, now, &self.key, peer.last_token) {
                    Look::None => continue,
                    Look::Believed(believed) => self.believed(&believed, tokens.accounted(), head),
                    Look::Refused(fault) => {
                        tracing::debug!(%fault, "a token was refused");
                        Outcome::Bad
                    }
                    Look::AskKeys(token) => return self.after_keys(tokens.clone(), token, head, now),
                },
                Way::Introspection(introspection) => {
                    let Some(credentials) = introspection.credentials(head) else { continue };
                    let tenant = self.tenancy.find(head);
                    match introspection.remembered(&credentials, tenant.as_ref()) {
                        Some(answer) => self.answered(&answer, tenant),
                        None => return self.after_asking(introspection.clone(), credentials, head, tenant),
                    }
                }
                Way::Certificate(way, rule) => {
                    let Some(certificate) = peer.certificate else { continue };
                    match certificate::verified(way, rule, certificate, &self.key) {
                        Some(verified) => self.known(&verified, Accounted::Nothing, head),
                        None => Outcome::Bad,
                    }
                }
                Way::Trusted(trusted) if trusts(trusted, peer) => match trusted.read(&head.headers, &self.key) {
                    Said::Nothing => continue,
                    Said::Verified(verified) => self.known(&verified, Accounted::Nothing, head),
                    Said::Malformed => Outcome::Bad,
                },
                Way::Trusted(_) => continue,
            };
            self.refresh_keys();
            return Identified::Now(outcome);
        }
        // Credentials that no way knows are the backend's to judge.
        let outcome = if self.known.are_in(&head.headers) { Outcome::Unknown("unknown") } else { Outcome::Anonymous };
        Identified::Now(outcome)
    }

    /// The tenant that a rule gives a request, whoever has sent it.
    pub(crate) fn tenant_by_rule(&self, head: &request::Parts) -> Option<unstale::Tenant> {
        self.tenancy.find(head)
    }

    /// Whether a way of verifying that has to ask somebody says by itself whose tenant a sender is of.
    pub(crate) fn names_tenants(&self) -> bool {
        self.ways.iter().any(|way| match way {
            Way::Tokens(tokens) => tokens.names_tenants(),
            Way::Introspection(introspection) => introspection.names_tenants(),
            Way::Certificate(..) | Way::Trusted(_) => false,
        })
    }

    fn known(&self, verified: &Verified, accounted: Accounted<'_>, head: &request::Parts) -> Outcome {
        let rest = self.known.rest(&head.headers, accounted, &self.key);
        let Some(tenant) = verified.tenant.clone().or_else(|| self.tenancy.find(head)) else {
            return Outcome::Unknown("no-tenant");
        };
        // It says by itself who has it: nothing was read but what this request brought.
        let since = self.cache.frontier(&tenant);
        Outcome::Known(verified.identity(tenant, rest, &self.key, since))
    }

    /// As [`known`](Self::known), of a token. If it says all that there is to say, the identity is made once.
    fn believed(&self, believed: &Remembered, accounted: Accounted<'_>, head: &request::Parts) -> Outcome {
        let verified = believed.verified();
        let rest = self.known.rest(&head.headers, accounted, &self.key);
        match &verified.tenant {
            Some(tenant) if rest.is_none() => {
                let since = self.cache.frontier(tenant);
                Outcome::Known(believed.identity(tenant, &self.key, since).confirmed_since(since.into()))
            }
            _ => self.known(verified, accounted, head),
        }
    }

    fn answered(&self, answer: &introspect::Answer, tenant: Option<unstale::Tenant>) -> Outcome {
        let Some(verified) = &answer.verified else { return Outcome::Bad };
        let Some(tenant) = verified.tenant.clone().or(tenant) else { return Outcome::Unknown("no-tenant") };
        // Everything was sent along that the backend goes by: nothing is left to tell apart.
        let since = self.cache.frontier(&tenant);
        let confirmed = !self.cache.has_changed(&tenant, &verified.tags(&tenant), &answer.since);
        let identity = verified.identity(tenant, None, &self.key, since);
        // What was not changed since the answer came is as good as read now.
        Outcome::Known(if confirmed { identity } else { identity.confirmed_since(answer.since.clone()) })
    }

    /// Keys have to be asked for; then the token is judged once more.
    fn after_keys(
        self: &Arc<Self>,
        tokens: Arc<Tokens>,
        token: String,
        head: &request::Parts,
        now: Duration,
    ) -> Identified {
        let (this, head) = (self.clone(), head.clone());
        let outcome = async move {
            let began = Instant::now();
            tokens.keys().refresh().await;
            match tokens.judge(token.as_bytes(), now, &this.key, None) {
                Look::Believed(believed) => this.believed(&believed, tokens.accounted(), &head),
                // Of the keys as they are now none has signed it: it is the token that is wrong. Of those that were
                // held before nothing follows: a new key may be out that this gateway could not hear of.
                Look::AskKeys(_) if tokens.keys().are_confirmed_since(began) => Outcome::Bad,
                Look::AskKeys(_) | Look::None => Outcome::Unknown(NO_KEYS),
                Look::Refused(_) => Outcome::Bad,
            }
        };
        Identified::Later(outcome.boxed())
    }

    fn after_asking(
        self: &Arc<Self>,
        introspection: Arc<Introspection>,
        credentials: Digest,
        head: &request::Parts,
        tenant: Option<unstale::Tenant>,
    ) -> Identified {
        let (this, head) = (self.clone(), head.clone());
        let outcome = async move {
            match introspection.ask(credentials, &head, tenant.as_ref()).await {
                Asked::Answered(answer) => this.answered(&answer, tenant),
                Asked::Failed => Outcome::Unknown(NO_ANSWER),
            }
        };
        Identified::Later(outcome.boxed())
    }

    /// Asks for keys that are due, beside the request that noticed it.
    fn refresh_keys(&self) {
        for way in &self.ways {
            if let Way::Tokens(tokens) = way
                && tokens.keys().are_due()
            {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.keys().refresh().await });
            }
        }
    }
}

fn trusts(trusted: &TrustedHeader, peer: Peer<'_>) -> bool {
    trusted.trusts_address(peer.address)
        || peer.certificate.is_some_and(|certificate| certificate::has_name(certificate, trusted.certificates()))
}
