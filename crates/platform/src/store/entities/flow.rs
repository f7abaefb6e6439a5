//! Discovery flows.
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "discovery_flows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub client_account_id: Uuid,
    pub engagement_id: Uuid,
    pub owner_id: Uuid,
    pub name: String,
    pub status: String,
    pub phase: String,
    pub progress_percent: i16,
    /// The newest import. No foreign key: imports refer to their flow already, and go only together with it.
    pub import_id: Option<Uuid>,
    /// JSON text: it is only ever read and written whole.
    pub metadata: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
