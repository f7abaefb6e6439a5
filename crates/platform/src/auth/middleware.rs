//! The middleware that lets requests in: before the cache, so that nothing is looked up for nobody.

use std::{
    convert::Infallible,
    mem,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Uri, request::Parts},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures_util::{
    FutureExt as _, TryFutureExt as _,
    future::{self, BoxFuture},
};
use http_body_util::Either;
use tower::{Layer, Service};
use unstale::{Cached, Fetched, PositionSet, ReadOptions, Tag};
use unstale_http::Identity;
use unstale_server::{problem::Problem, telemetry};

use super::{
    Caller,
    acting::{self, Acting, Asked},
    admissions::{Admission, AdmissionKey, Admissions},
    cookie::Credential,
    csrf,
    tokens::{Claims, TokenError},
};
use crate::{
    api::{Platform, answer},
    coherence::{ClientId, Views, platform_tenant, tags},
    views::{Role, SessionPrincipal, UserStatus},
};

/// The query parameter in place of the acting client's header, for sockets.
const LIVE_CLIENT: &str = "client_account_id";

/// Lets requests in with their [`Caller`] and their [`Identity`], or refuses them.
#[derive(Clone)]
pub(crate) struct AuthLayer {
    platform: Platform,
}

impl AuthLayer {
    /// For the users of `platform`.
    pub(crate) fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { platform: self.platform.clone(), inner }
    }
}

/// The service of [`AuthLayer`]. Whoever was let in before, and whose session is in memory, passes without waiting:
/// no future is boxed and no service cloned for them.
#[derive(Clone)]
pub(crate) struct AuthService<S> {
    platform: Platform,
    inner: S,
}

impl<S, B> Service<Request> for AuthService<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Either<B, Body>>;
    type Error = Infallible;
    type Future = future::Either<
        future::MapOk<S::Future, fn(Response<B>) -> Response<Either<B, Body>>>,
        BoxFuture<'static, Result<Response<Either<B, Body>>, Infallible>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (head, body) = request.into_parts();
        match Asking::of(&self.platform, &head).and_then(|asking| asking.answer_at_once(&self.platform)) {
            Ok(Answered::Now(caller, identity)) => {
                let request = admitted(&self.platform, head, body, caller, identity);
                self.inner.call(request).map_ok(from_inner as fn(_) -> _).left_future()
            }
            Ok(Answered::Later(asking)) => {
                // The clone takes the place of the one that is ready.
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                let platform = self.platform.clone();
                let waiting = async move {
                    match asking.answer(&platform).await {
                        Ok((caller, identity)) => {
                            let request = admitted(&platform, head, body, caller, identity);
                            inner.call(request).await.map(from_inner)
                        }
                        Err(problem) => Ok(problem.into_response().map(Either::Right)),
                    }
                };
                waiting.boxed().right_future()
            }
            Err(problem) => future::ready(Ok(problem.into_response().map(Either::Right))).boxed().right_future(),
        }
    }
}

fn from_inner<B>(response: Response<B>) -> Response<Either<B, Body>> {
    response.map(Either::Left)
}

fn admitted(platform: &Platform, mut head: Parts, body: Body, caller: Caller, identity: Identity) -> Request {
    telemetry::record_tenant(caller.tenant());
    platform.seen.note(caller.id());
    head.extensions.insert(identity);
    head.extensions.insert(caller);
    Request::from_parts(head, body)
}

/// A request whose token is good, and what is known of it.
struct Asking {
    named_client: Option<String>,
    key: AdmissionKey,
    known: Option<Admission>,
    claims: Claims,
    /// Captured before any fact is read: what changes in between is seen as a change.
    read_since: PositionSet,
    now: DateTime<Utc>,
}

enum Answered {
    Now(Caller, Identity),
    Later(Box<Asking>),
}

impl Asking {
    fn of(platform: &Platform, head: &Parts) -> Result<Self, Problem> {
        let headers = &head.headers;
        let credential = Credential::of(headers).ok_or_else(Problem::unauthorized)?;
        let named_client = if is_live(head) { live_client(&head.uri) } else { named_client(headers)? };
        let key = Admissions::key(credential.token(), named_client.as_deref());
        let known = platform.admissions.get(&key);
        let claims = match &known {
            Some(admission) => admission.claims,
            None => platform.tokens.verify_signature(credential.token()).map_err(refuse_token)?,
        };
        let now = platform.now();
        claims.check_time(now).map_err(refuse_token)?;
        if let Credential::Cookie(_) = credential {
            let judged = if is_live(head) { csrf::judge_origin(headers) } else { csrf::judge(&head.method, headers) };
            judged.map_err(|refusal| Problem::forbidden(refusal.message()))?;
        }
        Ok(Self { named_client, key, known, claims, read_since: platform.cache.frontiers(), now })
    }

    /// The answer, if this node's memory has all that it follows from.
    fn answer_at_once(self, platform: &Platform) -> Result<Answered, Problem> {
        let Some(admission) = &self.known else { return Ok(Answered::Later(Box::new(self))) };
        let session = platform.views.session_in_memory(&admission.session_key).and_then(Fetched::into_value);
        match session {
            Some(session) if admission.follows_from(&session) => {
                if session.expires_at <= self.now {
                    return Err(Problem::unauthorized());
                }
                let Admission { caller, identity, .. } = self.known.expect("it was looked at just now");
                Ok(Answered::Now(caller, identity.confirmed_since(self.read_since)))
            }
            _ => Ok(Answered::Later(Box::new(self))),
        }
    }

    async fn answer(self, platform: &Platform) -> Result<(Caller, Identity), Problem> {
        let session = match platform.views.session(self.claims.sid, &ReadOptions::default()).await {
            Ok(found) => found.into_value().ok_or_else(Problem::unauthorized)?,
            Err(error) => return Err(answer::of_fetch(&error)),
        };
        if session.expires_at <= self.now {
            return Err(Problem::unauthorized());
        }
        let admission = if let Some(known) = self.known.filter(|known| known.follows_from(&session)) {
            known
        } else {
            let admission = work_out(platform, self.claims, session, self.named_client.as_deref()).await?;
            platform.admissions.keep(self.key, admission.clone());
            platform.warmer.met(self.claims.sid);
            admission
        };
        Ok((admission.caller, admission.identity.confirmed_since(self.read_since)))
    }
}

async fn work_out(
    platform: &Platform,
    claims: Claims,
    session: Cached<SessionPrincipal>,
    named_client: Option<&str>,
) -> Result<Admission, Problem> {
    let principal = &*session;
    if principal.user.id != claims.sub || principal.user.status != UserStatus::Active {
        return Err(Problem::unauthorized());
    }
    let asked = Asked {
        named: named_client,
        default_client: principal.default_client_account_id,
        roles: &principal.roles,
        is_platform_admin: principal.user.is_platform_admin,
    };
    let acting = acting::decide(&asked).map_err(|_| Problem::not_found())?;
    let is_client_named = named_client.is_some();
    let mut facts = facts_of(principal, is_client_named);
    let (client, role) = match acting {
        Acting::Member(client, role) => (Some(ClientId(client)), Some(role)),
        Acting::Visitor(client) => {
            let client = ClientId(client);
            answer::read(platform.views.client(Some(client), client.0, &ReadOptions::default()).await)?;
            facts.push(tags::client(client.0));
            (Some(client), Some(Role::PlatformAdmin))
        }
        Acting::Platform => (None, Some(Role::PlatformAdmin)),
        Acting::Nobody => (None, None),
    };
    let tenant = client.map_or_else(platform_tenant, ClientId::tenant);
    let known_as = known_as(principal, role, is_client_named);
    // Its facts are read since nowhere yet: a request says that.
    let identity = Identity::new(tenant.clone(), principal.user.id.to_string())
        .session(principal.session_id.to_string())
        .known_as(known_as)
        .facts(facts, PositionSet::default());
    let caller = Caller { principal: session.clone(), tenant, client, role };
    Ok(Admission { claims, session_key: Views::session_key(claims.sid), session, caller, identity })
}

/// Everything of a session that answers may follow from. The session is a cached value of another partition than they
/// are, so its facts alone do not tell that it was an old one; see [`Identity::known_as`]. Who names their client is known
/// apart: their answers follow from less, and would else be given with what those of others follow from.
fn known_as(principal: &SessionPrincipal, role: Option<Role>, is_client_named: bool) -> Vec<u8> {
    // Named one by one: a field that is added has to be thought of.
    let SessionPrincipal { session_id: _, user, roles, default_client_account_id, expires_at: _ } = principal;
    // Where one would begin decides for whom one acts who does not say it.
    let begins_in = default_client_account_id.filter(|_| !is_client_named);
    serde_json::to_vec(&(user, roles, begins_in, role, is_client_named)).expect("views are JSON")
}

/// What the caller is made of. The session itself is not among it: it is asked anew with every request, and answers
/// are shared between the sessions of a user.
///
/// Who names a client acts for that one wherever they would begin: choosing another beginning ends nothing of theirs.
fn facts_of(principal: &SessionPrincipal, is_client_named: bool) -> Vec<Tag> {
    let user = principal.user.id;
    let mut facts = vec![tags::user(user), tags::memberships_of(user)];
    if !is_client_named {
        facts.push(tags::user_defaults(user));
    }
    facts
}

fn refuse_token(error: TokenError) -> Problem {
    match error {
        TokenError::Invalid => Problem::unauthorized(),
        TokenError::Expired => {
            Problem::unauthorized().detail("The access token has expired. Refresh it, or sign in again.")
        }
    }
}

fn named_client(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(acting::HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|text| Some(text.trim().to_owned())).map_err(|_| Problem::not_found())
        }
        (Some(_), Some(_)) => Err(Problem::bad_request("Send X-Client-Account-Id once.")),
    }
}

/// Whether it asks for live events: browsers cannot give such requests headers of their own.
fn is_live(head: &Parts) -> bool {
    matches!(head.uri.path(), crate::api::EVENTS_PATH | crate::api::EVENT_STREAM_PATH)
}

fn live_client(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == LIVE_CLIENT).map(|(_, value)| value.to_owned()).next()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::views::{ClientRole, User};

    fn session(role: Role) -> SessionPrincipal {
        let user = User {
            id: Uuid::from_u128(1),
            email: "ada@example.com".into(),
            name: "Ada".into(),
            status: UserStatus::Active,
            is_platform_admin: false,
            created_at: DateTime::UNIX_EPOCH,
        };
        SessionPrincipal {
            session_id: Uuid::now_v7(),
            user,
            roles: vec![ClientRole { client_account_id: Uuid::from_u128(2), role }],
            default_client_account_id: None,
            expires_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_user_is_known_as_the_same_in_all_sessions_and_as_another_after_a_change() {
        let known = |session: &SessionPrincipal| known_as(session, session.roles.first().map(|first| first.role), true);
        let analyst = session(Role::Analyst);
        assert_eq!(known(&analyst), known(&session(Role::Analyst)));
        assert_ne!(known(&analyst), known(&session(Role::ClientAdmin)));
        let mut renamed = analyst.clone();
        renamed.user.name = "Ada L.".into();
        assert_ne!(known(&analyst), known(&renamed));
        assert_ne!(known_as(&analyst, Some(Role::Analyst), true), known_as(&analyst, None, true));
        assert_ne!(known_as(&analyst, None, true), known_as(&analyst, None, false));
    }
}
