//! The middleware that lets requests in: before the cache, so that nothing is looked up for nobody.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use unstale::{Cached, PositionSet, ReadOptions, Tag};
use unstale_http::Identity;
use unstale_server::{problem::Problem, telemetry};

use super::{
    Caller,
    acting::{self, Acting, Asked},
    admissions::{Admission, Admissions},
    cookie::Credential,
    csrf,
    tokens::{Claims, TokenError},
};
use crate::{
    api::{Platform, answer},
    coherence::{ClientId, platform_tenant, tags},
    views::{Role, SessionPrincipal, UserStatus},
};

/// The query parameter in place of the acting client's header, for sockets.
const SOCKET_CLIENT: &str = "client_account_id";

/// Lets a request in with its [`Caller`] and its [`Identity`], or refuses it.
pub(crate) async fn authenticate(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    match admit(&platform, &head).await {
        Ok((caller, identity)) => {
            telemetry::record_tenant(caller.tenant());
            platform.seen.note(caller.id());
            head.extensions.insert(identity);
            head.extensions.insert(caller);
            next.run(Request::from_parts(head, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admit(platform: &Platform, head: &Parts) -> Result<(Caller, Identity), Problem> {
    let headers = &head.headers;
    let credential = Credential::of(headers).ok_or_else(Problem::unauthorized)?;
    let named = if is_socket(head) { socket_client(&head.uri) } else { named_client(headers)? };
    let key = Admissions::key(credential.token(), named.as_deref());
    let known = platform.admissions.get(&key);
    let claims = match &known {
        Some(admission) => admission.claims,
        None => platform.tokens.verify_signature(credential.token()).map_err(refuse_token)?,
    };
    let now = platform.now();
    claims.check_time(now).map_err(refuse_token)?;
    if let Credential::Cookie(_) = credential {
        let judged = if is_socket(head) { csrf::judge_origin(headers) } else { csrf::judge(&head.method, headers) };
        judged.map_err(|refusal| Problem::forbidden(refusal.message()))?;
    }
    // The position first, then the facts: what changes in between is seen as a change.
    let read_since = platform.cache.frontiers();
    let session = match platform.views.session(claims.sid, &ReadOptions::default()).await {
        Ok(found) => found.into_value().ok_or_else(Problem::unauthorized)?,
        Err(error) => return Err(answer::of_fetch(&error)),
    };
    if session.expires_at <= now {
        return Err(Problem::unauthorized());
    }
    let admission = match known {
        // Visiting platform administrators are let in anew: whether the client still exists is no part of a session.
        Some(admission) if admission.session.is_same(&session) && !admission.caller.is_visiting() => admission,
        _ => {
            let admission = work_out(platform, claims, session, named.as_deref()).await?;
            platform.admissions.keep(key, admission.clone());
            admission
        }
    };
    Ok((admission.caller, admission.identity.confirmed_since(read_since)))
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
    let mut facts = facts_of(principal);
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
    let identity = identity(principal, &tenant, facts);
    let caller = Caller { principal: session.clone(), tenant, client, role };
    Ok(Admission { claims, session, caller, identity })
}

/// Its facts are read since nowhere yet: a request says that.
fn identity(principal: &SessionPrincipal, tenant: &unstale::Tenant, facts: Vec<Tag>) -> Identity {
    Identity::new(tenant.clone(), principal.user.id.to_string())
        .session(principal.session_id.to_string())
        .facts(facts, PositionSet::default())
}

/// What the caller is made of. The session itself is not among it: it is asked anew with every request, and answers
/// are shared between the sessions of a user.
fn facts_of(principal: &SessionPrincipal) -> Vec<Tag> {
    let user = principal.user.id;
    vec![tags::user(user), tags::memberships_of(user), tags::user_defaults(user)]
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

fn is_socket(head: &Parts) -> bool {
    head.uri.path() == crate::api::EVENTS_PATH
}

fn socket_client(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == SOCKET_CLIENT).map(|(_, value)| value.to_owned()).next()
}
