//! Who is asking, as the application's own authentication verified it.
//!
//! The layer never reads a token, a cookie or a header to find out: the authentication middleware runs before it and
//! puts an [`Identity`] in the request's extensions. A request without one is passed on and never cached.

use std::sync::Arc;

use unstale::{PositionSet, Tag, Tenant};

/// A verified principal acting in a tenant. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use unstale::{Cache, MemoryStore, Tag, Tenant};
/// # use unstale_http::Identity;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
/// // In the authentication middleware: the position first, then the rows.
/// let read_since = cache.frontiers();
/// // … the session and the user's row are read here …
/// let identity = Identity::new(Tenant::new("acme").unwrap(), "user-42")
///     .session("session-7")
///     .facts([Tag::shared("user", 42)], read_since);
/// # assert_eq!(identity.principal(), "user-42");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    /// One pointer, because every request has a copy.
    who: Arc<Who>,
    /// When the facts were read, if there are any.
    read_since: Option<PositionSet>,
}

#[derive(Clone, Debug)]
struct Who {
    tenant: Tenant,
    principal: Arc<str>,
    session: Option<Arc<str>>,
    known_as: Option<u128>,
    facts: Vec<Tag>,
}

/// The facts that an identity was made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) tags: &'a [Tag],
    pub(crate) read_since: &'a PositionSet,
}

impl Identity {
    /// A principal whose identity depends on no fact that can change (a token that was verified, and nothing else).
    ///
    /// `principal` must tell apart everybody whose answers may differ: the user's id, not their role.
    pub fn new(tenant: Tenant, principal: impl Into<Arc<str>>) -> Self {
        let who = Who { tenant, principal: principal.into(), session: None, known_as: None, facts: Vec::new() };
        Self { who: Arc::new(who), read_since: None }
    }

    /// Names the session, for those who watch what was served to whom. Responses are shared between the sessions of a
    /// principal.
    #[must_use]
    pub fn session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.who_mut().session = Some(session.into());
        self
    }

    /// Says as what the principal is known: everything that answers to them may follow from, such as their role, in any
    /// form that is the same as long as it says the same. Responses are then found only by those who are known as the
    /// same.
    ///
    /// An identity that is made of a *cached* value needs it. Such a value is judged by the partition of its own tenant,
    /// what is loaded for the identity by the partition of the tenant it acts in, and a change of a shared fact reaches
    /// one after the other. In between, the cached value stands and the positions are already behind the change: what is
    /// loaded then would be kept as if it had been loaded after it.
    #[must_use]
    pub fn known_as(mut self, what: impl AsRef<[u8]>) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(what.as_ref()).as_bytes()[..16]);
        self.who_mut().known_as = Some(u128::from_le_bytes(half));
        self
    }

    /// Says what the identity was made of, such as the user's row: a change of one of `tags` makes every response of
    /// this principal out of date.
    ///
    /// `read_since` is the cache's [`frontiers`](unstale::Cache::frontiers), or its frontier of this tenant, captured
    /// *before* the facts were read. Without it, a role that changes between authentication and the load would be
    /// stored as if it had been seen.
    #[must_use]
    pub fn facts(mut self, tags: impl IntoIterator<Item = Tag>, read_since: impl Into<PositionSet>) -> Self {
        self.who_mut().facts = tags.into_iter().collect();
        self.read_since = Some(read_since.into());
        self
    }

    /// The same identity, its facts read again since `positions`: for one that is kept between requests and confirmed
    /// at each.
    #[must_use]
    pub fn confirmed_since(&self, positions: PositionSet) -> Self {
        Self { who: self.who.clone(), read_since: self.read_since.is_some().then_some(positions) }
    }

    /// The tenant in which the principal acts.
    pub fn tenant(&self) -> &Tenant {
        &self.who.tenant
    }

    /// The principal.
    pub fn principal(&self) -> &str {
        &self.who.principal
    }

    /// The same, shared.
    pub fn principal_shared(&self) -> Arc<str> {
        self.who.principal.clone()
    }

    /// The session, if the application named it.
    pub fn session_id(&self) -> Option<&str> {
        self.who.session.as_deref()
    }

    /// The tags of the facts that it was made of.
    pub fn tags(&self) -> &[Tag] {
        &self.who.facts
    }

    /// The positions captured before the facts were read; none if it was made of none.
    pub fn read_since(&self) -> Option<&PositionSet> {
        self.read_since.as_ref()
    }

    /// The hash of what the principal is known as.
    pub(crate) fn known_hash(&self) -> Option<u128> {
        self.who.known_as
    }

    pub(crate) fn known(&self) -> Option<Facts<'_>> {
        self.read_since.as_ref().map(|read_since| Facts { tags: &self.who.facts, read_since })
    }

    fn who_mut(&mut self) -> &mut Who {
        Arc::make_mut(&mut self.who)
    }
}
