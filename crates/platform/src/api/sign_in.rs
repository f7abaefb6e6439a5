//! Signing in and out, registering, and who was seen lately.

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use unstale::{PositionSet, Sensitive};
use unstale_http::Written;
use unstale_server::audit::{Actor, Class, Entry, Operation, Outcome};

use super::{input, prelude::*};
use crate::{
    auth::{
        cookie::{self, Credential},
        csrf,
        passwords::{BYTES_MAX, LENGTH_MIN},
        tokens,
    },
    coherence::PLATFORM_TENANT,
    store::{
        Conflict, StoreError,
        repositories::{
            sessions,
            users::{self, AccessRequest, NewUser},
        },
    },
    views::{ActiveUser, User},
};

/// How long a session stands without being refreshed.
const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// An e-mail address and its password.
#[derive(Deserialize, ToSchema)]
pub struct LoginRequest {
    #[schema(format = Email, example = "analyst@acme.test")]
    pub email: String,
    #[schema(format = Password)]
    pub password: String,
}

/// An access token, and whose it is. Browsers have it as a cookie too and need not keep it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    #[schema(value_type = String)]
    pub access_token: Sensitive<String>,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the token must be refreshed.
    pub expires_in: u64,
    pub user: User,
}

/// Asks for an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    #[schema(format = Email)]
    pub email: String,
    pub name: String,
    /// At least ten characters.
    #[schema(format = Password, min_length = 10)]
    pub password: String,
    /// The client the account is wanted for, in the user's own words.
    pub requested_client: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What became of a registration.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// Always `pending`: somebody must approve it.
    pub status: UserStatus,
}

/// Sign in.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest, security(()), responses(
    (status = 200, description = "Signed in; the cookie `platform_session` is set", body = SignedIn),
    (status = 401, description = "Unknown address, wrong password, or no access yet", body = Problem,
        content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts; Retry-After says when to try again", body = Problem,
        content_type = "application/problem+json"),
))]
pub(crate) async fn login(
    State(platform): State<Platform>,
    address: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    Json(wanted): Json<LoginRequest>,
) -> Result<Response, Problem> {
    require_own_page(&headers)?;
    let email = input::normal_email(&wanted.email);
    let address = address.map(|axum::Extension(ConnectInfo(address))| address.ip());
    platform.sign_ins.begin(&email, address)?;
    let found = users::credentials(platform.store.read(), &email).await?;
    let known = found.as_ref().map(|credentials| credentials.user.id);
    let hash = found.as_ref().map(|credentials| credentials.password_hash.clone());
    let is_short = wanted.password.len() <= BYTES_MAX;
    let is_right = platform.passwords.verify(wanted.password, hash).await? && is_short;
    let Some(credentials) = found.filter(|found| is_right && found.user.status == UserStatus::Active) else {
        let name = known.map_or(email, |user| user.to_string());
        return Err(refused(&platform, &headers, &name).await);
    };
    platform.sign_ins.succeeded(&email);
    let (user, now) = (credentials.user, platform.now());
    let mut write = platform.begin().await?;
    write.recorded_as(Operation::SIGN_IN);
    let session = sessions::create(&mut write, user.id, now, now + SESSION_LIFETIME).await?;
    let positions = as_user(user.id, &headers).scope(write.commit(&platform.cache)).await?;
    platform.warmer.signed_in(session);
    Ok(signed_in(&platform, user, session, positions))
}

/// Exchange a token, expired or not, for a new one while its session stands.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", responses(
    (status = 200, description = "A new token; the cookie is set anew", body = SignedIn)
))]
pub(crate) async fn refresh(State(platform): State<Platform>, headers: HeaderMap) -> Result<Response, Problem> {
    let claims = claims_of(&platform, &headers)?;
    let principal = read(platform.views.session(claims.sid, &anything()).await)
        .map_err(|problem| if problem.status() == StatusCode::NOT_FOUND { Problem::unauthorized() } else { problem })?;
    let now = platform.now();
    if principal.user.id != claims.sub || principal.user.status != UserStatus::Active || principal.expires_at <= now {
        return Err(Problem::unauthorized());
    }
    let mut write = platform.begin().await?;
    match sessions::extend(&mut write, claims.sid, now, now + SESSION_LIFETIME).await {
        Ok(()) => {}
        Err(StoreError::NotFound { .. }) => return Err(Problem::unauthorized()),
        Err(error) => return Err(error.into()),
    }
    let positions = as_user(claims.sub, &headers).scope(write.commit(&platform.cache)).await?;
    Ok(signed_in(&platform, principal.user.clone(), claims.sid, positions))
}

/// Revoke the session, at once and everywhere.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204, description = "Signed out")))]
pub(crate) async fn logout(State(platform): State<Platform>, headers: HeaderMap) -> Result<Response, Problem> {
    let claims = claims_of(&platform, &headers)?;
    let mut write = platform.begin().await?;
    write.recorded_as(Operation::SIGN_OUT);
    match sessions::revoke(&mut write, claims.sid, platform.now()).await {
        // A session that is gone is as good as revoked.
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let positions = as_user(claims.sub, &headers).scope(write.commit(&platform.cache)).await?;
    platform.live.end_session(claims.sid);
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookies(&mut response, cookie::clear(platform.settings.cookie_secure));
    response.extensions_mut().insert(Written(positions));
    Ok(response)
}

/// Ask for an account; an administrator approves it.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterRequest, security(()), responses(
    (status = 202, description = "Noted, whether or not the address has an account", body = Registered),
    (status = 429, description = "Too many attempts; Retry-After says when to try again", body = Problem,
        content_type = "application/problem+json"),
))]
pub(crate) async fn register(
    State(platform): State<Platform>,
    address: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    Json(wanted): Json<RegisterRequest>,
) -> Result<Response, Problem> {
    require_own_page(&headers)?;
    let mut faults = Faults::default();
    let email = faults.email("email", &wanted.email);
    let name = faults.name("name", &wanted.name);
    let length = wanted.password.chars().count();
    let is_good = length >= LENGTH_MIN && wanted.password.len() <= BYTES_MAX;
    faults.unless(is_good, "password", "must be at least 10 characters and at most 256 bytes long");
    let requested_client = faults.optional_name("requested_client", wanted.requested_client.as_deref());
    let reason = faults.optional_text("reason", wanted.reason.as_deref());
    faults.finish()?;
    let address = address.map(|axum::Extension(ConnectInfo(address))| address.ip());
    platform.sign_ins.begin(&format!("register {email}"), address)?;
    let password_hash = platform.passwords.hash(wanted.password).await?;
    let new = NewUser { email, name, password_hash };
    let mut write = platform.begin().await?;
    let request = AccessRequest { requested_client, reason };
    match users::register(&mut write, &new, &request, platform.now()).await {
        Ok(_) => drop(write.commit(&platform.cache).await?),
        // The same answer as for a new address: whether somebody has an account is nobody's business.
        Err(StoreError::Conflict(Conflict::EmailTaken)) => {}
        Err(error) => return Err(error.into()),
    }
    // Without a position, which would tell the two apart; who waits for approval has nothing to read with it.
    Ok((StatusCode::ACCEPTED, axum::Json(Registered { status: UserStatus::Pending })).into_response())
}

/// The users of the acting client, last seen first.
#[utoipa::path(get, path = "/auth/active-users", tag = "auth", responses((status = 200, body = Items<ActiveUser>)))]
pub(crate) async fn list_active_users(
    State(platform): State<Platform>,
    caller: Caller,
) -> ReadAnswer<Items<ActiveUser>> {
    View::of(platform.views.admin_active_users(caller.scope()?, &anything()).await)
}

/// Who acts, before the middleware can say so.
fn as_user(user: Uuid, headers: &HeaderMap) -> Actor {
    Actor::new(user.to_string()).by(headers)
}

/// A sign-in that is refused. It is recorded if it can be: nothing was done.
async fn refused(platform: &Platform, headers: &HeaderMap, name: &str) -> Problem {
    let actor = Actor::default().by(headers);
    let refused = Entry {
        entity: "session",
        subject: Some(platform.audit.subject(name)),
        status: StatusCode::UNAUTHORIZED.as_u16(),
        ..actor.entry(PLATFORM_TENANT, Operation::SIGN_IN, Outcome::Refused)
    };
    if let Err(error) = platform.audit.record(Class::Sensitive, &refused).await {
        tracing::warn!(%error, "a refused sign-in was not recorded");
    }
    wrong_credentials()
}

/// One answer for an unknown address, a wrong password and an account that may not sign in.
fn wrong_credentials() -> Problem {
    Problem::unauthorized()
        .detail("The address or the password is wrong, or the account has no access yet. Check both and try again.")
}

/// What the request's token says, expired or not; with a cookie only from our own page.
fn claims_of(platform: &Platform, headers: &HeaderMap) -> Result<tokens::Claims, Problem> {
    let credential = Credential::of(headers).ok_or_else(Problem::unauthorized)?;
    if let Credential::Cookie(_) = credential {
        csrf::judge_origin(headers).map_err(|refusal| Problem::forbidden(refusal.message()))?;
    }
    platform.tokens.verify_signature(credential.token()).map_err(|_| Problem::unauthorized())
}

/// Refuses what a browser sends from another site, so that nobody is signed in as somebody else. Programs say nothing
/// of where they come from, and set no cookie by it.
fn require_own_page(headers: &HeaderMap) -> Result<(), Problem> {
    match csrf::judge_origin(headers) {
        Ok(()) | Err(csrf::Refusal::UnknownOrigin) => Ok(()),
        Err(refusal) => Err(Problem::forbidden(refusal.message())),
    }
}

fn signed_in(platform: &Platform, user: User, session: Uuid, positions: PositionSet) -> Response {
    let now = platform.now();
    let access_token = platform.tokens.issue(user.id, session, now);
    let cookies = cookie::set(&access_token, now + tokens::REFRESH_AFTER, platform.settings.cookie_secure);
    let expires_in = tokens::LIFETIME.as_secs();
    let body = SignedIn { access_token: access_token.into(), token_type: "Bearer".to_owned(), expires_in, user };
    let mut response = Saved { status: StatusCode::OK, body: Some(body), positions }.into_response();
    set_cookies(&mut response, cookies);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn set_cookies(response: &mut Response, cookies: [header::HeaderValue; 2]) {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
