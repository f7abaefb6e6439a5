//! Early hints (103) through the whole gateway: ahead of the answer that they belong to, and of no other.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::world::{Backend, JWT, World, bearer, soon};
use crate::gateway::hints;

const ROUTES: &str = "
[[routes]]
path = \"/kept\"
upstream = \"api\"
cache = { ttl = \"5m\" }

[[routes]]
path = \"/aging\"
upstream = \"api\"
cache = { ttl = \"50ms\", grace = \"1h\" }
";
const HINTS: [&str; 2] = ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"];

/// A backend that hints before each answer, and counts its answers.
async fn hinting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for call in 0.. {
            let (mut stream, _) = listener.accept().await?;
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await?);
            }
            for link in HINTS {
                let hint = format!("HTTP/1.1 103 Early Hints\r\nConnection: x\r\nX: y\r\nLink: {link}\r\n\r\n");
                stream.write_all(hint.as_bytes()).await?;
            }
            let body = format!("call {call}");
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    addr
}

async fn world() -> World {
    World::before(Backend::default(), hinting().await, &format!("{JWT}{ROUTES}")).await
}

/// A connection of HTTP/1.1 that stays.
struct Client {
    stream: TcpStream,
    token: String,
}

impl Client {
    async fn of(world: &World) -> Self {
        let stream = TcpStream::connect(world.addr).await.unwrap();
        Self { stream, token: bearer("ann", "acme", &json!({})) }
    }

    /// All that comes up to the end of the answer's body.
    async fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nAuthorization: {}\r\n\r\n", self.token);
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.rsplit_once("\r\n\r\n").is_some_and(|(_, body)| body.starts_with("call ") && body.len() == 6) {
            text.push(soon(self.stream.read_u8()).await.unwrap().into());
        }
        text
    }
}

fn http1_hints() -> String {
    HINTS.map(|link| format!("HTTP/1.1 103 Early Hints\r\nlink: {link}\r\n\r\n")).concat()
}

/// The same over HTTP/2: the links that came ahead, and the answer.
async fn get(client: &SendRequest<Bytes>, path: &str) -> (Vec<String>, http::Response<Bytes>) {
    let request = Request::get(format!("http://app.test{path}"));
    let request = request.header("authorization", bearer("ben", "acme", &json!({}))).body(()).unwrap();
    let (hints, answer) = hints::all(hints::begin(client, request).await).await;
    let links = hints.iter().map(|hint| {
        assert_eq!(hint.len(), 1, "{hint:?}");
        hint["link"].to_str().unwrap().to_owned()
    });
    (links.collect(), answer)
}

async fn http2_client(world: &World) -> SendRequest<Bytes> {
    hints::client(TcpStream::connect(world.addr).await.unwrap()).await
}

#[tokio::test]
async fn they_come_before_the_answer_to_a_miss_over_http2() {
    let world = world().await;
    let client = http2_client(&world).await;
    let (links, miss) = get(&client, "/kept").await;
    assert_eq!(
        (links, &miss.headers()["x-cache"], &miss.body()[..]),
        (HINTS.map(str::to_owned).into(), &"MISS".parse().unwrap(), &b"call 0"[..])
    );
    let (links, hit) = get(&client, "/kept").await;
    assert_eq!((links.len(), &hit.headers()["x-cache"], &hit.body()[..]), (0, &"HIT".parse().unwrap(), &b"call 0"[..]));
}

#[tokio::test]
async fn none_comes_after_the_answer_over_http2() {
    let world = world().await;
    let client = http2_client(&world).await;
    get(&client, "/aging").await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (links, stale) = get(&client, "/aging").await;
    assert_eq!((links.len(), &stale.body()[..]), (0, &b"call 0"[..]));
    while get(&client, "/aging").await.1.body() == "call 0" {}
    assert!(get(&client, "/aging").await.0.is_empty());
}

#[tokio::test]
async fn they_come_before_the_answer_to_a_miss() {
    let world = world().await;
    let mut client = Client::of(&world).await;
    let miss = client.get("/kept").await;
    assert!(miss.starts_with(&format!("{}HTTP/1.1 200 OK", http1_hints())), "{miss}");
    assert!(miss.contains("x-cache: MISS") && miss.ends_with("call 0"), "{miss}");
    let hit = client.get("/kept").await;
    assert!(hit.starts_with("HTTP/1.1 200 OK") && hit.contains("x-cache: HIT"), "{hit}");
}

/// A load behind a stale answer brings hints when its client has been answered, and may be reading another answer.
#[tokio::test]
async fn none_comes_after_the_answer() {
    let world = world().await;
    let mut client = Client::of(&world).await;
    client.get("/aging").await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let stale = client.get("/aging").await;
    assert!(stale.starts_with("HTTP/1.1 200 OK") && stale.ends_with("call 0"), "{stale}");
    let mut other = Client::of(&world).await;
    while other.get("/aging").await.ends_with("call 0") {}
    let next = client.get("/aging").await;
    assert!(next.starts_with("HTTP/1.1 200 OK"), "{next}");
}
