//! Nothing is answered from before a change that was acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use unstale::{
    Cacheable, CodecError, Fingerprint, Invalidation, Loaded, MemoryLimits, MemoryStore, Mode, Policy, PositionSet,
    ReadOptions, Tag, Tenant, record, store::Store as _,
};
use unstale_http::{AtLeast, Identity, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Got, World, get, minute, ok, request, routes, tenant, user, with};

/// A service that answers with the one row there is.
async fn row() -> (World, Arc<AtomicU64>) {
    let row = Arc::new(AtomicU64::new(1));
    let world = World::new(routes(), {
        let row = row.clone();
        move |_| {
            let row = row.clone();
            Box::pin(async move {
                record(&Tag::of(&tenant("acme"), "row", 1));
                ok(row.load(SeqCst).to_string())
            })
        }
    })
    .await;
    (world, row)
}

async fn change(world: &World, tag: Tag) -> PositionSet {
    world.cache.invalidate(&Invalidation::of([tag])).await.unwrap()
}

#[tokio::test]
async fn after_a_change_the_next_read_has_the_new_value_and_the_old_copy_no_304() {
    let (world, row) = row().await;
    let me = user("acme", "u1");
    let old = world.get(&me, "/cached/1").await;
    row.store(2, SeqCst);
    change(&world, Tag::of(&tenant("acme"), "row", 1)).await;
    let new = world.get_with(&me, "/cached/1", &[("if-none-match", old.header("etag"))]).await;
    assert_eq!((new.status, new.body.as_str(), new.x_cache()), (StatusCode::OK, "2", "MISS"));
    assert_eq!(new.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; stored; detail=invalidated");
    assert_eq!((new.header("x-cache-hits"), new.header("x-cache-misses")), ("0", "2"));
    assert_eq!(world.get(&me, "/cached/1").await.x_cache(), "HIT");
}

#[tokio::test]
async fn a_change_of_the_principal_makes_all_of_their_responses_out_of_date() {
    let (world, _row) = row().await;
    let fact = Tag::shared("user", "u1");
    let me = || user("acme", "u1").facts([fact.clone()], world.cache.frontiers());
    let other = user("acme", "u2");
    for uri in ["/cached/1", "/cached/2"] {
        world.get(&me(), uri).await;
        world.get(&other, uri).await;
    }
    change(&world, fact.clone()).await;
    for uri in ["/cached/1", "/cached/2"] {
        assert_eq!(world.get(&me(), uri).await.x_cache(), "MISS");
        assert_eq!(world.get(&me(), uri).await.x_cache(), "HIT");
        assert_eq!(world.get(&other, uri).await.x_cache(), "HIT");
    }
}

#[tokio::test]
async fn a_role_that_changes_between_authentication_and_the_load_is_not_stored_as_seen() {
    let (world, _row) = row().await;
    let fact = Tag::shared("user", "u1");
    let verified_before = user("acme", "u1").facts([fact.clone()], world.cache.frontiers());
    change(&world, fact.clone()).await;
    let got = world.get(&verified_before, "/cached/1").await;
    assert_eq!(got.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; detail=read-before");
    let verified_after = user("acme", "u1").facts([fact], world.cache.frontiers());
    assert_eq!(world.get(&verified_after, "/cached/1").await.x_cache(), "MISS");
    assert_eq!(world.get(&verified_after, "/cached/1").await.x_cache(), "HIT");
}

unstale::catalogue! {
    /// What these tests authenticate by.
    const _PATTERNS;
    /// The role in a session.
    fn session(session) -> Role = "session";
}

/// What a session says, and what the middleware tells the service behind.
#[derive(Clone, Copy)]
struct Role(u64);

impl Cacheable for Role {
    fn fingerprint() -> Fingerprint {
        Fingerprint::of("Role of these tests")
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend(self.0.to_le_bytes());
        Ok(())
    }

    fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        Ok(Self(u64::from_le_bytes(bytes[..].try_into().expect("it was encoded here"))))
    }
}

/// Asks as somebody whose session is a cached value of another partition than the tenant's, as in the platform.
async fn ask_as(world: &World, roles: &Arc<AtomicU64>, fact: &Tag) -> Got {
    let read_since = world.cache.frontiers();
    let (roles, tag) = (roles.clone(), fact.clone());
    let load = move || async move {
        record(&tag);
        Ok::<_, ()>(Loaded::value(Role(roles.load(SeqCst))))
    };
    let strict = Policy::ttl(Duration::from_secs(60)).mode(Mode::Strict);
    let kept = world.cache.fetch(&session(&elsewhere(), 1), &strict, &ReadOptions::default(), load).await.unwrap();
    let role = *kept.value().expect("it is never absent");
    let identity = user("acme", "u1").known_as(role.0.to_le_bytes()).facts([fact.clone()], read_since);
    let mut request = get(&identity, "/cached/1", &[]);
    request.extensions_mut().insert(role);
    world.send(request).await
}

/// A tenant of another partition than the one that all of these tests act in.
fn elsewhere() -> Tenant {
    let partitions = MemoryStore::default().partitions();
    let is_of_another = |other: &Tenant| partitions.of(other) != partitions.of(&tenant("acme"));
    let mut others = (0..).map(|number| tenant(&format!("other-{number}")));
    others.find(is_of_another).expect("there are several partitions")
}

/// A change of a shared fact is recorded in one partition after the other. In between, a session still stands that the
/// tenant's positions are already past.
#[tokio::test]
async fn what_was_loaded_for_an_old_role_while_its_change_was_being_recorded_is_not_served_to_the_new_one() {
    let store = Arc::new(MemoryStore::default());
    let world = World::over(store.clone(), routes(), |request| {
        let role = request.extensions.get::<Role>().expect("it was authenticated").0;
        Box::pin(async move { ok(format!("for role {role}")) })
    })
    .await;
    let (roles, fact) = (Arc::new(AtomicU64::new(1)), Tag::shared("user", "u1"));
    let record_in = async |tenant: &Tenant| {
        store.append(store.partitions().of(tenant), vec![fact.id()], Bytes::new()).await.unwrap();
    };
    assert_eq!(ask_as(&world, &roles, &fact).await.body, "for role 1");

    roles.store(2, SeqCst);
    record_in(&tenant("acme")).await;
    // Nothing is acknowledged yet. The first response is overtaken by what its own load hears, the second one is kept.
    for x_cache in ["MISS", "MISS", "HIT"] {
        let between = ask_as(&world, &roles, &fact).await;
        assert_eq!((between.body.as_str(), between.x_cache()), ("for role 1", x_cache));
    }

    record_in(&elsewhere()).await;
    let after = ask_as(&world, &roles, &fact).await;
    assert_eq!((after.body.as_str(), after.x_cache()), ("for role 2", "MISS"));
}

#[tokio::test]
async fn facts_without_a_position_of_the_tenant_are_not_stored_on() {
    let (world, _row) = row().await;
    let me = user("acme", "u1").facts([Tag::shared("user", "u1")], PositionSet::default());
    for _ in 0..2 {
        assert_eq!(world.get(&me, "/cached/1").await.x_cache(), "MISS");
    }
}

#[tokio::test]
async fn what_a_tenant_shares_does_not_depend_on_who_asked_first() {
    let shared = RoutePolicy::cached("shared", minute()).sharing(Sharing::Tenant);
    let routes = RoutePolicies::builder().route("/shared", shared).build().unwrap();
    let world = World::new(routes, |_| Box::pin(async { ok("x") })).await;
    let fact = Tag::shared("user", "u1");
    world.get(&user("acme", "u1").facts([fact.clone()], world.cache.frontiers()), "/shared").await;
    change(&world, fact).await;
    assert_eq!(world.get(&user("acme", "u2"), "/shared").await.x_cache(), "HIT");
}

#[tokio::test]
async fn a_position_is_read_and_handed_on() {
    let world = World::new(routes(), |head| {
        let demanded = head.extensions.get::<AtLeast>().cloned().unwrap_or_default().0.to_string();
        Box::pin(async move { ok(format!("{demanded}|{}", unstale::required())) })
    })
    .await;
    let me = user("acme", "u1");
    let position = change(&world, Tag::of(&tenant("acme"), "row", 1)).await.to_string();
    let got = world.get_with(&me, "/cached/1", &[("unstale-position", &position)]).await;
    assert_eq!(got.body, format!("{position}|{position}"));
    let got = world.get_with(&me, "/uncached/1", &[("unstale-position", &position)]).await;
    assert_eq!(got.body, format!("{position}|"));
    let hit = world.get_with(&me, "/cached/1", &[("unstale-position", &position)]).await;
    assert_eq!(hit.x_cache(), "HIT");
}

#[tokio::test]
async fn a_malformed_position_is_refused() {
    let (world, _row) = row().await;
    for method in ["GET", "POST"] {
        let request = request(method, Some(&user("acme", "u1")), "/cached/1", &[("unstale-position", "x")]);
        let got = world.send(request).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
        assert_eq!(got.header("content-type"), "application/problem+json");
        assert!(got.body.starts_with(r#"{"type":"/problems/bad-position","title":""#), "{}", got.body);
        assert_eq!(got.x_cache(), "BYPASS");
    }
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn a_session_is_known_to_the_service_behind() {
    let world = World::new(routes(), |head| {
        let session = head.extensions.get::<Identity>().and_then(|me| me.session_id().map(str::to_owned));
        Box::pin(async move { ok(session.unwrap_or_default()) })
    })
    .await;
    assert_eq!(world.get(&user("acme", "u1").session("s1"), "/uncached/1").await.body, "s1");
}

#[tokio::test]
async fn a_response_filled_by_one_node_is_served_by_another_with_its_validator() {
    let store = Arc::new(MemoryStore::new(MemoryLimits { entry_bytes_max: 1 << 20, ..MemoryLimits::default() }));
    let node = || {
        World::over(store.clone(), routes(), |_| {
            Box::pin(async {
                record(&Tag::of(&tenant("acme"), "row", 1));
                with(200, &[("content-type", "a/b")], "x")
            })
        })
    };
    let (one, other) = (node().await, node().await);
    let me = user("acme", "u1");
    let filled = one.get(&me, "/cached/1").await;
    let served = other.get(&me, "/cached/1").await;
    assert_eq!((served.x_cache(), other.calls()), ("HIT", 0));
    for name in ["etag", "content-type", "content-length", "cache-groups", "x-cache-misses"] {
        assert_eq!(served.header(name), filled.header(name), "{name}");
    }
    let again = other.get_with(&me, "/cached/1", &[("if-none-match", filled.header("etag"))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    change(&one, Tag::of(&tenant("acme"), "row", 1)).await;
    assert_eq!(other.get(&me, "/cached/1").await.x_cache(), "MISS");
}
