//! Imports of CSV files.
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub client_account_id: Uuid,
    pub engagement_id: Uuid,
    pub flow_id: Uuid,
    pub file_name: String,
    pub size_bytes: i64,
    pub status: String,
    pub rows_total: Option<i64>,
    pub rows_done: i64,
    /// JSON text: the names of the source columns, in their order.
    pub headers: Option<String>,
    pub encoding: Option<String>,
    pub delimiter: Option<String>,
    pub format: Option<String>,
    /// JSON text.
    pub error: Option<String>,
    pub created_by: Uuid,
    pub created_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
