//! The browser's part: its built files, embedded in the binary.
//!
//! `cargo build` alone works without them; then a page says how they are built.

use std::borrow::Cow;

use axum::body::Bytes;
use rust_embed::RustEmbed;
use unstale_server::assets::{Asset, Assets};

/// What `npm run build` made; empty if it did not run before the build of this binary.
#[derive(RustEmbed)]
#[folder = "../../web/apps/platform/dist"]
#[allow_missing = true]
struct Built;

/// Serves the files.
pub(crate) fn assets() -> Assets {
    Assets::new(find)
}

fn find(path: &str) -> Option<Asset> {
    let file = Built::get(path)?;
    let hash = file.metadata.sha256_hash();
    let half = hash.first_chunk().expect("the hash has 32 bytes");
    let hash = format!("{:032x}", u128::from_be_bytes(*half));
    let bytes = match file.data {
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        // A debug build reads the files from disk, so that they can be built again without it.
        Cow::Owned(read) => read.into(),
    };
    let media_type = file.metadata.mimetype();
    let charset = if media_type.starts_with("text/") { "; charset=utf-8" } else { "" };
    Some(Asset::with_etag(bytes, format!("{media_type}{charset}"), &hash))
}
