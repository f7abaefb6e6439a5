//! Assets: rows of imports, seen through the approved mappings.

use uuid::Uuid;

use crate::{
    coherence::ClientId,
    store::{Reading, StoreError},
    views::AssetPage,
};

/// Most assets of a page.
pub const PAGE_SIZE_MAX: u64 = 200;

/// Which assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetQuery {
    pub engagement: Option<Uuid>,
    pub import: Option<Uuid>,
    /// A part of any value, without regard to case.
    pub search: Option<String>,
    /// From 1.
    pub page: u64,
    /// 1 to [`PAGE_SIZE_MAX`]; beyond that it is cut.
    pub page_size: u64,
}

/// What attributes mean, which is not the store's business.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// The label of an attribute.
    pub label: fn(&str) -> String,
    /// The attribute that names an asset.
    pub name_attribute: &'static str,
}

/// The oldest import first, its rows in the order of the file. An engagement or import of another client is not
/// found.
pub async fn page(db: Reading<'_>, client: ClientId, query: &AssetQuery, vocabulary: Vocabulary) -> Result<AssetPage, StoreError> { todo!() }
