//! For those who watch what was served: live events, which must know whom a change concerns, and metrics.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use unstale::{Position, TagId};

use crate::identity::Identity;

/// A response, as its watchers see it.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The route's kind of response; `-` where no route covers the path.
    pub entity: &'a str,
    /// `HIT`, `STALE`, `MISS` or `BYPASS`.
    pub verdict: &'static str,
    /// Why, as a short stable word: of a bypass, of a miss, or why a loaded response was not kept.
    pub reason: Option<&'static str>,
    /// The status.
    pub status: StatusCode,
    /// For how long a hit stays fresh.
    pub fresh_for: Option<Duration>,
    /// From the request's arrival at the layer to the head of its response.
    pub elapsed: Duration,
}

/// In a request's extensions: although the request says `no-store`, its response gets the validator that it would have if it
/// were kept. For whoever compares what is kept with what is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidatedAsKept;

/// In a response's extensions: the verdict, where its headers are not to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheVerdict(pub &'static str);

/// Watches a [`CacheLayer`](crate::CacheLayer). Called on the request's way: must not block and must be quick.
pub trait ServedObserver: Send + Sync + 'static {
    /// A principal was given data (or told that its copy is still good) that was loaded from these facts and reflects
    /// `base`: what changed after it, the principal does not know.
    fn served(&self, identity: &Identity, tags: &[TagId], base: Position) {
        let _ = (identity, tags, base);
    }

    /// A request was answered.
    fn answered(&self, answered: &Answered<'_>) {
        let _ = answered;
    }
}

/// All observers of a layer.
#[derive(Clone, Default)]
pub(crate) struct Observers(pub(crate) Vec<Arc<dyn ServedObserver>>);

impl Observers {
    pub(crate) fn served(&self, identity: &Identity, tags: &[TagId], base: Position) {
        if !tags.is_empty() {
            self.0.iter().for_each(|observer| observer.served(identity, tags, base));
        }
    }

    pub(crate) fn answered(&self, answered: &Answered<'_>) {
        self.0.iter().for_each(|observer| observer.answered(answered));
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
