//! From what the platform knows to what is sent: views, saved writes, refusals.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use unstale::{Cacheable, Cached, FetchError, PositionSet};
use unstale_http::Written;
use unstale_server::problem::{Problem, sentence};

use crate::{
    auth::passwords::Busy,
    coherence::{Answer, WriteError},
    store::StoreError,
};

/// A view as an answer.
pub(crate) enum View<V> {
    /// Shared with the cache, so it is not copied.
    Shared(Cached<V>),
    /// Made for the reader.
    Own(V),
}

impl<V: Cacheable> View<V> {
    /// What was read, or why it was not.
    pub(crate) fn of(answer: Answer<V>) -> Result<Self, Problem> {
        read(answer).map(Self::Shared)
    }
}

/// What was read, or why it was not.
pub(crate) fn read<V: Cacheable>(answer: Answer<V>) -> Result<Cached<V>, Problem> {
    answer.map_err(|error| of_fetch(&error))?.into_value().ok_or_else(Problem::not_found)
}

impl<V: Cacheable + Serialize> IntoResponse for View<V> {
    fn into_response(self) -> Response {
        match self {
            Self::Shared(view) => Json(&*view).into_response(),
            Self::Own(view) => Json(view).into_response(),
        }
    }
}

/// A write that is saved and visible: its answer carries its position.
#[derive(Debug)]
pub(crate) struct Saved<T> {
    pub(crate) status: StatusCode,
    /// None for an answer without a body.
    pub(crate) body: Option<T>,
    pub(crate) positions: PositionSet,
}

impl<T: Serialize> IntoResponse for Saved<T> {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => (self.status, Json(body)).into_response(),
            None => self.status.into_response(),
        };
        response.extensions_mut().insert(Written(self.positions));
        response
    }
}

pub(crate) fn of_fetch(error: &FetchError<StoreError>) -> Problem {
    match error {
        FetchError::Load(error) => error.clone().into(),
        FetchError::TimedOut | FetchError::Aborted => {
            tracing::warn!(%error, "a read had no answer");
            Problem::unavailable("The answer took too long. Try again.").retry_after(std::time::Duration::from_secs(1))
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::not_found(),
            StoreError::Conflict(conflict) => Self::conflict(sentence(&conflict.to_string())),
            StoreError::Database(_) => Self::internal(&error),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::NotRecorded(refused) => Self::from_refused_audit(&refused),
            WriteError::NotVisible(_) | WriteError::Stopping => {
                tracing::error!(%error, "a write was not made visible");
                Self::unavailable(sentence(&error.to_string()))
            }
        }
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::unavailable(sentence(&busy.to_string())).retry_after(std::time::Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Conflict;

    #[test]
    fn what_is_not_found_says_nothing_of_what_it_was() {
        let flow = Problem::from(StoreError::not_found("flow"));
        let client = Problem::from(StoreError::not_found("client"));
        assert_eq!(flow.to_string(), client.to_string());
        assert_eq!(flow.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_conflict_says_what_to_do() {
        let columns = vec!["Host".to_owned(), "Server".to_owned()];
        let problem = Problem::from(StoreError::from(Conflict::TargetTaken { target: "hostname".into(), columns }));
        assert_eq!(problem.status(), StatusCode::CONFLICT);
        let detail = problem.detail_text().unwrap();
        assert!(detail.starts_with("The target hostname") && detail.contains("Host and Server"), "{detail}");
    }
}
