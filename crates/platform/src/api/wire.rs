//! Wire types that several groups of endpoints share.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Anything the caller wants to keep: a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Metadata(pub serde_json::Map<String, serde_json::Value>);

/// Whether to delete what is below, too.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CascadeQuery {
    /// Without it, deleting something that has children is refused.
    #[serde(default)]
    #[param(default = false)]
    pub cascade: bool,
}
