//! The assets that imports brought, seen through the approved mappings.

use super::prelude::*;
use crate::{
    imports,
    store::repositories::assets::{AssetQuery, PAGE_SIZE_MAX, Vocabulary},
    views::AssetPage,
};

/// Longest text to search for, in characters.
const SEARCH_CHARS_MAX: usize = 200;
const PAGE_SIZE: u64 = 50;
/// What attributes mean.
const VOCABULARY: Vocabulary = Vocabulary { label, name_attribute: "name" };

/// Which assets.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AssetsQuery {
    pub engagement_id: Option<Uuid>,
    pub import_id: Option<Uuid>,
    /// A text that any value holds.
    pub q: Option<String>,
    /// From 1.
    #[param(minimum = 1, default = 1)]
    pub page: Option<u64>,
    /// 0: only how many there are, whatever their columns mean.
    #[param(minimum = 0, maximum = 200, default = 50)]
    pub page_size: Option<u64>,
}

/// A page of assets.
#[utoipa::path(get, path = "/assets", tag = "assets", params(AssetsQuery),
    responses((status = 200, body = AssetPage)))]
pub(crate) async fn list_assets(
    State(platform): State<Platform>,
    caller: Caller,
    Query(query): Query<AssetsQuery>,
) -> ReadAnswer<AssetPage> {
    let client = caller.client()?;
    let (page, page_size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(PAGE_SIZE));
    let mut faults = Faults::default();
    faults.unless(page >= 1, "page", "must be 1 or more");
    faults.unless(page_size <= PAGE_SIZE_MAX, "page_size", "must be 0 to 200");
    let search = query.q.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let is_short = search.as_ref().is_none_or(|text| text.chars().count() <= SEARCH_CHARS_MAX);
    faults.unless(is_short, "q", "must not be longer than 200 characters");
    faults.finish()?;
    let query = AssetQuery { engagement: query.engagement_id, import: query.import_id, search, page, page_size };
    View::of(platform.views.asset_page(client, query, VOCABULARY, &anything()).await)
}

fn label(attribute: &str) -> String {
    imports::target_label(attribute).to_owned()
}
