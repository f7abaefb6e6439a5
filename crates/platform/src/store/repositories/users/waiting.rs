//! Those who want to become users: who waits, and what is decided about them.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, EntityTrait as _, JoinType, QueryOrder as _, QuerySelect as _};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    super::{
        LIST_ROWS_MAX, memberships,
        rows::{refers, stamp, warn_if_cut},
    },
    NewUser, by_id, insert, set_status,
};
use crate::{
    coherence::{
        Change, ClientId, Write,
        changes::Action,
        tags::{self, comparable, record_people, record_rows},
    },
    store::{
        Conflict, Reading, StoreError,
        entities::{access_request, client, user},
    },
    views::{Items, PendingApproval, Role, User, UserStatus},
};

/// What somebody says who asks to be let in.
#[derive(Clone, Default)]
pub struct AccessRequest {
    pub requested_client: Option<String>,
    pub reason: Option<String>,
}

/// Who waits to be let in, those who waited longest first.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.pending_approvals"))]
pub async fn pending_approvals(db: Reading<'_>) -> Result<Items<PendingApproval>, StoreError> {
    record(&tags::pending_approvals());
    let waiting = waiting(db).await?;
    record_rows(waiting.items.iter().map(|one| one.user_id), tags::user, tags::users);
    record_people(waiting.items.iter().map(|one| one.user_id));
    Ok(waiting)
}

/// Those of them who wait for `client`: who named it by its name or its short name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.pending_approvals_for"))]
pub async fn pending_approvals_for(db: Reading<'_>, client: ClientId) -> Result<Items<PendingApproval>, StoreError> {
    record(&tags::client(client.0));
    let client = client::Entity::find_by_id(client.0).one(&db).await?.ok_or(StoreError::not_found("client"))?;
    let names = [client.name, client.slug].map(|name| comparable(&name));
    names.iter().for_each(|name| record(&tags::pending_for(name)));
    let mut items = waiting(db).await?.items;
    items.retain(|one| one.requested_client.as_deref().is_some_and(|named| names.contains(&comparable(named))));
    record_rows(items.iter().map(|one| one.user_id), tags::user, tags::users);
    record_people(items.iter().map(|one| one.user_id));
    Ok(Items { items })
}

/// All of them. Records nothing: what is read of it depends on who is shown.
async fn waiting(db: Reading<'_>) -> Result<Items<PendingApproval>, StoreError> {
    let rows = access_request::Entity::find()
        .join(JoinType::InnerJoin, refers_to_user())
        .select_also(user::Entity)
        .order_by_asc(access_request::Column::RequestedAt)
        .limit(LIST_ROWS_MAX)
        .all(&db)
        .await?;
    warn_if_cut(&rows, "pending approvals");
    let items = rows.into_iter().filter_map(|(request, user)| user.map(|user| (request, user)));
    let items = items.map(|(request, user)| PendingApproval {
        user_id: user.id,
        email: user.email.into(),
        name: user.name.into(),
        requested_client: request.requested_client,
        reason: request.reason.map(Into::into),
        requested_at: request.requested_at,
    });
    Ok(Items { items: items.collect() })
}

/// Somebody asks to be let in.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.register"))]
pub async fn register(
    w: &mut Write,
    new: &NewUser,
    request: &AccessRequest,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    let user = insert(w, new, UserStatus::Pending, false, now).await?;
    let requested_client = request.requested_client.clone();
    let request = access_request::ActiveModel {
        user_id: Set(user.id),
        requested_client: Set(requested_client.clone()),
        reason: Set(request.reason.clone()),
        requested_at: Set(stamp(now)),
    };
    let change = Change::PendingApprovalsChanged { user: user.id, requested_client, action: Action::Created };
    access_request::Entity::insert(request).exec_without_returning(w.changing(change)).await?;
    Ok(user)
}

/// Lets somebody in, with a role in a client.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.approve"))]
pub async fn approve(
    w: &mut Write,
    user: Uuid,
    client: Uuid,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    decide(w, user).await?;
    set_status(w, user, UserStatus::Active, now).await?;
    memberships::grant(w, user, client, role, now).await
}

/// Turns somebody away: the user is disabled, the address stays taken.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.reject"))]
pub async fn reject(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    decide(w, user).await?;
    set_status(w, user, UserStatus::Disabled, now).await
}

/// Takes somebody off the list of those who wait.
pub(super) async fn decide(w: &mut Write, user: Uuid) -> Result<(), StoreError> {
    by_id(w.read(), user).await?;
    let request = access_request::Entity::find_by_id(user).one(&w.read()).await?.ok_or(Conflict::NotPending)?;
    let requested_client = request.requested_client;
    let change = Change::PendingApprovalsChanged { user, requested_client, action: Action::Deleted };
    let done = access_request::Entity::delete_by_id(user).exec(w.changing(change)).await?;
    if done.rows_affected == 0 { Err(Conflict::NotPending.into()) } else { Ok(()) }
}

fn refers_to_user() -> sea_orm::RelationDef {
    refers::<access_request::Entity, user::Entity>(access_request::Column::UserId, user::Column::Id)
}
