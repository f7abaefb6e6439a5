//! Many at once: who waits, who shares, and who must ask alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::Semaphore;
use unstale_http::{OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Answer, World, full, get, minute, ok, request, routes, user, with};

/// A service whose answers wait for the gate; `respond` gets the number of the call, from 1.
pub(crate) async fn gated(
    routes: RoutePolicies,
    respond: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (Arc<World>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (respond, count) = (Arc::new(respond), Arc::new(AtomicUsize::new(0)));
    let world = World::new(routes, {
        let gate = gate.clone();
        move |_| {
            let (gate, respond, count) = (gate.clone(), respond.clone(), count.clone());
            Box::pin(async move {
                let number = count.fetch_add(1, SeqCst) + 1;
                gate.acquire().await.unwrap().forget();
                respond(number)
            })
        }
    })
    .await;
    (Arc::new(world), gate)
}

/// Opens the gate for `calls` when so many have joined.
pub(crate) async fn open_when_joined(world: &World, gate: &Semaphore, joined: usize, calls: usize) {
    world.joined.clone().wait_for(|count| *count >= joined).await.unwrap();
    gate.add_permits(calls);
}

#[tokio::test]
async fn a_thousand_at_once_ask_the_service_once() {
    let (world, gate) = gated(routes(), |_| ok("x")).await;
    let me = user("acme", "u1");
    let all = join_all((0..1000).map(|_| world.get(&me, "/cached/1")));
    let (all, ()) = tokio::join!(all, open_when_joined(&world, &gate, 999, 1));
    assert_eq!(world.calls(), 1);
    assert!(all.iter().all(|got| got.status == StatusCode::OK && got.body == "x" && got.x_cache() == "MISS"));
    let collapsed = "Unstale; fwd=miss; fwd-status=200; stored; collapsed";
    assert_eq!(all.iter().filter(|got| got.header("cache-status") == collapsed).count(), 999);
}

#[tokio::test]
async fn a_response_of_ones_own_is_never_shared_with_those_who_wait() {
    for header in ["set-cookie: id", "cache-control: no-store", "vary: *", "vary: x-other"] {
        let (name, value) = header.split_once(": ").unwrap();
        let (world, gate) = gated(routes(), move |number| {
            let mut response = Response::new(full(format!("call {number}")));
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            Ok(response)
        })
        .await;
        let me = user("acme", "u1");
        let all = join_all((0..10).map(|_| world.get(&me, "/cached/1")));
        let (all, ()) = tokio::join!(all, open_when_joined(&world, &gate, 9, 10));
        let mut bodies: Vec<String> = all.into_iter().map(|got| got.body).collect();
        bodies.sort();
        bodies.dedup();
        assert_eq!((bodies.len(), world.calls()), (10, 10), "{header}");
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_reaches_all_who_wait() {
    let (world, gate) = gated(routes(), |number| ok(format!("{number:0>2000}"))).await;
    let me = user("acme", "u1");
    let all = join_all((0..5).map(|_| world.get(&me, "/cached/1")));
    let (all, ()) = tokio::join!(all, open_when_joined(&world, &gate, 4, 5));
    assert!(all.iter().all(|got| got.body.len() == 2000));
    assert_eq!(world.calls(), 5);
}

#[tokio::test]
async fn an_error_is_its_own_callers_alone() {
    let (world, gate) = gated(routes(), |number| match number {
        1 => Err("broken"),
        2 => with(500, &[], "no"),
        _ => ok("x"),
    })
    .await;
    let me = user("acme", "u1");
    let all = join_all((0..5).map(|_| world.try_send(get(&me, "/cached/1", &[]))));
    let (all, ()) = tokio::join!(all, open_when_joined(&world, &gate, 4, 5));
    let answers: Vec<&str> = all.iter().map(|got| got.as_ref().map_or_else(|error| *error, |got| &got.body)).collect();
    let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
    assert_eq!((count("broken"), count("no"), count("x")), (1, 1, 3));
}

#[tokio::test]
async fn a_panic_is_a_500_for_its_own_caller_and_others_ask_again() {
    let (world, gate) = gated(routes(), |number| if number == 1 { panic!("on purpose") } else { ok("x") }).await;
    let me = user("acme", "u1");
    let all = join_all((0..5).map(|_| world.get(&me, "/cached/1")));
    let (all, ()) = tokio::join!(all, open_when_joined(&world, &gate, 4, 5));
    assert_eq!(all.iter().filter(|got| got.body == "x").count(), 4);
    let failed: Vec<_> = all.iter().filter(|got| got.status == StatusCode::INTERNAL_SERVER_ERROR).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].header("content-type"), "application/problem+json");
    assert_eq!((failed[0].x_cache(), world.calls()), ("BYPASS", 2));
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_nothing_from_those_who_wait() {
    let (world, gate) = gated(routes(), |_| ok("x")).await;
    let me = user("acme", "u1");
    let first = tokio::spawn({
        let (world, me) = (world.clone(), me.clone());
        async move { world.get(&me, "/cached/1").await }
    });
    world.calls.clone().wait_for(|calls| *calls == 1).await.unwrap();
    let second = tokio::spawn({
        let (world, me) = (world.clone(), me.clone());
        async move { world.get(&me, "/cached/1").await }
    });
    world.joined.clone().wait_for(|joined| *joined == 1).await.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert_eq!(second.await.unwrap().body, "x");
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_a_503_in_the_policys_time() {
    let policy = minute().load_timeout(Duration::from_secs(3));
    let routes = RoutePolicies::builder().route("/slow", RoutePolicy::cached("slow", policy)).build().unwrap();
    let (world, _gate) = gated(routes, |_| ok("x")).await;
    let got = world.get(&user("acme", "u1"), "/slow").await;
    assert_eq!((got.status, got.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn head_and_get_wait_for_one_load() {
    let (world, gate) = gated(routes(), |_| ok("x")).await;
    let me = user("acme", "u1");
    let head = world.send(request("HEAD", Some(&me), "/cached/1", &[]));
    let (head, got, ()) = tokio::join!(head, world.get(&me, "/cached/1"), open_when_joined(&world, &gate, 1, 1));
    assert_eq!((head.body.as_str(), head.header("content-length"), got.body.as_str()), ("", "1", "x"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn an_origins_answer_that_is_nobody_elses_makes_those_who_waited_ask_all_at_once() {
    for header in ["cache-control: no-store", "cache-control: private, max-age=9", "set-cookie: id=1", "x-plain: 1"] {
        let policy = RoutePolicy::origin("page", OriginLifetime::default()).sharing(Sharing::Public);
        let routes = RoutePolicies::builder().route("/page", policy).build().unwrap();
        let (name, value) = header.split_once(": ").unwrap();
        let (world, gate) = gated(routes, move |call| with(200, &[(name, value)], &format!("{call}"))).await;
        let all = join_all((0..10).map(|_| world.send(request("GET", None, "/page", &[]))));
        let opened = async {
            open_when_joined(&world, &gate, 9, 1).await;
            // Every one of them is with the service before any is answered.
            world.calls.clone().wait_for(|calls| *calls == 10).await.unwrap();
            gate.add_permits(9);
        };
        let (all, ()) = tokio::join!(all, opened);
        let mut bodies: Vec<&str> = all.iter().map(|got| got.body.as_str()).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), 10, "{header}: each has an answer of its own");
    }
}
