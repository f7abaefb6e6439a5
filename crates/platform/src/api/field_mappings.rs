//! What the columns of an import mean, and the review of it.

use super::prelude::*;
use crate::{
    imports,
    store::repositories::mappings::{self, Reviewed},
    views::{FieldMapping, FieldMappings, ImportStatus, LatestStatistics, MappingStatistics, TargetAttribute},
};

/// Most mappings of one bulk operation: as many as a file may have columns.
pub const BULK_MAX: usize = 512;

const NO_TARGET: &str = "is no target attribute; GET /api/v1/target-attributes lists them, and custom: with a name of \
                         1 to 256 bytes keeps the column as it is";

/// The mappings to decide on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    #[schema(min_items = 1, max_items = 512)]
    pub mapping_ids: Vec<Uuid>,
}

/// What a bulk operation did.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BulkDone {
    /// How many mappings it changed.
    pub updated: u64,
    pub statistics: MappingStatistics,
}

/// A column's new meaning.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchMappingRequest {
    /// The name of a target attribute, `custom:` and a name of your own to keep the column as it is, or null for none.
    #[schema(required)]
    pub target_attribute: Option<String>,
}

/// Everything a column can be mapped to.
#[utoipa::path(get, path = "/target-attributes", tag = "field-mappings",
    responses((status = 200, body = Items<TargetAttribute>)))]
pub(crate) async fn list_target_attributes(_: Caller) -> Json<Items<TargetAttribute>> {
    let items = imports::target_attributes().iter().map(|target| TargetAttribute {
        name: target.name.to_owned(),
        label: target.label.to_owned(),
        data_type: target.data_type.as_str().to_owned(),
        description: target.description.to_owned(),
        required: target.required,
    });
    Json(Items { items: items.collect() })
}

/// The mappings of an import, in the order of its columns.
#[utoipa::path(get, path = "/field-mappings/{import_id}", tag = "field-mappings",
    params(("import_id" = Uuid, Path)), responses((status = 200, body = FieldMappings)))]
pub(crate) async fn get_field_mappings(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
) -> ReadAnswer<FieldMappings> {
    View::of(platform.views.field_mappings(caller.client()?, import, &anything()).await)
}

/// How far the review has come.
#[utoipa::path(get, path = "/field-mappings/{import_id}/statistics", tag = "field-mappings",
    params(("import_id" = Uuid, Path)), responses((status = 200, body = MappingStatistics)))]
pub(crate) async fn get_mapping_statistics(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
) -> ReadAnswer<MappingStatistics> {
    View::of(platform.views.mapping_statistics(caller.client()?, import, &anything()).await)
}

/// How far the review of an engagement's newest completed import has come.
// In one read what would take the list of imports first.
#[utoipa::path(get, path = "/engagements/{engagement_id}/mapping-statistics", tag = "field-mappings",
    params(("engagement_id" = Uuid, Path)), responses((status = 200, body = LatestStatistics)))]
pub(crate) async fn get_latest_statistics(
    State(platform): State<Platform>,
    caller: Caller,
    Path(engagement): Path<Uuid>,
) -> ReadAnswer<LatestStatistics> {
    let client = caller.client()?;
    let imports = read(platform.views.imports(client, Some(engagement), &anything()).await)?;
    let completed = imports.items.iter().filter(|import| import.status == ImportStatus::Completed);
    let statistics = match completed.max_by_key(|import| (import.created_at, import.id)) {
        None => None,
        Some(newest) => {
            let found = read(platform.views.mapping_statistics(client, newest.id, &anything()).await)?;
            Some(MappingStatistics::clone(&found))
        }
    };
    Ok(View::Own(LatestStatistics { statistics }))
}

/// Approve mappings.
#[utoipa::path(post, path = "/field-mappings/{import_id}/bulk-approve", tag = "field-mappings",
    params(("import_id" = Uuid, Path)), request_body = BulkRequest, responses((status = 200, body = BulkDone)))]
pub(crate) async fn bulk_approve_mappings(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
    Json(wanted): Json<BulkRequest>,
) -> WriteAnswer<BulkDone> {
    decide(&platform, &caller, import, wanted, Decision::Approve).await
}

/// Reject mappings.
#[utoipa::path(post, path = "/field-mappings/{import_id}/bulk-reject", tag = "field-mappings",
    params(("import_id" = Uuid, Path)), request_body = BulkRequest, responses((status = 200, body = BulkDone)))]
pub(crate) async fn bulk_reject_mappings(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
    Json(wanted): Json<BulkRequest>,
) -> WriteAnswer<BulkDone> {
    decide(&platform, &caller, import, wanted, Decision::Reject).await
}

/// Keep columns that have no target as they are, each as an attribute of its own name; they wait for approval.
#[utoipa::path(post, path = "/field-mappings/{import_id}/bulk-keep", tag = "field-mappings",
    params(("import_id" = Uuid, Path)), request_body = BulkRequest, responses((status = 200, body = BulkDone)))]
pub(crate) async fn bulk_keep_mappings(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
    Json(wanted): Json<BulkRequest>,
) -> WriteAnswer<BulkDone> {
    decide(&platform, &caller, import, wanted, Decision::Keep).await
}

/// Choose what a column means; it waits for approval again.
#[utoipa::path(patch, path = "/field-mappings/{import_id}/{mapping_id}", tag = "field-mappings",
    params(("import_id" = Uuid, Path), ("mapping_id" = Uuid, Path)), request_body = PatchMappingRequest,
    responses((status = 200, body = FieldMapping)))]
pub(crate) async fn patch_field_mapping(
    State(platform): State<Platform>,
    caller: Caller,
    Path((import, mapping)): Path<(Uuid, Uuid)>,
    Json(wanted): Json<PatchMappingRequest>,
) -> WriteAnswer<FieldMapping> {
    let client = caller.client()?;
    caller.require(Permission::ReviewMappings)?;
    let target = wanted.target_attribute.as_deref();
    let mut faults = Faults::default();
    faults.unless(target.is_none_or(imports::is_target), "target_attribute", NO_TARGET);
    faults.finish()?;
    let (now, chosen_by) = (platform.now(), &caller.user().name);
    let mut write = platform.begin().await?;
    let mapping = mappings::retarget(&mut write, client, import, mapping, target, chosen_by, now).await?;
    platform.save(write, StatusCode::OK, mapping).await
}

/// What is decided on many mappings at once.
enum Decision {
    Approve,
    Reject,
    Keep,
}

async fn decide(
    platform: &Platform,
    caller: &Caller,
    import: Uuid,
    wanted: BulkRequest,
    decision: Decision,
) -> WriteAnswer<BulkDone> {
    let client = caller.client()?;
    let ids = reviewable(caller, wanted)?;
    let (mut write, now) = (platform.begin().await?, platform.now());
    let done = match decision {
        Decision::Approve => mappings::approve(&mut write, client, import, &ids, caller.id(), now).await?,
        Decision::Reject => mappings::reject(&mut write, client, import, &ids, caller.id(), now).await?,
        Decision::Keep => {
            let chosen_by = &caller.user().name;
            mappings::keep(&mut write, client, import, &ids, imports::CUSTOM, chosen_by, now).await?
        }
    };
    platform.save(write, StatusCode::OK, done.into()).await
}

fn reviewable(caller: &Caller, wanted: BulkRequest) -> Result<Vec<Uuid>, Problem> {
    caller.require(Permission::ReviewMappings)?;
    let mut faults = Faults::default();
    let is_some = (1..=BULK_MAX).contains(&wanted.mapping_ids.len());
    faults.unless(is_some, "mapping_ids", "must hold 1 to 512 ids");
    faults.finish()?;
    Ok(wanted.mapping_ids)
}

impl From<Reviewed> for BulkDone {
    fn from(Reviewed { updated, statistics }: Reviewed) -> Self {
        Self { updated, statistics }
    }
}
