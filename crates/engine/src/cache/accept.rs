//! Whether a reader takes a value that is right by the rule: some know more of it than its tags and its time.
//!
//! An HTTP response may be coherent and still be none for a request: older than the request allows, of another variant,
//! to be validated first. What such a reader refuses is a miss for it, and stays what it is for everybody else.

use std::sync::Arc;

use super::fetched::Fetched;
use crate::{
    codec::Cacheable,
    entry::Entry,
    verdict::{NotStored, Verdict},
};

/// Whether a reader takes a value.
pub(super) trait Accept<V>: Clone + Send + Sync + 'static {
    /// Whether it takes this one, were it answered so.
    fn accepts(&self, entry: &Arc<Entry>, verdict: Verdict, not_stored: Option<NotStored>, collapsed: bool) -> bool;
}

/// Takes whatever is right by the rule; costs nothing.
#[derive(Clone, Copy)]
pub(super) struct Anything;

impl<V> Accept<V> for Anything {
    #[inline]
    fn accepts(&self, _: &Arc<Entry>, _: Verdict, _: Option<NotStored>, _: bool) -> bool {
        true
    }
}

/// Takes what a function says yes to.
pub(super) struct Chosen<A>(Arc<A>);

impl<A> Chosen<A> {
    pub(super) fn new(accept: A) -> Self {
        Self(Arc::new(accept))
    }
}

impl<A> Clone for Chosen<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: Cacheable, A: Fn(&Fetched<V>) -> bool + Send + Sync + 'static> Accept<V> for Chosen<A> {
    fn accepts(&self, entry: &Arc<Entry>, verdict: Verdict, not_stored: Option<NotStored>, collapsed: bool) -> bool {
        (self.0)(&Fetched::new(entry.clone(), verdict, not_stored, collapsed))
    }
}
