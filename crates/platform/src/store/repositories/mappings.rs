//! Field mappings: what the source columns of an import mean, and the review of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    coherence::{ClientId, Write},
    store::{Reading, StoreError},
    views::{FieldMapping, FieldMappings, ImportMappings, MappingStatistics},
};

/// What a review has done.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviewed {
    /// Mappings that changed; those that stood so already are not counted.
    pub updated: u64,
    pub statistics: MappingStatistics,
}

/// In the order of the columns.
pub async fn list(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<FieldMappings, StoreError> { todo!() }
/// Aggregated in the database.
pub async fn statistics(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<MappingStatistics, StoreError> { todo!() }
/// The approved ones.
pub async fn approved(db: Reading<'_>, client: ClientId, import: Uuid) -> Result<ImportMappings, StoreError> { todo!() }
/// Approves all of `mappings` or none: each needs a target, and no target may be filled from two columns.
pub async fn approve(w: &mut Write, client: ClientId, import: Uuid, mappings: &[Uuid], reviewer: Uuid, now: DateTime<Utc>) -> Result<Reviewed, StoreError> { todo!() }
/// Rejects all of `mappings`.
pub async fn reject(w: &mut Write, client: ClientId, import: Uuid, mappings: &[Uuid], reviewer: Uuid, now: DateTime<Utc>) -> Result<Reviewed, StoreError> { todo!() }
/// Gives a mapping another target, or none; it is to be reviewed again. `chosen_by`: the name of who chose.
pub async fn retarget(w: &mut Write, client: ClientId, import: Uuid, mapping: Uuid, target: Option<&str>, chosen_by: &str, now: DateTime<Utc>) -> Result<FieldMapping, StoreError> { todo!() }
