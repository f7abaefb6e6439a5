//! Early hints (103) to clients of HTTP/2, which alone act on them.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, HeaderValue, Request, header};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use unstale_server::gateway::proxy::ForwardSettings;

use super::{
    support::{Gateway, Raw, RawUpstream, soon, upstream_of},
    tls::{self, Authority},
};

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

/// A client on this connection.
pub(crate) async fn client(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (client, connection) = soon(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Asks for something, and does not wait.
pub(crate) async fn begin(client: &SendRequest<Bytes>, request: Request<()>) -> ResponseFuture {
    soon(client.clone().ready()).await.unwrap().send_request(request, true).unwrap().0
}

/// What comes next ahead of the answer; none if the answer does.
pub(crate) async fn next_hint(answer: &mut ResponseFuture) -> Option<HeaderMap> {
    let hint = soon(poll_fn(|cx| answer.poll_informational(cx))).await?.unwrap();
    assert_eq!(hint.status(), 103);
    Some(hint.headers().clone())
}

/// The whole answer, and all that came ahead of it.
pub(crate) async fn all(mut answer: ResponseFuture) -> (Vec<HeaderMap>, http::Response<Bytes>) {
    let mut hints = Vec::new();
    while let Some(hint) = next_hint(&mut answer).await {
        hints.push(hint);
    }
    let (head, mut body) = soon(answer).await.unwrap().into_parts();
    let mut read = Vec::new();
    while let Some(data) = soon(body.data()).await {
        read.extend_from_slice(&data.unwrap());
    }
    (hints, http::Response::from_parts(head, read.into()))
}

fn get() -> Request<()> {
    Request::get("http://a/").body(()).unwrap()
}

async fn hint(server: &mut Raw, link: &str) {
    server.write(format!("HTTP/1.1 103 Early Hints\r\nConnection: x\r\nX: y\r\nLink: {link}\r\n\r\n")).await;
}

fn hinted(link: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::LINK, HeaderValue::from_static(link))])
}

#[tokio::test]
async fn each_stream_gets_its_own_at_once_and_then_its_answer() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let client = client(TcpStream::connect(gateway.addr).await.unwrap()).await;
    let (mut one, mut ones) = (begin(&client, get()).await, upstream.accept().await);
    let (mut two, mut twos) = (begin(&client, get()).await, upstream.accept().await);
    ones.until("\r\n\r\n").await;
    twos.until("\r\n\r\n").await;
    hint(&mut ones, "</a.css>").await;
    assert_eq!(next_hint(&mut one).await, Some(hinted("</a.css>")));
    hint(&mut twos, "</b.css>").await;
    assert_eq!(next_hint(&mut two).await, Some(hinted("</b.css>")));
    hint(&mut ones, "</c.css>").await;
    assert_eq!(next_hint(&mut one).await, Some(hinted("</c.css>")));
    twos.write(OK).await;
    ones.write(OK).await;
    for answer in [one, two] {
        let (more, answer) = all(answer).await;
        assert_eq!((more.len(), answer.status().as_u16(), &answer.body()[..]), (0, 200, &b"hi"[..]));
        assert!(!answer.headers().contains_key(header::LINK));
    }
}

#[tokio::test]
async fn as_many_as_fit_are_passed_on_and_the_answer_follows() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let client = client(TcpStream::connect(gateway.addr).await.unwrap()).await;
    let (answer, mut server) = (begin(&client, get()).await, upstream.accept().await);
    server.until("\r\n\r\n").await;
    for _ in 0..1000 {
        hint(&mut server, "</a.css>; rel=preload").await;
    }
    server.write(OK).await;
    let (hints, answer) = all(answer).await;
    let bytes: usize = hints.iter().map(|hint| hint[header::LINK].len()).sum();
    assert!(hints.len() >= 100 && bytes <= 16 * 1024, "{}", hints.len());
    assert_eq!(answer.body(), "hi");
}

#[tokio::test]
async fn they_come_over_tls_as_well() {
    let authority = Authority::new();
    let mut upstream = RawUpstream::start().await;
    let listen = tls::listen(authority.sign("gateway", "gateway.test"));
    let gateway = Gateway::start(upstream_of([upstream.addr]), listen, ForwardSettings::default()).await;
    let agreed = tls::client(&authority.path("ca.pem"), None, &["h2", "http/1.1"]);
    let stream = tls::connect(&agreed, gateway.addr).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = client(stream).await;
    let request = Request::get("https://gateway.test/").body(()).unwrap();
    let (mut answer, mut server) = (begin(&client, request).await, upstream.accept().await);
    server.until("\r\n\r\n").await;
    for link in ["</a.css>", "</b.css>"] {
        hint(&mut server, link).await;
        assert_eq!(next_hint(&mut answer).await, Some(hinted(link)));
    }
    server.write(OK).await;
    assert_eq!(all(answer).await.1.body(), "hi");
}
