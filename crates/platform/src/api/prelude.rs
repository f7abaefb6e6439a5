//! What every group of endpoints needs.

pub(crate) use axum::{extract::State, http::StatusCode};
pub(crate) use serde::{Deserialize, Serialize};
pub(crate) use unstale_server::problem::{Json, Path, Problem, Query};
pub(crate) use utoipa::{IntoParams, ToSchema};
pub(crate) use uuid::Uuid;

pub(crate) use super::{
    Platform,
    answer::{Saved, View, read},
    input::Faults,
    state::anything,
    wire::{CascadeQuery, Metadata},
};
pub(crate) use crate::{
    auth::{Caller, permissions::Permission},
    views::{Items, Role, UserStatus},
};

/// An answer to a read.
pub(crate) type ReadAnswer<V> = Result<View<V>, Problem>;
/// An answer to a write.
pub(crate) type WriteAnswer<T> = Result<Saved<T>, Problem>;
