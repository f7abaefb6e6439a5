//! Corrections of imported values.
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "value_corrections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub client_account_id: Uuid,
    pub engagement_id: Uuid,
    pub import_id: Uuid,
    /// The column's place in the file, from 0.
    pub position: i32,
    /// The value in the file.
    pub original: String,
    /// What is shown in its place.
    pub replacement: String,
    pub corrected_by: Option<Uuid>,
    pub corrected_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
