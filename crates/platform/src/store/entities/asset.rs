//! Assets: the rows of imports, as they came.
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "assets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub client_account_id: Uuid,
    pub engagement_id: Uuid,
    pub import_id: Uuid,
    pub row_number: i64,
    /// JSON text: the values in the order of the import's headers.
    pub raw: String,
    /// The values as they are shown in lower case, a line each. Databases differ in what they hold for the lower case of a letter.
    pub search_text: String,
    /// JSON text: the values with the corrections of the import, where one applies to the row.
    pub cleansed: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
