//! Why a scenario could not be carried out, or did not end well.

/// A sentence for whoever ran it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something could not be done, or was not as it must be.
    #[error("{0}")]
    Failed(String),
    /// A fault had no effect: nothing was shown by it.
    #[error("in vain: {0}")]
    InVain(String),
}

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// For `map_err`: what was being done, and what stood in the way.
    pub(super) fn of<E: std::fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::Failed(format!("{doing}: {error}"))
    }
}

/// What a step of a scenario brings.
pub(super) type Step<T = ()> = Result<T, Failure>;

/// Fails with `text` unless it `holds`.
pub(super) fn demand(holds: bool, text: impl FnOnce() -> String) -> Step {
    if holds { Ok(()) } else { Err(Failure::Failed(text())) }
}

/// The fault was in vain unless something `happened`.
pub(super) fn demand_effect(happened: bool, text: impl FnOnce() -> String) -> Step {
    if happened { Ok(()) } else { Err(Failure::InVain(text())) }
}
