//! Everything that one configuration makes, and how it is exchanged for the next.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tower::Layer as _;
use unstale::{Cache, InvalidateError, Invalidation, RawKey, Tag, Tenant};
use unstale_http::{CacheLayer, CacheService, HttpLimits, Lifetime, RouteError, key::path_of};

use super::{
    forwarding::Forwarding,
    routing::{Routing, known},
    settings::upstream_settings,
};
use crate::audit::{Actor, Audit, Class, Entry, Intents, Operation, Outcome};
use crate::gateway::{
    assembly::{ask_upstream, ask_url},
    config::{
        Plan,
        file::{OnCredentials, UpstreamFile},
    },
    identity::{ANSWER_BYTES_MAX, HashKey, Identities, JWKS_BYTES_MAX},
    metrics::GatewayMetrics,
    proxy::{Forward, Network},
    start::weights,
    upstream::{Upstream, UpstreamError},
};
use crate::{configuration::Effective, metadata::Concealed, records::Records, statistics::Writer};

/// How often it is looked whether a state that was replaced has answered its last request.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For how long.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// What stays as it is while the gateway runs.
pub(crate) struct Build {
    pub(crate) cache: Cache,
    pub(crate) forward: Forward,
    pub(crate) metrics: Arc<GatewayMetrics>,
    pub(crate) secret: Vec<u8>,
    pub(crate) audit: Option<Audit>,
    pub(crate) records: Option<Records>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) build: Build,
    pub(crate) current: ArcSwap<State>,
}

/// Everything that one configuration makes.
pub(crate) struct State {
    pub(crate) plan: Plan,
    pub(crate) routing: Routing,
    pub(crate) identities: Arc<Identities>,
    pub(crate) upstreams: BTreeMap<String, (UpstreamFile, Arc<Upstream>)>,
    pub(crate) fallback: Option<Arc<Upstream>>,
    trusted_proxies: Vec<Network>,
    layer: CacheLayer,
    pub(crate) service: CacheService<Forwarding>,
}

/// Why a configuration cannot be run, although it is well-formed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Route(#[from] RouteError),
}

impl Build {
    /// What a configuration makes. Upstreams that are as they were are taken over from `old`, with their connections.
    pub(crate) fn state(&self, plan: Plan, old: Option<&State>) -> Result<State, StateError> {
        let mut upstreams = BTreeMap::new();
        for (name, file) in &plan.file.upstreams {
            let kept = old.and_then(|old| old.upstreams.get(name)).filter(|(was, _)| was == file);
            let upstream = match kept {
                Some((_, upstream)) => upstream.clone(),
                None => Upstream::new(upstream_settings(&plan, name, file))?,
            };
            upstreams.insert(name.clone(), (file.clone(), upstream));
        }
        let upstream = |name: &str| {
            upstreams
                .get(name)
                .map(|(_, upstream): &(_, Arc<Upstream>)| upstream.clone())
                .expect("the file was checked")
        };
        let identities = Arc::new(Identities::new(
            &plan,
            HashKey::derive(&self.secret),
            &self.cache,
            |name| Some(ask_upstream(&self.forward, &upstream(name), ANSWER_BYTES_MAX)),
            |url| ask_url(&self.forward, url, JWKS_BYTES_MAX),
        ));
        let routing = Routing::new(&plan, upstream, &identities.headers())?;
        let file = &plan.file.cache;
        let layer = CacheLayer::new(self.cache.clone(), routing.policies.clone(), &self.secret).limits(HttpLimits {
            body_bytes_max: file.response_body_max.as_usize(),
            header_bytes_max: file.response_headers_max.as_usize(),
            url_bytes_max: file.url_max.as_usize(),
            variants_max: file.variants_max,
            ..HttpLimits::default()
        });
        // What no route covers streams through as it is.
        let mut layer = layer.validate_unrouted(false);
        if let Some(records) = &self.records {
            layer = layer.observer(records.response_observer());
            tune(&layer, &records.configuration.among(&known(&plan)));
        }
        let fallback = plan.file.fallback.as_deref().map(upstream);
        let service = layer.layer(Forwarding::new(self.forward.clone()));
        let proxies = plan.file.listen.trusted_proxies.iter();
        let trusted_proxies = proxies.map(|network| network.parse().expect("the file was checked")).collect();
        Ok(State { plan, routing, identities, upstreams, fallback, trusted_proxies, layer, service })
    }
}

/// Lets a configuration say how the routes of a layer are used. They are named as in the file.
fn tune(layer: &CacheLayer, effective: &Effective) {
    layer.tune(|_, policy| {
        let own = match &policy.lifetime {
            Lifetime::Route(own) => Some(own),
            Lifetime::Uncached | Lifetime::Origin(_) => None,
        };
        effective.route(&policy.entity, own)
    });
}

impl State {
    /// The route that a key's response is of, as the file names it.
    fn label_of(&self, key: &RawKey) -> Option<Arc<str>> {
        let place = self.routing.find(&path_of(key)?)?;
        Some(self.routing.at(place).label.clone())
    }

    /// What a tenant weighs by the file.
    fn weight(&self, tenant: &Tenant) -> NonZeroU32 {
        weights(&self.plan.file.cache).find(|(own, _)| own == tenant).map_or(NonZeroU32::MIN, |(_, weight)| weight)
    }

    /// Whether what a peer says of others' addresses and URLs is believed.
    pub(crate) fn believes(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.trusted_proxies.iter().any(|network| network.contains(peer)))
    }

    pub(crate) fn on_bad(&self) -> OnCredentials {
        self.plan.file.credentials.bad
    }

    /// Whether every read of a route is recorded from the level `sensitive` on.
    pub(crate) fn is_sensitive(&self, label: &str) -> bool {
        self.plan.file.audit.as_ref().is_some_and(|audit| audit.sensitive.iter().any(|path| path == label))
    }

    pub(crate) fn on_none(&self) -> OnCredentials {
        self.plan.file.credentials.none
    }

    /// What is answered otherwise in `new`: what was kept of it is wrong.
    fn changed(&self, new: &Self) -> Vec<Tag> {
        let (old_file, new_file) = (&self.plan.file, &new.plan.file);
        let identities = old_file.identity != new_file.identity
            || old_file.tenant != new_file.tenant
            || old_file.credentials != new_file.credentials;
        let paths = self.routing.each();
        let changed = paths.filter(|(path, files)| identities || new.routing.files(path) != Some(*files));
        changed.map(|(path, _)| crate::gateway::tags::route(path)).collect()
    }
}

impl Shared {
    pub(crate) fn new(build: Build, first: State) -> Arc<Self> {
        Arc::new(Self { build, current: ArcSwap::from_pointee(first) })
    }

    /// Lets a configuration count from now on. Requests that run end as they began.
    pub(crate) async fn exchange(&self, plan: Plan) -> Result<(), StateError> {
        let old = self.current.load_full();
        let known = known(&plan);
        let level = plan.file.audit.as_ref().map(|audit| audit.level.into());
        let new = Arc::new(self.build.state(plan, Some(&old))?);
        self.record_exchange(level).await;
        let wrong = Invalidation::of(old.changed(&new));
        self.current.store(new);
        if let Some(records) = &self.build.records {
            // What was changed since `new` was made, and the weights that the file has just set.
            records.configuration.replace_known(known);
        }
        if !wrong.tags().is_empty() {
            declare_wrong(&self.build.cache, &wrong).await;
            tokio::spawn(declare_wrong_once_more(self.build.cache.clone(), old, wrong));
        }
        Ok(())
    }
}

impl Shared {
    /// Lets what the records say count, now and from now on, and writes them. What is returned ends when it is aborted.
    pub(crate) fn keep_records(self: &Arc<Self>, writer: Writer) -> Vec<JoinHandle<()>> {
        let Some(records) = &self.build.records else { return Vec::new() };
        let (tuned, weighed, named) = (Arc::downgrade(self), Arc::downgrade(self), Arc::downgrade(self));
        records.configuration.on_change(move |effective| {
            if let Some(shared) = tuned.upgrade() {
                tune(&shared.current.load().layer, effective);
            }
        });
        let usual = move |tenant: &Tenant| {
            weighed.upgrade().map_or(NonZeroU32::MIN, |shared| shared.current.load().weight(tenant))
        };
        let key = blake3::derive_key("unstale-server 2026 gateway: records", &self.build.secret);
        let writer = writer
            .concealing(Concealed::by(key))
            .named_by(Arc::new(move |key| named.upgrade()?.current.load().label_of(key)));
        records.start(&self.build.cache, writer, usual).into()
    }

    /// Records that another configuration counts from now on, and lets it say what is recorded.
    async fn record_exchange(&self, level: Option<crate::audit::Level>) {
        let Some(audit) = &self.build.audit else { return };
        let by = Actor::default();
        let entry = Entry {
            entity: "gateway",
            key: "configuration",
            detail: "the configuration file has changed",
            ..by.entry("", Operation::CONFIGURE, Outcome::Done)
        };
        let mut recorded = audit.record(Class::Mutation, &entry).await;
        if let Some(level) = level.filter(|level| *level != audit.level()) {
            recorded = recorded.and(audit.set_level(level, &by).await);
        }
        if let Err(error) = recorded {
            // The operator's own doing; a file that is there cannot be refused for it.
            tracing::error!(%error, "a change of the configuration was not recorded");
        }
    }

    /// Notes what is about to be done, where there is a trail.
    pub(crate) async fn begin_recorded(&self, entries: &[Entry<'_>]) -> Result<Intents, crate::problem::Problem> {
        let Some(audit) = &self.build.audit else { return Ok(Intents::none()) };
        let begun = audit.begin(Class::Mutation, entries).await;
        begun.map_err(|refused| crate::problem::Problem::from_refused_audit(&refused))
    }
}

/// A request of the old state may begin a load after what it loads was declared wrong: when the last of them is
/// answered, it is said again.
async fn declare_wrong_once_more(cache: Cache, old: Arc<State>, wrong: Invalidation) {
    let old = {
        let weak = Arc::downgrade(&old);
        drop(old);
        weak
    };
    let until = tokio::time::Instant::now() + LOOK_MAX;
    while old.strong_count() > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    declare_wrong(&cache, &wrong).await;
}

async fn declare_wrong(cache: &Cache, wrong: &Invalidation) {
    match cache.invalidate(wrong).await {
        Ok(_) => {}
        Err(error @ InvalidateError::Pending { .. }) => tracing::warn!(%error, "what the old configuration kept"),
        Err(error) => tracing::error!(%error, "what the old configuration kept may be served until its time is over"),
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
