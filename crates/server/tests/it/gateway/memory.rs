//! Answers that are there at once, between others that are not: how a connection of HTTP/1.1 goes from one to the other.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Response, header, request};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use unstale_server::gateway::listen::{ClientConnection, ListenHandle, ListenSettings, Listener, RequestBody, Serve};

use super::{
    support::{Raw, local, soon, until},
    tls::{self, Authority},
};

const NOW: &str = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER: &str = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
const LARGE: &str = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
/// More than a socket takes.
const LARGE_BYTES: usize = 24 * 1024 * 1024;

/// Answers by the path: the answer's body is the path and how many requests came up to it.
#[derive(Clone, Default)]
struct Memory {
    asked: Arc<AtomicUsize>,
}

/// A body that is there as a whole; whether that is told.
struct Held(Option<Bytes>, bool);

enum Answer {
    Now(Option<Response<Held>>),
    Later(BoxFuture<'static, Response<Held>>),
}

impl Serve for Memory {
    type Body = Held;
    type Future = Answer;

    fn serve(&self, head: request::Parts, body: RequestBody, _: &ClientConnection) -> Answer {
        assert!(body.is_end_stream(), "no request here has a body");
        let count = self.asked.fetch_add(1, Relaxed) + 1;
        let path = head.uri.path();
        let text = match path {
            "/large" => vec![b'x'; LARGE_BYTES],
            path => format!("<{path} {count}>").into_bytes(),
        };
        let mut answer = Response::builder().header(header::CONTENT_LENGTH, text.len());
        if path != "/undated" {
            answer = answer.header(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        }
        if path == "/closing" {
            answer = answer.header(header::CONNECTION, "close");
        }
        let answer = answer.body(Held(Some(text.into()), path != "/streamed")).unwrap();
        if path == "/later" {
            let pause = tokio::time::sleep(Duration::from_millis(1));
            return Answer::Later(pause.map(|()| answer).boxed());
        }
        Answer::Now(Some(answer))
    }

    fn is_ready(answer: &Answer) -> bool {
        matches!(answer, Answer::Now(_))
    }

    fn whole(body: &Held) -> Option<&Bytes> {
        body.0.as_ref().filter(|_| body.1)
    }
}

impl Future for Answer {
    type Output = Result<Response<Held>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => Poll::Ready(Ok(answer.take().unwrap())),
            Self::Later(answer) => answer.poll_unpin(cx).map(Ok),
        }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// A listener before it; it stops when this is dropped.
struct Running {
    addr: std::net::SocketAddr,
    handle: ListenHandle,
    asked: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(listen: ListenSettings) -> Self {
        let memory = Memory::default();
        let listener = Listener::bind(listen).await.unwrap();
        let (addr, handle, asked) = (listener.local_addr().unwrap(), listener.handle(), memory.asked.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listener.run(memory, async move { drop(stopped.await) }));
        Self { addr, handle, asked, stop: Some(stop), task }
    }

    async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.addr).await.unwrap())
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn large() -> String {
    "x".repeat(LARGE_BYTES)
}

#[tokio::test]
async fn what_is_there_and_what_is_to_come_are_answered_in_turn_and_each_is_asked_for_once() {
    let running = Running::start(local()).await;
    let mut client = running.connect().await;
    let paths = ["now", "now", "later", "later", "now", "now", "streamed", "now", "undated", "later", "undated", "now"];
    for (count, path) in (1..).zip(paths) {
        client.write(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.until(">").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\ndate: "), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n</{path} {count}>")), "{answer}");
    }
    assert_eq!(running.asked(), paths.len());
}

#[tokio::test]
async fn requests_that_come_together_or_in_pieces_are_answered_in_their_order() {
    let running = Running::start(local()).await;
    let mut client = running.connect().await;
    client.write(NOW).await;
    client.until("</now 1>").await;
    client.write([NOW, LATER, NOW, NOW].concat()).await;
    client.until("</now 5>").await;
    for piece in ["GET /now HT", "TP/1.1\r\nHo", "st: a\r\n\r", "\n"] {
        client.write(piece).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.until("</now 6>").await;
    client.write(NOW).await;
    client.until("</now 7>").await;
    // What is behind the last one is none.
    client.write([LATER, "nonsense\r\n\r\n"].concat()).await;
    let rest = client.rest().await;
    assert!(rest.contains("</later 8>") && rest.contains("HTTP/1.1 400 "), "{rest}");
    assert_eq!(running.asked(), 8);
}

#[tokio::test]
async fn half_a_head_is_no_request() {
    let running = Running::start(local()).await;
    let mut client = running.connect().await;
    client.write(&NOW[..NOW.len() - 1]).await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    assert_eq!(running.asked(), 0);
    // Whoever says nothing more may still read.
    let mut client = running.connect().await;
    client.write(NOW).await;
    client.0.shutdown().await.unwrap();
    assert!(client.rest().await.ends_with("</now 1>"));
    until(|| running.handle.connections() == 0).await;
}

#[tokio::test]
async fn requests_that_say_something_of_the_connection_are_heeded_after_those_that_do_not() {
    let running = Running::start(local()).await;
    for (request, answered) in [
        ("GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "connection: close\r\n"),
        ("GET /now HTTP/1.0\r\nHost: a\r\n\r\n", "</now"),
        ("GET /closing HTTP/1.1\r\nHost: a\r\n\r\n", "connection: close\r\n"),
        ("GET /now HTTP/1.1\r\n\r\n", "400 Bad Request"),
    ] {
        let mut client = running.connect().await;
        client.write(NOW).await;
        client.until(">").await;
        client.write(request).await;
        let rest = client.rest().await;
        assert!(rest.contains(answered), "{request}: {rest}");
    }
    let mut client = running.connect().await;
    client.write(NOW).await;
    client.until(">").await;
    client.write(NOW.replace("GET", "HEAD")).await;
    assert!(client.until("\r\n\r\n").await.contains("content-length: "));
    client.write(NOW.replace("Host", "Connection: keep-alive\r\nHost")).await;
    client.until(">").await;
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_comes_whole_and_the_next_behind_it() {
    let running = Running::start(local()).await;
    let mut client = running.connect().await;
    client.write(LARGE).await;
    until(|| running.asked() == 1).await;
    client.write(NOW).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(running.asked(), 1, "the next is read only when the first has gone out");
    let answers = all(&mut client.0, "</now 2>").await;
    let ends = answers.iter().rposition(|byte| *byte == b'x').unwrap() + 1;
    assert!(answers[..ends].ends_with(large().as_bytes()));
}

#[tokio::test]
async fn who_takes_nothing_of_what_is_there_is_cut_off() {
    let running = Running::start(ListenSettings { write_timeout: Duration::from_millis(80), ..local() }).await;
    let mut client = running.connect().await;
    client.write(LARGE).await;
    until(|| running.asked() == 1).await;
    until(|| running.handle.connections() == 0).await;
    assert!(client.rest().await.len() < LARGE_BYTES);
}

#[tokio::test]
async fn the_stop_waits_for_what_is_unsent_and_for_nothing_else() {
    let mut running = Running::start(local()).await;
    let (mut slow, mut idle) = (running.connect().await, running.connect().await);
    idle.write(NOW).await;
    idle.until(">").await;
    slow.write(LARGE).await;
    until(|| running.asked() == 2).await;
    running.stop.take();
    assert_eq!(idle.rest().await, "");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(slow.rest().await.ends_with(&large()));
    soon(&mut running.task).await.unwrap();
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_what_was_there() {
    let running = Running::start(ListenSettings { idle_timeout: Duration::from_millis(40), ..local() }).await;
    let mut client = running.connect().await;
    client.write(NOW).await;
    assert!(client.rest().await.ends_with("</now 1>"));
}

/// All that comes until it ends so.
async fn all<C: AsyncRead + AsyncWrite + Unpin>(client: &mut C, end: &str) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert!(soon(client.read_buf(&mut read)).await.unwrap() > 0, "the connection ended");
    }
    read
}

#[tokio::test]
async fn over_tls_it_is_the_same_and_the_end_is_told() {
    let authority = Authority::new();
    let mut running = Running::start(tls::listen(authority.sign("gateway", "gateway.test"))).await;
    let connector = tls::client(&authority.path("ca.pem"), None, &[]);
    let mut client = tls::connect(&connector, running.addr).await.unwrap();
    for (request, end) in [(NOW, "</now 1>"), (LARGE, &large()), (LATER, "</later 3>"), (NOW, "</now 4>")] {
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = all(&mut client, end).await;
        assert_eq!(answer.len() > LARGE_BYTES, request == LARGE);
    }
    running.stop.take();
    // Without its word, this would be an error: somebody else may have cut it off.
    assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0);
}
