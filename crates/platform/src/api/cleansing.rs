//! Cleansing: how good the imported values are, and corrections of them.

use super::prelude::*;
use crate::{
    store::repositories::corrections::{self, Corrected, NewCorrection, VALUE_CHARS_MAX},
    views::DataQuality,
};

/// Most corrections of one request.
pub const BULK_MAX: usize = 200;

/// What is to stand for a value, wherever it stands in a column.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectionRequest {
    /// The column's place in the file, from 0.
    #[schema(maximum = 511)]
    pub position: u32,
    /// The value as it is shown now; empty for cells that have none.
    #[schema(max_length = 500)]
    pub value: String,
    /// What is to be shown in its place; empty for no value.
    #[schema(max_length = 500)]
    pub replacement: String,
}

/// The values to correct.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectValuesRequest {
    #[schema(min_items = 1, max_items = 200)]
    pub corrections: Vec<CorrectionRequest>,
}

/// The corrections to take back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoCorrectionsRequest {
    #[schema(min_items = 1, max_items = 200)]
    pub correction_ids: Vec<Uuid>,
}

/// What was corrected, or taken back.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ValuesCorrected {
    /// Corrections that were made, changed or taken back.
    pub corrections: Vec<Uuid>,
    /// Rows that show something else now.
    pub rows: u64,
}

/// How good the values of an import are, and what was corrected in them.
#[utoipa::path(get, path = "/data-cleansing/{import_id}", tag = "data-cleansing",
    params(("import_id" = Uuid, Path)), responses((status = 200, body = DataQuality)))]
pub(crate) async fn get_data_quality(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
) -> ReadAnswer<DataQuality> {
    View::of(platform.views.data_quality(caller.client()?, import, &anything()).await)
}

/// Correct values, wherever they stand in their columns. The file's own values are kept.
#[utoipa::path(post, path = "/data-cleansing/{import_id}/corrections", tag = "data-cleansing",
    params(("import_id" = Uuid, Path)), request_body = CorrectValuesRequest,
    responses((status = 200, body = ValuesCorrected)))]
pub(crate) async fn correct_values(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
    Json(wanted): Json<CorrectValuesRequest>,
) -> WriteAnswer<ValuesCorrected> {
    let client = caller.client()?;
    caller.require(Permission::ReviewMappings)?;
    let mut faults = Faults::default();
    faults.unless((1..=BULK_MAX).contains(&wanted.corrections.len()), "corrections", "must hold 1 to 200 corrections");
    let mut seen = std::collections::HashSet::new();
    for (at, correction) in wanted.corrections.iter().enumerate() {
        let CorrectionRequest { position, value, replacement } = correction;
        let field = |name: &str| format!("corrections[{at}].{name}");
        let fits = |text: &str| text.chars().count() <= VALUE_CHARS_MAX;
        faults.unless(fits(value), &field("value"), "must not be longer than 500 characters");
        faults.unless(fits(replacement), &field("replacement"), "must not be longer than 500 characters");
        let is_one_line = !replacement.contains(char::is_control);
        faults.unless(is_one_line, &field("replacement"), "must be one line without control characters");
        faults.unless(value != replacement, &field("replacement"), "must differ from the value");
        faults.unless(seen.insert((position, value)), &field("value"), "is corrected twice; send one of them");
    }
    faults.finish()?;
    let corrections: Vec<NewCorrection> = wanted
        .corrections
        .into_iter()
        .map(|CorrectionRequest { position, value, replacement }| NewCorrection { position, value, replacement })
        .collect();
    let mut write = platform.begin().await?;
    let done = corrections::correct(&mut write, client, import, &corrections, caller.id(), platform.now()).await?;
    platform.save(write, StatusCode::OK, done.into()).await
}

/// Take corrections back: the values of the file are shown again.
#[utoipa::path(post, path = "/data-cleansing/{import_id}/corrections/undo", tag = "data-cleansing",
    params(("import_id" = Uuid, Path)), request_body = UndoCorrectionsRequest,
    responses((status = 200, body = ValuesCorrected)))]
pub(crate) async fn undo_corrections(
    State(platform): State<Platform>,
    caller: Caller,
    Path(import): Path<Uuid>,
    Json(wanted): Json<UndoCorrectionsRequest>,
) -> WriteAnswer<ValuesCorrected> {
    let client = caller.client()?;
    caller.require(Permission::ReviewMappings)?;
    let mut faults = Faults::default();
    faults.unless((1..=BULK_MAX).contains(&wanted.correction_ids.len()), "correction_ids", "must hold 1 to 200 ids");
    faults.finish()?;
    let mut write = platform.begin().await?;
    let done = corrections::undo(&mut write, client, import, &wanted.correction_ids).await?;
    platform.save(write, StatusCode::OK, done.into()).await
}

impl From<Corrected> for ValuesCorrected {
    fn from(Corrected { corrections, rows }: Corrected) -> Self {
        Self { corrections, rows }
    }
}
