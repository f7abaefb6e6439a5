//! What goes through, both ways.

use axum::{Router, body::Body, extract::Request, routing::any};
use http::header;

use super::support::{Gateway, RawUpstream, app, soon, text};

#[tokio::test]
async fn a_request_is_passed_on_and_answered() {
    let (addr, mut asked) = RawUpstream::answering(
        "HTTP/1.1 201 Made Up\r\nContent-Length: 2\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 1\r\nKeep-Alive: 5\r\n\r\nhi",
    )
    .await;
    let gateway = Gateway::before(addr).await;
    let answer = gateway
        .send("GET /a/b?c=%20d HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-C\r\nX-C: 1\r\nX-D: 1\r\nProxy-Connection: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
        .await;
    let asked = soon(asked.recv()).await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /a/b?c=%20d http/1.1\r\n"), "{asked}");
    for line in [
        "\r\nhost: shop.example\r\n",
        "\r\nx-d: 1\r\n",
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
        "\r\nx-forwarded-proto: http\r\n",
        "\r\nx-forwarded-host: shop.example\r\n",
        "\r\nforwarded: for=127.0.0.1;proto=http;host=\"shop.example\"\r\n",
        "\r\nvia: 1.1 unstale\r\n",
    ] {
        assert!(asked.contains(line), "{line} in {asked}");
    }
    for gone in ["x-c:", "connection:", "6.6.6.6"] {
        assert!(!asked.contains(gone), "{gone} in {asked}");
    }
    assert!(answer.starts_with("HTTP/1.1 201 Made Up\r\n"), "{answer}");
    assert!(answer.contains("x-a: 1\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
    assert!(!answer.contains("x-b") && !answer.contains("keep-alive"), "{answer}");
}

#[tokio::test]
async fn a_connection_to_the_server_is_used_again() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    let mut server = None;
    for nth in 0..3 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        if nth == 0 {
            server = Some(upstream.accept().await);
        }
        let server = server.as_mut().unwrap();
        server.until("\r\n\r\n").await;
        server.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        client.until("hello").await;
    }
    assert!(!upstream.came());
    assert_eq!(gateway.upstream.report().requests, 3);
}

#[tokio::test]
async fn a_body_is_streamed_both_ways() {
    let echo = any(|request: Request| async { Body::from_stream(request.into_body().into_data_stream()) });
    let gateway = Gateway::before(app(Router::new().route("/", echo)).await).await;
    let mut client = gateway.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    // The answer begins before the request has ended.
    client.until("abc").await;
    client.write("3\r\ndef\r\n").await;
    client.until("def").await;
    client.write("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn heads_and_answers_without_a_body_are_passed_on_as_they_are() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
    ] {
        let (addr, _asked) = RawUpstream::answering(answer).await;
        let gateway = Gateway::before(addr).await;
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let passed = gateway.send(&request).await;
        assert!(passed.ends_with("\r\n\r\n"), "{passed}");
        for line in answer.to_lowercase().lines().skip(1) {
            assert!(passed.to_lowercase().contains(line), "{line} in {passed}");
        }
    }
}

#[tokio::test]
async fn the_path_is_not_touched() {
    let seen = any(|request: Request| async move {
        format!("{} {}", request.uri(), request.headers()[header::HOST].to_str().unwrap())
    });
    let gateway = Gateway::before(app(Router::new().fallback(seen)).await).await;
    for path in ["/a//b/../c/%2e%2E/;x.css?y=1&y=2&&z", "/%2f?", "/", "/?a=http://b/"] {
        let answer = gateway.send(&format!("GET {path} HTTP/1.1\r\nHost: A.b:80\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{path} A.b:80")), "{answer}");
    }
    let absolute = gateway.send("GET http://a.b/x?y HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n").await;
    assert!(absolute.ends_with("\r\n\r\n/x?y a.b"), "{absolute}");
    let _ = text(Body::empty()).await;
}
