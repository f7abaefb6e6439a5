//! Start and stop of a real server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo, routing::get};
use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, oneshot},
};
use unstale_server::run::{RunError, Server, stop_signal};

async fn ask(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn what_runs_may_end_after_the_stop_signal_and_nothing_new_begins() {
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, end) = (began.clone(), may_end.clone());
    let app = Router::new()
        .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
        .route(
            "/slow",
            get(move || async move {
                begin.notify_one();
                end.notified().await;
                "done"
            }),
        );
    let (stop, stopped) = oneshot::channel::<()>();
    let (told, hooked) = oneshot::channel();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().on_stop(move || told.send(()).unwrap());
    let addr = server.local_addr().unwrap();
    let running = tokio::spawn(server.run(app, stopped.map(drop)));
    assert!(ask(addr, "/").await.unwrap().ends_with("127.0.0.1"));
    assert!(ask(addr, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask(addr, "/readyz").await.unwrap().starts_with("HTTP/1.1 200"));

    let slow = tokio::spawn(async move { ask(addr, "/slow").await.unwrap() });
    began.notified().await;
    stop.send(()).unwrap();
    hooked.await.unwrap();
    may_end.notify_one();
    assert!(slow.await.unwrap().ends_with("done"));
    running.await.unwrap().unwrap();
    assert!(ask(addr, "/").await.is_err(), "a new connection was accepted");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_server() {
    let began = Arc::new(Notify::new());
    let begin = began.clone();
    let app = Router::new().route(
        "/",
        get(move || async move {
            begin.notify_one();
            std::future::pending::<()>().await;
        }),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().drain_limit(Duration::from_millis(10));
    let addr = server.local_addr().unwrap();
    let running = tokio::spawn(server.run(app, stopped.map(drop)));
    let asking = tokio::spawn(ask(addr, "/"));
    began.notified().await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    asking.abort();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = first.local_addr().unwrap();
    let error = Server::bind(addr).await.err().unwrap();
    assert!(matches!(error, RunError::Bind { .. }));
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_is_a_stop_signal() {
    let mut stop = Box::pin(stop_signal());
    assert!((&mut stop).now_or_never().is_none());
    let pid = std::process::id().to_string();
    let sent = std::process::Command::new("/bin/sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap();
    assert!(sent.success());
    stop.await;
}
