//! What the parts do each by itself, through the whole gateway: requests that meet, backends that fail, groups that
//! answers name, bodies that are too large, protocols that are switched.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{
        Path, State,
        ws::{Message, WebSocketUpgrade},
    },
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::world::{Backend, JWT, World, bearer, soon};

/// How long the backend takes for `/slow/…`.
const SLOW: Duration = Duration::from_millis(400);
/// More than the cache keeps of a body.
const LARGE: usize = 3 << 20;

const ROUTES: &str = "
[[routes]]
path = \"/slow/{name}\"
upstream = \"api\"
sharing = \"tenant\"
cache = { ttl = \"5m\" }

[[routes]]
path = \"/failing\"
upstream = \"api\"
cache = { ttl = \"1s\", fail_safe = \"1h\" }

[[routes]]
path = \"/named/{name}\"
methods = [\"GET\"]
upstream = \"api\"
groups_from = [\"cache-groups\", \"surrogate-key\"]
cache = { ttl = \"5m\" }

[[routes]]
path = \"/change/{name}\"
methods = [\"POST\"]
upstream = \"api\"

[[routes]]
path = \"/large\"
upstream = \"api\"
cache = { ttl = \"5m\" }
";

#[derive(Clone, Default)]
struct Facts {
    calls: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
}

async fn slow(State(facts): State<Facts>, Path(name): Path<String>) -> Response {
    let call = facts.calls.fetch_add(1, Relaxed);
    tokio::time::sleep(SLOW).await;
    let said = match name.as_str() {
        "no-store" | "private" => [("cache-control", name.clone())],
        "cookie" => [("set-cookie", format!("session={call}"))],
        _ => [("x-said", "nothing".to_owned())],
    };
    (said, format!("call {call}")).into_response()
}

async fn failing(State(facts): State<Facts>) -> Response {
    if facts.is_broken.load(Relaxed) {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    } else {
        "good".into_response()
    }
}

async fn named(Path(name): Path<String>) -> Response {
    let header = if name == "a" { ("cache-groups", "\"one\", \"two\"") } else { ("surrogate-key", "two three") };
    ([header], name).into_response()
}

async fn change(Path(name): Path<String>) -> Response {
    ([("cache-group-invalidation", format!("\"{name}\""))], "changed").into_response()
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
    })
}

async fn world() -> (World, Facts) {
    world_with(ROUTES).await
}

async fn world_with(routes: &str) -> (World, Facts) {
    let facts = Facts::default();
    let app = Router::new()
        .route("/slow/{name}", get(slow))
        .route("/failing", get(failing))
        .route("/named/{name}", get(named))
        .route("/change/{name}", post(change))
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/socket", get(socket))
        .with_state(facts.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (World::before(Backend::default(), addr, &format!("{JWT}{routes}")).await, facts)
}

#[tokio::test]
async fn who_asks_for_the_same_at_once_shares_one_load_and_nobody_elses_answer() {
    let (world, facts) = world().await;
    let tokens: Vec<String> = (0..20).map(|user| bearer(&format!("user-{user}"), "acme", &json!({}))).collect();
    let at_once = async |path: &str| {
        facts.calls.store(0, Relaxed);
        let began = Instant::now();
        let asked = tokens.iter().map(async |token| world.get(path, &[("authorization", token)]).await);
        let answers = join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        (answers, facts.calls.load(Relaxed), began.elapsed())
    };
    let (answers, calls, _) = at_once("/slow/shared").await;
    assert_eq!(calls, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body == "call 0"));
    for kept_from_others in ["no-store", "private", "cookie"] {
        let (answers, calls, took) = at_once(&format!("/slow/{kept_from_others}")).await;
        assert_eq!(calls, tokens.len(), "{kept_from_others}");
        let mut bodies: Vec<&str> = answers.iter().map(|answer| answer.body.as_str()).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), tokens.len(), "{kept_from_others}: one's answer was given to another");
        for answer in answers.iter().filter(|_| kept_from_others == "cookie") {
            assert_eq!(answer.header("set-cookie").strip_prefix("session="), answer.body.strip_prefix("call "));
        }
        // One after the other they would take twenty times as long.
        assert!(took < SLOW * 10, "{kept_from_others}: those who waited were served one by one, {took:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_there_stands_in_for_a_backend_that_fails() {
    let (world, facts) = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let ask = async || world.get("/failing", &[("authorization", &ann)]).await;
    assert_eq!((ask().await.cache(), ask().await.cache()), ("MISS", "HIT"));
    facts.is_broken.store(true, Relaxed);
    let stale = soon(async {
        loop {
            let answer = ask().await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "good"), "{answer:?}");
            if answer.cache() == "STALE" {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(stale.header("cache-status").contains("fail-safe"), "{stale:?}");
    // Who has nothing there is told the failure.
    let ben = bearer("ben", "acme", &json!({}));
    assert_eq!(world.get("/failing", &[("authorization", &ben)]).await.status, 500);
}

#[tokio::test]
async fn groups_that_the_backend_names_end_by_what_it_names_after_a_write() {
    let (world, _) = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let asks = async || {
        let ask = async |path| world.get(path, &[("authorization", &ann)]).await;
        let (a, b) = (ask("/named/a").await, ask("/named/b").await);
        assert!(!a.header("cache-groups").contains("one") && b.header("surrogate-key").is_empty(), "{a:?} {b:?}");
        format!("{} {}", a.cache(), b.cache())
    };
    assert_eq!(asks().await, "MISS MISS");
    for (named, expected) in [("one", "MISS HIT"), ("two", "MISS MISS"), ("three", "HIT MISS"), ("four", "HIT HIT")] {
        let changed = world.post(&format!("/change/{named}"), &[("authorization", &ann)]).await;
        assert!(changed.status == 200 && changed.header("cache-group-invalidation").is_empty(), "{changed:?}");
        assert_eq!(asks().await, expected, "{named}");
    }
}

#[tokio::test]
async fn what_is_too_large_to_keep_goes_through() {
    let (world, _) = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    for _ in 0..2 {
        let got = world.get("/large", &[("authorization", &ann)]).await;
        assert_eq!((got.status, got.cache(), got.body.len()), (200, "MISS", LARGE), "{}", got.head);
        assert!(got.header("cache-status").contains("too-large"), "{}", got.head);
    }
}

/// A backend's own limit is lower than the listener's: what is beyond it makes no error there.
#[tokio::test]
async fn a_route_may_take_less_of_a_head_than_the_listener() {
    let limited = ROUTES.replace("path = \"/slow/{name}\"", "path = \"/slow/{name}\"\nrequest_headers_max = \"1KiB\"");
    let (world, facts) = world_with(&limited).await;
    let ann = bearer("ann", "acme", &json!({}));
    let ask = async |path: &str, bytes: usize| {
        let large = "x".repeat(bytes);
        world.get(path, &[("authorization", &ann), ("x-large", &large)]).await
    };
    let refused = ask("/slow/shared", 1024).await;
    assert_eq!((refused.status, refused.header("content-type")), (431, "application/problem+json"), "{refused:?}");
    assert_eq!(facts.calls.load(Relaxed), 0);
    assert_eq!((ask("/slow/shared", 100).await.status, facts.calls.load(Relaxed)), (200, 1));
    // Of a hit as well, and of no other route.
    assert_eq!(ask("/slow/shared", 1024).await.status, 431);
    assert_eq!(ask("/named/a", 1024).await.status, 200);
}

#[tokio::test]
async fn a_websocket_goes_through_cache_and_identity() {
    let (world, _) = world().await;
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(format!("ws://{}/socket", world.addr))).await.unwrap();
    for size in [5, 70_000] {
        let text = "x".repeat(size);
        socket.send(text.clone().into()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_text().unwrap().as_str(), text);
    }
}
