//! Live events: who was served what, and whose sockets end.

use std::sync::Arc;

use unstale::{Position, TagId};
use unstale_http::{Identity, ServedObserver};
use unstale_server::live::{LiveHub, LiveIdentity};
use uuid::Uuid;

use crate::auth::Caller;

/// The platform's end of the live hub. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Live(LiveHub);

impl Live {
    /// Of this hub.
    pub(crate) fn new(hub: LiveHub) -> Self {
        Self(hub)
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &LiveHub {
        &self.0
    }

    /// What hears which answers were given to whom.
    pub(crate) fn observer(&self) -> Arc<dyn ServedObserver> {
        Arc::new(self.clone())
    }

    /// Ends a session's sockets on this node at once, and lets none be opened for it again. Whatever else ends what a
    /// socket may hear ends it by the facts that it was let in by, on every node.
    pub(crate) fn end_session(&self, session: Uuid) {
        self.0.close_session(&session.to_string());
    }

    /// Who listens.
    pub(crate) fn identity(caller: &Caller) -> LiveIdentity {
        LiveIdentity {
            tenant: caller.tenant().clone(),
            user: caller.id().to_string().into(),
            session: caller.session().to_string().into(),
        }
    }
}

impl ServedObserver for Live {
    fn served(&self, identity: &Identity, tags: &[TagId], base: Position) {
        let Some(session) = identity.session_id() else { return };
        let who = LiveIdentity {
            tenant: identity.tenant().clone(),
            user: identity.principal().into(),
            session: session.into(),
        };
        self.0.served(&who, tags, base);
    }
}
