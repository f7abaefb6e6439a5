//! What goes through, both ways.

use axum::{Router, body::Body, extract::Request, routing::any};
use http::header;

use super::support::{Gateway, RawUpstream, app, soon};

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
}

#[tokio::test]
async fn trailers_are_passed_on_both_ways() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client
        .write("POST / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    let asked = server.until("x-sum: 6\r\n\r\n").await;
    assert!(asked.contains("te: trailers\r\n") && asked.contains("connection: te\r\n"), "{asked}");
    server
        .write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\ndef\r\n0\r\nX-Sum: 9\r\n\r\n",
        )
        .await;
    client.until("x-sum: 9\r\n\r\n").await;
}

#[tokio::test]
async fn early_hints_are_passed_on() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.until("\r\n\r\n").await;
        server.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n").await;
        let hints = client.until("\r\n\r\n").await;
        assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
        server.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
        let answer = client.until("hi").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn the_client_is_told_to_go_on_when_the_server_says_so() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let asked = server.until("\r\n\r\n").await;
    assert!(asked.contains("expect: 100-continue"), "{asked}");
    server.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write("abc").await;
    server.until("abc").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    client.until("hi").await;
}

#[tokio::test]
async fn a_server_that_declines_gets_no_body() {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.until("\r\n\r\n").await;
    server.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // The connection to the server is not used again: it waits for a body there.
    assert_eq!(server.rest().await, "");
}

#[tokio::test]
async fn a_length_beside_chunks_is_dropped_and_other_codings_are_refused() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (addr, _asked) = RawUpstream::answering(chunked).await;
    let answer = Gateway::before(addr).await.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(!answer.contains("content-length") && answer.contains("3\r\nabc\r\n"), "{answer}");
    let (addr, _asked) =
        RawUpstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .await;
    let answer = Gateway::before(addr).await.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("proxy-status: unstale; error=http_response_transfer_coding\r\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    for garbage in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    ] {
        let (addr, _asked) = RawUpstream::answering(garbage).await;
        let answer = Gateway::before(addr).await.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{garbage}: {answer}");
        assert!(answer.contains("proxy-status: unstale; error=http_protocol_error\r\n"), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}
