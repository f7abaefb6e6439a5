//! The platform's API: one file for each group of endpoints, with its wire types and its documentation.
//!
//! Routes are declared once, by `routes!`, from which the router and the OpenAPI document both come: what is not
//! documented is not reachable.
//!
//! # What handlers do not do
//! They decide neither who is asking (the middleware has, see [`crate::auth`]) nor what a change puts out of date
//! (the write knows, see [`crate::coherence`]), and they say nothing of caching (see [`policies`]).

#![allow(unused_qualifications, reason = "the documentation macro repeats types with a path of their own")]

pub mod admin;
pub mod assets;
pub mod batch;
pub mod cleansing;
pub mod context;
pub mod engagements;
pub mod events;
pub mod field_mappings;
pub mod flags;
pub mod flows;
pub mod imports;
pub mod input;
pub mod openapi;
pub mod policies;
pub mod sign_in;
pub mod users;
pub mod vitals;
pub mod wire;

pub(crate) mod answer;
pub(crate) mod import_job;
pub(crate) mod state;
pub(crate) mod upload;

mod prelude;

use axum::extract::DefaultBodyLimit;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::state::Platform;

/// Where all of it is mounted.
pub const BASE: &str = "/api/v1";
/// The socket's path.
pub const EVENTS_PATH: &str = "/api/v1/events";
/// The path of the same as server-sent events.
pub const EVENT_STREAM_PATH: &str = "/api/v1/events/stream";
/// Longest body, in bytes, but for uploads.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Routes that look after credentials themselves.
fn public_routes() -> OpenApiRouter<Platform> {
    OpenApiRouter::new()
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::refresh))
        .routes(routes!(sign_in::logout))
        .routes(routes!(sign_in::register))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Routes for signed-in users.
fn private_routes() -> OpenApiRouter<Platform> {
    let people = OpenApiRouter::new()
        .routes(routes!(sign_in::list_active_users))
        .routes(routes!(context::get_context_me))
        .routes(routes!(context::get_context_full))
        .routes(routes!(context::get_standing))
        .routes(routes!(context::get_start))
        .routes(routes!(context::list_own_clients))
        .routes(routes!(context::list_own_engagements))
        .routes(routes!(users::get_user_defaults, users::put_user_defaults))
        .routes(routes!(users::put_user_roles))
        .routes(routes!(users::list_user_clients))
        .routes(routes!(users::put_user_client, users::delete_user_client));
    let work = OpenApiRouter::new()
        .routes(routes!(engagements::list_engagements))
        .routes(routes!(engagements::get_engagement))
        .routes(routes!(engagements::list_engagement_flows))
        .routes(routes!(flows::list_flows, flows::create_flow))
        .routes(routes!(flows::get_flow, flows::patch_flow, flows::delete_flow))
        .routes(routes!(flows::get_flow_state))
        .routes(routes!(flows::get_flow_metadata))
        .routes(routes!(imports::get_import))
        .routes(routes!(field_mappings::list_target_attributes))
        .routes(routes!(field_mappings::get_field_mappings))
        .routes(routes!(field_mappings::get_mapping_statistics))
        .routes(routes!(field_mappings::get_latest_statistics))
        .routes(routes!(field_mappings::bulk_approve_mappings))
        .routes(routes!(field_mappings::bulk_reject_mappings))
        .routes(routes!(field_mappings::bulk_keep_mappings))
        .routes(routes!(field_mappings::patch_field_mapping))
        .routes(routes!(cleansing::get_data_quality))
        .routes(routes!(cleansing::correct_values))
        .routes(routes!(cleansing::undo_corrections))
        .routes(routes!(assets::list_assets));
    let administration = OpenApiRouter::new()
        .routes(routes!(admin::clients::admin_list_clients, admin::clients::admin_create_client))
        .routes(routes!(
            admin::clients::admin_get_client,
            admin::clients::admin_update_client,
            admin::clients::admin_delete_client
        ))
        .routes(routes!(admin::clients::admin_list_client_users))
        .routes(routes!(admin::engagements::admin_list_engagements, admin::engagements::admin_create_engagement))
        .routes(routes!(
            admin::engagements::admin_get_engagement,
            admin::engagements::admin_update_engagement,
            admin::engagements::admin_delete_engagement
        ))
        .routes(routes!(admin::engagements::admin_list_engagement_users))
        .routes(routes!(admin::approvals::admin_list_users))
        .routes(routes!(admin::approvals::list_pending_approvals))
        .routes(routes!(admin::approvals::approve_user))
        .routes(routes!(admin::approvals::reject_user))
        .routes(routes!(admin::erasure::erase_user))
        .routes(routes!(admin::erasure::get_cache_report))
        .routes(routes!(admin::flags::admin_list_flags))
        .routes(routes!(admin::flags::admin_put_flag))
        .routes(routes!(admin::flags::admin_list_flag_changes))
        .routes(routes!(admin::audit::search_audit))
        .routes(routes!(admin::audit::export_audit))
        .routes(routes!(admin::cache::get_cache_configuration, admin::cache::put_cache_configuration))
        .routes(routes!(admin::cache::list_cache_configurations))
        .routes(routes!(admin::cache::undo_cache_configuration))
        .routes(routes!(admin::cache::list_cache_statistics))
        .routes(routes!(admin::cache::list_cache_performance))
        .routes(routes!(admin::cache::list_cache_metadata))
        .routes(routes!(admin::cache::get_cache_consistency))
        .routes(routes!(admin::cache::get_cache_experience))
        .routes(routes!(admin::cache::list_cache_omissions));
    // The upload counts its bytes itself, while it streams.
    let uploads = OpenApiRouter::new()
        .routes(routes!(imports::list_imports, imports::create_import))
        .layer(DefaultBodyLimit::disable());
    people
        .merge(work)
        .merge(administration)
        .routes(routes!(batch::batch))
        .routes(routes!(events::events))
        .routes(routes!(events::event_stream))
        .routes(routes!(vitals::report_vitals))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(uploads)
}

/// The routes under [`BASE`]: those that look after credentials themselves, and those behind the middleware.
pub(crate) fn routers(platform: &Platform) -> (axum::Router, axum::Router) {
    let mounted = |routes: OpenApiRouter<Platform>| {
        let (router, _) = OpenApiRouter::new().nest(BASE, routes).split_for_parts();
        router.with_state(platform.clone())
    };
    let private = mounted(private_routes()).merge(flags::routes().with_state(platform.clone()));
    (mounted(public_routes()), private)
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    let api = public_routes().merge(private_routes());
    let document = OpenApiRouter::with_openapi(openapi::Head::openapi()).nest(BASE, api).into_openapi();
    openapi::complete(document)
}
