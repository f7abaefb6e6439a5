//! What a change of each table moves, whoever makes it: the declaration of the outbox's triggers.
//!
//! It says of rows what [`Change`](super::Change) says of what people do. A write through a repository declares its
//! changes, and the triggers are compared with them; of a hand-typed `UPDATE` they are all there is.
//!
//! A tag is *covered* by another if whoever reads it reads that one, too: so that a client that is deleted with
//! everything in it is one change, and not one for each asset.

use unstale_server::outbox::triggers::{Column, TableTriggers, named, uuid};

use super::tags::columns::{
    assets, assets_in, assets_of, client, client_counts, client_set, clients, engagement, engagement_set, engagements,
    engagements_of, flow, flow_counts, flow_counts_of, flow_set, flows, flows_by, flows_in, import, imports,
    imports_in, mappings, mappings_of, member_set, members_of, memberships_of, pending_approvals, pending_for, session,
    session_standing, sessions_of, under_client, under_engagement, under_import, user, user_defaults, users,
};

const ID: Column = uuid("id");
const CLIENT: Column = uuid("client_account_id");
const ENGAGEMENT: Column = uuid("engagement_id");
const IMPORT: Column = uuid("import_id");
const USER: Column = uuid("user_id");

/// Every table that something cached is loaded from.
pub fn tables() -> Vec<TableTriggers> {
    vec![
        users_table(),
        client_accounts(),
        memberships(),
        engagements_table(),
        user_defaults_table(),
        discovery_flows(),
        imports_table(),
        field_mappings(),
        assets_table(),
        value_corrections(),
        sessions(),
        access_requests(),
    ]
}

fn users_table() -> TableTriggers {
    TableTriggers::new("users", &["id"])
        // What shows it lives a minute at most: see `policies::SEEN`.
        .ignoring(&["last_seen_at"])
        .always(user(ID))
        .always(users())
        .for_each("memberships", "user_id", "id", members_of(CLIENT))
}

fn client_accounts() -> TableTriggers {
    TableTriggers::new("client_accounts", &["id"])
        .always(client(ID))
        .on_insert_and_delete(client_set())
        .on_update_and_delete(clients())
        .on_delete_or_changed(&["id"], under_client(ID))
}

fn memberships() -> TableTriggers {
    TableTriggers::new("memberships", &["user_id", "client_account_id"])
        .always(memberships_of(USER))
        .always(members_of(CLIENT))
        .always(users())
        .when_changed(&["client_account_id", "user_id"], member_set(CLIENT))
        .when_changed(&["client_account_id"], client_counts())
        .covered_by(under_client(CLIENT))
}

fn engagements_table() -> TableTriggers {
    const PLACE: &[&str] = &["id", "client_account_id"];
    TableTriggers::new("engagements", &["id"])
        .always(engagement(ID))
        .always(engagements_of(CLIENT))
        .always(engagements())
        .when_changed(PLACE, engagement_set(CLIENT))
        .when_changed(&["client_account_id"], client_counts())
        .on_delete_or_changed(PLACE, members_of(CLIENT))
        .on_delete_or_changed(PLACE, users())
        .on_delete_or_changed(PLACE, under_engagement(CLIENT, ID))
        .on_delete_or_changed(PLACE, imports(CLIENT))
        .on_delete_or_changed(PLACE, assets(CLIENT))
        .covered_by(under_client(CLIENT))
}

fn user_defaults_table() -> TableTriggers {
    TableTriggers::new("user_defaults", &["user_id"])
        .always(user_defaults(USER))
        .always(users())
        .always(members_of(CLIENT))
        .covered_by(under_client(CLIENT))
        .covered_by(under_engagement(CLIENT, ENGAGEMENT))
}

fn discovery_flows() -> TableTriggers {
    const PLACE: &[&str] = &["id", "client_account_id", "engagement_id"];
    TableTriggers::new("discovery_flows", &["id"])
        .always(flow(CLIENT, ID))
        .always(flows(CLIENT))
        .always(flows_in(CLIENT, ENGAGEMENT))
        .always(flows_by(CLIENT, uuid("owner_id")))
        .when_changed(PLACE, flow_set(ENGAGEMENT))
        .when_changed(PLACE, flow_counts_of(CLIENT))
        .when_changed(PLACE, flow_counts())
        .covered_by(under_client(CLIENT))
        .covered_by(under_engagement(CLIENT, ENGAGEMENT))
}

fn imports_table() -> TableTriggers {
    // What those who read an import's mappings and assets read of it, and expect never to change.
    const PLACE: &[&str] = &["id", "client_account_id", "engagement_id", "flow_id", "file_name"];
    TableTriggers::new("imports", &["id"])
        .always(import(CLIENT, ID))
        .always(imports(CLIENT))
        .always(imports_in(CLIENT, ENGAGEMENT))
        .on_delete_or_changed(PLACE, under_import(CLIENT, ID))
        .on_delete_or_changed(PLACE, mappings_of(CLIENT, ID))
        .on_delete_or_changed(PLACE, mappings(CLIENT))
        .on_delete_or_changed(PLACE, assets_of(CLIENT, ID))
        .on_delete_or_changed(PLACE, assets_in(CLIENT, ENGAGEMENT))
        .on_delete_or_changed(PLACE, assets(CLIENT))
        .covered_by(under_client(CLIENT))
        .covered_by(under_engagement(CLIENT, ENGAGEMENT))
}

fn field_mappings() -> TableTriggers {
    TableTriggers::new("field_mappings", &["id"])
        .always(mappings_of(CLIENT, IMPORT))
        .always(mappings(CLIENT))
        .covered_by(under_client(CLIENT))
        .covered_by(under_import(CLIENT, IMPORT))
}

fn assets_table() -> TableTriggers {
    TableTriggers::new("assets", &["id"])
        .always(assets_of(CLIENT, IMPORT))
        .always(assets_in(CLIENT, ENGAGEMENT))
        .always(assets(CLIENT))
        .covered_by(under_client(CLIENT))
        .covered_by(under_import(CLIENT, IMPORT))
}

/// The same tags as of the assets that it changes, because whoever reads corrections reads them.
fn value_corrections() -> TableTriggers {
    TableTriggers::new("value_corrections", &["id"])
        .always(assets_of(CLIENT, IMPORT))
        .always(assets_in(CLIENT, ENGAGEMENT))
        .always(assets(CLIENT))
        .covered_by(under_client(CLIENT))
        .covered_by(under_import(CLIENT, IMPORT))
}

fn sessions() -> TableTriggers {
    TableTriggers::new("sessions", &["id"])
        .always(session(ID))
        // Whoever types an UPDATE may well have ended it.
        .on_update_and_delete(session_standing(ID))
        .covered_by(sessions_of(USER))
}

fn access_requests() -> TableTriggers {
    TableTriggers::new("access_requests", &["user_id"])
        .always(pending_approvals())
        .always(pending_for(named("requested_client")))
}
