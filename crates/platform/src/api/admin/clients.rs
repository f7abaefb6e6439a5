//! Client accounts, as administrators see and change them.

use crate::{
    api::prelude::*,
    store::repositories::clients::{self, ClientData, ClientsOf},
    views::{AdminUser, Client},
};

/// A new client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateClientRequest {
    pub name: String,
    pub industry: Option<String>,
    pub description: Option<String>,
}

/// A client's new texts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateClientRequest {
    pub name: String,
    pub industry: Option<String>,
    pub description: Option<String>,
}

/// The clients the caller administers.
#[utoipa::path(get, path = "/admin/clients", tag = "admin", responses((status = 200, body = Items<Client>)))]
pub(crate) async fn admin_list_clients(State(platform): State<Platform>, caller: Caller) -> ReadAnswer<Items<Client>> {
    caller.require(Permission::ManageUsers)?;
    let whose = if caller.is_platform_admin() { ClientsOf::Everybody } else { ClientsOf::Administrator(caller.id()) };
    View::of(platform.views.admin_clients(caller.acting_for(), whose, &anything()).await)
}

/// Create a client (platform admins).
#[utoipa::path(post, path = "/admin/clients", tag = "admin", request_body = CreateClientRequest,
    responses((status = 201, body = Client)))]
pub(crate) async fn admin_create_client(
    State(platform): State<Platform>,
    caller: Caller,
    Json(wanted): Json<CreateClientRequest>,
) -> WriteAnswer<Client> {
    caller.require(Permission::ManageClients)?;
    let data = judged(&wanted.name, wanted.industry.as_deref(), wanted.description.as_deref())?;
    let mut write = platform.begin().await?;
    let client = clients::create(&mut write, &data, platform.now()).await?;
    platform.save(write, StatusCode::CREATED, client).await
}

/// One client.
#[utoipa::path(get, path = "/admin/clients/{client_id}", tag = "admin", params(("client_id" = Uuid, Path)),
    responses((status = 200, body = Client)))]
pub(crate) async fn admin_get_client(
    State(platform): State<Platform>,
    caller: Caller,
    Path(client): Path<Uuid>,
) -> ReadAnswer<Client> {
    caller.require_in(client, Permission::ManageUsers)?;
    View::of(platform.views.client(caller.acting_for(), client, &anything()).await)
}

/// Change a client's texts.
#[utoipa::path(put, path = "/admin/clients/{client_id}", tag = "admin", params(("client_id" = Uuid, Path)),
    request_body = UpdateClientRequest, responses((status = 200, body = Client)))]
pub(crate) async fn admin_update_client(
    State(platform): State<Platform>,
    caller: Caller,
    Path(client): Path<Uuid>,
    Json(wanted): Json<UpdateClientRequest>,
) -> WriteAnswer<Client> {
    caller.require_in(client, Permission::ManageEngagements)?;
    let data = judged(&wanted.name, wanted.industry.as_deref(), wanted.description.as_deref())?;
    let mut write = platform.begin().await?;
    let client = clients::update(&mut write, client, &data, platform.now()).await?;
    platform.save(write, StatusCode::OK, client).await
}

/// Delete a client (platform admins).
#[utoipa::path(delete, path = "/admin/clients/{client_id}", tag = "admin",
    params(("client_id" = Uuid, Path), CascadeQuery), responses((status = 204, description = "Deleted")))]
pub(crate) async fn admin_delete_client(
    State(platform): State<Platform>,
    caller: Caller,
    Path(client): Path<Uuid>,
    Query(query): Query<CascadeQuery>,
) -> WriteAnswer<()> {
    caller.require_in(client, Permission::ManageClients)?;
    let mut write = platform.begin().await?;
    clients::delete(&mut write, client, query.cascade).await?;
    platform.save_silently(write).await
}

/// The users of a client.
#[utoipa::path(get, path = "/admin/clients/{client_id}/users", tag = "admin", params(("client_id" = Uuid, Path)),
    responses((status = 200, body = Items<AdminUser>)))]
pub(crate) async fn admin_list_client_users(
    State(platform): State<Platform>,
    caller: Caller,
    Path(client): Path<Uuid>,
) -> ReadAnswer<Items<AdminUser>> {
    caller.require_in(client, Permission::ManageUsers)?;
    // A platform admin has a role everywhere, also in a client that does not exist.
    read(platform.views.client(caller.acting_for(), client, &anything()).await)?;
    View::of(platform.views.client_users(caller.acting_for(), client.into(), &anything()).await)
}

fn judged(name: &str, industry: Option<&str>, description: Option<&str>) -> Result<ClientData, Problem> {
    let mut faults = Faults::default();
    let data = ClientData {
        name: faults.name("name", name),
        industry: faults.optional_name("industry", industry),
        description: faults.optional_text("description", description),
    };
    faults.finish()?;
    Ok(data)
}
