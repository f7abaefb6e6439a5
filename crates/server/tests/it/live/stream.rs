//! The same over server-sent events, for clients without web sockets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use unstale::Tag;
use unstale_server::live::LiveLimits;

use super::{PATIENCE, World, tenant};

/// A client of server-sent events: the answer's head, then one event after the other.
struct Stream(BufReader<TcpStream>);

/// An event: its name, its id and its data.
#[derive(Debug, PartialEq)]
struct Told {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Stream {
    async fn open(world: &World, query: &str, headers: &str) -> (Self, String) {
        let mut connection = TcpStream::connect(world.addr).await.unwrap();
        let request = format!("GET /stream?{query} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", world.addr);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self(BufReader::new(connection));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.line_into(&mut head).await;
        }
        (stream, head)
    }

    async fn line_into(&mut self, text: &mut String) -> usize {
        tokio::time::timeout(PATIENCE, self.0.read_line(text)).await.expect("nothing came").unwrap()
    }

    /// The next event; lines of the chunked coding are passed over, as none of ours looks like one.
    async fn next(&mut self) -> Told {
        let mut told = Told { name: "message".into(), id: None, data: Value::Null };
        loop {
            let mut line = String::new();
            assert_ne!(self.line_into(&mut line).await, 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => told.name = name.to_owned(),
                Some(("id", id)) => told.id = Some(id.to_owned()),
                Some(("data", data)) => told.data = serde_json::from_str(data).unwrap(),
                _ if line == "\n" && told.data != Value::Null => return told,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_stream_tells_what_a_socket_tells_and_resumes_by_its_ids() {
    let world = World::new(LiveLimits::default()).await;
    let tag = Tag::of(&tenant("acme"), "flow", 7);
    world.serve("ada", "acme", &[&tag]);
    let (mut ada, head) = Stream::open(&world, "user=ada&tenant=acme", "").await;
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"), "{head}");
    let hello = ada.next().await;
    assert_eq!((&hello.data["type"], hello.id.as_deref()), (&json!("hello"), hello.data["position"].as_str()));
    world.invalidate(&tag, 7).await;
    let event = ada.next().await;
    assert_eq!((&event.data["data"]["flow_id"], event.id.as_deref()), (&json!(7), event.data["position"].as_str()));
    drop(ada);
    world.until_sockets(0).await;

    world.invalidate(&tag, 8).await;
    let since = format!("user=ada&tenant=acme&since={}", event.id.unwrap());
    let (mut ada, _) = Stream::open(&world, &since, "").await;
    assert_eq!(ada.next().await.data["missed"], "replayed");
    // Nothing proves what was received before the token, so it may be told again; never less.
    while ada.next().await.data["data"]["flow_id"] != 8 {}
}

#[tokio::test]
async fn a_stream_has_its_time_and_what_comes_between_it_and_the_next_is_not_missed() {
    let limits = LiveLimits { stream_lasts_max: Duration::from_millis(80), ..LiveLimits::default() };
    let world = World::new(limits).await;
    let tag = Tag::of(&tenant("acme"), "flow", 7);
    world.serve("ada", "acme", &[&tag]);
    let (mut ada, _) = Stream::open(&world, "user=ada&tenant=acme", "").await;
    let hello = ada.next().await;
    let closed = ada.next().await;
    assert_eq!((closed.name.as_str(), &closed.data["code"]), ("close", &json!(1000)));
    // Although nobody hangs up: a client that is not there any more would not do so either.
    world.until_sockets(0).await;
    world.invalidate(&tag, 7).await;
    let since = format!("user=ada&tenant=acme&since={}", hello.id.unwrap());
    let (mut ada, _) = Stream::open(&world, &since, "").await;
    assert_eq!(ada.next().await.data["missed"], "replayed");
    assert_eq!(ada.next().await.data["data"]["flow_id"], 7);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_is_read_by_its_own_pages_only() {
    let world = World::new(LiveLimits { heartbeat: Duration::from_millis(40), ..LiveLimits::default() }).await;
    let (mut ada, _) = Stream::open(&world, "user=ada&tenant=acme", "").await;
    assert_eq!(ada.next().await.data["type"], "hello");
    assert_eq!(ada.next().await.data, json!({ "type": "ping" }));
    world.hub.close_session("session of ada");
    let closed = loop {
        let told = ada.next().await;
        if told.name == "close" {
            break told.data;
        }
    };
    assert_eq!(closed["code"], 4401);
    world.until_sockets(0).await;

    let by_cookie = "user=bob&tenant=acme&cookie=true";
    let (_, head) = Stream::open(&world, by_cookie, "").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (_, head) = Stream::open(&world, by_cookie, "sec-fetch-site: cross-site\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (_bob, head) = Stream::open(&world, by_cookie, "sec-fetch-site: same-origin\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
