//! The service behind the cache, while it is not clear yet whether it is called at all.

use std::mem;

/// The service behind, until it is clear whether it is called at all.
pub(crate) trait Behind<S> {
    /// The service, to be called at once.
    fn called<R>(self, call: impl FnOnce(&mut S) -> R) -> R;
    /// The service, to be called some time.
    fn taken(self) -> S;
}

/// One that has been asked whether it is ready.
pub(crate) struct Ready<'a, S>(pub(crate) &'a mut S);

impl<S: Clone> Behind<S> for Ready<'_, S> {
    fn called<R>(self, call: impl FnOnce(&mut S) -> R) -> R {
        call(self.0)
    }

    fn taken(self) -> S {
        // The clone takes the place of the one that is ready.
        let clone = self.0.clone();
        mem::replace(self.0, clone)
    }
}

/// One that is always ready, and is told something before it is called.
pub(crate) struct Told<'a, S, F>(pub(crate) &'a S, pub(crate) F);

impl<S: Clone, F: FnOnce(&mut S)> Behind<S> for Told<'_, S, F> {
    fn called<R>(self, call: impl FnOnce(&mut S) -> R) -> R {
        call(&mut self.taken())
    }

    fn taken(self) -> S {
        let mut clone = self.0.clone();
        (self.1)(&mut clone);
        clone
    }
}
