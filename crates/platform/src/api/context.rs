//! Who the caller is and where they stand; what there is to choose from.

use super::prelude::*;
use crate::{
    coherence::ClientId,
    views::{ClientSummary, ContextFull, ContextMe, Engagement, Standing, Start},
};

/// Which client's engagements.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OwnEngagementsQuery {
    pub client_id: Uuid,
}

/// The caller, their client and engagement, and their active flows.
#[utoipa::path(get, path = "/context/me", tag = "context", responses((status = 200, body = ContextMe)))]
pub(crate) async fn get_context_me(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<ContextMe> {
    View::of(platform.views.user_context(caller.acting_for(), caller.id(), &anything()).await)
}

/// `context/me` with every client and engagement to choose from.
#[utoipa::path(get, path = "/context/full", tag = "context", responses((status = 200, body = ContextFull)))]
pub(crate) async fn get_context_full(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<ContextFull> {
    View::of(platform.views.user_context_full(caller.acting_for(), caller.id(), &anything()).await)
}

/// The caller, their client and what they may do: what every page begins with.
#[utoipa::path(get, path = "/context/standing", tag = "context", responses((status = 200, body = Standing)))]
pub(crate) async fn get_standing(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<Standing> {
    View::of(platform.views.user_standing(caller.acting_for(), caller.id(), &anything()).await)
}

/// Where the caller starts in the client they act for.
// Apart from who they are, which every page shows: choosing another beginning changes nothing of that.
#[utoipa::path(get, path = "/context/start", tag = "context", responses((status = 200, body = Start)))]
pub(crate) async fn get_start(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<Start> {
    let defaults = read(platform.views.user_defaults(caller.acting_for(), caller.id(), &anything()).await)?;
    let client = caller.acting_for().map(|client| client.0);
    let is_here = client.is_some() && defaults.client_account_id == client;
    Ok(View::Own(Start { engagement_id: defaults.engagement_id.filter(|_| is_here) }))
}

/// The clients the caller may act for.
#[utoipa::path(get, path = "/context-establishment/clients", tag = "context",
    responses((status = 200, body = Items<ClientSummary>)))]
pub(crate) async fn list_own_clients(
    State(platform): State<Platform>,
    caller: Caller,
) -> ReadAnswer<Items<ClientSummary>> {
    View::of(platform.views.user_clients(caller.acting_for(), caller.id(), &anything()).await)
}

/// The engagements of one of these clients.
#[utoipa::path(get, path = "/context-establishment/engagements", tag = "context", params(OwnEngagementsQuery),
    responses((status = 200, body = Items<Engagement>)))]
pub(crate) async fn list_own_engagements(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<OwnEngagementsQuery>,
) -> ReadAnswer<Items<Engagement>> {
    caller.role_in(query.client_id).ok_or_else(Problem::not_found)?;
    // A platform admin has a role everywhere, also in a client that does not exist.
    read(platform.views.client(caller.acting_for(), query.client_id, &anything()).await)?;
    let client = ClientId(query.client_id);
    View::of(platform.views.client_engagements(caller.acting_for(), client, &anything()).await)
}
