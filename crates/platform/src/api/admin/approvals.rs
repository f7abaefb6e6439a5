//! Users, and those who ask to become one.

use crate::{
    api::prelude::*,
    store::repositories::{Scope, users},
    views::{AdminUser, PendingApproval},
};

/// What somebody gets access to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    pub client_account_id: Uuid,
    /// `client_admin` or `analyst`.
    pub role: Role,
}

/// The users the caller administers: of the acting client, or all of them.
#[utoipa::path(get, path = "/admin/users", tag = "admin", responses((status = 200, body = Items<AdminUser>)))]
pub(crate) async fn admin_list_users(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<Items<AdminUser>> {
    caller.require(Permission::ManageUsers)?;
    View::of(platform.views.admin_users(caller.scope()?, &anything()).await)
}

/// Those who wait for approval: by the acting client, or all of them.
#[utoipa::path(get, path = "/admin/pending-approvals", tag = "admin",
    responses((status = 200, body = Items<PendingApproval>)))]
pub(crate) async fn list_pending_approvals(
    State(platform): State<Platform>,
    caller: Caller,
) -> ReadAnswer<Items<PendingApproval>> {
    caller.require(Permission::ManageUsers)?;
    View::of(platform.views.admin_pending_approvals(caller.acting_for(), &anything()).await)
}

/// Let somebody in.
#[utoipa::path(post, path = "/admin/pending-approvals/{user_id}/approve", tag = "admin",
    params(("user_id" = Uuid, Path)), request_body = ApproveRequest, responses((status = 200, body = AdminUser)))]
pub(crate) async fn approve_user(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
    Json(wanted): Json<ApproveRequest>,
) -> WriteAnswer<AdminUser> {
    caller.require(Permission::ManageUsers)?;
    caller.require_in(wanted.client_account_id, Permission::ManageUsers)?;
    let mut faults = Faults::default();
    let role = faults.client_role("role", wanted.role);
    faults.finish()?;
    require_decidable(&platform, &caller, user).await?;
    let mut write = platform.begin().await?;
    users::approve(&mut write, user, wanted.client_account_id, role, platform.now()).await?;
    let scope = if caller.is_platform_admin() { Scope::All } else { Scope::Client(wanted.client_account_id.into()) };
    let approved = users::admin_user(write.read(), scope, user).await?;
    platform.save(write, StatusCode::OK, approved).await
}

/// Turn somebody down.
#[utoipa::path(post, path = "/admin/pending-approvals/{user_id}/reject", tag = "admin",
    params(("user_id" = Uuid, Path)), responses((status = 204, description = "Turned down")))]
pub(crate) async fn reject_user(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
) -> WriteAnswer<()> {
    caller.require(Permission::ManageUsers)?;
    require_decidable(&platform, &caller, user).await?;
    let mut write = platform.begin().await?;
    users::reject(&mut write, user, platform.now()).await?;
    platform.save_silently(write).await
}

/// Refuses a user who does not wait for the caller's decision. Whom somebody else is asked to let in is none of their
/// business.
async fn require_decidable(platform: &Platform, caller: &Caller, user: Uuid) -> Result<(), Problem> {
    let waiting = read(platform.views.admin_pending_approvals(caller.acting_for(), &anything()).await)?;
    if waiting.items.iter().any(|one| one.user_id == user) { Ok(()) } else { Err(Problem::not_found()) }
}
