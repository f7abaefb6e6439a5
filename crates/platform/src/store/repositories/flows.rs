//! Discovery flows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    coherence::{ClientId, Write},
    store::{Reading, StoreError},
    views::{Flow, FlowMetadata, FlowPhase, FlowState, FlowStatus, FlowSummary, Items},
};

/// Which flows of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    pub engagement: Option<Uuid>,
    pub status: Option<FlowStatus>,
}

/// A flow to be created.
#[derive(Clone, Debug)]
pub struct NewFlow {
    pub engagement_id: Uuid,
    pub owner_id: Uuid,
    pub name: String,
    pub metadata: serde_json::Value,
}

/// What is to change of a flow.
#[derive(Clone, Debug, Default)]
pub struct FlowUpdate {
    pub name: Option<String>,
    pub status: Option<FlowStatus>,
    pub phase: Option<FlowPhase>,
    /// 0 to 100.
    pub progress_percent: Option<u8>,
    pub metadata: Option<serde_json::Value>,
}

/// Those changed last first. An engagement of another client is not found.
pub async fn list(db: Reading<'_>, client: ClientId, filter: FlowFilter) -> Result<Items<FlowSummary>, StoreError> { todo!() }
/// The flows of an owner that are neither completed nor cancelled.
pub async fn active_of(db: Reading<'_>, client: ClientId, owner: Uuid) -> Result<Items<FlowSummary>, StoreError> { todo!() }
pub async fn by_id(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<Flow, StoreError> { todo!() }
pub async fn state(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<FlowState, StoreError> { todo!() }
pub async fn metadata(db: Reading<'_>, client: ClientId, flow: Uuid) -> Result<FlowMetadata, StoreError> { todo!() }
pub async fn create(w: &mut Write, client: ClientId, new: &NewFlow, now: DateTime<Utc>) -> Result<Flow, StoreError> { todo!() }
pub async fn update(w: &mut Write, client: ClientId, flow: Uuid, update: &FlowUpdate, now: DateTime<Utc>) -> Result<Flow, StoreError> { todo!() }
/// Deletes a flow with its imports, their mappings and assets.
pub async fn delete(w: &mut Write, client: ClientId, flow: Uuid) -> Result<(), StoreError> { todo!() }
