//! Engagements.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    coherence::{ClientId, Write},
    store::{Reading, StoreError},
    views::{AdminUser, Engagement, EngagementStatus, Items},
};

/// What can be said of an engagement.
#[derive(Clone, Debug)]
pub struct EngagementData {
    pub name: String,
    pub description: Option<String>,
    pub status: EngagementStatus,
    pub starts_on: Option<NaiveDate>,
    pub ends_on: Option<NaiveDate>,
}

/// By client, then by name.
pub async fn list(db: Reading<'_>, scope: Scope) -> Result<Items<Engagement>, StoreError> { todo!() }
pub async fn by_id(db: Reading<'_>, scope: Scope, engagement: Uuid) -> Result<Engagement, StoreError> { todo!() }
/// The members of its client who start in it, by name.
pub async fn users(db: Reading<'_>, scope: Scope, engagement: Uuid) -> Result<Items<AdminUser>, StoreError> { todo!() }
pub async fn create(w: &mut Write, client: ClientId, data: &EngagementData, now: DateTime<Utc>) -> Result<Engagement, StoreError> { todo!() }
pub async fn update(w: &mut Write, scope: Scope, engagement: Uuid, data: &EngagementData, now: DateTime<Utc>) -> Result<Engagement, StoreError> { todo!() }
/// Deletes an engagement; one with flows only together with all of them.
pub async fn delete(w: &mut Write, scope: Scope, engagement: Uuid, cascade: bool) -> Result<(), StoreError> { todo!() }
