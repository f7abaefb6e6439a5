//! How fast pages were for those who used them, as their browsers measured it.

use super::prelude::*;
use crate::{experience::Measured, flags};

/// Most measurements of one report.
const REPORT_MAX: usize = 50;

/// One measurement.
#[derive(Deserialize, ToSchema)]
pub struct Vital {
    /// `CLS`, `FCP`, `INP`, `LCP`, `TTFB`, `page-shown`, `page-calls` or `page-renders`.
    pub name: String,
    /// Milliseconds; of `CLS`, a score; of `page-calls` and `page-renders`, how many calls and renders a page made.
    pub value: f64,
    /// `good`, `needs-improvement` or `poor`.
    pub rating: String,
    /// The route, with ids taken out.
    pub page: String,
    pub navigation_type: String,
    /// When.
    pub at: String,
}

/// Tell how fast pages were.
#[utoipa::path(post, path = "/telemetry/vitals", tag = "telemetry", request_body = Vec<Vital>,
    responses((status = 204, description = "Counted; names that are not known are passed over")))]
pub(crate) async fn report_vitals(
    State(platform): State<Platform>,
    caller: Caller,
    Json(vitals): Json<Vec<Vital>>,
) -> Result<StatusCode, Problem> {
    if vitals.len() > REPORT_MAX {
        return Err(Problem::bad_request(format!("Send at most {REPORT_MAX} measurements at once.")));
    }
    for vital in &vitals {
        platform.vitals.measured(&vital.name, &vital.rating, vital.value);
    }
    let measured: Vec<Measured> = vitals.iter().filter_map(|vital| Measured::of(&vital.name, vital.value)).collect();
    if !measured.is_empty() {
        let is_cached = flags::uses_cache(&platform.flags, caller.id());
        platform.experience.note(platform.now(), is_cached, &measured);
    }
    Ok(StatusCode::NO_CONTENT)
}
