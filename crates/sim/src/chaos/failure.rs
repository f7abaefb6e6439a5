//! Why a scenario could not be carried out, or did not end well.

/// A sentence for whoever ran it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub(super) String);

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For `map_err`: what was being done, and what stood in the way.
    pub(super) fn of<E: std::fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{doing}: {error}"))
    }
}

/// What a step of a scenario brings.
pub(super) type Step<T = ()> = Result<T, Failure>;

/// Fails with `text` unless `happened`.
pub(super) fn demand(happened: bool, text: impl FnOnce() -> String) -> Step {
    if happened { Ok(()) } else { Err(Failure(text())) }
}
