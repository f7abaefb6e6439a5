//! The browser's part: its built files, embedded in the binary.
//!
//! `cargo build` alone works without them and then serves a page that says how they are built.

use axum::{body::Body, http::Request, response::Response};
use rust_embed::RustEmbed;
use unstale_server::assets;

/// What `npm run build` made; empty if it did not run before the build of this binary.
#[derive(RustEmbed)]
#[folder = "../../web/apps/platform/dist"]
#[allow_missing = true]
struct Built;

/// Answers with a built file, with the page that shows them, or with how they are built.
pub(crate) fn serve(request: &Request<Body>) -> Response {
    assets::serve::<Built>(request)
}
