//! Unsafe requests and what they declare wrong.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tokio::sync::{Semaphore, watch};
use unstale::{
    MemoryStore, Position, PositionSet,
    testing::{DistantStore, Faults},
};
use unstale_http::{GroupHeader, Identity, OriginLifetime, RoutePolicies, RoutePolicy, Sharing, Writes, Written};

use crate::world::{Answer, Got, World, full, minute, ok, request, user, with};

const IMPORT: &str = "/field-mappings/7";
const OTHER: &str = "/field-mappings/8";

fn routes() -> RoutePolicies {
    let mappings = RoutePolicy::cached("mappings", minute())
        .groups(["import:{import_id}"])
        .groups_from([GroupHeader::SurrogateKey])
        .writes(Writes::ByLayer);
    let approve = RoutePolicy::uncached("approve").invalidates(Method::POST, ["import:{import_id}"]);
    let own = RoutePolicy::cached("own", minute());
    RoutePolicies::builder()
        .route("/field-mappings/{import_id}", mappings)
        .route("/field-mappings/{import_id}/bulk-approve", approve)
        .route("/by-application/{id}", own)
        .build()
        .unwrap()
}

/// Answers reads with their URL, and writes as the request's `x-answer` says.
async fn world() -> World {
    World::new(routes(), |head| Box::pin(async move { answer(&head) })).await
}

fn answer(head: &http::request::Parts) -> Answer {
    let said = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    match said("x-answer").as_deref() {
        None => with(200, &[("surrogate-key", "all")], &head.uri.to_string()),
        Some("error") => Err("gone"),
        Some(status) => {
            let names = [
                ("x-groups", "cache-group-invalidation"),
                ("x-location", "location"),
                ("x-content", "content-location"),
            ];
            let said: Vec<_> = names.iter().filter_map(|(from, to)| Some((*to, said(from)?))).collect();
            let headers: Vec<_> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            with(status.parse().unwrap(), &headers, "done")
        }
    }
}

async fn write(world: &World, who: &Identity, method: &str, uri: &str, headers: &[(&str, &str)]) -> Got {
    let headers: Vec<_> = [("x-answer", "200")].into_iter().chain(headers.iter().copied()).collect();
    world.send(request(method, Some(who), uri, &headers)).await
}

async fn is_kept(world: &World, who: &Identity, uri: &str) -> bool {
    match world.get(who, uri).await.x_cache() {
        "HIT" => true,
        "MISS" => false,
        other => panic!("{uri} was {other}"),
    }
}

#[tokio::test]
async fn a_write_ends_its_uri_and_its_groups_before_its_answer_is_given() {
    let (world, me, colleague) = (world().await, user("acme", "u1"), user("acme", "u2"));
    let foreign = user("globex", "u1");
    let all = [(&me, IMPORT), (&me, "/field-mappings/7?page=2"), (&colleague, IMPORT)];
    for (who, uri) in all.into_iter().chain([(&me, OTHER), (&foreign, IMPORT)]) {
        world.get(who, uri).await;
    }
    let got = write(&world, &me, "POST", "/field-mappings/7/bulk-approve", &[]).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "done"));
    assert_eq!(got.header("cache-status"), "Unstale; fwd=method");
    let reached: PositionSet = got.header("unstale-position").parse().unwrap();
    assert_eq!(reached, PositionSet::from(world.cache.frontier(me.tenant())));
    for (who, uri) in all {
        assert!(!is_kept(&world, who, uri).await, "{uri}");
    }
    assert!(is_kept(&world, &me, OTHER).await && is_kept(&world, &foreign, IMPORT).await);

    // By its URI alone: the route declares no group wrong.
    let by_uri = write(&world, &me, "PUT", IMPORT, &[]).await;
    assert!(!by_uri.header("unstale-position").is_empty());
    assert!(!is_kept(&world, &me, IMPORT).await && !is_kept(&world, &colleague, IMPORT).await);
    assert!(is_kept(&world, &me, "/field-mappings/7?page=2").await);
}

#[tokio::test]
async fn only_the_methods_that_a_route_names_declare_its_groups_wrong() {
    let (world, me) = (world().await, user("acme", "u1"));
    for (method, headers, ends) in [
        ("DELETE", &[][..], false),
        ("OPTIONS", &[], false),
        ("POST", &[], true),
        // A server that heeds it does something else, and nobody knows what.
        ("DELETE", &[("x-http-method-override", "POST")], true),
        ("GET", &[("x-http-method-override", "POST")], true),
    ] {
        world.get(&me, IMPORT).await;
        write(&world, &me, method, "/field-mappings/7/bulk-approve", headers).await;
        assert_eq!(is_kept(&world, &me, IMPORT).await, !ends, "{method} {headers:?}");
    }
}

#[tokio::test]
async fn what_was_refused_declares_nothing_wrong_and_what_may_be_done_does() {
    let (world, me) = (world().await, user("acme", "u1"));
    for (said, ends) in [
        ("200", true),
        ("204", true),
        ("303", true),
        ("400", false),
        ("404", false),
        ("409", false),
        ("500", false),
        ("503", false),
        ("502", true),
        ("504", true),
        ("error", true),
    ] {
        world.get(&me, IMPORT).await;
        let got =
            world.try_send(request("POST", Some(&me), "/field-mappings/7/bulk-approve", &[("x-answer", said)])).await;
        assert_eq!(got.is_err(), said == "error");
        assert_eq!(is_kept(&world, &me, IMPORT).await, !ends, "{said}");
    }
}

#[tokio::test]
async fn an_answer_names_further_groups() {
    let (world, me) = (world().await, user("acme", "u1"));
    world.get(&me, OTHER).await;
    let got = write(&world, &me, "POST", IMPORT, &[("x-groups", r#""all""#)]).await;
    assert!(!got.headers.contains_key("cache-group-invalidation"), "it is for the cache");
    assert!(!is_kept(&world, &me, OTHER).await);
    // RFC 9875: a safe method's answer names none.
    for method in ["GET", "OPTIONS"] {
        write(&world, &me, method, "/field-mappings/9", &[("x-groups", r#""all""#)]).await;
        assert!(is_kept(&world, &me, OTHER).await, "{method}");
    }
    // Nor does what was refused, or a text that is no list.
    write(&world, &me, "POST", IMPORT, &[("x-groups", "all")]).await;
    let refused = [("x-answer", "403"), ("x-groups", r#""all""#)];
    world.send(request("POST", Some(&me), IMPORT, &refused)).await;
    assert!(is_kept(&world, &me, OTHER).await);
}

#[tokio::test]
async fn a_write_ends_the_uris_that_its_answer_names_of_the_same_origin() {
    let (world, me) = (world().await, user("acme", "u1"));
    for (header, url, ends) in [
        ("x-location", "/field-mappings/8?x=1", false),
        ("x-location", "/field-mappings/8", true),
        ("x-content", "8", true),
        ("x-content", "http://A.example/field-mappings/%38", true),
        ("x-location", "http://b.example/field-mappings/8", false),
    ] {
        world.get(&me, OTHER).await;
        write(&world, &me, "POST", IMPORT, &[("host", "a.example"), (header, url)]).await;
        assert_eq!(is_kept(&world, &me, OTHER).await, !ends, "{header}: {url}");
    }
}

#[tokio::test]
async fn an_application_that_invalidates_by_itself_does_not_pay_twice() {
    let (world, me) = (world().await, user("acme", "u1"));
    world.get(&me, "/by-application/1").await;
    let before = world.cache.frontiers();
    let got = write(&world, &me, "POST", "/by-application/1", &[]).await;
    assert_eq!((got.header("unstale-position"), got.header("cache-status")), ("", "Unstale; fwd=method"));
    assert_eq!(world.cache.frontiers(), before);
    assert!(is_kept(&world, &me, "/by-application/1").await);
}

#[tokio::test]
async fn a_position_of_the_application_is_kept() {
    let routes = RoutePolicies::builder().route("/a", RoutePolicy::cached("a", minute()).writes(Writes::ByLayer));
    let world = World::new(routes.build().unwrap(), |head| {
        Box::pin(async move {
            if head.headers.contains_key("x-header") {
                return with(200, &[("unstale-position", "1.2.3")], "");
            }
            let mut response = ok("")?;
            response.extensions_mut().insert(Written("0.7.1".parse().unwrap()));
            Ok(response)
        })
    })
    .await;
    let me = user("acme", "u1");
    assert_eq!(write(&world, &me, "POST", "/a", &[("x-header", "1")]).await.header("unstale-position"), "1.2.3");
    let both: PositionSet = write(&world, &me, "POST", "/a", &[]).await.header("unstale-position").parse().unwrap();
    let mine: Position = world.cache.frontier(me.tenant());
    assert!(both.in_partition(mine.partition).is_some() && both.iter().count() <= 2);
    assert!(both.iter().any(|position| position.sequence.as_u64() == 1), "the application's: {both}");
}

#[tokio::test]
async fn a_url_that_is_read_in_more_than_one_way_declares_wrong_what_it_may_mean() {
    let (world, me) = (world().await, user("acme", "u1"));
    for uri in [
        "/field-mappings/%37",
        "//field-mappings//7",
        "/x/../field-mappings/7",
        "/x/%2e%2e/field-mappings/7",
        "/field-m%61ppings/7",
        "/field-mappings%2f7",
        "/field-mappings/7;v=1",
        "/field-mappings/7/%62ulk-approve",
    ] {
        world.get(&me, IMPORT).await;
        write(&world, &me, "POST", uri, &[]).await;
        assert!(!is_kept(&world, &me, IMPORT).await, "{uri}");
    }
    for (header, url) in [("x-original-url", IMPORT), ("x-rewrite-url", "http://h/field-mappings/7/bulk-approve?x")] {
        world.get(&me, IMPORT).await;
        write(&world, &me, "POST", "/elsewhere", &[(header, url)]).await;
        assert!(!is_kept(&world, &me, IMPORT).await, "{url}");
    }
    assert!(is_kept(&world, &me, IMPORT).await);
}

#[tokio::test]
async fn the_host_and_the_order_of_parameters_save_nothing_from_a_write() {
    let (world, me) = (world().await, user("acme", "u1"));
    let read = async || world.get_with(&me, "/field-mappings/7?a=1&b=2", &[("host", "a.example")]).await;
    read().await;
    let write = [("x-answer", "200"), ("host", "A.example.:80")];
    world.send(request("POST", Some(&me), "/field-mappings/7?b=2&a=1", &write)).await;
    assert_eq!(read().await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_write_is_seen_through_although_its_client_goes_away() {
    let (began, mut begun) = watch::channel(0);
    let gate = Arc::new(Semaphore::new(0));
    let began = Arc::new(began);
    let world = World::new(routes(), {
        let gate = gate.clone();
        move |head| {
            let (gate, began) = (gate.clone(), began.clone());
            Box::pin(async move {
                if head.method == Method::POST {
                    began.send_modify(|count| *count += 1);
                    gate.acquire().await.unwrap().forget();
                }
                answer(&head)
            })
        }
    })
    .await;
    let me = user("acme", "u1");
    world.get(&me, IMPORT).await;
    {
        let mut writing = std::pin::pin!(write(&world, &me, "POST", "/field-mappings/7/bulk-approve", &[]));
        tokio::select! {
            _ = &mut writing => panic!("the gate is closed"),
            begun = begun.wait_for(|count| *count == 1) => { begun.unwrap(); }
        }
    }
    gate.add_permits(1);
    for _ in 0..10_000 {
        if !is_kept(&world, &me, IMPORT).await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("what was written is served as it was");
}

#[tokio::test]
async fn a_write_that_panics_may_have_been_done() {
    let world = World::new(routes(), |head| {
        Box::pin(
            async move { if head.method == Method::POST { panic!("as the test wants it") } else { answer(&head) } },
        )
    })
    .await;
    let world = Arc::new(world);
    let me = user("acme", "u1");
    world.get(&me, IMPORT).await;
    let (other, who) = (world.clone(), me.clone());
    let ended = tokio::spawn(async move { write(&other, &who, "POST", IMPORT, &[]).await }).await;
    assert!(ended.unwrap_err().is_panic(), "it reaches the one who asked");
    assert!(!is_kept(&world, &me, IMPORT).await);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_store_does_not_take_is_answered_and_says_so() {
    let store = Arc::new(DistantStore::new(Arc::new(MemoryStore::default()), 1));
    let world = World::over(store.clone(), routes(), |head| Box::pin(async move { answer(&head) })).await;
    let me = user("acme", "u1");
    world.get(&me, IMPORT).await;
    store.set_faults(Faults { lost_requests_percent: 100, lost_answers_percent: 0 });
    let got = write(&world, &me, "POST", "/field-mappings/7/bulk-approve", &[]).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "done"));
    assert_eq!(got.header("cache-status"), "Unstale; fwd=method; detail=invalidation-pending");
    assert_eq!(got.header("unstale-position"), "", "nobody can show what the log does not hold");
    assert_ne!(world.get(&me, IMPORT).await.x_cache(), "HIT", "this node knows");
    store.set_faults(Faults::default());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!world.cache.frontier(me.tenant()).sequence.as_u64().eq(&0), "the log took it");
}

#[tokio::test]
async fn public_responses_end_by_writes_of_their_route_and_by_groups_of_any() {
    let public = RoutePolicy::cached("product", minute()).sharing(Sharing::Public).writes(Writes::ByLayer);
    let routes = RoutePolicies::builder()
        .route("/products/{id}", public.groups(["product:{id}"]))
        .route("/admin/products/{id}", RoutePolicy::uncached("admin").invalidates_always(["product:{id}"]))
        .route("/origin/{id}", RoutePolicy::origin("origin", OriginLifetime::default()))
        .build()
        .unwrap();
    let world = World::new(routes, |head| Box::pin(async move { Ok(http::Response::new(full(head.uri.to_string()))) }));
    let (world, me) = (world.await, user("acme", "u1"));
    let read = || world.send(request("GET", None, "/products/7", &[]));
    for (who, method, uri) in [
        (Some(&me), "PUT", "/products/7"),
        (None, "PUT", "/products/7"),
        (Some(&me), "POST", "/admin/products/7"),
        (None, "POST", "/admin/products/7"),
    ] {
        read().await;
        assert_eq!(read().await.x_cache(), "HIT");
        let got = world.send(request(method, who, uri, &[])).await;
        assert!(!got.header("unstale-position").is_empty());
        assert_eq!(read().await.x_cache(), "MISS", "{method} {uri} by {who:?}");
    }
    world.send(request("POST", Some(&me), "/admin/products/8", &[])).await;
    assert_eq!(read().await.x_cache(), "HIT");
}
