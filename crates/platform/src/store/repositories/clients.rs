//! Client accounts: the tenants.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use tracing::instrument;
use unstale::record;
use uuid::Uuid;

use super::{
    LIST_ROWS_MAX,
    rows::{count, count_where, new_id, refers, stamp, warn_if_cut},
};
use crate::{
    coherence::{
        Change, Write,
        changes::Action,
        tags::{self, record_rows},
    },
    store::{
        Conflict, Reading, StoreError,
        entities::{client, engagement, flow, membership},
    },
    views::{Client, Items, Role},
};

/// Longest slug that is made of a name, in characters.
const SLUG_CHARS_MAX: usize = 60;

/// Whose clients a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsOf {
    /// All there are: platform administrators.
    Everybody,
    /// Those in which the user is client administrator.
    Administrator(Uuid),
}

/// What can be said of a client.
#[derive(Clone, Debug)]
pub struct ClientData {
    pub name: String,
    pub industry: Option<String>,
    pub description: Option<String>,
}

/// By name.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "clients.list"))]
pub async fn list(db: Reading<'_>, whose: ClientsOf) -> Result<Items<Client>, StoreError> {
    let mut select = select();
    match whose {
        ClientsOf::Everybody => {
            [tags::client_set(), tags::clients(), tags::client_counts()].iter().for_each(record);
        }
        ClientsOf::Administrator(user) => {
            record(&tags::memberships_of(user));
            let join =
                refers::<client::Entity, membership::Entity>(client::Column::Id, membership::Column::ClientAccountId);
            select = select
                .join(JoinType::InnerJoin, join)
                .filter(membership::Column::UserId.eq(user))
                .filter(membership::Column::Role.eq(Role::ClientAdmin.as_str()));
        }
    }
    let select = select.order_by_asc(client::Column::Name).order_by_asc(client::Column::Id).limit(LIST_ROWS_MAX);
    let rows = select.into_model::<ClientRow>().all(&db).await?;
    warn_if_cut(&rows, "clients");
    if whose != ClientsOf::Everybody {
        record_rows(rows.iter().map(|row| row.id), tags::client, tags::clients);
        record_rows(rows.iter().map(|row| row.id), tags::engagement_set, tags::client_counts);
        record_rows(rows.iter().map(|row| row.id), tags::member_set, tags::client_counts);
    }
    Ok(Items { items: rows.into_iter().map(Client::from).collect() })
}

#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "clients.by_id"))]
pub async fn by_id(db: Reading<'_>, client: Uuid) -> Result<Client, StoreError> {
    [tags::client(client), tags::engagement_set(client), tags::member_set(client)].iter().for_each(record);
    let row = select().filter(client::Column::Id.eq(client)).into_model::<ClientRow>().one(&db).await?;
    Ok(row.ok_or(StoreError::not_found("client"))?.into())
}

/// The slug is made of the name, and made different from those that are taken.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "clients.create"))]
pub async fn create(w: &mut Write, data: &ClientData, now: DateTime<Utc>) -> Result<Client, StoreError> {
    let base = slug(&data.name);
    let taken: Vec<String> = client::Entity::find()
        .select_only()
        .column(client::Column::Slug)
        .filter(client::Column::Slug.starts_with(&base))
        .into_tuple()
        .all(&w.read())
        .await?;
    let row = client::Model {
        id: new_id(),
        name: data.name.clone(),
        slug: free_slug(&base, &taken.into_iter().collect()),
        industry: data.industry.clone(),
        description: data.description.clone(),
        created_at: stamp(now),
        updated_at: stamp(now),
    };
    let id = row.id;
    let change = Change::ClientModified { client: id, action: Action::Created };
    let insert = client::Entity::insert(client::ActiveModel::from(row));
    let done = insert.exec_without_returning(w.changing(change)).await;
    done.map_err(|error| StoreError::unique(error, || Conflict::SlugTaken))?;
    by_id(w.read(), id).await
}

/// The slug stays: links may hold it.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "clients.update"))]
pub async fn update(w: &mut Write, client: Uuid, data: &ClientData, now: DateTime<Utc>) -> Result<Client, StoreError> {
    let change = Change::ClientModified { client, action: Action::Updated };
    client::Entity::update_many()
        .col_expr(client::Column::Name, Expr::value(data.name.clone()))
        .col_expr(client::Column::Industry, Expr::value(data.industry.clone()))
        .col_expr(client::Column::Description, Expr::value(data.description.clone()))
        .col_expr(client::Column::UpdatedAt, Expr::value(stamp(now)))
        .filter(client::Column::Id.eq(client))
        .exec(w.changing(change))
        .await?;
    by_id(w.read(), client).await
}

/// Deletes a client; one with engagements only together with all of them.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "clients.delete"))]
pub async fn delete(w: &mut Write, client: Uuid, cascade: bool) -> Result<(), StoreError> {
    exists(w.read(), client).await?;
    let engagements = engagement::Entity::find().filter(engagement::Column::ClientAccountId.eq(client));
    let children = engagements.count(&w.read()).await?;
    if children > 0 && !cascade {
        return Err(Conflict::HasChildren { kind: "engagements", children }.into());
    }
    let tx = w.changing(Change::ClientModified { client, action: Action::Deleted });
    flow::Entity::delete_many().filter(flow::Column::ClientAccountId.eq(client)).exec(tx).await?;
    engagement::Entity::delete_many().filter(engagement::Column::ClientAccountId.eq(client)).exec(tx).await?;
    client::Entity::delete_by_id(client).exec(tx).await?;
    Ok(())
}

pub(super) async fn exists(db: Reading<'_>, client: Uuid) -> Result<(), StoreError> {
    record(&tags::client(client));
    match client::Entity::find_by_id(client).one(&db).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::not_found("client")),
    }
}

/// The clients that a user is a member of; for writes, which record nothing.
pub(super) async fn ids_of_member(db: Reading<'_>, user: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let ids = membership::Entity::find()
        .select_only()
        .column(membership::Column::ClientAccountId)
        .filter(membership::Column::UserId.eq(user))
        .into_tuple()
        .all(&db)
        .await?;
    Ok(ids)
}

#[derive(FromQueryResult)]
struct ClientRow {
    id: Uuid,
    name: String,
    slug: String,
    industry: Option<String>,
    description: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    engagement_count: i64,
    user_count: i64,
}

impl From<ClientRow> for Client {
    fn from(row: ClientRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            slug: row.slug,
            industry: row.industry,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
            engagement_count: count(row.engagement_count),
            user_count: count(row.user_count),
        }
    }
}

fn select() -> sea_orm::Select<client::Entity> {
    client::Entity::find()
        .expr_as(count_where(engagement::Column::ClientAccountId, client::Column::Id), "engagement_count")
        .expr_as(count_where(membership::Column::ClientAccountId, client::Column::Id), "user_count")
}

/// Letters and digits of a name in lower case, words joined by `-`.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'ä' => slug.push_str("ae"),
            'ö' => slug.push_str("oe"),
            'ü' => slug.push_str("ue"),
            'ß' => slug.push_str("ss"),
            'a'..='z' | '0'..='9' => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= SLUG_CHARS_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "client".to_owned() } else { slug.to_owned() }
}

fn free_slug(base: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(base) {
        return base.to_owned();
    }
    let mut numbered = (2..).map(|number: u64| format!("{base}-{number}"));
    numbered.find(|slug| !taken.contains(slug)).expect("some number is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_readable_and_never_empty() {
        for (name, expected) in [
            ("Acme Corp.", "acme-corp"),
            ("  Müller & Söhne AG ", "mueller-soehne-ag"),
            ("株式会社", "client"),
            ("", "client"),
            ("100% — Cloud", "100-cloud"),
        ] {
            assert_eq!(slug(name), expected, "{name:?}");
        }
        assert!(slug(&"x".repeat(500)).len() <= SLUG_CHARS_MAX);
    }

    #[test]
    fn a_taken_slug_gets_the_first_free_number() {
        let taken = |slugs: &[&str]| slugs.iter().map(|slug| (*slug).to_owned()).collect();
        assert_eq!(free_slug("acme", &taken(&[])), "acme");
        assert_eq!(free_slug("acme", &taken(&["acme-corp"])), "acme");
        assert_eq!(free_slug("acme", &taken(&["acme", "acme-3"])), "acme-2");
        assert_eq!(free_slug("acme", &taken(&["acme", "acme-2", "acme-3"])), "acme-4");
    }
}
