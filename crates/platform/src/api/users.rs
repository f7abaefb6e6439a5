//! A user's defaults, roles and access to clients.

use super::prelude::*;
use crate::{
    store::{
        StoreError,
        repositories::{Scope, memberships, users},
    },
    views::{AdminUser, Membership, UserDefaults},
};

/// Where a user is to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserDefaultsRequest {
    #[schema(required)]
    pub client_account_id: Option<Uuid>,
    #[schema(required)]
    pub engagement_id: Option<Uuid>,
}

/// A user's new role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRolesRequest {
    /// `client_admin` or `analyst`, within the client.
    pub role: Option<Role>,
    /// The client; the acting one if left out.
    pub client_account_id: Option<Uuid>,
    /// Only a platform admin may say this.
    pub is_platform_admin: Option<bool>,
}

/// A user's role in a client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAccessRequest {
    /// `client_admin` or `analyst`.
    pub role: Role,
}

/// Where a user starts.
#[utoipa::path(get, path = "/users/{user_id}/defaults", tag = "users", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = UserDefaults)))]
pub(crate) async fn get_user_defaults(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
) -> ReadAnswer<UserDefaults> {
    require_known(&platform, &caller, user).await?;
    let defaults = read(platform.views.user_defaults(caller.acting_for(), user, &anything()).await)?;
    Ok(View::Own(as_seen_by(&caller, &defaults)))
}

/// Set where a user starts: oneself, or a user one manages.
#[utoipa::path(put, path = "/users/{user_id}/defaults", tag = "users", params(("user_id" = Uuid, Path)),
    request_body = UserDefaultsRequest, responses((status = 200, body = UserDefaults)))]
pub(crate) async fn put_user_defaults(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
    Json(wanted): Json<UserDefaultsRequest>,
) -> WriteAnswer<UserDefaults> {
    require_known(&platform, &caller, user).await?;
    if let Some(client) = wanted.client_account_id {
        // Who sets it must know the client, too: a manager sees only the one they act for.
        let knows = if user == caller.id() { caller.role_in(client).is_some() } else { sees_client(&caller, client) };
        if !knows {
            return Err(Problem::not_found());
        }
    }
    let mut faults = Faults::default();
    let is_whole = wanted.client_account_id.is_some() || wanted.engagement_id.is_none();
    faults.unless(is_whole, "engagement_id", "needs client_account_id, the client it belongs to");
    faults.finish()?;
    let mut write = platform.begin().await?;
    let (client, engagement) = (wanted.client_account_id, wanted.engagement_id);
    let defaults = users::set_defaults(&mut write, user, client, engagement, platform.now()).await?;
    platform.save(write, StatusCode::OK, as_seen_by(&caller, &defaults)).await
}

/// Change a user's role in a client, or whether they administer the platform.
#[utoipa::path(put, path = "/users/{user_id}/roles", tag = "users", params(("user_id" = Uuid, Path)),
    request_body = UserRolesRequest, responses((status = 200, body = AdminUser)))]
pub(crate) async fn put_user_roles(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
    Json(wanted): Json<UserRolesRequest>,
) -> WriteAnswer<AdminUser> {
    let mut faults = Faults::default();
    faults.unless(
        wanted.role.is_some() || wanted.is_platform_admin.is_some(),
        "role",
        "is missing: name a role, or is_platform_admin",
    );
    let role = wanted.role.map(|role| faults.client_role("role", role));
    faults.finish()?;
    if wanted.is_platform_admin.is_some() && !caller.is_platform_admin() {
        return Err(Problem::forbidden("Only a platform admin may say who administers the platform."));
    }
    if wanted.is_platform_admin == Some(false) && user == caller.id() {
        return Err(Problem::conflict("You cannot take the platform from yourself. Ask another platform admin."));
    }
    let mut write = platform.begin().await?;
    let mut scope = caller.scope();
    if let Some(role) = role {
        let client = match wanted.client_account_id {
            Some(client) => client,
            None => caller.client()?.0,
        };
        caller.require_in(client, Permission::ManageUsers)?;
        memberships::set_role(&mut write, user, client, role).await?;
        scope = Ok(scope_of(&caller, client));
    }
    if let Some(is_platform_admin) = wanted.is_platform_admin {
        users::set_platform_admin(&mut write, user, is_platform_admin, platform.now()).await?;
        scope = Ok(Scope::All);
    }
    let changed = users::admin_user(write.read(), scope?, user).await?;
    platform.save(write, StatusCode::OK, changed).await
}

/// The clients a user has access to.
#[utoipa::path(get, path = "/users/{user_id}/clients", tag = "users", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = Items<Membership>)))]
pub(crate) async fn list_user_clients(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
) -> ReadAnswer<Items<Membership>> {
    require_known(&platform, &caller, user).await?;
    let scope = if user == caller.id() { Scope::All } else { caller.scope()? };
    View::of(platform.views.user_memberships(scope, user, &anything()).await)
}

/// Give a user access to a client, or change the role in it.
#[utoipa::path(put, path = "/users/{user_id}/clients/{client_id}", tag = "users",
    params(("user_id" = Uuid, Path), ("client_id" = Uuid, Path)),
    request_body = ClientAccessRequest, responses((status = 200, body = AdminUser)))]
pub(crate) async fn put_user_client(
    State(platform): State<Platform>,
    caller: Caller,
    Path((user, client)): Path<(Uuid, Uuid)>,
    Json(wanted): Json<ClientAccessRequest>,
) -> WriteAnswer<AdminUser> {
    caller.require_in(client, Permission::ManageUsers)?;
    let mut faults = Faults::default();
    let role = faults.client_role("role", wanted.role);
    faults.finish()?;
    require_manageable(&platform, &caller, user).await?;
    let mut write = platform.begin().await?;
    memberships::grant(&mut write, user, client, role, platform.now()).await?;
    let changed = users::admin_user(write.read(), scope_of(&caller, client), user).await?;
    platform.save(write, StatusCode::OK, changed).await
}

/// Take a user's access to a client away.
#[utoipa::path(delete, path = "/users/{user_id}/clients/{client_id}", tag = "users",
    params(("user_id" = Uuid, Path), ("client_id" = Uuid, Path)), responses((status = 200, body = AdminUser)))]
pub(crate) async fn delete_user_client(
    State(platform): State<Platform>,
    caller: Caller,
    Path((user, client)): Path<(Uuid, Uuid)>,
) -> WriteAnswer<AdminUser> {
    caller.require_in(client, Permission::ManageUsers)?;
    let mut write = platform.begin().await?;
    // Read first: afterwards a client's administrator does not know of the user any more.
    let mut changed = users::admin_user(write.read(), scope_of(&caller, client), user).await?;
    memberships::revoke(&mut write, user, client, platform.now()).await?;
    changed.memberships.retain(|membership| membership.client_account_id != client);
    if changed.default_client_account_id == Some(client) {
        (changed.default_client_account_id, changed.default_engagement_id) = (None, None);
    }
    platform.save(write, StatusCode::OK, changed).await
}

/// Refuses a user whom the caller does not know of: everybody but themselves, and those they manage.
async fn require_known(platform: &Platform, caller: &Caller, user: Uuid) -> Result<(), Problem> {
    if user == caller.id() {
        return Ok(());
    }
    read(platform.views.user_memberships(caller.scope()?, user, &anything()).await)?;
    caller.require(Permission::ManageUsers)
}

/// Refuses a user whom the caller cannot give access to anything: members of clients they administer, for a platform
/// admin everybody.
async fn require_manageable(platform: &Platform, caller: &Caller, user: Uuid) -> Result<(), Problem> {
    if caller.is_platform_admin() || user == caller.id() {
        return Ok(());
    }
    for client in caller.clients_with(Permission::ManageUsers) {
        match memberships::of_user(platform.store.read(), Scope::Client(client.into()), user).await {
            Ok(_) => return Ok(()),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::not_found())
}

fn sees_client(caller: &Caller, client: Uuid) -> bool {
    match caller.acting_for() {
        Some(acting) => acting.0 == client,
        None => caller.is_platform_admin(),
    }
}

fn scope_of(caller: &Caller, client: Uuid) -> Scope {
    if caller.is_platform_admin() { Scope::All } else { Scope::Client(client.into()) }
}

/// Where somebody starts, without a client that the reader does not know of.
fn as_seen_by(caller: &Caller, defaults: &UserDefaults) -> UserDefaults {
    let is_known =
        defaults.user_id == caller.id() || defaults.client_account_id.is_none_or(|client| sees_client(caller, client));
    let (client_account_id, engagement_id) =
        if is_known { (defaults.client_account_id, defaults.engagement_id) } else { (None, None) };
    UserDefaults { user_id: defaults.user_id, client_account_id, engagement_id }
}
