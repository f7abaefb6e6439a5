//! Protocols that are switched to.

use std::time::Duration;

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::get,
};
use futures_util::{SinkExt as _, StreamExt as _};
use unstale_server::gateway::{proxy::ForwardSettings, upstream::Timeouts};

use super::support::{Gateway, RawUpstream, app, local, soon, until, upstream_of};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: custom\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: custom\r\n\r\n";

#[tokio::test]
async fn a_websocket_goes_through() {
    let echo = get(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) = socket.recv().await {
                socket.send(message).await.unwrap();
            }
        })
    });
    let mut gateway = Gateway::before(app(Router::new().route("/ws", echo)).await).await;
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(format!("ws://{}/ws", gateway.addr))).await.unwrap();
    for size in [0, 5, 70_000] {
        let text = "x".repeat(size);
        socket.send(text.clone().into()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_text().unwrap().as_str(), text);
    }
    let report = gateway.forward.tunnels();
    assert_eq!((report.open, report.opened), (1, 1));
    assert!(report.to_server_bytes > 70_000 && report.to_client_bytes > 70_000, "{report:?}");
    assert_eq!(gateway.handle.connections(), 1);
    // It counts as open until it ends, and the stop waits for it.
    let stopped = gateway.stop();
    socket.send("still here".into()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap().into_text().unwrap().as_str(), "still here");
    socket.close(None).await.unwrap();
    while soon(socket.next()).await.is_some() {}
    drop(socket);
    soon(stopped).await.unwrap();
    assert_eq!(gateway.forward.tunnels().open, 0);
}

#[tokio::test]
async fn what_the_server_says_at_once_is_not_lost_and_the_end_is_told() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut server = upstream.accept().await;
    let asked = server.until("\r\n\r\n").await;
    assert!(asked.contains("connection: upgrade\r\n") && asked.contains("upgrade: custom\r\n"), "{asked}");
    server.write(format!("{SWITCHED}hello")).await;
    let answer = client.until("hello").await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("upgrade: custom\r\n"), "{answer}");
    client.write("and you").await;
    server.until("and you").await;
    drop(client);
    assert_eq!(server.rest().await, "");
    drop(server);
    until(|| gateway.forward.tunnels().open == 0).await;
    assert_eq!(gateway.upstream.report().servers[0].running, 0);
}

#[tokio::test]
async fn a_tunnel_ends_when_nothing_goes_through() {
    let mut upstream = RawUpstream::start().await;
    let mut settings = upstream_of([upstream.addr]);
    settings.timeouts = Timeouts { tunnel_idle: Duration::from_millis(30), ..Timeouts::default() };
    let gateway = Gateway::start(settings, local(), ForwardSettings::default()).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write(SWITCHED).await;
    client.until("\r\n\r\n").await;
    assert_eq!((client.rest().await, server.rest().await), (String::new(), String::new()));
}

#[tokio::test]
async fn the_stop_cuts_tunnels_off_at_its_limit() {
    let mut upstream = RawUpstream::start().await;
    let mut listen = local();
    listen.drain_limit = Duration::from_millis(30);
    let mut gateway = Gateway::start(upstream_of([upstream.addr]), listen, ForwardSettings::default()).await;
    let mut client = gateway.connect().await;
    client.write(ASK).await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write(SWITCHED).await;
    client.until("\r\n\r\n").await;
    soon(gateway.stop()).await.unwrap();
    assert_eq!((client.rest().await, server.rest().await), (String::new(), String::new()));
}

#[tokio::test]
async fn an_upgrade_that_the_server_declines_is_an_answer_like_others() {
    let (addr, _asked) = RawUpstream::answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await;
    let gateway = Gateway::before(addr).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.write(ASK).await;
        assert!(client.until("no").await.starts_with("HTTP/1.1 426"));
    }
}

#[tokio::test]
async fn nobody_is_switched_who_did_not_ask() {
    let (addr, _asked) = RawUpstream::answering(SWITCHED).await;
    let gateway = Gateway::before(addr).await;
    for ask in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUpgrade: custom\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    ] {
        let answer = gateway.send(ask).await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("error=http_upgrade_failed"), "{answer}");
    }
}
