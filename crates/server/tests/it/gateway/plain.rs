//! Plain exchanges with a server, and what makes them the library's: the same to the client, and one connection for both.

use super::support::{Gateway, Raw, RawUpstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A gateway, a client of it, and the server's side of a connection that has asked for `/a`.
async fn asked(method: &str) -> (Gateway, RawUpstream, Raw, Raw) {
    let mut upstream = RawUpstream::start().await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client = gateway.connect().await;
    client.write(GET.replace("GET", method)).await;
    let mut server = upstream.accept().await;
    assert!(server.until("\r\n\r\n").await.starts_with(&format!("{method} /a HTTP/1.1\r\n")));
    (gateway, upstream, client, server)
}

/// Asks once more, and sees that it comes on the same connection.
async fn asks_again(client: &mut Raw, server: &mut Raw) {
    client.write(GET).await;
    assert!(server.until("\r\n\r\n").await.starts_with("GET /a HTTP/1.1\r\n"));
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain").await;
    assert!(client.until("again").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn an_answer_may_come_in_pieces() {
    let (_gateway, _upstream, mut client, mut server) = asked("GET").await;
    for piece in ["HTTP/1.1 20", "0 OK\r\nContent-Le", "ngth: 6\r\nX-A: b\r", "\n\r", "\nab", "cd"] {
        server.write(piece).await;
        tokio::task::yield_now().await;
    }
    let head = client.until("abcd").await;
    assert!(head.contains("\r\nx-a: b\r\n") && head.contains("\r\ncontent-length: 6\r\n"), "{head}");
    server.write("ef").await;
    client.until("ef").await;
    asks_again(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_long_body_comes_whole() {
    let (_gateway, _upstream, mut client, mut server) = asked("GET").await;
    let body = "0123456789abcdef".repeat(50_000);
    let sent = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let sending = tokio::spawn(async move {
        server.write(sent).await;
        server
    });
    let mut read = client.until("\r\n\r\n").await;
    while read.len() - read.find("\r\n\r\n").unwrap() - 4 < body.len() {
        read.push_str(&client.until("f").await);
    }
    assert!(read.ends_with(&body));
    asks_again(&mut client, &mut sending.await.unwrap()).await;
}

#[tokio::test]
async fn an_answer_that_needs_thought_is_read_as_ever_and_so_is_the_next() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nover";
    for (answer, begins, ends) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nover\r\n0\r\n\r\n", "HTTP/1.1 200 OK", "0\r\n\r\n"),
        (hints, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK", "over"),
        ("HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\nover", "HTTP/1.1 200 Fine", "over"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nover", "HTTP/1.1 200 OK", "over"),
    ] {
        let (_gateway, mut upstream, mut client, mut server) = asked("GET").await;
        server.write(answer).await;
        let read = client.until(ends).await;
        assert!(read.starts_with(begins), "{answer}: {read}");
        // It was asked once: nothing of the request came twice.
        asks_again(&mut client, &mut server).await;
        assert!(!upstream.came());
    }
}

#[tokio::test]
async fn what_begins_plain_may_go_on_in_another_way_while_it_is_read() {
    let (_gateway, _upstream, mut client, mut server) = asked("GET").await;
    server.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chu").await;
    tokio::task::yield_now().await;
    server.write("nked\r\n\r\n4\r\nov").await;
    client.until("ov").await;
    server.write("er\r\n0\r\n\r\n").await;
    client.until("er").await;
}

#[tokio::test]
async fn what_is_no_get_shares_the_connection() {
    let (_gateway, mut upstream, mut client, mut server) = asked("DELETE").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngone").await;
    client.until("gone").await;
    asks_again(&mut client, &mut server).await;
    assert!(!upstream.came());
}

#[tokio::test]
async fn what_a_server_says_beyond_its_answer_is_nobodys() {
    let (_gateway, mut upstream, mut client, mut server) = asked("GET").await;
    server
        .write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noverHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .await;
    let read = client.until("over").await;
    client.write(GET).await;
    let mut other = upstream.accept().await;
    other.until("\r\n\r\n").await;
    other.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    let next = client.until("good").await;
    assert!(!read.contains("evil") && !next.contains("evil"), "{read}{next}");
    assert_eq!(server.rest().await, "", "the connection is closed");
}

#[tokio::test]
async fn what_a_server_says_unasked_makes_its_connection_useless() {
    let (_gateway, mut upstream, mut client, mut server) = asked("GET").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nover").await;
    client.until("over").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
    // The gateway sees it when the connection is swept, or when it is taken: either way it is closed.
    assert_eq!(server.rest().await, "");
    client.write(GET).await;
    let mut other = upstream.accept().await;
    other.until("\r\n\r\n").await;
    other.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    assert!(!client.until("good").await.contains("evil"));
}

#[tokio::test]
async fn a_body_that_ends_too_early_breaks_the_answer_off() {
    let (_gateway, _upstream, mut client, mut server) = asked("GET").await;
    server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    client.until("half").await;
    drop(server);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_head_that_ends_too_early_is_a_bad_gateway_and_asked_for_once() {
    for begun in ["H", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"] {
        let (_gateway, mut upstream, mut client, mut server) = asked("GET").await;
        server.write(begun).await;
        drop(server);
        let read = client.until("}").await;
        assert!(read.starts_with("HTTP/1.1 502 "), "{begun:?}: {read}");
        assert!(!upstream.came());
    }
}

#[tokio::test]
async fn no_content_and_not_modified_have_no_body_whatever_they_say() {
    for status in ["204 No Content", "304 Not Modified"] {
        let (_gateway, _upstream, mut client, mut server) = asked("GET").await;
        server.write(format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n")).await;
        let read = client.until("\r\n\r\n").await;
        assert!(read.starts_with(&format!("HTTP/1.1 {status}\r\n")) && read.ends_with("\r\n\r\n"), "{read}");
        asks_again(&mut client, &mut server).await;
    }
}
