//! The acting client's engagements, for everybody in it.

use super::prelude::*;
use crate::{
    store::repositories::{Scope, flows::FlowFilter},
    views::{Engagement, FlowSummary},
};

/// The acting client's engagements.
#[utoipa::path(get, path = "/engagements", tag = "engagements", responses((status = 200, body = Items<Engagement>)))]
pub(crate) async fn list_engagements(
    State(platform): State<Platform>,
    caller: Caller,
) -> ReadAnswer<Items<Engagement>> {
    let client = caller.client()?;
    View::of(platform.views.client_engagements(Some(client), client, &anything()).await)
}

/// One engagement.
#[utoipa::path(get, path = "/engagements/{engagement_id}", tag = "engagements",
    params(("engagement_id" = Uuid, Path)), responses((status = 200, body = Engagement)))]
pub(crate) async fn get_engagement(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
) -> ReadAnswer<Engagement> {
    View::of(platform.views.engagement(Scope::Client(caller.client()?), engagement, &anything()).await)
}

/// An engagement's flows.
#[utoipa::path(get, path = "/engagements/{engagement_id}/flows", tag = "engagements",
    params(("engagement_id" = Uuid, Path)), responses((status = 200, body = Items<FlowSummary>)))]
pub(crate) async fn list_engagement_flows(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
) -> ReadAnswer<Items<FlowSummary>> {
    let filter = FlowFilter { engagement: Some(engagement), status: None };
    View::of(platform.views.flows(caller.client()?, filter, &anything()).await)
}
