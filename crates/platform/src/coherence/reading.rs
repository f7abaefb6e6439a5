//! Views through the cache: the one place that pairs each key with its policy and its loader.

mod asset_pages;

use std::sync::Arc;

use chrono::Utc;
use futures_util::FutureExt as _;
use serde::Serialize;
use unstale::{Cache, Cacheable, Cached, FetchError, Fetched, Key, Loaded, Policy, ReadOptions, Tenant};
use unstale_server::{
    configuration::LiveConfiguration,
    consistency::{Truth, Watch, differences, is_past_the_cache},
};
use uuid::Uuid;

use super::{ClientId, catalogue, governed::TIMELESS_MEMBERS, platform_tenant, policies};
use crate::{
    cleansing,
    store::{
        Store, StoreError,
        repositories::{
            Scope,
            clients::{self, ClientsOf},
            context, engagements,
            flows::{self, FlowFilter},
            imports, mappings, memberships, sessions, users,
        },
    },
    views,
};

tokio::task_local! {
    static USE: CacheUse;
}

/// What of the cache a request may use, as flags decide for who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheUse {
    /// Whether views are kept at all.
    pub is_on: bool,
    /// Whether the shared store takes part.
    pub uses_store: bool,
}

impl CacheUse {
    const ALL: Self = Self { is_on: true, uses_store: true };
    const NONE: Self = Self { is_on: false, uses_store: false };

    /// Reads views within `request` as this allows.
    pub async fn within<F: Future>(self, request: F) -> F::Output {
        USE.scope(self, request).await
    }

    fn here() -> Self {
        USE.try_with(|allowed| *allowed).unwrap_or(Self::ALL)
    }

    /// What both allow.
    fn and(self, other: Self) -> Self {
        Self { is_on: self.is_on && other.is_on, uses_store: self.uses_store && other.uses_store }
    }

    fn limit(self, policy: Policy) -> Policy {
        Policy { is_on: policy.is_on && self.is_on, uses_store: policy.uses_store && self.uses_store, ..policy }
    }
}

/// The answer to a read.
pub type Answer<V> = Result<Fetched<V>, FetchError<StoreError>>;

/// The platform's views, each read through the cache under its key and policy.
///
/// Who may read what is the caller's business: a view is answered to whoever asks for it.
#[derive(Clone, Debug)]
pub struct Views {
    store: Store,
    cache: Cache,
    governed: Option<(LiveConfiguration, Watch)>,
}

/// Declares views: name and parameters, then key, policy and loader.
macro_rules! views {
    ($(
        $(#[$meta:meta])*
        $name:ident($($argument:ident: $type:ty),*) -> $value:ty {
            $key:expr, $policy:expr, |$store:ident| $load:expr $(,)?
        }
    )*) => {
        impl Views {
            $(
                $(#[$meta])*
                pub async fn $name(&self, $($argument: $type,)* options: &ReadOptions) -> Answer<$value> {
                    let key = $key;
                    self.fetch(&key, &$policy, options, move |$store| async move { $load.await }).await
                }
            )*
        }
    };
}

views! {
    user_context(client: Option<ClientId>, user: Uuid) -> views::ContextMe {
        catalogue::user_context(&acting(client), user), policies::CONTEXT,
        |store| context::me(store.read(), client, user),
    }
    user_context_full(client: Option<ClientId>, user: Uuid) -> views::ContextFull {
        catalogue::user_context_full(&acting(client), user), policies::CONTEXT,
        |store| context::full(store.read(), client, user),
    }
    user_standing(client: Option<ClientId>, user: Uuid) -> views::Standing {
        catalogue::user_standing(&acting(client), user), policies::CONTEXT,
        |store| context::standing(store.read(), client, user),
    }
    user_clients(client: Option<ClientId>, user: Uuid) -> views::Items<views::ClientSummary> {
        catalogue::user_clients(&acting(client), user), policies::LISTS,
        |store| memberships::clients_of(store.read(), user),
    }
    user_memberships(scope: Scope, user: Uuid) -> views::Items<views::Membership> {
        catalogue::user_memberships(&tenant_of(scope), user), policies::USER,
        |store| memberships::of_user(store.read(), scope, user),
    }
    user_defaults(client: Option<ClientId>, user: Uuid) -> views::UserDefaults {
        catalogue::user_defaults(&acting(client), user), policies::USER,
        |store| users::defaults(store.read(), user),
    }
    user_active_flows(client: ClientId, user: Uuid) -> views::Items<views::FlowSummary> {
        catalogue::user_active_flows(&client.tenant(), user), policies::FLOWS,
        |store| flows::active_of(store.read(), client, user),
    }
    /// `acting`: the client that the reader acts for, `client`: the one that is read.
    client(acting_for: Option<ClientId>, client: Uuid) -> views::Client {
        catalogue::client(&acting(acting_for), client), policies::LISTS,
        |store| clients::by_id(store.read(), client),
    }
    client_engagements(acting_for: Option<ClientId>, client: ClientId) -> views::Items<views::Engagement> {
        catalogue::client_engagements(&acting(acting_for), client), policies::LISTS,
        |store| engagements::list(store.read(), Scope::Client(client)),
    }
    client_users(acting_for: Option<ClientId>, client: ClientId) -> views::Items<views::AdminUser> {
        catalogue::client_users(&acting(acting_for), client), policies::SEEN,
        |store| users::list(store.read(), Scope::Client(client)),
    }
    /// The flows of a client, or of one of its engagements.
    flows(client: ClientId, filter: FlowFilter) -> views::Items<views::FlowSummary> {
        {
            let status = filter.status.map_or("any", views::FlowStatus::as_str);
            match filter.engagement {
                None => catalogue::client_flows(&client.tenant(), client, status),
                Some(engagement) => catalogue::engagement_flows(&client.tenant(), engagement, status),
            }
        },
        policies::FLOWS, |store| flows::list(store.read(), client, filter),
    }
    /// The imports of a client, or of one of its engagements.
    imports(client: ClientId, engagement: Option<Uuid>) -> views::Items<views::Import> {
        match engagement {
            None => catalogue::client_imports(&client.tenant(), client),
            Some(engagement) => catalogue::engagement_imports(&client.tenant(), engagement),
        },
        policies::IMPORTS, |store| imports::list(store.read(), client, engagement),
    }
    engagement(scope: Scope, engagement: Uuid) -> views::Engagement {
        catalogue::engagement(&tenant_of(scope), engagement), policies::LISTS,
        |store| engagements::by_id(store.read(), scope, engagement),
    }
    engagement_users(scope: Scope, engagement: Uuid) -> views::Items<views::AdminUser> {
        catalogue::engagement_users(&tenant_of(scope), engagement), policies::SEEN,
        |store| engagements::users(store.read(), scope, engagement),
    }
    flow(client: ClientId, flow: Uuid) -> views::Flow {
        catalogue::flow_complete(&client.tenant(), flow), policies::FLOWS,
        |store| flows::by_id(store.read(), client, flow),
    }
    flow_state(client: ClientId, flow: Uuid) -> views::FlowState {
        catalogue::flow_state(&client.tenant(), flow), policies::FLOWS,
        |store| flows::state(store.read(), client, flow),
    }
    flow_metadata(client: ClientId, flow: Uuid) -> views::FlowMetadata {
        catalogue::flow_metadata(&client.tenant(), flow), policies::FLOWS,
        |store| flows::metadata(store.read(), client, flow),
    }
    import(client: ClientId, import: Uuid) -> views::Import {
        catalogue::import(&client.tenant(), import), policies::IMPORTS,
        |store| imports::by_id(store.read(), client, import),
    }
    field_mappings(client: ClientId, import: Uuid) -> views::FieldMappings {
        catalogue::field_mappings(&client.tenant(), import), policies::FIELD_MAPPINGS,
        |store| mappings::list(store.read(), client, import),
    }
    import_mappings(client: ClientId, import: Uuid) -> views::ImportMappings {
        catalogue::import_mappings(&client.tenant(), import), policies::FIELD_MAPPINGS,
        |store| mappings::approved(store.read(), client, import),
    }
    mapping_statistics(client: ClientId, import: Uuid) -> views::MappingStatistics {
        catalogue::mapping_statistics(&client.tenant(), import), policies::FIELD_MAPPINGS,
        |store| mappings::statistics(store.read(), client, import),
    }
    data_quality(client: ClientId, import: Uuid) -> views::DataQuality {
        catalogue::data_quality(&client.tenant(), import), policies::DATA_QUALITY,
        |store| cleansing::report(store.read(), client, import),
    }
    admin_clients(client: Option<ClientId>, whose: ClientsOf) -> views::Items<views::Client> {
        match whose {
            ClientsOf::Everybody => catalogue::admin_clients(&acting(client), "any"),
            ClientsOf::Administrator(user) => catalogue::admin_clients(&acting(client), user),
        },
        policies::ADMIN_LISTS,
        |store| clients::list(store.read(), whose),
    }
    admin_engagements(scope: Scope) -> views::Items<views::Engagement> {
        catalogue::admin_engagements(&tenant_of(scope)), policies::ADMIN_LISTS,
        |store| engagements::list(store.read(), scope),
    }
    admin_users(scope: Scope) -> views::Items<views::AdminUser> {
        catalogue::admin_users(&tenant_of(scope)), policies::SEEN,
        |store| users::list(store.read(), scope),
    }
    admin_active_users(scope: Scope) -> views::Items<views::ActiveUser> {
        catalogue::admin_active_users(&tenant_of(scope)), policies::SEEN,
        |store| users::active(store.read(), scope),
    }
    /// Those who wait for `client`, or for anybody.
    admin_pending_approvals(client: Option<ClientId>) -> views::Items<views::PendingApproval> {
        catalogue::admin_pending_approvals(&acting(client)), policies::PENDING_APPROVALS,
        |store| async move {
            match client {
                Some(client) => users::pending_approvals_for(store.read(), client).await,
                None => users::pending_approvals(store.read()).await,
            }
        },
    }
}

impl Views {
    /// The views of what `store` holds, kept in `cache`.
    pub fn new(store: Store, cache: Cache) -> Self {
        Self { store, cache, governed: None }
    }

    /// The same, by policies that the configuration may change, and watched.
    #[must_use]
    pub fn governed(self, configuration: &LiveConfiguration, watch: &Watch) -> Self {
        Self { governed: Some((configuration.clone(), watch.clone())), ..self }
    }

    /// Whom a session belongs to; no value if it is not good. The caller compares `expires_at` once more.
    pub async fn session(&self, session: Uuid, options: &ReadOptions) -> Answer<views::SessionPrincipal> {
        let store = self.store.clone();
        let load = move || async move {
            let principal = sessions::principal(store.read(), session, Utc::now()).await?;
            Ok(Loaded::from(principal))
        };
        let key = Self::session_key(session);
        self.cache.fetch(&key, &self.policy(&key, &policies::SESSION), options, load).await
    }

    /// Under what a session is kept, for those who ask for the same one with every request.
    pub fn session_key(session: Uuid) -> Key<views::SessionPrincipal> {
        catalogue::session(&platform_tenant(), session)
    }

    /// The same as [`session`](Self::session) if this node's memory has it, without waiting.
    pub fn session_in_memory(&self, key: &Key<views::SessionPrincipal>) -> Option<Fetched<views::SessionPrincipal>> {
        self.cache.hit(key, &self.policy(key, &policies::SESSION), &ReadOptions::default())
    }

    async fn fetch<V, F, L>(&self, key: &Key<V>, policy: &Policy, options: &ReadOptions, load: F) -> Answer<V>
    where
        V: Cacheable + Serialize,
        F: FnOnce(Store) -> L + Clone + Send + Sync + 'static,
        L: Future<Output = Result<V, StoreError>> + Send + 'static,
    {
        let policy = self.limited(key, policy);
        let ticket = self
            .governed
            .as_ref()
            .filter(|_| policy.is_on)
            .and_then(|(_, watch)| watch.begin(&self.cache, key.raw().tenant()).map(|ticket| (watch, ticket)));
        let (store, read) = (self.store.clone(), load.clone());
        let read = move || async move { read(store).await.map(Loaded::value) };
        let Some((watch, ticket)) = ticket else { return self.cache.fetch(key, &policy, options, read).await };
        let before = self.cache.peek(key);
        let answer = self.cache.fetch(key, &policy, options, read).await?;
        if let Some(served) = answer.cached() {
            let in_memory = before.is_some_and(|before| before.is_same(&served));
            watch.fetched(ticket, &self.cache, (key, in_memory), &answer, truth(self.store.clone(), served, load));
        }
        Ok(answer)
    }

    /// The policy of a key as far as whoever asks may use the cache.
    fn limited<V>(&self, key: &Key<V>, default: &Policy) -> Policy {
        let policy = self.policy(key, default);
        // What the watch loads is loaded as a read is, and not from what is watched.
        if is_past_the_cache() { policy.on(false) } else { CacheUse::here().limit(policy) }
    }

    fn policy<V>(&self, key: &Key<V>, default: &Policy) -> Policy {
        match &self.governed {
            Some((configuration, _)) => configuration.policy(key.raw().entity(), default),
            None => *default,
        }
    }
}

/// Loads what was served once more, past the cache, and says where it differs.
fn truth<V, F, L>(store: Store, served: Cached<V>, load: F) -> Truth
where
    V: Cacheable + Serialize,
    F: FnOnce(Store) -> L + Clone + Send + Sync + 'static,
    L: Future<Output = Result<V, StoreError>> + Send + 'static,
{
    Arc::new(move || {
        let (store, served, load) = (store.clone(), served.clone(), load.clone());
        let compared = async move {
            // Its parts too: they are watched by themselves.
            let truth = match CacheUse::NONE.within(load(store)).await {
                Ok(truth) => serde_json::to_value(truth),
                Err(StoreError::NotFound { .. }) => Ok(serde_json::Value::Null),
                Err(error) => return Err(error.to_string()),
            };
            let (served, truth) = serde_json::to_value(&*served)
                .and_then(|served| Ok((served, truth?)))
                .map_err(|error| error.to_string())?;
            Ok(differences(&served, &truth, TIMELESS_MEMBERS))
        };
        compared.boxed()
    })
}

/// The tenant of a reader who acts for `client`, or for none.
fn acting(client: Option<ClientId>) -> Tenant {
    client.map_or_else(platform_tenant, ClientId::tenant)
}

fn tenant_of(scope: Scope) -> Tenant {
    match scope {
        Scope::All => platform_tenant(),
        Scope::Client(client) => client.tenant(),
    }
}
