//! What goes past the cache goes past it unchanged.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::Semaphore;

use crate::world::{World, ok, request, routes, user, with};

#[tokio::test]
async fn writes_and_odd_reads_reach_the_service_each_time() {
    let world = World::new(routes(), |head| Box::pin(async move { ok(head.method.to_string()) })).await;
    let me = user("acme", "u1");
    world.get(&me, "/cached/1").await;
    for (method, headers, status) in [
        ("POST", &[][..], "Unstale; fwd=method"),
        ("DELETE", &[], "Unstale; fwd=method"),
        ("GET", &[("cache-control", "no-store")], "Unstale; fwd=bypass; detail=no-store"),
        ("GET", &[("content-length", "2")], "Unstale; fwd=bypass; detail=request-body"),
        ("GET", &[("upgrade", "websocket")], "Unstale; fwd=bypass; detail=upgrade"),
        ("GET", &[("x-http-method-override", "DELETE")], "Unstale; fwd=bypass; detail=override-header"),
    ] {
        let got = world.send(request(method, Some(&me), "/cached/1", headers)).await;
        assert_eq!((got.body.as_str(), got.x_cache(), got.header("cache-status")), (method, "BYPASS", status));
    }
    assert_eq!(world.calls(), 7);
    let revalidated = world.get_with(&me, "/cached/1", &[("cache-control", "max-age=0, no-cache")]).await;
    assert_eq!(revalidated.x_cache(), "HIT");
}

#[tokio::test]
async fn what_the_service_says_for_itself_stays() {
    let headers =
        &[("cache-control", "public, max-age=9"), ("vary", "origin"), ("etag", "\"own\""), ("cache-status", "O; hit")];
    let world = World::new(routes(), move |_| Box::pin(async move { with(200, headers, "x") })).await;
    let got = world.get(&user("acme", "u1"), "/uncached/1").await;
    assert_eq!((got.header("cache-control"), got.header("etag")), ("public, max-age=9", "\"own\""));
    let all = |name| got.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("vary"), ["origin", "accept, cookie, authorization"]);
    assert_eq!(all("cache-status"), ["O; hit", "Unstale; fwd=bypass; detail=route"]);
    let got = world.get_with(&user("acme", "u1"), "/uncached/1", &[("if-none-match", "\"own\"")]).await;
    assert_eq!(got.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_stream_that_is_passed_on_is_not_held_up() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(routes(), {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            let frames = stream::unfold(0, move |number| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    (number < 2).then(|| (Ok(Frame::data(Bytes::from_static(b"tick"))), number + 1))
                }
            });
            Box::pin(async move { Ok(Response::new(StreamBody::new(frames).boxed_unsync())) })
        }
    })
    .await;
    // The head arrives although no frame does; then the frames, as the gate opens.
    let me = user("acme", "u1");
    let reading = world.get(&me, "/uncached/1");
    let (got, ()) = tokio::join!(reading, async { gate.add_permits(3) });
    assert_eq!((got.body.as_str(), got.header("etag")), ("ticktick", ""));
}

#[tokio::test]
async fn an_error_of_the_service_stays_its_error() {
    let world = World::new(routes(), |_| Box::pin(async { Err("broken") })).await;
    for uri in ["/cached/1", "/uncached/1"] {
        assert_eq!(world.try_send(request("GET", Some(&user("acme", "u1")), uri, &[])).await.unwrap_err(), "broken");
    }
}
