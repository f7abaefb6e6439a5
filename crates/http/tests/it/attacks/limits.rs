//! Attacks that would wear the cache down: errors kept for all, too many variants, groups and entries, floods, bombs.

use std::sync::Arc;

use http::StatusCode;
use unstale::{CacheLimits, L1Limits, MemoryStore};
use unstale_http::{GroupHeader, HttpLimits, Lifetime, OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use super::{Party, ROUTES, routes};
use crate::world::{World, minute, request, user, with};

/// The answer to a request that only the attacker makes so is not kept for those who ask plainly (cache-poisoned denial
/// of service), although the service calls it cacheable.
#[tokio::test]
async fn an_error_that_the_attackers_head_has_caused_is_kept_for_nobody_else() {
    let large = "x".repeat(6000);
    let causes: [(&str, &str, u16); 9] = [
        ("x-oversize", &large, 431),
        ("x-oversize", &large, 400),
        ("x-meta", "a\tb", 400),
        ("x-http-method-override", "POST", 405),
        ("x-forwarded-proto", "http", 400),
        ("x-forwarded-host", "closed.test", 404),
        ("transfer-encoding", "gzip", 501),
        ("expect", "nothing", 417),
        ("range", "bytes=9-1", 416),
    ];
    for lifetime in [Lifetime::Route(minute()), Lifetime::Origin(OriginLifetime::default())] {
        for (_, sharing) in ROUTES {
            for (name, value, status) in causes {
                // What comes of a header that the service merely dislikes is kept where the service says so: it can
                // then be told by `Vary` alone.
                if name == "x-meta" && sharing != Sharing::PerPrincipal && matches!(lifetime, Lifetime::Origin(_)) {
                    continue;
                }
                let world = World::new(routes(sharing, lifetime), move |head| {
                    let fails = head.headers.contains_key(name);
                    let fresh = [("cache-control", "public, max-age=60")];
                    Box::pin(async move { if fails { with(status, &fresh, "no") } else { with(200, &fresh, "yes") } })
                })
                .await;
                let (evil, victim) = (Party::Evil.identity().unwrap(), Party::Victim.identity().unwrap());
                world.get_with(&evil, "/x/1", &[(name, value)]).await;
                let got = world.get(&victim, "/x/1").await;
                assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "yes"), "{name} {sharing:?} {lifetime:?}");
            }
        }
    }
}

/// With lifetimes of the route, only a 200 is kept, whatever the service says.
#[tokio::test]
async fn no_error_is_kept_where_the_route_gives_the_lifetime() {
    for status in [301, 302, 400, 403, 404, 405, 410, 413, 414, 429, 431, 500, 501, 502, 503, 504] {
        let world = World::new(routes(Sharing::Tenant, Lifetime::Route(minute())), move |_| {
            Box::pin(async move { with(status, &[("cache-control", "max-age=60")], "no") })
        })
        .await;
        world.get(&Party::Evil.identity().unwrap(), "/x/1").await;
        world.get(&Party::Victim.identity().unwrap(), "/x/1").await;
        assert_eq!((world.calls(), world.cache.size().entries), (2, 0), "{status}");
    }
}

fn small(bytes_max: u64) -> CacheLimits {
    CacheLimits { l1: L1Limits { bytes_max, ..L1Limits::default() }, ..CacheLimits::default() }
}

/// One tenant asks for very many URLs; another tenant's answers stay.
#[tokio::test]
async fn a_tenant_that_floods_the_cache_takes_its_own_share_alone() {
    let routes = routes(Sharing::PerPrincipal, Lifetime::Route(minute()));
    let world = World::within(small(64 << 10), Arc::new(MemoryStore::default()), routes, |_| {
        Box::pin(async { with(200, &[], &"x".repeat(900)) })
    })
    .await;
    let victim = user("globex", "victim");
    for number in 0..10 {
        world.get(&victim, &format!("/x/{number}")).await;
    }
    let (evil, before) = (user("acme", "evil"), world.cache.size().bytes);
    for number in 0..1000 {
        world.get(&evil, &format!("/x/1?evil={number}")).await;
    }
    assert!(world.cache.size().bytes <= 64 << 10 && world.cache.size().bytes > before);
    for number in 0..10 {
        assert_eq!(world.get(&victim, &format!("/x/{number}")).await.x_cache(), "HIT", "{number}");
    }
}

/// The variants of one URL count against the same memory as everything else.
#[tokio::test]
async fn variants_without_end_take_no_memory_without_end() {
    let routes = routes(Sharing::Public, Lifetime::Origin(OriginLifetime::default()));
    let store = Arc::new(MemoryStore::default());
    let world = World::within(small(64 << 10), store, routes, |_| {
        Box::pin(async { with(200, &[("cache-control", "max-age=60"), ("vary", "x-theme")], &"x".repeat(500)) })
    })
    .await;
    let evil = Party::Evil.identity().unwrap();
    for number in 0..1000 {
        world.get_with(&evil, "/x/1", &[("x-theme", &number.to_string())]).await;
    }
    let size = world.cache.size();
    assert!(size.bytes <= 64 << 10 && size.entries < 1000, "{size:?}");
}

/// Variants of one URL have a limit of their own, although there is memory for all; and those who use one keep it, however
/// many somebody else makes up.
#[tokio::test]
async fn no_url_has_variants_without_end_and_the_one_in_use_stays() {
    let max = HttpLimits::default().variants_max;
    for lifetime in [Lifetime::Route(minute()), Lifetime::Origin(OriginLifetime::default())] {
        for sharing in [Sharing::PerPrincipal, Sharing::Tenant, Sharing::Public] {
            // By a header that the service varies by, and by one that routes count; by cookies where they reach it.
            for (header, by_cookie) in [("accept", false), ("x-theme", false), ("cookie", true)] {
                let is_route = matches!(lifetime, Lifetime::Route(_));
                if (is_route && header != "accept") || (by_cookie && sharing == Sharing::Public) {
                    continue;
                }
                let routes = RoutePolicies::builder()
                    .vary_on(["accept"])
                    .route("/x/*", RoutePolicy { lifetime, ..RoutePolicy::uncached("x") }.sharing(sharing))
                    .build()
                    .unwrap();
                let world = World::new(routes, move |head| {
                    let value = head.headers.get(header).map_or("", |value| value.to_str().unwrap()).to_owned();
                    let headers = [("cache-control", "max-age=60"), ("vary", header)];
                    Box::pin(async move { with(200, &headers[..if is_route { 1 } else { 2 }], &value) })
                })
                .await;
                let evil = Party::Evil.identity().unwrap();
                let told = format!("{header} {sharing:?} {lifetime:?}");
                // The first one is the URL's own; the victim's is a variant.
                world.get_with(&evil, "/x/1", &[(header, "first")]).await;
                world.get_with(&evil, "/x/1", &[(header, "in use")]).await;
                let other = world.get_with(&evil, "/x/2", &[(header, "another URL")]).await;
                assert_eq!(other.x_cache(), "MISS", "{told}");
                for number in 0..2 * max {
                    world.get_with(&evil, "/x/1", &[(header, &number.to_string())]).await;
                    let used = world.get_with(&evil, "/x/1", &[(header, "in use")]).await;
                    assert_eq!((used.x_cache(), used.body.as_str()), ("HIT", "in use"), "{number} {told}");
                }
                assert!(world.cache.size().entries <= max + 2, "{:?} {told}", world.cache.size());
                let other = world.get_with(&evil, "/x/2", &[(header, "another URL")]).await;
                assert_eq!(other.x_cache(), "HIT", "{told}");
            }
        }
    }
}

/// A service (or somebody who makes it echo) names very many groups, or very long ones.
#[tokio::test]
async fn groups_without_end_are_refused() {
    let many = (0..500).map(|number| format!("\"group-{number}\"")).collect::<Vec<_>>().join(", ");
    let long = format!("\"{}\"", "g".repeat(5000));
    for (groups, reason) in [(many, "too-many-groups"), (long, "group-too-long"), ("evil,".into(), "bad-groups")] {
        let groups: &'static str = String::leak(groups);
        let policy = RoutePolicy::cached("x", minute()).groups_from([GroupHeader::CacheGroups]);
        let routes = RoutePolicies::builder().route("/x/*", policy).build().unwrap();
        let world =
            World::new(routes, move |_| Box::pin(async move { with(200, &[("cache-groups", groups)], "x") })).await;
        let got = world.get(&Party::Evil.identity().unwrap(), "/x/1").await;
        assert!(got.header("cache-status").ends_with(reason), "{got:?}");
        assert!(got.header("cache-groups").len() < 4000);
        assert_eq!(world.cache.size().entries, 0);
    }
}

/// Nothing here unpacks what a service has packed: its bytes are kept and given as they are, and the limits count them.
#[tokio::test]
async fn what_is_packed_stays_packed() {
    // 29 bytes that a decoder of gzip would make 10 MB of, if it were let (its end does not matter here).
    let bomb = "\u{1f}packed beyond measure\u{2}";
    for encoding in ["gzip", "br", "zstd", "deflate, gzip"] {
        let world = World::new(routes(Sharing::Public, Lifetime::Route(minute())), move |_| {
            Box::pin(async move { with(200, &[("content-encoding", encoding)], bomb) })
        })
        .await;
        for round in ["MISS", "HIT"] {
            let got = world.send(request("GET", None, "/x/1", &[("accept-encoding", "identity")])).await;
            assert_eq!((got.body.as_str(), got.header("content-encoding"), got.x_cache()), (bomb, encoding, round));
        }
    }
}

/// A position that nobody has reached is waited for no longer than the engine's limit, and harms nobody else.
#[tokio::test(start_paused = true)]
async fn a_position_that_was_never_given_out_holds_up_its_sender_alone() {
    let world =
        World::new(routes(Sharing::Tenant, Lifetime::Route(minute())), |_| Box::pin(async { with(200, &[], "x") }))
            .await;
    let (evil, victim) = (Party::Evil.identity().unwrap(), Party::Victim.identity().unwrap());
    assert_eq!(world.get(&victim, "/x/1").await.x_cache(), "MISS");
    for forged in ["", "x", "1.2", "1.2.3.4.5", "-1.0.0", "99999999999999999999999.1.1", "\u{e9}", "1.2.3, 1.2.3"] {
        let got = world.get_with(&evil, "/x/1", &[("unstale-position", forged)]).await;
        assert!(got.status == StatusCode::BAD_REQUEST || got.status == StatusCode::OK, "{forged}: {got:?}");
    }
    assert_eq!(world.get(&victim, "/x/1").await.x_cache(), "HIT");
}
