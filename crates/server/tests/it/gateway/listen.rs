//! Limits on connections, and the stop.

use std::time::Duration;

use axum::{Router, routing::get};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use unstale_server::gateway::{listen::ListenSettings, proxy::ForwardSettings};

use super::support::{Gateway, RawUpstream, app, local, soon, until, upstream_of};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

async fn gateway(listen: ListenSettings) -> Gateway {
    let (addr, _) = RawUpstream::answering(OK).await;
    Gateway::start(upstream_of([addr]), listen, ForwardSettings::default()).await
}

#[tokio::test]
async fn a_head_may_take_so_long_from_its_first_byte_on() {
    let gateway = gateway(ListenSettings { head_timeout: Duration::from_millis(40), ..local() }).await;
    let (mut slow, mut silent) = (gateway.connect().await, gateway.connect().await);
    slow.write("GET / HT").await;
    assert_eq!(slow.rest().await, "");
    // One that has said nothing is not slow, and one that was answered may wait.
    silent.write(ASK).await;
    silent.until("hi").await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    silent.write(ASK).await;
    silent.until("hi").await;
    silent.write("PRI * HT").await;
    assert!(!silent.rest().await.contains("200"));
}

#[tokio::test]
async fn an_unused_connection_is_closed_and_one_that_is_used_is_not() {
    let mut upstream = RawUpstream::start().await;
    let listen = ListenSettings { idle_timeout: Duration::from_millis(40), ..local() };
    let gateway = Gateway::start(upstream_of([upstream.addr]), listen, ForwardSettings::default()).await;
    let (mut used, mut unused) = (gateway.connect().await, gateway.connect().await);
    used.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    assert_eq!(unused.rest().await, "");
    server.write(OK).await;
    used.until("hi").await;
    assert_eq!(used.rest().await, "");
}

#[tokio::test]
async fn a_connection_that_has_rested_goes_on() {
    // The tick is a quarter of the shortest time-out: it rests after some 15 ms.
    let gateway = gateway(ListenSettings { head_timeout: Duration::from_millis(20), ..local() }).await;
    let mut client = gateway.connect().await;
    for _ in 0..4 {
        client.write(ASK).await;
        client.until("hi").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    client.write(format!("{ASK}{ASK}")).await;
    client.until("hi").await;
}

#[tokio::test]
async fn heads_have_a_size() {
    let gateway = gateway(ListenSettings { head_bytes_max: 8192, headers_max: 20, ..local() }).await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert!(gateway.send(&large).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(20));
    assert!(gateway.send(&many).await.starts_with("HTTP/1.1 431"));
    let enough = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "X: y\r\n".repeat(18));
    assert!(gateway.send(&enough).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn more_connections_than_may_be_wait() {
    let gateway = gateway(ListenSettings { connections_max: 1, ..local() }).await;
    let (mut first, mut second) = (gateway.connect().await, gateway.connect().await);
    first.write(ASK).await;
    first.until("hi").await;
    second.write(ASK).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), second.0.peek(&mut byte)).await;
    assert!(early.is_err(), "it was answered beside the first");
    drop(first);
    second.until("hi").await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let large = get(|| async { vec![b'x'; 32 * 1024 * 1024] });
    let listen = ListenSettings { write_timeout: Duration::from_millis(80), ..local() };
    let upstream = upstream_of([app(Router::new().route("/", large)).await]);
    let gateway = Gateway::start(upstream, listen, ForwardSettings::default()).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    until(|| gateway.handle.connections() == 1).await;
    until(|| gateway.handle.connections() == 0).await;
    assert!(client.rest().await.len() < 32 * 1024 * 1024);
}

#[tokio::test]
async fn the_stop_lets_what_runs_end_and_closes_what_does_not() {
    let mut upstream = RawUpstream::start().await;
    let mut gateway = Gateway::before(upstream.addr).await;
    let (mut busy, mut unused) = (gateway.connect().await, gateway.connect().await);
    busy.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    until(|| gateway.handle.connections() == 2).await;
    let stopped = gateway.stop();
    assert_eq!(unused.rest().await, "");
    assert!(TcpStream::connect(gateway.addr).await.is_err(), "it still listens");
    server.write(OK).await;
    let answer = busy.rest().await;
    assert!(answer.ends_with("hi") && answer.contains("connection: close\r\n"), "{answer}");
    soon(stopped).await.unwrap();
}

#[tokio::test]
async fn the_stop_is_over_at_its_limit() {
    let mut upstream = RawUpstream::start().await;
    let listen = ListenSettings { drain_limit: Duration::from_millis(30), ..local() };
    let mut gateway = Gateway::start(upstream_of([upstream.addr]), listen, ForwardSettings::default()).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    soon(gateway.stop()).await.unwrap();
    assert_eq!((client.rest().await, server.rest().await), (String::new(), String::new()));
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port() {
    let (addr, mut asked) = RawUpstream::answering(OK).await;
    let gateway = Gateway::before(addr).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://shop.example/a?b").header("cookie", "a=1").header("cookie", "b=2");
    let response = soon(sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hi");
    let asked = soon(asked.recv()).await.unwrap();
    assert!(asked.starts_with("GET /a?b HTTP/1.1\r\n") && asked.contains("host: shop.example\r\n"), "{asked}");
    assert!(asked.contains("cookie: a=1; b=2\r\n") && asked.contains("via: 2.0 unstale\r\n"), "{asked}");
    let refused = Request::get("http://a/").header("host", "b").body(Empty::new()).unwrap();
    assert_eq!(soon(sender.send_request(refused)).await.unwrap().status(), 400);
}
