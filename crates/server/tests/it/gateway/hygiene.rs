//! What is read in different ways by different servers: refused cleanly, or passed on as one thing only.
//!
//! The upstream records the bytes that it got. A text that is refused must reach it with no byte; one that passes must
//! reach it as exactly the requests that the client meant.

use std::time::Duration;

use tokio::sync::mpsc;
use unstale_server::gateway::{listen::ListenSettings, proxy::ForwardSettings};

use super::support::{Gateway, RawUpstream, local, soon, upstream_of};

/// A gateway before a server that takes any bytes as one request per head, and tells of each. It closes a connection
/// on which nothing more comes soon.
async fn recorded() -> (Gateway, mpsc::UnboundedReceiver<String>) {
    let (addr, asked) = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let quick = Duration::from_millis(100);
    let listen = ListenSettings { head_timeout: quick, idle_timeout: quick, ..local() };
    let mut upstream = upstream_of([addr]);
    upstream.timeouts.body_idle = quick;
    (Gateway::start(upstream, listen, ForwardSettings::default()).await, asked)
}

/// What came to the server of what the client sent, and what the client was answered.
async fn pass(text: &str) -> (Vec<String>, String) {
    let (gateway, mut asked) = recorded().await;
    let mut client = gateway.connect().await;
    client.write(text).await;
    let answer = client.rest().await;
    let mut got = Vec::new();
    while let Ok(request) = asked.try_recv() {
        got.push(request);
    }
    (got, answer)
}

async fn refused(text: &str) {
    let (got, answer) = pass(text).await;
    assert!(got.is_empty(), "{text:?} reached the server: {got:?}");
    let status: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    assert!((400..=501).contains(&status), "{text:?} was answered: {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "more than one answer to {text:?}: {answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{text:?}: the connection stays: {answer}");
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_has_no_one_length_is_refused() {
    for lines in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\r\n: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\0\r\nContent-Length: 3",
        " Content-Length: 3",
        "Content-Length\0: 3",
        "Content Length: 3",
        ": x",
        "no colon",
    ] {
        refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}")).await;
    }
    refused(&format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}")).await;
}

#[tokio::test]
async fn of_a_length_and_chunks_the_chunks_count_and_nothing_follows() {
    for lines in ["Content-Length: 44\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let (got, answer) = pass(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}")).await;
        assert_eq!(got.len(), 1, "{got:?}");
        assert!(!got[0].contains("content-length") && got[0].contains("transfer-encoding: chunked"), "{got:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn equal_lengths_are_one_and_what_follows_is_a_request() {
    let text = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n{SMUGGLED}");
    let (got, answer) = pass(&text).await;
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[0].matches("content-length: 0\r\n").count(), 1, "{got:?}");
    assert!(got[1].starts_with("GET /smuggled "), "{got:?}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[tokio::test]
async fn chunks_that_are_read_in_different_ways_never_become_a_request() {
    for body in [
        "0x0\r\n\r\n",
        "-0\r\n\r\n",
        "+0\r\n\r\n",
        " 0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "g\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "0;a\nb\r\n\r\n",
        "0;\u{0}\r\nX",
    ] {
        let (got, answer) =
            pass(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}")).await;
        assert!(!got.iter().any(|request| request.contains("GET /smuggled")), "{body:?}: {got:?}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn chunk_extensions_are_not_passed_on() {
    let (gateway, mut asked) = recorded().await;
    let mut client = gateway.connect().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;ext=\"\u{e4}\"\r\n\r\n").await;
    client.until("ok").await;
    assert!(!soon(asked.recv()).await.unwrap().contains("ext"));
}

#[tokio::test]
async fn a_head_that_is_no_http_is_refused() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\u{1}b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "G\u{0}T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{e4}: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Authorization\r\nAuthorization: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n",
    ] {
        refused(head).await;
    }
}

#[tokio::test]
async fn what_everybody_reads_alike_passes_as_one_thing() {
    // Lines that end in LF alone may be read (RFC 9112 §2.2), and are passed on with CRLF.
    let (got, _) = pass("GET /lf HTTP/1.1\nHost: a\nX-A: 1\n\n").await;
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].contains("\r\nx-a: 1\r\n") && !got[0].replace("\r\n", "").contains('\n'), "{got:?}");
    // A fragment is no part of what is asked for, and neither cache nor server sees it.
    let (got, _) = pass("GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(got[0].starts_with("GET /a?b HTTP/1.1\r\n"), "{got:?}");
    // Empty lines before a request are skipped.
    let (got, _) = pass("\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(got[0].starts_with("GET /x HTTP/1.1\r\n"), "{got:?}");
    // An old client need not name the host; the server gets its own name.
    let (got, answer) = pass("GET /old HTTP/1.0\r\n\r\n").await;
    assert!(got[0].contains("\r\nhost: 127.0.0.1"), "{got:?}");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn two_requests_in_one_write_are_two_requests() {
    let (got, answer) = pass(&format!("GET /one HTTP/1.1\r\nHost: a\r\n\r\n{SMUGGLED}")).await;
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}
