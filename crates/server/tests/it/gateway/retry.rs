//! Asking once more: when it is allowed, and never else.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use unstale_server::gateway::{proxy::ForwardSettings, upstream::UpstreamSettings};

use super::support::{Gateway, Raw, RawUpstream, local, upstream_of};

async fn gateway(settings: UpstreamSettings) -> Gateway {
    Gateway::start(settings, local(), ForwardSettings::default()).await
}

/// Nobody listens there.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn request(method: &str, body: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads the request, and closes without a word.
async fn hang_up(mut server: Raw, body: &str) {
    server.until(&format!("\r\n\r\n{body}")).await;
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_when_the_connection_closes_before_the_answer() {
    for method in ["GET", "DELETE", "PUT"] {
        let mut upstream = RawUpstream::start().await;
        let gateway = gateway(upstream_of([upstream.addr])).await;
        let mut client = gateway.connect().await;
        client.write(request(method, "")).await;
        hang_up(upstream.accept().await, "").await;
        let mut second = upstream.accept().await;
        second.until("\r\n\r\n").await;
        second.write(OK).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        assert_eq!(gateway.upstream.report().retries, 1);
    }
}

#[tokio::test]
async fn what_may_have_been_acted_on_is_not_sent_again() {
    for (method, body) in [("POST", ""), ("PATCH", ""), ("PUT", "abc"), ("POST", "abc")] {
        let mut upstream = RawUpstream::start().await;
        let gateway = gateway(upstream_of([upstream.addr])).await;
        let mut client = gateway.connect().await;
        client.write(request(method, body)).await;
        hang_up(upstream.accept().await, body).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{method}: {answer}");
        assert!(answer.contains("proxy-status: unstale; error=connection_terminated\r\n"), "{answer}");
        assert!(!upstream.came(), "{method} was sent again");
    }
}

#[tokio::test]
async fn once_is_enough() {
    let mut upstream = RawUpstream::start().await;
    let gateway = gateway(upstream_of([upstream.addr])).await;
    let mut client = gateway.connect().await;
    client.write(request("GET", "")).await;
    hang_up(upstream.accept().await, "").await;
    hang_up(upstream.accept().await, "").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(!upstream.came());
}

#[tokio::test]
async fn an_answer_that_began_is_never_asked_for_again() {
    let mut upstream = RawUpstream::start().await;
    let gateway = gateway(upstream_of([upstream.addr])).await;
    let mut client = gateway.connect().await;
    client.write(request("GET", "")).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write("HTTP/1.1 200 OK\r\nContent-").await;
    drop(server);
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(!upstream.came());
}

#[tokio::test]
async fn any_request_goes_to_another_server_if_one_cannot_be_reached() {
    let (addr, _asked) = RawUpstream::answering(OK).await;
    let closed = closed().await;
    let mut settings = upstream_of([closed, addr]);
    settings.ejection.failures = 0;
    let gateway = gateway(settings).await;
    for _ in 0..4 {
        let answer = gateway.send(&request("POST", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(gateway.upstream.report().retries >= 2);
}

#[tokio::test]
async fn without_attempts_left_a_server_that_cannot_be_reached_is_a_bad_gateway() {
    let mut settings = upstream_of([closed().await]);
    settings.retry.attempts_max = 1;
    let answer = gateway(settings).await.send(&request("GET", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("proxy-status: unstale; error=connection_refused\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n") && answer.contains("/problems/bad-gateway"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_no_attempt() {
    let mut upstream = RawUpstream::start().await;
    let mut settings = upstream_of([upstream.addr]);
    settings.retry.attempts_max = 1;
    let gateway = gateway(settings).await;
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        // Not idempotent: that it comes through shows that nothing of it was sent on the old connection.
        client.write(request("POST", "")).await;
        let mut server = upstream.accept().await;
        server.until("\r\n\r\n").await;
        server.write(OK).await;
        client.until("hi").await;
        drop(server);
        // The gateway's system has heard of the end before the next request comes.
        tokio::task::yield_now().await;
    }
}
