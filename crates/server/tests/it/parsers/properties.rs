//! What must hold of every parser of the gateway, for whatever bytes. Each function takes one input and panics if
//! something does not hold; the tests here and the fuzz targets (`fuzz/`) both call them.

use std::{
    cell::RefCell,
    convert::Infallible,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request};
use http_body::Body as _;
use http_body_util::{Empty, Full};
use hyper::{body::Incoming, client::conn as client, server::conn as server, service::service_fn};
use unstale::Tenant;
use unstale_server::{
    flags::{
        ofrep::EvaluationRequest,
        rule::{Asking, Rule, evaluate},
    },
    gateway::{
        config::{self, Surroundings, file::JwtFile},
        parsers,
    },
    telemetry::TraceContext,
};

/// By this name each is called with bytes.
pub(crate) type Property = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Property; 16] = [
    ("hygiene", hygiene),
    ("forwarded", forwarded),
    ("answer-head", answer_head),
    ("plain-answer", plain_answer),
    ("plain-request", plain_request),
    ("plain-written", plain_written),
    ("token-head", token_head),
    ("keys", keys),
    ("identity-answer", identity_answer),
    ("credentials", credentials),
    ("certificate", certificate),
    ("trace-context", trace_context),
    ("purge", purge),
    ("warm", warm),
    ("configuration", configuration),
    ("flag", flag),
];

/// A head from a text in the form of HTTP/1, as far as the library's types can hold it.
fn head(data: &[u8]) -> Option<request::Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(first.next()?).ok()?;
    let uri = Uri::try_from(first.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(&line[..colon]).ok()?, value);
    }
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.headers, head.version) = (method, uri, headers, Version::HTTP_11);
    Some(head)
}

/// What passes names one host, has one length and a path that is read in one way; and passes again, unchanged.
pub(crate) fn hygiene(data: &[u8]) {
    let Some(mut head) = head(data) else { return };
    if !parsers::hygiene(&mut head) {
        return;
    }
    let headers = &head.headers;
    assert_eq!(headers.get_all(header::HOST).iter().count(), 1);
    let host = headers[header::HOST].to_str().expect("a host is visible ASCII");
    assert!(head.uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host)));
    assert!(!host.contains(['@', '/', ',', ' ', '%']));
    assert!(headers.get_all(header::TRANSFER_ENCODING).iter().count() <= 1);
    assert!(!head.uri.path().contains(['\\', '\0', ' ']) && !head.uri.path().contains("%00"));
    let before = head.headers.clone();
    assert!(parsers::hygiene(&mut head), "what has passed passes again");
    assert_eq!(head.headers, before, "what Connection names was gone before");
}

/// A stranger's word of who asked is gone, a trusted proxy's stands before this hop's; and what is added is one element.
pub(crate) fn forwarded(data: &[u8]) {
    const FOR: &[u8] = b"192.0.2.1";
    const LISTS: [&str; 2] = ["x-forwarded-for", "forwarded"];
    let Some(mut head) = head(data) else { return };
    if !parsers::hygiene(&mut head) {
        return;
    }
    let host = head.headers.get(header::HOST).cloned();
    for trusted in [false, true] {
        let mut headers = head.headers.clone();
        let passes = parsers::forwarded(&mut headers, host.as_ref(), trusted);
        let said = head.headers.get_all(header::VIA).iter().filter_map(|line| line.to_str().ok()).collect::<String>();
        assert!(passes || said.matches("fuzzed").count() >= 8, "{headers:?}");
        for name in LISTS {
            let told: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let before = head.headers.get_all(name).iter().map(HeaderValue::as_bytes).filter(|line| !line.is_empty());
            let before = before.collect::<Vec<_>>().join(&b", "[..]);
            let [told] = told[..] else { panic!("{name} is in one line: {headers:?}") };
            let own = if trusted && !before.is_empty() {
                assert!(told.starts_with(&before), "{name}: {headers:?}");
                told[before.len()..].strip_prefix(b", ").expect("this hop is an element of its own")
            } else {
                told
            };
            let is_own = own == FOR || own.starts_with(b"for=192.0.2.1;proto=https");
            assert!(is_own && own.split(|byte| *byte == b'"').count() % 2 == 1, "{name}: {headers:?}");
        }
        let is_own = |name: &str, own: Option<&[u8]>| headers.get(name).map(HeaderValue::as_bytes) == own;
        if !trusted {
            assert!(is_own("x-forwarded-proto", Some(b"https")) && is_own("x-real-ip", None), "{headers:?}");
            assert!(is_own("x-forwarded-host", host.as_ref().map(HeaderValue::as_bytes)), "{headers:?}");
        }
    }
}

/// What passes has one length at most, and nothing that concerned the connection; and passes again, unchanged.
pub(crate) fn answer_head(data: &[u8]) {
    let Some(read) = head(&[b"GET / HTTP/1.1\n", data].concat()) else { return };
    let (mut head, ()) = Response::new(()).into_parts();
    head.headers = read.headers;
    if !parsers::answer_head(&mut head) {
        return;
    }
    let headers = head.headers.clone();
    for name in ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"] {
        assert!(!headers.contains_key(name), "{headers:?}");
    }
    assert!(headers.get_all(header::CONTENT_LENGTH).iter().count() <= 1, "{headers:?}");
    assert!(parsers::answer_head(&mut head), "what has passed passes again");
    assert_eq!(head.headers, headers);
}

/// What is read without the library is what the library reads: the status, the fields, and where the body ends.
pub(crate) fn plain_answer(data: &[u8]) {
    let Some((head_bytes, body_bytes, read)) = parsers::plain_answer(data) else { return };
    assert!(data[..head_bytes].ends_with(b"\n") && (200..=999).contains(&read.status.as_u16()));
    assert!(!read.headers.contains_key(header::TRANSFER_ENCODING));
    assert!(read.headers.get_all(header::CONTENT_LENGTH).iter().count() <= 1 || body_bytes == 0);
    // What comes behind it changes nothing of it, and it is not there before its last byte.
    let more = [data, b"\r\nTransfer-Encoding: chunked\r\n\r\n"].concat();
    assert_eq!(parsers::plain_answer(&more).map(|(head, body, _)| (head, body)), Some((head_bytes, body_bytes)));
    assert!(parsers::plain_answer(&data[..head_bytes - 1]).is_none());
    let (library, size) = read_by_the_library(&data[..head_bytes]).expect("the library reads what is plain");
    assert_eq!((read.status, &read.headers), (library.status, &library.headers));
    assert_eq!(Some(body_bytes), size);
    assert!(library.extensions.is_empty(), "the phrase is the usual one");
}

/// An answer to a GET as the library reads it, and how long its body is.
fn read_by_the_library(head: &[u8]) -> Option<(http::response::Parts, Option<u64>)> {
    let wire = Wire { input: head.to_vec(), waits: true, ..Wire::default() };
    let (mut sender, connection) = client::http1::handshake(wire).now_or_never()?.ok()?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(Request::new(Empty::<Bytes>::new())));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..4 {
        let _ = connection.as_mut().poll(&mut cx);
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) {
            let (head, body) = answer.ok()?.into_parts();
            return Some((head, body.size_hint().exact()));
        }
    }
    None
}

/// What is read without the library is what the library reads: a GET of a path, and its fields. It is alone, and whole.
pub(crate) fn plain_request(data: &[u8]) {
    let Some(read) = parsers::plain_request(data) else { return };
    assert!(parsers::plain_request(&[data, b"G"].concat()).is_none(), "something follows");
    assert!(parsers::plain_request(&data[..data.len() - 1]).is_none(), "something is missing");
    let (library, _) = served_by_the_library(data, || Response::new(Full::default()));
    let (library, body) = library.expect("the library reads what is plain");
    let told = |head: &request::Parts| (head.method.clone(), head.uri.clone(), head.version, head.headers.clone());
    assert_eq!(told(&read), told(&library));
    assert_eq!((read.extensions.is_empty(), body), (library.extensions.is_empty(), Some(0)));
}

/// What is written without the library is what the library writes.
pub(crate) fn plain_written(data: &[u8]) {
    let Some(read) = head(&[b"GET / HTTP/1.1\n", data].concat()) else { return };
    let body = Bytes::from(vec![b'x'; data.len() % 4]);
    for status in [200, 203, 204, 205, 206, 304, 404, 418, 500, 599] {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).expect("it is one");
        *answer.headers_mut() = read.headers.clone();
        let Some(mut written) = parsers::plain_written(&answer, body.len()) else { continue };
        written.extend_from_slice(&body);
        let answer = || answer.clone().map(|()| Full::new(body.clone()));
        let (_, library) = served_by_the_library(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", answer);
        // The library has a place of its own for the length.
        assert_eq!(sorted(&written), sorted(&library), "{}", String::from_utf8_lossy(&library));
    }
}

/// The lines of an answer: the first, the others by name and behind each other as they are of the same name, and the body.
fn sorted(answer: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = answer.split_inclusive(|byte| *byte == b'\n').collect();
    let end = lines.iter().position(|line| *line == b"\r\n").expect("a head ends");
    lines[1..end].sort_by_key(|line| line.split(|byte| *byte == b':').next());
    lines
}

/// A request as the library reads it, with the length of its body, and what it writes for this answer.
fn served_by_the_library(
    request: &[u8],
    answer: impl Fn() -> Response<Full<Bytes>>,
) -> (Option<(request::Parts, Option<u64>)>, Vec<u8>) {
    let (came, written) = (RefCell::new(None), Rc::default());
    let wire = Wire { input: request.to_vec(), output: Rc::clone(&written), ..Wire::default() };
    let service = service_fn(|request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        came.replace(Some((head, body.size_hint().exact())));
        std::future::ready(Ok::<_, Infallible>(answer()))
    });
    let _ = server::http1::Builder::new().serve_connection(wire, service).now_or_never();
    (came.take(), written.take())
}

/// A peer that says these bytes, and then nothing more.
#[derive(Default)]
struct Wire {
    input: Vec<u8>,
    output: Rc<RefCell<Vec<u8>>>,
    /// It says nothing until it was told something.
    waits: bool,
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.input.is_empty() || (self.waits && self.output.borrow().is_empty()) {
            return Poll::Pending;
        }
        let length = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input.drain(..length).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// No token is believed whose head names another algorithm than the rules do.
pub(crate) fn token_head(data: &[u8]) {
    let rules: JwtFile =
        serde_json::from_str(r#"{"secret_env": "S", "issuers": ["i"], "audiences": ["a"], "algorithms": ["HS256"]}"#)
            .expect("these are rules");
    if let Some(algorithm) = parsers::token_head(&rules, &String::from_utf8_lossy(data)) {
        assert_eq!(algorithm, "HS256");
    }
}

/// A published key never verifies what is signed with a secret: whoever reads it could sign.
pub(crate) fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((count, of_secrets)) = parsers::keys(&text) {
        assert!((1..=100).contains(&count));
        assert_eq!(of_secrets, 0, "{text}");
        assert_eq!(parsers::keys(&text), Some((count, 0)));
    }
}

/// Two answers that say something else are of two identities.
pub(crate) fn identity_answer(data: &[u8]) {
    let rule = serde_json::from_str(r#"{"upstream": "u", "path": "/me", "principal": "sub", "tenant": "org"}"#)
        .expect("this is a rule");
    let mut texts = data.splitn(2, |byte| *byte == b'\n');
    let (one, other) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let (Some(read), Some(read_other)) = (parsers::identity_answer(&rule, one), parsers::identity_answer(&rule, other))
    else {
        return;
    };
    assert!(read.0.is_some() && !read.1.is_empty(), "an identity has a tenant and a name");
    if read == read_other {
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("it was read");
        assert_eq!(value(one), value(other));
    }
}

/// Requests whose cookies or keys differ are of two identities, and one that brings nothing is of none.
pub(crate) fn credentials(data: &[u8]) {
    let known = serde_json::from_str(r#"{"headers": ["authorization", "x-api-key"], "cookies": ["*"]}"#);
    let known = known.expect("these are credentials");
    let request = |lines: &[u8]| {
        let mut headers = HeaderMap::new();
        for line in lines.split(|byte| *byte == b'\n').take(20) {
            let (name, value) = match line.split_first() {
                Some((b'k', value)) => (HeaderName::from_static("x-api-key"), value),
                Some((b'a', value)) => (header::AUTHORIZATION, value),
                Some((_, value)) => (header::COOKIE, value),
                None => continue,
            };
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(&name, value);
            }
        }
        headers
    };
    let said = |headers: &HeaderMap| {
        let of = |name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        (of("authorization"), of("x-api-key"), parsers::cookie_pairs(headers))
    };
    let (one, other) = data.split_at(data.len() / 2);
    let (one, other) = (request(one), request(other));
    let digest = |headers| parsers::credentials(&known, headers);
    assert_eq!(digest(&one) == digest(&other), said(&one) == said(&other), "{one:?} {other:?}");
    assert_eq!(digest(&one).is_none(), said(&one) == (vec![], vec![], vec![]), "{one:?}");
}

/// What is no certificate has no names; what is one has a fingerprint, of its bytes.
pub(crate) fn certificate(data: &[u8]) {
    let Some(read) = parsers::certificate(data) else { return };
    assert!(read.fingerprint().len() == 64 && read.fingerprint().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(data.windows(read.subject_der().len().max(1)).any(|part| part == read.subject_der()));
}

/// What is read and written again reads the same.
pub(crate) fn trace_context(data: &[u8]) {
    if let Some(context) = TraceContext::parse(&String::from_utf8_lossy(data)) {
        assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
    }
}

/// What a purge declares wrong is of its tenant alone, and not without end.
pub(crate) fn purge(data: &[u8]) {
    let tenants = ["acme", "globex"].map(|name| Tenant::new(name).expect("a name"));
    let [Some(own), Some(other)] = tenants.map(|tenant| parsers::purge(data, &tenant)) else { return };
    assert!((1..=1000).contains(&own.len()) && own.len() == other.len());
    assert!(own.iter().all(|tag| !other.contains(tag)), "{own:?} {other:?}");
}

/// What is warmed is asked for as by a client whose request has passed: one host, and no body.
pub(crate) fn warm(data: &[u8]) {
    for mut head in parsers::warm(data).into_iter().flatten() {
        assert_eq!(head.method, Method::GET);
        assert!(!head.headers.contains_key(header::CONTENT_LENGTH));
        assert!(!head.headers.contains_key(header::TRANSFER_ENCODING));
        let before = head.headers.clone();
        assert!(parsers::hygiene(&mut head), "{head:?}");
        assert_eq!(head.headers, before);
    }
}

/// Every fault has a place in the text; a file is judged twice alike, and never shows a secret.
pub(crate) fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let env = |_: &str| Some("planted-secret-of-32-bytes-and-more".to_owned());
    let read = || config::parse(&text, &Surroundings { directory: Path::new("/nowhere"), env: &env });
    let (once, twice) = (read(), read());
    assert_eq!(once.as_ref().err(), twice.as_ref().err());
    if let Err(faults) = once {
        assert!(!faults.is_empty());
        let lines = text.split('\n').count();
        for fault in &faults {
            assert!((1..=lines + 1).contains(&fault.place.line) && fault.place.column >= 1, "{fault:?}");
            assert!(!format!("{fault}{fault:?}").contains("planted-secret"), "{fault:?}");
        }
    }
}

/// A rule that is taken is read again as it was written; it leaves out whom it names, and who is in stays in as it grows.
/// What a browser asks of flags is read or refused.
pub(crate) fn flag(data: &[u8]) {
    let _ = serde_json::from_slice::<EvaluationRequest>(data);
    let Ok(rule) = Rule::read(&String::from_utf8_lossy(data)) else { return };
    if !rule.faults(&rule.endpoints.keys().cloned().collect::<Vec<_>>()).is_empty() {
        return;
    }
    let written = serde_json::to_string(&rule).expect("a rule is JSON");
    assert_eq!(Rule::read(&written).ok().as_ref(), Some(&rule));
    let is_on = |rule: &Rule, user| evaluate("flag", rule, &Asking { user: Some(user), endpoint: None }).value;
    for user in rule.off_for.iter().chain(&rule.on_for).map(String::as_str).chain(["somebody"]) {
        assert!(!(rule.killed || rule.off_for.contains(user)) || !is_on(&rule, user));
        assert!(rule.killed || !rule.on_for.contains(user) || is_on(&rule, user));
        let grown = Rule { percentage: (rule.percentage + 1).min(100), ..rule.clone() };
        assert!(!is_on(&rule, user) || is_on(&grown, user));
    }
}
