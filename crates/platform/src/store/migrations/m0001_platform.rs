//! The platform's tables.
//!
//! # What a deletion takes with it
//! - RESTRICT between what people decide about: a client with engagements, an engagement with flows, a user who owns
//!   flows. Code deletes the children first, when it was told to; forgetting that destroys nothing.
//! - CASCADE for what has no life of its own: a flow's imports, an import's mappings and assets, a user's
//!   memberships, defaults, sessions and request.
//! - SET NULL where only a hint is lost: where a user starts, who reviewed a mapping.
//!
//! `client_account_id` and `engagement_id` of imports, mappings and assets repeat what their parents say, so that
//! tenants are told apart without a join. They have no foreign keys: these would be checked for each of 20,000 rows,
//! and say nothing that the parent's do not.

use sea_orm_migration::{
    prelude::*,
    sea_orm::sea_query::{ColumnDef, ForeignKeyAction, IndexCreateStatement, TableCreateStatement},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_platform"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in people().into_iter().chain(work()) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in TABLES.iter().rev() {
            manager.drop_table(Table::drop().table(*name).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

/// In an order in which none comes before one that it refers to.
const TABLES: [&str; 11] = [
    "users",
    "client_accounts",
    "memberships",
    "engagements",
    "user_defaults",
    "discovery_flows",
    "imports",
    "field_mappings",
    "assets",
    "sessions",
    "access_requests",
];

/// Users, clients, and who may do what.
fn people() -> Vec<TableCreateStatement> {
    use ForeignKeyAction::{Cascade, Restrict, SetNull};
    vec![
        table("users")
            .col(id("id").primary_key())
            .col(text("email").not_null())
            .col(text("name").not_null())
            .col(text("password_hash").not_null())
            .col(text("status").not_null())
            .col(column("is_platform_admin").boolean().not_null())
            .col(time("created_at").not_null())
            .col(time("updated_at").not_null())
            .col(time("last_seen_at"))
            .take(),
        table("client_accounts")
            .col(id("id").primary_key())
            .col(text("name").not_null())
            .col(text("slug").not_null())
            .col(text("industry"))
            .col(text("description"))
            .col(time("created_at").not_null())
            .col(time("updated_at").not_null())
            .take(),
        table("memberships")
            .col(id("user_id").not_null())
            .col(id("client_account_id").not_null())
            .col(text("role").not_null())
            .col(time("created_at").not_null())
            .primary_key(Index::create().col("user_id").col("client_account_id"))
            .foreign_key(&mut refers("memberships", "user_id", "users", Cascade))
            .foreign_key(&mut refers("memberships", "client_account_id", "client_accounts", Cascade))
            .take(),
        table("engagements")
            .col(id("id").primary_key())
            .col(id("client_account_id").not_null())
            .col(text("name").not_null())
            .col(text("description"))
            .col(text("status").not_null())
            .col(column("starts_on").date())
            .col(column("ends_on").date())
            .col(time("created_at").not_null())
            .col(time("updated_at").not_null())
            .foreign_key(&mut refers("engagements", "client_account_id", "client_accounts", Restrict))
            .take(),
        table("user_defaults")
            .col(id("user_id").primary_key())
            .col(id("client_account_id"))
            .col(id("engagement_id"))
            .col(time("updated_at").not_null())
            .foreign_key(&mut refers("user_defaults", "user_id", "users", Cascade))
            .foreign_key(&mut refers("user_defaults", "client_account_id", "client_accounts", SetNull))
            .foreign_key(&mut refers("user_defaults", "engagement_id", "engagements", SetNull))
            .take(),
        table("sessions")
            .col(id("id").primary_key())
            .col(id("user_id").not_null())
            .col(time("created_at").not_null())
            .col(time("expires_at").not_null())
            .col(time("revoked_at"))
            .foreign_key(&mut refers("sessions", "user_id", "users", Cascade))
            .take(),
        table("access_requests")
            .col(id("user_id").primary_key())
            .col(text("requested_client"))
            .col(text("reason"))
            .col(time("requested_at").not_null())
            .foreign_key(&mut refers("access_requests", "user_id", "users", Cascade))
            .take(),
    ]
}

/// Flows, and what is imported for them.
fn work() -> Vec<TableCreateStatement> {
    use ForeignKeyAction::{Cascade, Restrict, SetNull};
    vec![
        table("discovery_flows")
            .col(id("id").primary_key())
            .col(id("client_account_id").not_null())
            .col(id("engagement_id").not_null())
            .col(id("owner_id").not_null())
            .col(text("name").not_null())
            .col(text("status").not_null())
            .col(text("phase").not_null())
            .col(column("progress_percent").small_integer().not_null())
            .col(id("import_id"))
            .col(text("metadata").not_null())
            .col(time("created_at").not_null())
            .col(time("updated_at").not_null())
            .foreign_key(&mut refers("discovery_flows", "engagement_id", "engagements", Restrict))
            .foreign_key(&mut refers("discovery_flows", "owner_id", "users", Restrict))
            .take(),
        table("imports")
            .col(id("id").primary_key())
            .col(id("client_account_id").not_null())
            .col(id("engagement_id").not_null())
            .col(id("flow_id").not_null())
            .col(text("file_name").not_null())
            .col(column("size_bytes").big_integer().not_null())
            .col(text("status").not_null())
            .col(column("rows_total").big_integer())
            .col(column("rows_done").big_integer().not_null())
            .col(text("headers"))
            .col(text("encoding"))
            .col(text("delimiter"))
            .col(text("format"))
            .col(text("error"))
            .col(id("created_by").not_null())
            .col(time("created_at").not_null())
            .col(time("finished_at"))
            .foreign_key(&mut refers("imports", "flow_id", "discovery_flows", Cascade))
            .foreign_key(&mut refers("imports", "created_by", "users", Restrict))
            .take(),
        table("field_mappings")
            .col(id("id").primary_key())
            .col(id("import_id").not_null())
            .col(id("client_account_id").not_null())
            .col(column("position").integer().not_null())
            .col(text("source_column").not_null())
            .col(text("target_attribute"))
            .col(column("confidence").double().not_null())
            .col(text("reason").not_null())
            .col(text("status").not_null())
            .col(text("sample_values").not_null())
            .col(id("reviewed_by"))
            .col(time("reviewed_at"))
            .col(time("updated_at").not_null())
            .foreign_key(&mut refers("field_mappings", "import_id", "imports", Cascade))
            .foreign_key(&mut refers("field_mappings", "reviewed_by", "users", SetNull))
            .take(),
        table("assets")
            .col(id("id").primary_key())
            .col(id("client_account_id").not_null())
            .col(id("engagement_id").not_null())
            .col(id("import_id").not_null())
            .col(column("row_number").big_integer().not_null())
            .col(text("raw").not_null())
            .col(text("search_text").not_null())
            .foreign_key(&mut refers("assets", "import_id", "imports", Cascade))
            .take(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let one_source_per_target = index("field_mappings", &["import_id", "target_attribute"])
        .name("uq_field_mappings_approved_target")
        .unique()
        // Two reviewers at the same moment cannot fill one attribute from two columns.
        .and_where(Expr::col("status").eq("approved"))
        .take();
    vec![
        index("users", &["email"]).unique().take(),
        index("client_accounts", &["slug"]).unique().take(),
        index("memberships", &["client_account_id"]),
        index("engagements", &["client_account_id"]),
        // For the foreign keys: finding who starts where.
        index("user_defaults", &["client_account_id"]),
        index("user_defaults", &["engagement_id"]),
        index("discovery_flows", &["client_account_id", "updated_at"]),
        index("discovery_flows", &["engagement_id", "updated_at"]),
        index("discovery_flows", &["owner_id"]),
        index("imports", &["client_account_id"]),
        index("imports", &["engagement_id"]),
        index("imports", &["flow_id"]),
        // For what an earlier process left unfinished.
        index("imports", &["status"]),
        index("field_mappings", &["import_id", "position"]).unique().take(),
        one_source_per_target,
        index("assets", &["import_id", "row_number"]).unique().take(),
        index("assets", &["engagement_id", "import_id", "row_number"]),
        index("assets", &["client_account_id", "import_id", "row_number"]),
        index("sessions", &["user_id"]),
        index("sessions", &["expires_at"]),
        index("access_requests", &["requested_at"]),
    ]
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).if_not_exists().take()
}

fn column(name: &'static str) -> ColumnDef {
    ColumnDef::new(name)
}

fn id(name: &'static str) -> ColumnDef {
    column(name).uuid().take()
}

fn text(name: &'static str) -> ColumnDef {
    column(name).text().take()
}

fn time(name: &'static str) -> ColumnDef {
    column(name).timestamp_with_time_zone().take()
}

fn refers(
    from: &'static str,
    by: &'static str,
    to: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(format!("fk_{from}_{by}")).from(from, by).to(to, "id").on_delete(on_delete).take()
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index =
        Index::create().name(format!("idx_{table}_{}", columns.join("_"))).table(table).if_not_exists().take();
    for column in columns {
        index.col(*column);
    }
    index
}
