//! Bodies: at constant memory, broken off where they break, cancelled when nobody listens.

use std::{sync::Arc, sync::atomic::AtomicU64, sync::atomic::Ordering::Relaxed, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
use unstale_server::gateway::{proxy::ForwardSettings, upstream::Timeouts};

use super::support::{Gateway, RawUpstream, app, local, soon, until, upstream_of};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const PART_BYTES: usize = 64 * 1024;
const BODY_BYTES: u64 = 64 * 1024 * 1024;
/// What may be on the way: the buffers of four ends of two sockets, which the system makes as large as 6 MiB each on
/// the receiving side, and of the gateway, which are 64 KiB.
const ON_THE_WAY_BYTES_MAX: u64 = 24 * 1024 * 1024;

#[tokio::test]
async fn what_the_client_does_not_read_is_not_read_from_the_server() {
    let made = Arc::new(AtomicU64::new(0));
    let counted = made.clone();
    let large = get(move || {
        let made = counted.clone();
        let parts = stream::unfold(made, |made| async move {
            let before = made.fetch_add(PART_BYTES as u64, Relaxed);
            let part = Bytes::from(vec![b'x'; PART_BYTES]);
            (before < BODY_BYTES).then_some((Ok::<_, std::io::Error>(part), made))
        });
        async { Body::from_stream(parts) }
    });
    let gateway = Gateway::before(app(Router::new().route("/", large)).await).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut head = [0; 64];
    client.0.read_exact(&mut head).await.unwrap();
    // The server is stopped by what is not read, long before its end.
    let mut before = 0;
    soon(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = made.load(Relaxed);
            if now == before && now > 0 {
                return;
            }
            before = now;
        }
    })
    .await;
    assert!(before < ON_THE_WAY_BYTES_MAX, "{before} bytes were made for a client that reads nothing");
    let rest = soon(tokio::io::copy(&mut client.0, &mut tokio::io::sink())).await.unwrap();
    assert!(rest > BODY_BYTES, "{rest}");
}

#[tokio::test]
async fn an_upload_is_not_read_faster_than_the_server_takes_it() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client.write(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n")).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    let mut written = 0;
    let part = vec![b'x'; 64 * 1024];
    // No end: until the socket takes nothing for a while.
    while let Ok(n) =
        tokio::time::timeout(Duration::from_millis(300), tokio::io::AsyncWriteExt::write(&mut client.0, &part)).await
    {
        written += n.unwrap() as u64;
        assert!(written < ON_THE_WAY_BYTES_MAX, "{written} bytes were taken for a server that reads nothing");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_off_for_the_client_too() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut upstream = RawUpstream::start().await;
        let gateway = Gateway::before(upstream.addr).await;
        let mut client = gateway.connect().await;
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.until("\r\n\r\n").await;
        server.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n3\r\nabc\r\n")).await;
        client.until("abc").await;
        drop(server);
        let rest = client.rest().await;
        assert!(!rest.contains("0\r\n\r\n"), "the body was ended: {rest}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_what_it_asked() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    // While the server thinks.
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    drop(client);
    assert_eq!(server.rest().await, "");
    // While it answers.
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    client.until("abc").await;
    drop(client);
    assert_eq!(server.rest().await, "");
    until(|| gateway.upstream.report().servers[0].running == 0).await;
}

#[tokio::test]
async fn time_outs_say_who_is_too_slow() {
    let quick = Duration::from_millis(50);
    let mut upstream = RawUpstream::start().await;
    let mut settings = upstream_of([upstream.addr]);
    settings.timeouts = Timeouts { head: quick, body_idle: quick, ..Timeouts::default() };
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    // The server does not answer.
    let answer = gateway.send(ASK).await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("error=http_response_timeout"), "{answer}");
    upstream.accept().await;
    assert!(!upstream.came(), "a slow server was asked twice");
    // The client does not send.
    let answer = gateway.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\na").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    upstream.accept().await;
    // The answer's body stops coming.
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    client.until("abc").await;
    assert_eq!(client.rest().await, "");
}
