//! Live events over real web sockets, from a real cache.

mod stream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State, WebSocketUpgrade},
    http::HeaderMap,
    response::Response,
    routing::get,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, handshake::client::Request},
};
use unstale::{
    Cache, GroupKey, Invalidation, Loaded, MemoryStore, Policy, Position, PositionSet, ReadOptions, Tag, Tenant,
    catalogue, record, store::Store as _,
};
use unstale_server::{
    live::{Credential, LiveHub, LiveIdentity, LiveLimits, LiveRequest, note},
    telemetry::LiveMetrics,
};

/// Records that fill what the network holds for a client that does not read, and the queue after it.
const RECORDS: u64 = 3000;
/// End-to-end: how long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

catalogue! {
    /// Of these tests.
    const _PATTERNS;
    /// A flow.
    fn flow_key(id) -> Flow = "flow";
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Flow(u64);
unstale::cacheable!(Flow, "Flow v1");

struct World {
    addr: SocketAddr,
    hub: LiveHub,
    cache: Cache,
}

#[derive(serde::Deserialize)]
struct Asked {
    user: String,
    tenant: String,
    cookie: Option<bool>,
    since: Option<String>,
    lasts_ms: Option<u64>,
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

/// The session is named as its user.
fn who(user: &str, of: &str) -> LiveIdentity {
    LiveIdentity { tenant: tenant(of), user: user.into(), session: format!("session of {user}").into() }
}

async fn events(
    State(hub): State<LiveHub>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let credential = if asked.cookie == Some(true) { Credential::Cookie } else { Credential::Bearer };
    let since = asked.since.as_deref();
    let read_since = PositionSet::default();
    let lasts = asked.lasts_ms.map(Duration::from_millis);
    let request = LiveRequest { headers: &headers, credential, facts: &[], read_since: &read_since, lasts, since };
    hub.upgrade(upgrade, who(&asked.user, &asked.tenant), request)
}

async fn stream(State(hub): State<LiveHub>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let credential = if asked.cookie == Some(true) { Credential::Cookie } else { Credential::Bearer };
    let since = asked.since.as_deref();
    let read_since = PositionSet::default();
    let lasts = asked.lasts_ms.map(Duration::from_millis);
    let request = LiveRequest { headers: &headers, credential, facts: &[], read_since: &read_since, lasts, since };
    hub.stream(who(&asked.user, &asked.tenant), request)
}

impl World {
    async fn new(limits: LiveLimits) -> Self {
        let store = Arc::new(MemoryStore::default());
        let hub = LiveHub::new(GroupKey::derive(b"secret"), store.partitions(), limits, LiveMetrics::default());
        let cache = Cache::builder(store).observer(hub.observer()).build().await.unwrap();
        tokio::spawn(hub.run(&cache));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().route("/events", get(events)).route("/stream", get(stream)).with_state(hub.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, hub, cache }
    }

    fn request(&self, user: &str, of: &str, more: &str) -> Request {
        format!("ws://{}/events?user={user}&tenant={of}{more}", self.addr).into_client_request().unwrap()
    }

    async fn connect(&self, user: &str, of: &str) -> Client {
        self.connect_since(user, of, "").await.0
    }

    /// Connects and returns the position of the hello.
    async fn connect_since(&self, user: &str, of: &str, more: &str) -> (Client, String) {
        let (socket, _) = connect_async(self.request(user, of, more)).await.unwrap();
        let mut client = Client(socket);
        let hello = client.next().await;
        assert_eq!(hello["type"], "hello");
        (client, hello["position"].as_str().unwrap().to_owned())
    }

    fn serve(&self, user: &str, of: &str, tags: &[&Tag]) {
        let tags: Vec<_> = tags.iter().map(|tag| tag.id()).collect();
        self.hub.served(&who(user, of), &tags, self.cache.frontier(&tenant(of)));
    }

    async fn invalidate(&self, tag: &Tag, id: u64) -> PositionSet {
        let data = json!({ "entity": "flow", "flow_id": id, "action": "updated" });
        let invalidation = Invalidation::of([tag.clone()]).note(note(None, data.as_object().unwrap().clone()));
        self.cache.invalidate(&invalidation).await.unwrap()
    }

    async fn until_sockets(&self, count: usize) {
        let reached = async {
            while self.hub.sockets() != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the sockets are not as many as expected");
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn next(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came").unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The flow of the next event.
    async fn next_flow(&mut self) -> Value {
        let event = self.next().await;
        assert_eq!(event["type"], "cache_invalidation", "{event}");
        event["data"]["flow_id"].clone()
    }

    async fn close_code(mut self) -> u16 {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came") {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn refusal(request: Request) -> (u16, Value) {
    match connect_async(request).await {
        Err(Error::Http(response)) => {
            let body = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
            (response.status().as_u16(), body)
        }
        other => panic!("{other:?}"),
    }
}

fn sequence(event: &Value) -> u64 {
    let set: PositionSet = event["position"].as_str().unwrap().parse().unwrap();
    let position: Position = *set.iter().next().unwrap();
    position.sequence.as_u64()
}

#[tokio::test]
async fn only_those_concerned_hear_and_another_tenant_with_the_same_ids_does_not() {
    let world = World::new(LiveLimits::default()).await;
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let (of_acme, of_globex) = (Tag::of(&acme, "flow", 7), Tag::of(&globex, "flow", 7));
    let (last_of_acme, last_of_globex) = (Tag::of(&acme, "flows", ""), Tag::of(&globex, "flows", ""));
    world.serve("ada", "acme", &[&of_acme, &last_of_acme]);
    world.serve("bob", "acme", &[&last_of_acme]);
    world.serve("gus", "globex", &[&of_globex, &last_of_globex]);
    let mut ada = world.connect("ada", "acme").await;
    let mut bob = world.connect("bob", "acme").await;
    let mut gus = world.connect("gus", "globex").await;

    world.invalidate(&of_acme, 7).await;
    let event = ada.next().await;
    let expected = json!({ "entity": "flow", "flow_id": 7, "action": "updated" });
    assert_eq!(event["data"], expected);
    assert_eq!(event["groups"], json!([GroupKey::derive(b"secret").group(&acme, of_acme.id())]));

    // What the others hear first is what concerns them: they were not told of flow 7.
    world.invalidate(&last_of_acme, 1).await;
    world.invalidate(&last_of_globex, 2).await;
    assert_eq!((bob.next_flow().await, gus.next_flow().await), (json!(1), json!(2)));
}

#[tokio::test]
async fn a_shared_fact_is_told_once_in_each_tenant_with_other_groups() {
    let world = World::new(LiveLimits::default()).await;
    let user = Tag::shared("user", 1);
    world.serve("ada", "acme", &[&user]);
    world.serve("gus", "globex", &[&user]);
    let (mut ada, mut gus) = (world.connect("ada", "acme").await, world.connect("gus", "globex").await);
    let data = json!({ "entity": "user_access", "client": "acme" }).as_object().unwrap().clone();
    let invalidation = Invalidation::of([user.clone()]).note(note(Some(&tenant("acme")), data));
    world.cache.invalidate(&invalidation).await.unwrap();
    world.invalidate(&user, 2).await;
    let (to_ada, to_gus) = (ada.next().await, gus.next().await);
    assert_eq!(to_ada["data"], json!({ "entity": "user_access", "client": "acme" }));
    assert_eq!(to_gus["data"], json!({}), "a note for acme went to globex");
    assert_ne!(to_ada["groups"], to_gus["groups"]);
    assert_eq!((ada.next_flow().await, gus.next_flow().await), (json!(2), json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_the_order_of_their_positions() {
    let world = Arc::new(World::new(LiveLimits { queue_max: 1024, ..LiveLimits::default() }).await);
    let acme = tenant("acme");
    let tags: Vec<Tag> = (0..4).map(|id| Tag::of(&acme, "flow", id)).collect();
    world.serve("ada", "acme", &tags.iter().collect::<Vec<_>>());
    let mut ada = world.connect("ada", "acme").await;
    let writers = tags.into_iter().map(|tag| {
        let world = world.clone();
        tokio::spawn(async move {
            for id in 0..100 {
                world.invalidate(&tag, id).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut last = 0;
    for _ in 0..400 {
        let now = sequence(&ada.next().await);
        assert_eq!(now, last + 1);
        last = now;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn logout_and_changed_rights_close_with_4401() {
    let world = World::new(LiveLimits::default()).await;
    let (ada, bob) = (world.connect("ada", "acme").await, world.connect("bob", "acme").await);
    let mut eve = world.connect("eve", "acme").await;
    let tag = Tag::of(&tenant("acme"), "flow", 1);
    world.serve("eve", "acme", &[&tag]);
    world.hub.close_session("session of ada");
    assert_eq!(ada.close_code().await, 4401);
    world.hub.close_user("bob");
    assert_eq!(bob.close_code().await, 4401);
    // The session is over; the user whose rights changed comes back, and has to fetch anew.
    let (status, problem) = refusal(world.request("ada", "acme", "")).await;
    assert_eq!((status, &problem["type"]), (401, &json!("/problems/unauthorized")));
    let mut bob = world.connect("bob", "acme").await;
    world.serve("bob", "acme", &[&tag]);
    world.invalidate(&tag, 1).await;
    assert_eq!(eve.next_flow().await, json!(1));
    while bob.next().await["type"] != "cache_invalidation" {}
    world.until_sockets(2).await;
}

#[tokio::test]
async fn a_stopping_server_says_goodbye() {
    let world = World::new(LiveLimits::default()).await;
    let ada = world.connect("ada", "acme").await;
    world.hub.close_all();
    assert_eq!(ada.close_code().await, 1001);
    assert_eq!(refusal(world.request("ada", "acme", "")).await.0, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_socket_is_told_to_resynchronise_and_disturbs_nobody() {
    let world = World::new(LiveLimits::default()).await;
    let tag = Tag::of(&tenant("acme"), "flow", 1);
    world.serve("slow", "acme", &[&tag]);
    world.serve("quick", "acme", &[&tag]);
    // A client with a small window that reads nothing for now.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.addr).await.unwrap();
    let (slow, _) = client_async(world.request("slow", "acme", ""), MaybeTlsStream::Plain(stream)).await.unwrap();
    let mut slow = Client(slow);
    let mut quick = world.connect("quick", "acme").await;

    // Enough to fill what the network holds and the queue after it.
    let padding = "x".repeat(3900);
    let mut data = serde_json::Map::new();
    data.insert("padding".into(), padding.into());
    for number in 1..=RECORDS {
        let invalidation = Invalidation::of([tag.clone()]).note(note(None, data.clone()));
        world.cache.invalidate(&invalidation).await.unwrap();
        // The quick one hears each of them, in order.
        assert_eq!(sequence(&quick.next().await), number);
    }
    let mut told = Vec::new();
    assert_eq!(slow.next().await["type"], "hello");
    loop {
        let message = slow.next().await;
        let is_last = sequence(&message) == RECORDS && message["type"] == "cache_invalidation";
        told.push((message["type"].as_str().unwrap().to_owned(), sequence(&message), message["reason"].clone()));
        if is_last || told.last().is_some_and(|(kind, ..)| kind == "resync") {
            break;
        }
    }
    let (kind, _, reason) = told.last().unwrap();
    assert_eq!((kind.as_str(), reason), ("resync", &json!("slow")), "{} messages", told.len());
    assert!((told.len() as u64) < RECORDS);
    // It is served again from then on.
    world.invalidate(&tag, 42).await;
    while slow.next().await["data"]["flow_id"] != 42 {}
    assert_eq!(quick.next_flow().await, json!(42));
}

#[tokio::test]
async fn a_change_while_its_value_was_loaded_is_told_when_the_response_is_registered() {
    let world = World::new(LiveLimits::default()).await;
    let acme = tenant("acme");
    let tag = Tag::of(&acme, "flow", 7);
    let mut ada = world.connect("ada", "acme").await;
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, end, read) = (begun.clone(), may_end.clone(), tag.clone());
    let cache = world.cache.clone();
    let loading = tokio::spawn(async move {
        let policy = Policy::ttl(Duration::from_secs(60));
        let load = move || async move {
            record(&read);
            begin.notify_one();
            end.notified().await;
            Ok::<_, String>(Loaded::value(Flow(7)))
        };
        cache.fetch(&flow_key(&tenant("acme"), 7), &policy, &ReadOptions::default(), load).await.unwrap()
    });
    begun.notified().await;
    world.invalidate(&tag, 7).await;
    may_end.notify_one();
    let fetched = loading.await.unwrap();
    assert!(fetched.not_stored.is_some(), "the value was overtaken");
    world.hub.served(&who("ada", "acme"), fetched.tags(), fetched.base());
    assert_eq!(ada.next_flow().await, json!(7));
}

#[tokio::test]
async fn who_was_away_gets_what_it_missed() {
    let world = World::new(LiveLimits::default()).await;
    let (one, two) = (Tag::of(&tenant("acme"), "flow", 1), Tag::of(&tenant("acme"), "flow", 2));
    world.serve("ada", "acme", &[&one]);
    world.serve("bob", "acme", &[&two]);
    let mut bob = world.connect("bob", "acme").await;
    let mut ada = world.connect("ada", "acme").await;
    world.invalidate(&one, 1).await;
    let token = ada.next().await["position"].as_str().unwrap().to_owned();
    drop(ada);
    world.until_sockets(1).await;
    world.invalidate(&two, 2).await;
    world.invalidate(&one, 3).await;
    assert_eq!(bob.next_flow().await, json!(2));
    let (mut ada, _) = world.connect_since("ada", "acme", &format!("&since={token}")).await;
    assert_eq!(ada.next_flow().await, json!(3));
    // A token of another life of the server says nothing.
    let (mut ada, _) = world.connect_since("ada", "acme", "&since=0.1.1").await;
    let told = ada.next().await;
    assert_eq!((&told["type"], &told["reason"]), (&json!("resync"), &json!("unknown")));
}

#[tokio::test]
async fn pages_of_other_origins_and_too_many_sockets_are_refused() {
    let world = World::new(LiveLimits { sockets_per_user_max: 2, ..LiveLimits::default() }).await;
    let with_origin = |origin: &str| {
        let mut request = world.request("ada", "acme", "&cookie=true");
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request
    };
    let (status, problem) = refusal(with_origin("https://evil.example")).await;
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/forbidden")));
    assert_eq!(refusal(world.request("ada", "acme", "&cookie=true")).await.0, 403);
    let _first = connect_async(with_origin(&format!("http://{}", world.addr))).await.unwrap();
    let _second = world.connect("ada", "acme").await;
    let (status, problem) = refusal(world.request("ada", "acme", "")).await;
    assert_eq!(status, 429);
    assert!(problem["detail"].as_str().unwrap().contains("2 live connections"), "{problem}");
    world.connect("bob", "acme").await;
}

#[tokio::test]
async fn no_socket_outlives_the_session_that_it_was_let_in_by() {
    let world = World::new(LiveLimits { heartbeat: Duration::from_millis(40), ..LiveLimits::default() }).await;
    let mut bob = world.connect("bob", "acme").await;
    let (ada, _) = world.connect_since("ada", "acme", "&lasts_ms=1").await;
    assert_eq!(ada.close_code().await, 4401);
    assert_eq!(bob.next().await["type"], "ping");
    world.until_sockets(1).await;
}

#[tokio::test]
async fn sockets_are_pinged_and_dead_ones_dropped() {
    let world = World::new(LiveLimits { heartbeat: Duration::from_millis(40), ..LiveLimits::default() }).await;
    let mut ada = world.connect("ada", "acme").await;
    // A client that shakes hands and is never heard of again.
    let mut dead = TcpStream::connect(world.addr).await.unwrap();
    let handshake = format!(
        "GET /events?user=dead&tenant=acme HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        world.addr
    );
    dead.write_all(handshake.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    dead.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    world.until_sockets(2).await;
    let mut pings = 0;
    while world.hub.sockets() == 2 {
        assert_eq!(ada.next().await, json!({ "type": "ping" }));
        pings += 1;
        assert!(pings < 100, "the dead socket was not dropped");
    }
    assert!(pings > 0);
    assert_eq!(ada.next().await["type"], "ping", "the living one was dropped too");
}
