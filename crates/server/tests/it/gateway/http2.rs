//! HTTP/2 clients that take nothing, answer no ping and never leave, frame by frame.

use std::time::Duration;

use axum::{Router, routing::get};
use tokio::{io::AsyncReadExt as _, time::sleep};
use unstale_server::gateway::{listen::ListenSettings, proxy::ForwardSettings};

use super::support::{Gateway, Raw, RawUpstream, app, local, soon, until, upstream_of};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Why a stream was reset: nothing of it was looked at.
const REFUSED_STREAM: u32 = 7;

const END_STREAM_AND_HEADERS: u8 = 5;
/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a` (RFC 7541).
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
const BODY_BYTES: usize = 640 * 1024;

/// A connection that acknowledges nothing, and gives each stream so many bytes to be sent at first.
struct Client(Raw);

struct Frame {
    kind: u8,
    stream: u32,
    bytes: Vec<u8>,
}

impl Client {
    async fn of(gateway: &Gateway, window: u32) -> Self {
        let mut raw = gateway.connect().await;
        raw.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut client = Self(raw);
        let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &initial_window).await;
        // What all streams of the connection may be sent.
        client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write([&head, bytes].concat()).await;
    }

    async fn ask(&mut self, stream: u32) {
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, &GET).await;
    }

    async fn give(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// The next frame; none at the end.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.0.0.read_exact(&mut head)).await.ok()?;
        let mut bytes = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        soon(self.0.0.read_exact(&mut bytes)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, bytes })
    }

    /// The next frame of this kind.
    async fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().await.expect("the connection ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }
}

async fn gateway(listen: ListenSettings) -> Gateway {
    let large = Router::new().route("/", get(|| async { vec![b'x'; BODY_BYTES] }));
    Gateway::start(upstream_of([app(large).await]), listen, ForwardSettings::default()).await
}

#[tokio::test]
async fn a_stream_of_which_nothing_is_taken_ends_and_its_connection_goes_on() {
    let gateway = gateway(ListenSettings { write_timeout: Duration::from_millis(60), ..local() }).await;
    // No byte, and as many as leave the gateway in the middle of what it has read ahead.
    for window in [0, 1, 100_000] {
        let mut client = Client::of(&gateway, window).await;
        client.ask(1).await;
        let reset = client.until(RST_STREAM).await;
        assert_eq!(reset.stream, 1);
        client.ask(3).await;
        assert_eq!(client.until(HEADERS).await.stream, 3);
    }
}

#[tokio::test]
async fn more_streams_than_may_be_are_refused() {
    let upstream = RawUpstream::start().await;
    let listen = ListenSettings { streams_max: 2, ..local() };
    let gateway = Gateway::start(upstream_of([upstream.addr]), listen, ForwardSettings::default()).await;
    let mut client = Client::of(&gateway, 0).await;
    for stream in [1, 3, 5] {
        client.ask(stream).await;
    }
    let refused = client.until(RST_STREAM).await;
    assert_eq!((refused.stream, refused.bytes), (5, REFUSED_STREAM.to_be_bytes().to_vec()));
}

#[tokio::test]
async fn a_stream_of_which_little_is_taken_at_a_time_goes_on() {
    let gateway = gateway(ListenSettings { write_timeout: Duration::from_millis(800), ..local() }).await;
    let mut client = Client::of(&gateway, 0).await;
    client.ask(1).await;
    let mut taken = 0;
    while taken < BODY_BYTES {
        // In all it takes longer than a client may take nothing.
        sleep(Duration::from_millis(100)).await;
        client.give(1, 64 * 1024).await;
        let goal = taken + 64 * 1024;
        while taken < goal.min(BODY_BYTES) {
            taken += client.until(DATA).await.bytes.len();
        }
    }
    assert_eq!(taken, BODY_BYTES);
}

#[tokio::test]
async fn an_unused_connection_ends_although_its_client_answers_nothing() {
    let timeouts = Duration::from_millis(40);
    let gateway = gateway(ListenSettings { idle_timeout: timeouts, write_timeout: timeouts, ..local() }).await;
    let mut silent = Client::of(&gateway, 0).await;
    until(|| gateway.handle.connections() == 1).await;
    silent.until(GOAWAY).await;
    until(|| gateway.handle.connections() == 0).await;
    // One that has begun a head, and one that holds what it was sent last.
    let mut slow = Client::of(&gateway, 0).await;
    slow.send(HEADERS, 0, 1, &GET[..3]).await;
    let mut holding = Client::of(&gateway, u32::try_from(BODY_BYTES).unwrap() - 1).await;
    holding.ask(1).await;
    until(|| gateway.handle.connections() == 2).await;
    until(|| gateway.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_connection_that_is_used_does_not_end() {
    let timeouts = Duration::from_millis(300);
    let gateway = gateway(ListenSettings { idle_timeout: timeouts, write_timeout: timeouts, ..local() }).await;
    let mut client = Client::of(&gateway, 1 << 20).await;
    for stream in (1..40).step_by(2) {
        client.ask(stream).await;
        let mut taken = 0;
        while taken < BODY_BYTES {
            taken += client.until(DATA).await.bytes.len();
        }
        sleep(Duration::from_millis(50)).await;
    }
}
