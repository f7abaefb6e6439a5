//! Live events over real sockets on the loopback interface.

use std::time::Duration;

use axum::{body::Body, http::Request};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};
use tower::ServiceExt as _;

use super::world::{ADMIN, ANALYST, OTHER_ADMIN, Person, World};

/// Beyond it an event is not coming.
const WAIT: Duration = Duration::from_secs(10);

/// A socket that is listened to all the time, as a browser's is: one that answers no ping for long is dropped.
pub(super) struct Socket {
    heard: mpsc::UnboundedReceiver<Result<Message, Error>>,
    say: mpsc::UnboundedSender<Message>,
}

/// Carries messages between a socket and its [`Socket`], until either ends.
async fn carry(
    mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    heard: mpsc::UnboundedSender<Result<Message, Error>>,
    mut say: mpsc::UnboundedReceiver<Message>,
) {
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(message) = message else { return };
                if heard.send(message).is_err() {
                    return;
                }
            }
            message = say.recv() => {
                let Some(message) = message else { return };
                if let Err(error) = socket.send(message).await {
                    _ = heard.send(Err(error));
                    return;
                }
            }
        }
    }
}

/// A world that listens on the loopback interface.
async fn listening() -> (World, String) {
    let world = World::new().await;
    let address = listen_on(&world).await;
    (world, address)
}

/// Serves the world on a free port; returns its address.
pub(super) async fn listen_on(world: &World) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = world.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn connect(address: &str, headers: &[(&'static str, String)], query: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}/api/v1/events{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let (stream, _) = connect_async(request).await?;
    let ((tell, heard), (say, said)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    tokio::spawn(carry(stream, tell, said));
    let mut socket = Socket { heard, say };
    assert_eq!(socket.next().await["type"], "hello");
    Ok(socket)
}

pub(super) async fn listen(address: &str, person: &Person) -> Socket {
    connect(address, &[("authorization", format!("Bearer {}", person.token))], "").await.unwrap()
}

/// Listens for a client that is named, as pages do.
pub(super) async fn listen_for(address: &str, person: &Person, client: &str) -> Socket {
    let bearer = [("authorization", format!("Bearer {}", person.token))];
    connect(address, &bearer, &format!("?client_account_id={client}")).await.unwrap()
}

fn status(refused: Result<Socket, Error>) -> u16 {
    match refused.err().expect("it is refused") {
        Error::Http(response) => response.status().as_u16(),
        error => panic!("{error}"),
    }
}

/// Server-sent events, and what was told by them.
pub(super) struct EventStream {
    body: Body,
    told: String,
}

impl EventStream {
    pub(super) async fn open(world: &World, person: &Person) -> Self {
        // A browser's own event stream sends its cookie, no header of ours and no origin.
        let request = Request::get("/api/v1/events/stream")
            .header("cookie", format!("platform_session={}", person.token))
            .header("sec-fetch-site", "same-origin");
        let answer = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let kind = &answer.headers()["content-type"];
        assert_eq!((answer.status().as_u16(), kind.to_str().unwrap()), (200, "text/event-stream"));
        let mut opened = Self { body: answer.into_body(), told: String::new() };
        opened.until(r#""type":"hello""#).await;
        opened
    }

    /// Waits until some text was told; returns all that was.
    pub(super) async fn until(&mut self, text: &str) -> &str {
        while !self.told.contains(text) {
            let frame = tokio::time::timeout(WAIT, self.body.frame()).await.expect("an event comes");
            let bytes = frame.expect("it goes on").unwrap().into_data().unwrap();
            self.told.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        &self.told
    }
}

impl Socket {
    /// The next message that is not a ping.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            let message =
                tokio::time::timeout(WAIT, self.heard.recv()).await.expect("a message comes").unwrap().unwrap();
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] != "ping" {
                    return message;
                }
            }
        }
    }

    /// The code with which the server closes.
    pub(super) async fn closed(mut self) -> u16 {
        loop {
            match tokio::time::timeout(WAIT, self.heard.recv()).await.expect("the server closes") {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// How many invalidations are told until the server closes.
    pub(super) async fn told_until_closed(mut self) -> usize {
        let mut told = 0;
        loop {
            match tokio::time::timeout(WAIT, self.heard.recv()).await.expect("the server closes") {
                Some(Ok(Message::Text(text))) => told += usize::from(text.contains("\"cache_invalidation\"")),
                Some(Ok(Message::Close(_))) | None => return told,
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// Whether nothing has come, everything sent so far having arrived: the server answers a ping in its order.
    pub(super) async fn is_silent(&mut self) -> bool {
        self.say.send(Message::Ping("now".into())).unwrap();
        loop {
            match tokio::time::timeout(WAIT, self.heard.recv()).await.expect("a pong comes").unwrap().unwrap() {
                Message::Pong(_) => return self.heard.recv().now_or_never().is_none(),
                Message::Text(text) if !text.contains("\"ping\"") => return false,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn those_who_hold_it_are_told_and_nobody_else() {
    let (world, address) = listening().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let other = world.sign_in(OTHER_ADMIN).await;
    let ids = admin.ids().await;
    let theirs = other.ids().await;
    let mut sockets = [listen(&address, &admin).await, listen(&address, &other).await];
    let mappings = format!("/field-mappings/{}", ids.import);
    let held = admin.get(&mappings).await.expect(200);
    other.get(&format!("/field-mappings/{}", theirs.import)).await.expect(200);

    let approve = json!({ "mapping_ids": [ids.mapping] });
    let written = analyst.post(&format!("{mappings}/bulk-approve"), approve).await.expect(200);
    let [ours, foreign] = &mut sockets;
    let event = ours.next().await;
    assert_eq!(event["type"], "cache_invalidation");
    assert_eq!(
        event["data"],
        json!({ "entity": "field_mappings", "import_id": ids.import, "action": "bulk_operation" })
    );
    let groups = held.header("cache-groups").to_owned();
    for group in event["groups"].as_array().unwrap() {
        assert!(groups.contains(group.as_str().unwrap()), "{group} is none of {groups}");
    }
    assert!(!event["groups"].as_array().unwrap().is_empty());
    assert_ne!(written.header("unstale-position"), "");
    assert!(foreign.is_silent().await, "another client's user was told");
}

#[tokio::test]
async fn nothing_of_another_client_is_told_whatever_is_done_there() {
    let (world, address) = listening().await;
    let (admin, other) = (world.sign_in(ADMIN).await, world.sign_in(OTHER_ADMIN).await);
    let ids = admin.ids().await;
    for path in [
        "/context/full",
        "/engagements",
        "/discovery/flows",
        "/imports",
        "/assets",
        "/admin/clients",
        "/admin/users",
        "/admin/engagements",
        "/admin/pending-approvals",
        "/auth/active-users",
        "/context-establishment/clients",
    ] {
        other.get(path).await.expect(200);
    }
    let mut socket = listen(&address, &other).await;
    let engagement = admin.post("/admin/engagements", json!({ "name": "New" })).await.expect(201).id();
    admin
        .put(&format!("/admin/engagements/{engagement}"), json!({ "name": "Newer", "status": "active" }))
        .await
        .expect(200);
    let flow =
        admin.post("/discovery/flows", json!({ "engagement_id": engagement, "name": "x" })).await.expect(201).id();
    admin.patch(&format!("/discovery/flows/{flow}"), json!({ "status": "running" })).await.expect(200);
    let import = admin.upload(&engagement, "a.csv", b"Name,OS\na,b\n").await.expect(202);
    admin.finished(import.body["import_id"].as_str().unwrap()).await;
    admin.put(&format!("/admin/clients/{}", ids.client), json!({ "name": "Acme Group" })).await.expect(200);
    admin.delete(&format!("/admin/engagements/{engagement}?cascade=true")).await.expect(204);
    let waiting = admin.get("/admin/pending-approvals").await.expect(200).body["items"][0]["user_id"].clone();
    let access = json!({ "client_account_id": ids.client, "role": "analyst" });
    let waiting = waiting.as_str().unwrap();
    admin.post(&format!("/admin/pending-approvals/{waiting}/approve"), access).await.expect(200);
    admin.put(&format!("/users/{waiting}/roles"), json!({ "role": "client_admin" })).await.expect(200);
    assert!(socket.is_silent().await, "another client's user was told");
}

#[tokio::test]
async fn sockets_end_with_the_session_and_with_the_rights() {
    let (world, address) = listening().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let socket = listen(&address, &analyst).await;
    let roles = format!("/users/{}/roles", analyst.id);
    admin.put(&roles, json!({ "role": "client_admin" })).await.expect(200);
    assert_eq!(socket.closed().await, 4401);
    let socket = listen(&address, &analyst).await;
    analyst.post("/auth/logout", Value::Null).await.expect(204);
    assert_eq!(socket.closed().await, 4401);
    let bearer = [("authorization", format!("Bearer {}", analyst.token))];
    assert_eq!(status(connect(&address, &bearer, "").await), 401);
}

#[tokio::test]
async fn a_session_that_is_extended_keeps_its_sockets_and_what_they_are_told_of() {
    let (world, address) = listening().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    analyst.get(&mappings).await.expect(200);
    let mut socket = listen(&address, &analyst).await;
    analyst.post("/auth/refresh", Value::Null).await.expect(200);
    admin.post(&format!("{mappings}/bulk-approve"), json!({ "mapping_ids": [ids.mapping] })).await.expect(200);
    // Whatever the extension would have told was told before.
    assert_eq!(socket.next().await["data"]["action"], "bulk_operation");
    analyst.post("/auth/logout", Value::Null).await.expect(204);
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn another_sites_page_and_another_client_get_no_socket() {
    let (world, address) = listening().await;
    let admin = world.sign_in(ADMIN).await;
    let foreign = world.sign_in(OTHER_ADMIN).await.ids().await;
    let cookie = ("cookie", format!("platform_session={}", admin.token));
    let origin = |host: &str| ("origin", format!("http://{host}"));
    assert_eq!(status(connect(&address, std::slice::from_ref(&cookie), "").await), 403);
    assert_eq!(status(connect(&address, &[cookie.clone(), origin("evil.example")], "").await), 403);
    connect(&address, &[cookie.clone(), origin(&address)], "").await.unwrap();
    let query = format!("?client_account_id={}", foreign.client);
    assert_eq!(status(connect(&address, &[cookie, origin(&address)], &query).await), 404);
}

#[tokio::test]
async fn the_same_is_told_as_server_sent_events() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    admin.get(&mappings).await.expect(200);
    let mut stream = EventStream::open(&world, &admin).await;
    analyst.post(&format!("{mappings}/bulk-approve"), json!({ "mapping_ids": [ids.mapping] })).await.expect(200);
    stream.until(r#""action":"bulk_operation""#).await;
    admin.post("/auth/logout", json!({})).await;
    stream.until("event: close").await;
}
