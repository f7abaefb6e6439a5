//! Requests and answers over HTTP/2, before a service that does exactly what a test wants.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future::BoxFuture, stream};
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Collected, StreamBody};
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};
use tower::service_fn;
use unstale_server::gateway::listen::{ListenSettings, Listener, Mounted, RequestBody};

use super::support::{local, soon};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Frames = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Error>> + Send>>>;
type Answer = Response<Frames>;

fn body(frames: impl Stream<Item = Result<Frame<Bytes>, Error>> + Send + 'static) -> Frames {
    StreamBody::new(Box::pin(frames))
}

#[allow(clippy::unnecessary_wraps, reason = "as a body has it")]
fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, Error> {
    Ok(Frame::data(bytes.into()))
}

/// A listener before a service. It stops when it is dropped.
struct Server {
    client: SendRequest<Bytes>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn of(answer: impl Fn(Request<RequestBody>) -> BoxFuture<'static, Answer> + Send + Sync + 'static) -> Self {
        Self::to(&h2::client::Builder::new(), local(), answer).await
    }

    /// And a connection of such a client to it.
    async fn to(
        client: &h2::client::Builder,
        settings: ListenSettings,
        answer: impl Fn(Request<RequestBody>) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = Listener::bind(settings).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listener.run(Mounted(service), async move { drop(stopped.await) }));
        let stream = TcpStream::connect(addr).await.unwrap();
        let (client, connection) = soon(client.handshake(stream)).await.unwrap();
        Self { client, stop: Some(stop), task, connection: tokio::spawn(connection) }
    }

    async fn begin(&self, request: Request<()>, ends: bool) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut client = soon(self.client.clone().ready()).await.unwrap();
        client.send_request(request, ends).unwrap()
    }

    async fn ask(&self, request: Request<()>) -> Result<Response<RecvStream>, h2::Error> {
        let (answer, _) = self.begin(request, true).await;
        soon(answer).await
    }

    /// Whether the connection is good.
    async fn goes_on(&self) {
        assert_eq!(self.ask(get("/")).await.unwrap().status(), 200);
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

fn post() -> Request<()> {
    Request::post("http://a/").body(()).unwrap()
}

async fn all(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut read = Vec::new();
    while let Some(data) = soon(stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read)
}

/// Tells when it is dropped.
struct Held(mpsc::UnboundedSender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn bodies_larger_than_any_window_and_trailers_go_both_ways() {
    let server = Server::of(|request| Box::pin(async { Response::new(body(echoed(request))) })).await;
    let (answer, mut send) = server.begin(post(), false).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("6"))]);
    let (mut rest, expected_trailers) = (Bytes::from(bytes.clone()), trailers.clone());
    let sent = tokio::spawn(async move {
        while !rest.is_empty() {
            send.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            send.send_data(rest.split_to(room), false).unwrap();
        }
        send.send_trailers(trailers).unwrap();
    });
    let mut stream = soon(answer).await.unwrap().into_body();
    assert!(all(&mut stream).await.unwrap() == bytes, "other bytes came back");
    assert_eq!(soon(stream.trailers()).await.unwrap(), Some(expected_trailers));
    soon(sent).await.unwrap();
}

fn echoed(request: Request<RequestBody>) -> impl Stream<Item = Result<Frame<Bytes>, Error>> + Send {
    stream::unfold(request.into_body(), |mut body| async {
        let frame = body.frame().await?;
        Some((frame.map_err(Error::from), body))
    })
}

#[tokio::test]
async fn a_head_is_sent_as_http2_wants_it() {
    let server = Server::of(|_| {
        Box::pin(async {
            let connection = [(header::CONNECTION, "x-hop"), (header::TRANSFER_ENCODING, "chunked")];
            let mut answer = Response::new(body(stream::empty()));
            for (name, value) in connection.into_iter().chain([("x-hop".parse().unwrap(), "1"), (header::VIA, "b")]) {
                answer.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            answer
        })
    })
    .await;
    let answer = server.ask(get("/")).await.unwrap();
    let mut names: Vec<_> = answer.headers().keys().map(header::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "via"]);
    let date = answer.headers()[header::DATE].to_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc2822(date).is_ok(), "{date}");
}

#[tokio::test]
async fn a_body_of_known_length_says_it() {
    // What the listener itself refuses is one.
    let server = Server::of(|_| Box::pin(pending())).await;
    let mut answer = server.ask(Request::get("http://a/").header("host", "b").body(()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
    let length: usize = answer.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    assert_eq!(all(answer.body_mut()).await.unwrap().len(), length);
}

#[tokio::test]
async fn no_body_follows_where_none_may() {
    let server = Server::of(|request| {
        let status = request.uri().path()[1..].parse().unwrap();
        Box::pin(async move {
            let mut answer = Response::new(body(stream::iter([data("abc")])));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer
        })
    })
    .await;
    let head = Request::head("http://a/200").body(()).unwrap();
    for (request, status) in [(head, 200), (get("/204"), 204), (get("/304"), 304)] {
        let mut answer = server.ask(request).await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.body().is_end_stream(), "{status}: more than the head comes");
        assert_eq!(all(answer.body_mut()).await.unwrap(), b"");
    }
    assert_eq!(all(server.ask(get("/200")).await.unwrap().body_mut()).await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_client_that_resets_a_stream_cancels_what_it_asked_for() {
    let (dropped, mut cancelled) = mpsc::unbounded_channel();
    let server = Server::of(move |request| {
        let held = Held(dropped.clone());
        Box::pin(async move {
            match request.uri().path() {
                "/service" => pending().await,
                "/body" => {
                    let silent = stream::once(async move {
                        let _held = held;
                        pending().await
                    });
                    Response::new(body(stream::iter([data("abc")]).chain(silent)))
                }
                _ => Response::new(body(stream::empty())),
            }
        })
    })
    .await;
    // While the service runs.
    let (answer, mut send) = server.begin(get("/service"), true).await;
    server.goes_on().await;
    soon(cancelled.recv()).await.unwrap();
    assert!(cancelled.try_recv().is_err(), "it ended by itself");
    send.send_reset(Reason::CANCEL);
    soon(cancelled.recv()).await.unwrap();
    drop(answer);
    // While its body has nothing to be sent.
    let (answer, mut send) = server.begin(get("/body"), true).await;
    let mut stream = soon(answer).await.unwrap().into_body();
    assert_eq!(soon(stream.data()).await.unwrap().unwrap(), "abc");
    send.send_reset(Reason::CANCEL);
    soon(cancelled.recv()).await.unwrap();
    server.goes_on().await;
}

#[tokio::test]
async fn a_client_that_goes_cancels_what_it_asked_for() {
    let (dropped, mut cancelled) = mpsc::unbounded_channel();
    let came = Arc::new(Notify::new());
    let told = came.clone();
    let server = Server::of(move |_| {
        let held = Held(dropped.clone());
        told.notify_one();
        Box::pin(async move {
            let _held = held;
            pending().await
        })
    })
    .await;
    let (answer, _) = server.begin(get("/"), true).await;
    soon(came.notified()).await;
    server.connection.abort();
    soon(cancelled.recv()).await.unwrap();
    drop(answer);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_one() {
    let seen = Arc::new(Notify::new());
    let may_break = seen.clone();
    let server = Server::of(move |request| {
        let (breaks, may_break) = (request.uri().path() == "/broken", may_break.clone());
        let end = stream::once(async move {
            if breaks {
                may_break.notified().await;
                return Err("it broke".into());
            }
            data("def")
        });
        Box::pin(async move { Response::new(body(stream::iter([data("abc")]).chain(end))) })
    })
    .await;
    let mut stream = server.ask(get("/broken")).await.unwrap().into_body();
    assert_eq!(soon(stream.data()).await.unwrap().unwrap(), "abc");
    seen.notify_one();
    assert_eq!(all(&mut stream).await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(all(server.ask(get("/")).await.unwrap().body_mut()).await.unwrap(), b"abcdef");
}

#[tokio::test]
async fn a_service_that_panics_ends_its_stream_alone() {
    let server = Server::of(|request| {
        Box::pin(async move {
            assert_ne!(request.uri().path(), "/panic");
            Response::new(body(stream::iter([data("abc")])))
        })
    })
    .await;
    assert!(server.ask(get("/panic")).await.unwrap_err().is_reset());
    server.goes_on().await;
}

#[tokio::test]
async fn an_interim_answer_is_no_answer() {
    let server = Server::of(|request| {
        let status = if request.uri().path() == "/" { 200 } else { 101 };
        Box::pin(async move {
            let mut answer = Response::new(body(stream::empty()));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer
        })
    })
    .await;
    assert_eq!(server.ask(get("/101")).await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    server.goes_on().await;
}

/// Of a body that is not what it seemed, its reader is told; whole it never seems.
#[tokio::test]
async fn a_request_that_breaks_off_is_an_error_to_who_reads_it() {
    let (told, mut errors) = mpsc::unbounded_channel();
    let server = Server::of(move |request| {
        let told = told.clone();
        Box::pin(async move {
            if request.method() == Method::POST {
                let read = request.into_body().collect().await.map(Collected::to_bytes);
                told.send(read.map_err(|error| error.to_string())).unwrap();
            }
            Response::new(body(stream::empty()))
        })
    })
    .await;
    // It is reset.
    let (_answer, mut send) = server.begin(post(), false).await;
    send.send_data("abc".into(), false).unwrap();
    server.goes_on().await;
    send.send_reset(Reason::CANCEL);
    let error = soon(errors.recv()).await.unwrap().unwrap_err();
    assert!(error.contains("the stream ended before its body"), "{error}");
    // It is shorter than it was said to be, or longer.
    for length in ["5", "2"] {
        let mut request = post();
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static(length));
        let (answer, mut send) = server.begin(request, false).await;
        server.goes_on().await;
        send.send_data("abc".into(), true).unwrap();
        assert_eq!(soon(answer).await.unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR), "{length}");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_all_of_the_request_has() {
    let server = Server::of(|_| Box::pin(async { Response::new(body(stream::iter([data("no")]))) })).await;
    let (answer, mut send) = server.begin(post(), false).await;
    let mut answer = soon(answer).await.unwrap();
    assert_eq!(all(answer.body_mut()).await.unwrap(), b"no");
    // The client is told that nobody reads the rest.
    let reason = soon(std::future::poll_fn(|cx| send.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, Reason::NO_ERROR);
    server.goes_on().await;
}

#[tokio::test]
async fn lengths_are_known_before_the_body_is_read() {
    let server = Server::of(|request| {
        Box::pin(async move {
            let hint = http_body::Body::size_hint(request.body());
            let text = format!("{:?} {}", hint.exact(), http_body::Body::is_end_stream(request.body()));
            Response::new(body(stream::iter([data(text)])))
        })
    })
    .await;
    let mut with_length = post();
    with_length.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
    for (request, ends, expected) in
        [(get("/"), true, "Some(0) true"), (post(), false, "None false"), (with_length, false, "Some(3) false")]
    {
        let (answer, _send) = server.begin(request, ends).await;
        assert_eq!(all(soon(answer).await.unwrap().body_mut()).await.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn what_is_not_served_is_told() {
    let settings = ListenSettings { head_bytes_max: 2000, ..local() };
    let server =
        Server::to(&h2::client::Builder::new(), settings, |_| Box::pin(async { Response::new(body(stream::empty())) }))
            .await;
    let mut connect = Request::builder().method(Method::CONNECT).body(()).unwrap();
    *connect.uri_mut() = Uri::from_static("a:80");
    assert_eq!(server.ask(connect).await.unwrap().status(), 501);
    let mut large = get("/");
    large.headers_mut().insert("x-large", HeaderValue::from_str(&"x".repeat(3000)).unwrap());
    assert_eq!(server.ask(large).await.unwrap().status(), 431);
    server.goes_on().await;
}

#[tokio::test]
async fn the_stop_lets_streams_end_and_takes_no_more() {
    let go = Arc::new(Notify::new());
    let may_go = go.clone();
    let mut server = Server::of(move |_| {
        let may_go = may_go.clone();
        let end = stream::once(async move {
            may_go.notified().await;
            data("def")
        });
        Box::pin(async { Response::new(body(stream::iter([data("abc")]).chain(end))) })
    })
    .await;
    let mut running = server.ask(get("/")).await.unwrap();
    server.stop.take();
    // It is told on the connection that no more are taken.
    soon(async {
        while server.client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    go.notify_one();
    assert_eq!(all(running.body_mut()).await.unwrap(), b"abcdef");
    drop(running);
    soon(&mut server.task).await.unwrap();
}

/// Of what the client takes of all streams, one that has nothing to send claims nothing.
#[tokio::test]
async fn a_silent_stream_holds_nothing_back_from_others() {
    const CONNECTION_WINDOW_BYTES: usize = 65_535;
    let mut client = h2::client::Builder::new();
    client.initial_window_size(1 << 20);
    let server = Server::to(&client, local(), |request| {
        let is_silent = request.uri().path() == "/silent";
        let whole = stream::iter([data(vec![b'x'; CONNECTION_WINDOW_BYTES])]);
        Box::pin(async move { Response::new(if is_silent { body(stream::pending()) } else { body(whole) }) })
    })
    .await;
    let silent = server.ask(get("/silent")).await.unwrap();
    let mut stream = server.ask(get("/")).await.unwrap().into_body();
    let mut taken = 0;
    // No room is made.
    while taken < CONNECTION_WINDOW_BYTES {
        taken += soon(stream.data()).await.unwrap().unwrap().len();
    }
    drop(silent);
}

#[tokio::test]
async fn what_the_other_side_does_not_take_is_not_read() {
    const PIECE_BYTES: usize = 16 * 1024;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let server = Server::of(move |request| {
        let made = counted.clone();
        let endless = stream::repeat_with(move || {
            made.fetch_add(PIECE_BYTES, Relaxed);
            data(vec![b'x'; PIECE_BYTES])
        });
        Box::pin(async move {
            match request.uri().path() {
                "/endless" => Response::new(body(endless)),
                "/unread" => {
                    let _unread = request;
                    pending().await
                }
                _ => Response::new(body(stream::empty())),
            }
        })
    })
    .await;
    // The client has room for 64 KiB, and as much is held for it, in two places.
    let answer = server.ask(get("/endless")).await.unwrap();
    server.goes_on().await;
    assert!(made.load(Relaxed) <= 4 * 64 * 1024, "{}", made.load(Relaxed));
    drop(answer);
    let request = Request::post("http://a/unread").body(()).unwrap();
    let (_answer, mut send) = server.begin(request, false).await;
    let mut sent = 0;
    send.reserve_capacity(1 << 20);
    for _ in 0..20 {
        server.goes_on().await;
        let room = send.capacity();
        send.send_data(vec![b'x'; room].into(), false).unwrap();
        send.reserve_capacity(1 << 20);
        sent += room;
    }
    assert_eq!(sent, 128 * 1024);
}
