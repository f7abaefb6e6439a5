//! Servers that fail, and limits.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use http::StatusCode;
use unstale_server::gateway::{
    proxy::ForwardSettings,
    upstream::{HealthSettings, Timeouts},
};

use super::support::{Gateway, RawUpstream, app, local, until, upstream_of};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Answers with its name, and says whether it is well as long as `well` says so.
async fn server(name: &'static str, well: Arc<AtomicBool>) -> SocketAddr {
    let health = move || {
        let status = if well.load(Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        async move { status }
    };
    app(Router::new().route("/", get(move || async move { name })).route("/health", get(health))).await
}

fn quick() -> HealthSettings {
    HealthSettings {
        every: Duration::from_millis(5),
        unhealthy_after: 2,
        healthy_after: 2,
        ..HealthSettings::new("/health")
    }
}

#[tokio::test]
async fn a_server_that_is_not_well_gets_no_requests_until_it_is() {
    let (first, second) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let mut settings = upstream_of([server("one", first.clone()).await, server("two", second.clone()).await]);
    settings.health = Some(quick());
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    let well = |nth: usize| gateway.upstream.report().servers[nth].well;
    let names = async || {
        let mut names = Vec::new();
        for _ in 0..4 {
            names.push(gateway.send(ASK).await.rsplit("\r\n").next().unwrap_or_default().to_owned());
        }
        names.sort();
        names
    };
    assert_eq!(names().await, ["one", "one", "two", "two"]);
    first.store(false, Relaxed);
    until(|| !well(0)).await;
    assert_eq!(names().await, ["two"; 4]);
    second.store(false, Relaxed);
    until(|| !well(1)).await;
    let answer = gateway.send(ASK).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("proxy-status: unstale; error=destination_unavailable\r\n"), "{answer}");
    first.store(true, Relaxed);
    until(|| well(0)).await;
    assert_eq!(names().await, ["one"; 4]);
}

#[tokio::test]
async fn others_come_first_for_a_while_after_failures() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut settings = upstream_of([closed, server("two", Arc::new(AtomicBool::new(true))).await]);
    settings.ejection.failures = 2;
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    for _ in 0..20 {
        assert!(gateway.send(ASK).await.ends_with("two"));
    }
    let report = gateway.upstream.report();
    assert!(!report.servers[0].well && report.servers[1].well);
    assert_eq!(report.retries, 2, "it was tried although it is left out");
}

#[tokio::test]
async fn more_than_the_connections_wait_and_more_than_may_wait_are_refused() {
    let mut upstream = RawUpstream::start().await;
    let mut settings = upstream_of([upstream.addr]);
    (settings.connections_max, settings.waiting_max) = (1, 1);
    settings.timeouts = Timeouts { queue: Duration::from_secs(60), ..Timeouts::default() };
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    let (mut first, mut second) = (gateway.connect().await, gateway.connect().await);
    first.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    second.write(ASK).await;
    until(|| gateway.upstream.report().servers[0].running == 2).await;
    let third = gateway.send(ASK).await;
    assert!(third.starts_with("HTTP/1.1 503") && third.contains("error=connection_limit_reached"), "{third}");
    assert!(third.contains("retry-after: 1\r\n"), "{third}");
    // The second gets the first's connection.
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
    assert!(first.rest().await.ends_with("one"));
    server.until("\r\n\r\n").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
    assert!(second.rest().await.ends_with("two"));
    assert!(!upstream.came());
}

#[tokio::test]
async fn waiting_is_bounded_in_time() {
    let mut upstream = RawUpstream::start().await;
    let mut settings = upstream_of([upstream.addr]);
    settings.connections_max = 1;
    settings.timeouts = Timeouts { queue: Duration::from_millis(20), ..Timeouts::default() };
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    let mut first = gateway.connect().await;
    first.write(ASK).await;
    let _server = upstream.accept().await;
    let second = gateway.send(ASK).await;
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("error=connection_limit_reached"), "{second}");
}
