//! Discovery flows.

use super::prelude::*;
use crate::{
    store::repositories::flows::{self, FlowFilter, FlowUpdate, NewFlow},
    views::{Flow, FlowMetadata, FlowPhase, FlowState, FlowStatus, FlowSummary},
};

/// Longest metadata, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// Which flows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FlowsQuery {
    pub engagement_id: Option<Uuid>,
    pub status: Option<FlowStatus>,
}

/// A new flow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFlowRequest {
    pub engagement_id: Uuid,
    pub name: String,
    /// Anything the caller wants to keep with it.
    pub metadata: Option<Metadata>,
}

/// What is to change; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchFlowRequest {
    pub name: Option<String>,
    pub status: Option<FlowStatus>,
    pub phase: Option<FlowPhase>,
    #[schema(maximum = 100)]
    pub progress_percent: Option<u8>,
    /// Replaces all of it.
    pub metadata: Option<Metadata>,
}

/// The acting client's flows.
#[utoipa::path(get, path = "/discovery/flows", tag = "flows", params(FlowsQuery),
    responses((status = 200, body = Items<FlowSummary>)))]
pub(crate) async fn list_flows(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<FlowsQuery>,
) -> ReadAnswer<Items<FlowSummary>> {
    let filter = FlowFilter { engagement: query.engagement_id, status: query.status };
    View::of(platform.views.flows(caller.client()?, filter, &anything()).await)
}

/// Begin a flow.
#[utoipa::path(post, path = "/discovery/flows", tag = "flows", request_body = CreateFlowRequest,
    responses((status = 201, body = Flow)))]
pub(crate) async fn create_flow(
    State(platform): State<Platform>,
    caller: Caller,
    Json(wanted): Json<CreateFlowRequest>,
) -> WriteAnswer<Flow> {
    let client = caller.client()?;
    caller.require(Permission::WriteFlows)?;
    let mut faults = Faults::default();
    let name = faults.name("name", &wanted.name);
    let metadata = judged(&mut faults, wanted.metadata).unwrap_or_else(|| serde_json::json!({}));
    faults.finish()?;
    let new = NewFlow { engagement_id: wanted.engagement_id, owner_id: caller.id(), name, metadata };
    let mut write = platform.begin().await?;
    let flow = flows::create(&mut write, client, &new, platform.now()).await?;
    platform.save(write, StatusCode::CREATED, flow).await
}

/// One flow, complete.
#[utoipa::path(get, path = "/discovery/flows/{flow_id}", tag = "flows", params(("flow_id" = Uuid, Path)),
    responses((status = 200, body = Flow)))]
pub(crate) async fn get_flow(
    State(platform): State<Platform>,
    caller: Caller,
    Path(flow): Path<Uuid>,
) -> ReadAnswer<Flow> {
    View::of(platform.views.flow(caller.client()?, flow, &anything()).await)
}

/// How far a flow has come.
#[utoipa::path(get, path = "/discovery/flows/{flow_id}/state", tag = "flows", params(("flow_id" = Uuid, Path)),
    responses((status = 200, body = FlowState)))]
pub(crate) async fn get_flow_state(
    State(platform): State<Platform>,
    caller: Caller,
    Path(flow): Path<Uuid>,
) -> ReadAnswer<FlowState> {
    View::of(platform.views.flow_state(caller.client()?, flow, &anything()).await)
}

/// What is kept with a flow.
#[utoipa::path(get, path = "/discovery/flows/{flow_id}/metadata", tag = "flows", params(("flow_id" = Uuid, Path)),
    responses((status = 200, body = FlowMetadata)))]
pub(crate) async fn get_flow_metadata(
    State(platform): State<Platform>,
    caller: Caller,
    Path(flow): Path<Uuid>,
) -> ReadAnswer<FlowMetadata> {
    View::of(platform.views.flow_metadata(caller.client()?, flow, &anything()).await)
}

/// Change a flow.
#[utoipa::path(patch, path = "/discovery/flows/{flow_id}", tag = "flows", params(("flow_id" = Uuid, Path)),
    request_body = PatchFlowRequest, responses((status = 200, body = Flow)))]
pub(crate) async fn patch_flow(
    State(platform): State<Platform>,
    caller: Caller,
    Path(flow): Path<Uuid>,
    Json(wanted): Json<PatchFlowRequest>,
) -> WriteAnswer<Flow> {
    let client = caller.client()?;
    caller.require(Permission::WriteFlows)?;
    let mut faults = Faults::default();
    let PatchFlowRequest { name, status, phase, progress_percent, metadata } = wanted;
    let name = name.map(|name| faults.name("name", &name));
    faults.unless(progress_percent.is_none_or(|percent| percent <= 100), "progress_percent", "must be 0 to 100");
    let metadata = judged(&mut faults, metadata);
    faults.finish()?;
    let update = FlowUpdate { name, status, phase, progress_percent, metadata };
    let mut write = platform.begin().await?;
    let flow = flows::update(&mut write, client, flow, &update, platform.now()).await?;
    platform.save(write, StatusCode::OK, flow).await
}

/// Delete a flow with its import.
#[utoipa::path(delete, path = "/discovery/flows/{flow_id}", tag = "flows", params(("flow_id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_flow(
    State(platform): State<Platform>,
    caller: Caller,
    Path(flow): Path<Uuid>,
) -> WriteAnswer<()> {
    let client = caller.client()?;
    caller.require(Permission::WriteFlows)?;
    let mut write = platform.begin().await?;
    flows::delete(&mut write, client, flow).await?;
    platform.save_silently(write).await
}

fn judged(faults: &mut Faults, metadata: Option<Metadata>) -> Option<serde_json::Value> {
    let metadata = serde_json::Value::Object(metadata?.0);
    let is_small = metadata.to_string().len() <= METADATA_BYTES_MAX;
    faults.unless(is_small, "metadata", "must not be longer than 64 KiB as JSON");
    Some(metadata)
}
