//! Engagements, as administrators see and change them.

use chrono::NaiveDate;

use crate::{
    api::prelude::*,
    store::repositories::engagements::{self, EngagementData},
    views::{AdminUser, Engagement, EngagementStatus},
};

/// A new engagement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEngagementRequest {
    /// The client; the acting one if left out.
    pub client_account_id: Option<Uuid>,
    pub name: String,
    pub description: Option<String>,
    /// `planned` if left out.
    pub status: Option<EngagementStatus>,
    pub starts_on: Option<NaiveDate>,
    pub ends_on: Option<NaiveDate>,
}

/// An engagement's new content; what may be null and is left out becomes null.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateEngagementRequest {
    pub name: String,
    pub description: Option<String>,
    pub status: EngagementStatus,
    pub starts_on: Option<NaiveDate>,
    pub ends_on: Option<NaiveDate>,
}

/// The engagements the caller administers: of the acting client, or all of them.
#[utoipa::path(get, path = "/admin/engagements", tag = "admin", responses((status = 200, body = Items<Engagement>)))]
pub(crate) async fn admin_list_engagements(
    State(platform): State<Platform>,
    caller: Caller,
) -> ReadAnswer<Items<Engagement>> {
    caller.require(Permission::ManageEngagements)?;
    View::of(platform.views.admin_engagements(caller.scope()?, &anything()).await)
}

/// Create an engagement.
#[utoipa::path(post, path = "/admin/engagements", tag = "admin", request_body = CreateEngagementRequest,
    responses((status = 201, body = Engagement)))]
pub(crate) async fn admin_create_engagement(
    State(platform): State<Platform>,
    caller: Caller,
    Json(wanted): Json<CreateEngagementRequest>,
) -> WriteAnswer<Engagement> {
    let client = match wanted.client_account_id {
        Some(client) => client.into(),
        None => caller.client()?,
    };
    caller.require_in(client.0, Permission::ManageEngagements)?;
    let data = judged(Wanted {
        name: &wanted.name,
        description: wanted.description.as_deref(),
        status: wanted.status.unwrap_or(EngagementStatus::Planned),
        starts_on: wanted.starts_on,
        ends_on: wanted.ends_on,
    })?;
    let mut write = platform.begin().await?;
    let engagement = engagements::create(&mut write, client, &data, platform.now()).await?;
    platform.save(write, StatusCode::CREATED, engagement).await
}

/// One engagement.
#[utoipa::path(get, path = "/admin/engagements/{engagement_id}", tag = "admin",
    params(("engagement_id" = Uuid, Path)), responses((status = 200, body = Engagement)))]
pub(crate) async fn admin_get_engagement(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
) -> ReadAnswer<Engagement> {
    caller.require(Permission::ManageEngagements)?;
    View::of(platform.views.engagement(caller.scope()?, engagement, &anything()).await)
}

/// Change an engagement.
#[utoipa::path(put, path = "/admin/engagements/{engagement_id}", tag = "admin",
    params(("engagement_id" = Uuid, Path)), request_body = UpdateEngagementRequest,
    responses((status = 200, body = Engagement)))]
pub(crate) async fn admin_update_engagement(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
    Json(wanted): Json<UpdateEngagementRequest>,
) -> WriteAnswer<Engagement> {
    caller.require(Permission::ManageEngagements)?;
    let data = judged(Wanted {
        name: &wanted.name,
        description: wanted.description.as_deref(),
        status: wanted.status,
        starts_on: wanted.starts_on,
        ends_on: wanted.ends_on,
    })?;
    let mut write = platform.begin().await?;
    let engagement = engagements::update(&mut write, caller.scope()?, engagement, &data, platform.now()).await?;
    platform.save(write, StatusCode::OK, engagement).await
}

/// Delete an engagement.
#[utoipa::path(delete, path = "/admin/engagements/{engagement_id}", tag = "admin",
    params(("engagement_id" = Uuid, Path), CascadeQuery), responses((status = 204, description = "Deleted")))]
pub(crate) async fn admin_delete_engagement(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
    Query(query): Query<CascadeQuery>,
) -> WriteAnswer<()> {
    caller.require(Permission::ManageEngagements)?;
    let mut write = platform.begin().await?;
    engagements::delete(&mut write, caller.scope()?, engagement, query.cascade).await?;
    platform.save_silently(write).await
}

/// The users who start in an engagement.
#[utoipa::path(get, path = "/admin/engagements/{engagement_id}/users", tag = "admin",
    params(("engagement_id" = Uuid, Path)), responses((status = 200, body = Items<AdminUser>)))]
pub(crate) async fn admin_list_engagement_users(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
) -> ReadAnswer<Items<AdminUser>> {
    caller.require(Permission::ManageEngagements)?;
    View::of(platform.views.engagement_users(caller.scope()?, engagement, &anything()).await)
}

/// What creating and updating have in common.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    name: &'a str,
    description: Option<&'a str>,
    status: EngagementStatus,
    starts_on: Option<NaiveDate>,
    ends_on: Option<NaiveDate>,
}

fn judged(wanted: Wanted<'_>) -> Result<EngagementData, Problem> {
    let Wanted { name, description, status, starts_on, ends_on } = wanted;
    let mut faults = Faults::default();
    let (name, description) = (faults.name("name", name), faults.optional_text("description", description));
    faults.days(starts_on, ends_on);
    faults.finish()?;
    Ok(EngagementData { name, description, status, starts_on, ends_on })
}
