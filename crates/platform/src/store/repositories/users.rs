//! Users, those who want to become one, and where they start.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, IntoCondition as _, NullOrdering, OnConflict, Order},
};
use tracing::instrument;
use unstale::{decline, record};
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX, Scope, clients, engagements, memberships,
    rows::{new_id, refers, stamp, warn_if_cut, word},
    sessions,
};
use crate::{
    coherence::{
        Change, ClientId, Write,
        changes::Action,
        tags::{self, comparable, record_people, record_rows},
    },
    store::{
        Conflict, Reading, StoreError,
        entities::{access_request, client, membership, user, user_default},
    },
    views::{ActiveUser, AdminUser, Items, Membership, PendingApproval, Role, User, UserDefaults, UserStatus},
};

/// A user is noted as seen at most this often.
pub const SEEN_EVERY: TimeDelta = TimeDelta::seconds(60);

/// What somebody is called who was erased.
pub const ERASED_NAME: &str = "Erased user";

/// A user to be created. Not printable: it holds a password's hash.
#[derive(Clone)]
pub struct NewUser {
    /// Compared without case; kept in lower case.
    pub email: String,
    pub name: String,
    pub password_hash: String,
}

/// What somebody says who asks to be let in.
#[derive(Clone, Default)]
pub struct AccessRequest {
    pub requested_client: Option<String>,
    pub reason: Option<String>,
}

/// What a sign-in is judged by. Not printable: it holds a password's hash.
#[derive(Clone)]
pub struct Credentials {
    pub user: User,
    pub password_hash: String,
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.by_id"))]
pub async fn by_id(db: Reading<'_>, user: Uuid) -> Result<User, StoreError> {
    record_people([user]);
    let row = user::Entity::find_by_id(user).one(&db).await?;
    view(row.ok_or(StoreError::not_found("user"))?)
}

/// The user with this email address; whatever is loaded from it is never kept.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.credentials"))]
pub async fn credentials(db: Reading<'_>, email: &str) -> Result<Option<Credentials>, StoreError> {
    decline();
    let row = user::Entity::find().filter(user::Column::Email.eq(normalised(email))).one(&db).await?;
    row.map(|row| Ok(Credentials { password_hash: row.password_hash.clone(), user: view(row)? })).transpose()
}

/// Users in `scope`, by name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.list"))]
pub async fn list(db: Reading<'_>, scope: Scope) -> Result<Items<AdminUser>, StoreError> {
    record_list(scope);
    Ok(Items { items: find(db, scope, Condition::all()).await? })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.admin_user"))]
pub async fn admin_user(db: Reading<'_>, scope: Scope, user: Uuid) -> Result<AdminUser, StoreError> {
    [tags::user(user), tags::memberships_of(user), tags::user_defaults(user)].iter().for_each(record);
    let found = find(db, scope, user::Column::Id.eq(user).into_condition()).await?;
    let found = found.into_iter().next().ok_or(StoreError::not_found("user"))?;
    record_rows(found.memberships.iter().map(|role| role.client_account_id), tags::client, tags::clients);
    found.default_client_account_id.iter().for_each(|client| record(&tags::client(*client)));
    found.default_engagement_id.iter().for_each(|engagement| record(&tags::engagement(*engagement)));
    Ok(found)
}

/// Users in `scope` who may sign in, those seen last first.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.active"))]
pub async fn active(db: Reading<'_>, scope: Scope) -> Result<Items<ActiveUser>, StoreError> {
    record_list(scope);
    let active = user::Column::Status.eq(UserStatus::Active.as_str()).into_condition();
    let mut items: Vec<ActiveUser> = find(db, scope, active)
        .await?
        .into_iter()
        .map(|user| ActiveUser {
            id: user.id,
            email: user.email,
            name: user.name,
            memberships: user.memberships,
            is_platform_admin: user.is_platform_admin,
            last_seen_at: user.last_seen_at,
        })
        .collect();
    // None is before every time, so those never seen come last; the sort keeps the order by name.
    items.sort_by_key(|user| std::cmp::Reverse(user.last_seen_at));
    Ok(Items { items })
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

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.defaults"))]
pub async fn defaults(db: Reading<'_>, user: Uuid) -> Result<UserDefaults, StoreError> {
    record(&tags::user_defaults(user));
    let row = user_default::Entity::find_by_id(user).one(&db).await?;
    if row.is_none() {
        by_id(db, user).await?;
    }
    let (client_account_id, engagement_id) = row.map_or((None, None), |row| (row.client_account_id, row.engagement_id));
    // When these go, the database forgets them here.
    client_account_id.iter().for_each(|client| record(&tags::client(*client)));
    engagement_id.iter().for_each(|engagement| record(&tags::engagement(*engagement)));
    Ok(UserDefaults { user_id: user, client_account_id, engagement_id })
}

/// The engagement of `client` that a user starts in. It depends on whether there is one, and not on what it is called.
pub(super) async fn starts_in(db: Reading<'_>, client: ClientId, user: Uuid) -> Result<Option<Uuid>, StoreError> {
    record(&tags::user_defaults(user));
    let row = user_default::Entity::find_by_id(user).one(&db).await?;
    let engagement = row.filter(|row| row.client_account_id == Some(client.0)).and_then(|row| row.engagement_id);
    engagement.iter().for_each(|engagement| record(&tags::under_engagement(client, *engagement)));
    Ok(engagement)
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

/// Creates a user who may sign in at once.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.create_active"))]
pub async fn create_active(
    w: &mut Write,
    new: &NewUser,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    insert(w, new, UserStatus::Active, is_platform_admin, now).await
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

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_platform_admin"))]
pub async fn set_platform_admin(
    w: &mut Write,
    user: Uuid,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::IsPlatformAdmin, is_platform_admin.into())]).await
}

/// Disabling revokes all sessions.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_status"))]
pub async fn set_status(w: &mut Write, user: Uuid, status: UserStatus, now: DateTime<Utc>) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::Status, status.as_str().into())]).await?;
    if status == UserStatus::Disabled {
        sessions::revoke_all(w, user, now).await?;
    }
    Ok(())
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_password_hash"))]
pub async fn set_password_hash(
    w: &mut Write,
    user: Uuid,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update(w, user, now, &[(user::Column::PasswordHash, password_hash.into())]).await
}

/// Makes a user nobody: the row stays, because flows and imports refer to it, and says nothing of the person any more.
/// They can sign in no more. Their copies in the cache are another matter: see [`Cache::erase`](unstale::Cache::erase).
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.erase"))]
pub async fn erase(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    by_id(w.read(), user).await?;
    for client in clients::ids_of_member(w.read(), user).await? {
        memberships::revoke(w, user, client, now).await?;
    }
    if user_default::Entity::find_by_id(user).one(&w.read()).await?.is_some() {
        set_defaults(w, user, None, None, now).await?;
    }
    if access_request::Entity::find_by_id(user).one(&w.read()).await?.is_some() {
        decide(w, user).await?;
    }
    set_status(w, user, UserStatus::Disabled, now).await?;
    let values = [
        // Unique, as the column is, and an address that cannot be (RFC 2606).
        (user::Column::Email, format!("{}@erased.invalid", user.simple()).into()),
        (user::Column::Name, ERASED_NAME.into()),
        // No password has it.
        (user::Column::PasswordHash, "erased".into()),
        (user::Column::IsPlatformAdmin, false.into()),
        (user::Column::LastSeenAt, None::<DateTime<Utc>>.into()),
    ];
    update(w, user, now, &values).await
}

/// Where the user starts: in a client they may act for, and an engagement of it.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.set_defaults"))]
pub async fn set_defaults(
    w: &mut Write,
    user: Uuid,
    client: Option<Uuid>,
    engagement: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<UserDefaults, StoreError> {
    let before = defaults(w.read(), user).await?;
    if let Some(client) = client {
        memberships::role(w.read(), user, client).await?.ok_or(StoreError::not_found("client"))?;
    }
    if let Some(engagement) = engagement {
        let client = client.ok_or(StoreError::not_found("engagement"))?;
        engagements::exists(w.read(), client.into(), engagement).await?;
    }
    // A choice that is repeated changes nothing, and need not be told to anybody.
    if (before.client_account_id, before.engagement_id) == (client, engagement) {
        return Ok(before);
    }
    let change =
        Change::UserDefaultsUpdated { user, clients: before.client_account_id.into_iter().chain(client).collect() };
    let row = user_default::ActiveModel {
        user_id: Set(user),
        client_account_id: Set(client),
        engagement_id: Set(engagement),
        updated_at: Set(stamp(now)),
    };
    let replace = OnConflict::column(user_default::Column::UserId)
        .update_columns([
            user_default::Column::ClientAccountId,
            user_default::Column::EngagementId,
            user_default::Column::UpdatedAt,
        ])
        .to_owned();
    user_default::Entity::insert(row).on_conflict(replace).exec_without_returning(w.changing(change)).await?;
    Ok(UserDefaults { user_id: user, client_account_id: client, engagement_id: engagement })
}

/// Notes that a user was seen; at most every [`SEEN_EVERY`] it changes anything. Returns whether it did.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "users.seen"))]
pub async fn seen(w: &mut Write, user: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let long_ago = user::Column::LastSeenAt.is_null().or(user::Column::LastSeenAt.lte(stamp(now - SEEN_EVERY)));
    let done = user::Entity::update_many()
        .col_expr(user::Column::LastSeenAt, Expr::value(stamp(now)))
        .filter(user::Column::Id.eq(user).and(long_ago))
        .exec(w.changing(Change::UserSeen { user }))
        .await?;
    Ok(done.rows_affected > 0)
}

/// Members of `client` who start in `engagement`.
pub(super) async fn starting_in(db: Reading<'_>, client: Uuid, engagement: Uuid) -> Result<Vec<AdminUser>, StoreError> {
    record_list(Scope::Client(client.into()));
    let here = user_default::Column::EngagementId.eq(engagement).into_condition();
    find(db, Scope::Client(client.into()), here).await
}

fn record_list(scope: Scope) {
    match scope {
        Scope::All => [tags::users(), tags::clients()].iter().for_each(record),
        Scope::Client(client) => [tags::members_of(client.0), tags::client(client.0)].iter().for_each(record),
    }
}

fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}

pub(super) fn view(row: user::Model) -> Result<User, StoreError> {
    Ok(User {
        id: row.id,
        email: row.email.into(),
        name: row.name.into(),
        status: word(UserStatus::parse, &row.status)?,
        is_platform_admin: row.is_platform_admin,
        created_at: row.created_at,
    })
}

fn refers_to_user() -> sea_orm::RelationDef {
    refers::<access_request::Entity, user::Entity>(access_request::Column::UserId, user::Column::Id)
}

/// A user with one membership, or none.
#[derive(FromQueryResult)]
struct MemberRow {
    id: Uuid,
    email: String,
    name: String,
    status: String,
    is_platform_admin: bool,
    created_at: DateTime<Utc>,
    last_seen_at: Option<DateTime<Utc>>,
    member_of: Option<Uuid>,
    client_name: Option<String>,
    role: Option<String>,
    starts_in_client: Option<Uuid>,
    starts_in_engagement: Option<Uuid>,
}

/// Users in `scope` who meet `condition`, by name; of each, what `scope` may know.
async fn find(db: Reading<'_>, scope: Scope, condition: Condition) -> Result<Vec<AdminUser>, StoreError> {
    let mut select = user::Entity::find()
        .join(
            JoinType::LeftJoin,
            refers::<user::Entity, membership::Entity>(user::Column::Id, membership::Column::UserId),
        )
        .join(
            JoinType::LeftJoin,
            refers::<membership::Entity, client::Entity>(membership::Column::ClientAccountId, client::Column::Id),
        )
        .join(
            JoinType::LeftJoin,
            refers::<user::Entity, user_default::Entity>(user::Column::Id, user_default::Column::UserId),
        )
        .column_as(membership::Column::ClientAccountId, "member_of")
        .column_as(membership::Column::Role, "role")
        .column_as(client::Column::Name, "client_name")
        .column_as(user_default::Column::ClientAccountId, "starts_in_client")
        .column_as(user_default::Column::EngagementId, "starts_in_engagement")
        .filter(condition);
    if let Scope::Client(client) = scope {
        select = select.filter(membership::Column::ClientAccountId.eq(client.0));
    }
    let rows = select
        .order_by_asc(user::Column::Name)
        .order_by_asc(user::Column::Id)
        .order_by_with_nulls(client::Column::Name, Order::Asc, NullOrdering::Last)
        .limit(LIST_ROWS_MAX)
        .into_model::<MemberRow>()
        .all(&db)
        .await?;
    warn_if_cut(&rows, "users");
    let mut users: Vec<AdminUser> = Vec::new();
    for row in rows {
        let role = match (row.member_of, row.client_name, row.role) {
            (Some(client_account_id), Some(client_name), Some(role)) => {
                Some(Membership { client_account_id, client_name, role: word(Role::parse, &role)? })
            }
            _ => None,
        };
        if users.last().is_none_or(|last| last.id != row.id) {
            let may_know = match scope {
                Scope::All => true,
                Scope::Client(client) => row.starts_in_client == Some(client.0),
            };
            users.push(AdminUser {
                id: row.id,
                email: row.email.into(),
                name: row.name.into(),
                status: word(UserStatus::parse, &row.status)?,
                is_platform_admin: row.is_platform_admin,
                memberships: Vec::new(),
                default_client_account_id: row.starts_in_client.filter(|_| may_know),
                default_engagement_id: row.starts_in_engagement.filter(|_| may_know),
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
            });
        }
        users.last_mut().expect("one was pushed").memberships.extend(role);
    }
    record_people(users.iter().map(|user| user.id));
    Ok(users)
}

async fn insert(
    w: &mut Write,
    new: &NewUser,
    status: UserStatus,
    is_platform_admin: bool,
    now: DateTime<Utc>,
) -> Result<User, StoreError> {
    let row = user::Model {
        id: new_id(),
        email: normalised(&new.email),
        name: new.name.clone(),
        password_hash: new.password_hash.clone(),
        status: status.as_str().to_owned(),
        is_platform_admin,
        created_at: stamp(now),
        updated_at: stamp(now),
        last_seen_at: None,
    };
    let change = Change::UserRegistered { user: row.id };
    let insert = user::Entity::insert(user::ActiveModel::from(row.clone()));
    let done = insert.exec_without_returning(w.changing(change)).await;
    done.map_err(|error| StoreError::unique(error, || Conflict::EmailTaken))?;
    view(row)
}

/// Takes somebody off the list of those who wait.
async fn decide(w: &mut Write, user: Uuid) -> Result<(), StoreError> {
    by_id(w.read(), user).await?;
    let request = access_request::Entity::find_by_id(user).one(&w.read()).await?.ok_or(Conflict::NotPending)?;
    let requested_client = request.requested_client;
    let change = Change::PendingApprovalsChanged { user, requested_client, action: Action::Deleted };
    let done = access_request::Entity::delete_by_id(user).exec(w.changing(change)).await?;
    if done.rows_affected == 0 { Err(Conflict::NotPending.into()) } else { Ok(()) }
}

async fn update(
    w: &mut Write,
    user: Uuid,
    now: DateTime<Utc>,
    values: &[(user::Column, sea_orm::Value)],
) -> Result<(), StoreError> {
    let clients = clients::ids_of_member(w.read(), user).await?;
    let mut update = user::Entity::update_many().col_expr(user::Column::UpdatedAt, Expr::value(stamp(now)));
    for (column, value) in values {
        update = update.col_expr(*column, Expr::value(value.clone()));
    }
    let change = Change::UserUpdated { user, clients };
    let done = update.filter(user::Column::Id.eq(user)).exec(w.changing(change)).await?;
    if done.rows_affected == 0 { Err(StoreError::not_found("user")) } else { Ok(()) }
}
