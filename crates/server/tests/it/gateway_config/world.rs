//! A backend that knows sessions and field mappings, a gateway before it, and a client of both.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use unstale::testing::Folder;
use unstale_server::{
    gateway::{
        Gateway,
        config::{self, ReadFile, Surroundings},
    },
    telemetry::BuildInfo,
};

use crate::gateway::tls::connect;

/// How long a test waits for what must come.
const LIMIT: Duration = Duration::from_secs(20);
pub(super) const SECRET: &str = "a secret of thirty-two bytes, or more";
pub(super) const CONTROL_TOKEN: &str = "a token of thirty-two bytes, or more";

/// Fails the test if it takes too long.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it takes too long")
}

/// A backend.
#[derive(Clone, Default)]
pub(super) struct Backend(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    /// By token: user and client.
    sessions: HashMap<String, (String, String)>,
    /// By token: the only host at which it is good; at any, of those that are not here.
    hosts: HashMap<String, String>,
    versions: HashMap<String, u64>,
    calls: HashMap<String, usize>,
    is_broken: bool,
    jwks: String,
}

impl Backend {
    /// Starts one.
    pub(super) async fn start() -> (Self, SocketAddr) {
        let backend = Self::default();
        let app = Router::new()
            .route("/me", get(me))
            .route("/field-mappings/{import}", get(mappings))
            .route("/field-mappings/{import}/bulk-approve", post(approve))
            .route("/open/{import}/touch", post(approve))
            .route("/shared/{name}", get(shared))
            .route("/public/{name}", get(public))
            .route("/jwks", get(|State(backend): State<Self>| async move { backend.0.lock().unwrap().jwks.clone() }))
            .route("/search/{name}", get(search))
            .route("/upload", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
            .route("/echo/{*rest}", axum::routing::any(echo))
            .fallback(|| async { "elsewhere" })
            .with_state(backend.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (backend, addr)
    }

    pub(super) fn sign_in(&self, token: &str, user: &str, client: &str) {
        self.0.lock().unwrap().sessions.insert(token.to_owned(), (user.to_owned(), client.to_owned()));
    }

    /// As [`sign_in`](Self::sign_in), where the session is good at this host alone.
    pub(super) fn sign_in_at(&self, host: &str, token: &str, user: &str, client: &str) {
        self.sign_in(token, user, client);
        self.0.lock().unwrap().hosts.insert(token.to_owned(), host.to_owned());
    }

    pub(super) fn sign_out(&self, token: &str) {
        self.0.lock().unwrap().sessions.remove(token);
    }

    /// From now on it answers `/me` with 500.
    pub(super) fn break_down(&self) {
        self.0.lock().unwrap().is_broken = true;
    }

    /// From now on it answers `/jwks` with this.
    pub(super) fn publish(&self, jwks: &str) {
        jwks.clone_into(&mut self.0.lock().unwrap().jwks);
    }

    /// How often a path was asked for.
    pub(super) fn calls(&self, path: &str) -> usize {
        self.0.lock().unwrap().calls.get(path).copied().unwrap_or_default()
    }

    fn called(&self, path: &str) -> usize {
        let mut facts = self.0.lock().unwrap();
        let calls = facts.calls.entry(path.to_owned()).or_default();
        *calls += 1;
        *calls
    }

    /// Who has sent a request: by its own sessions, or by what a token says (which the gateway verifies).
    fn user(&self, headers: &HeaderMap) -> Option<(String, String)> {
        let line = headers.get("authorization")?.to_str().ok()?;
        let token = line.strip_prefix("Bearer ")?;
        let facts = self.0.lock().unwrap();
        if facts.hosts.get(token).is_some_and(|host| headers.get("host").is_none_or(|own| own != host.as_str())) {
            return None;
        }
        if let Some(known) = facts.sessions.get(token) {
            return Some(known.clone());
        }
        drop(facts);
        unstale_server::token_crypto::install();
        let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
        let mut rules = jsonwebtoken::Validation::new(Algorithm::HS256);
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).ok()?.claims;
        Some((claims["sub"].as_str()?.to_owned(), claims["org"].as_str()?.to_owned()))
    }
}

async fn me(State(backend): State<Backend>, headers: HeaderMap) -> Response {
    backend.called("/me");
    if backend.0.lock().unwrap().is_broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match backend.user(&headers) {
        None => StatusCode::UNAUTHORIZED.into_response(),
        Some((user, client)) => {
            let session = format!("session-of-{user}");
            Json(json!({"user": {"id": user}, "client": {"id": client}, "session_id": session})).into_response()
        }
    }
}

async fn mappings(State(backend): State<Backend>, Path(import): Path<String>, headers: HeaderMap) -> Response {
    backend.called(&format!("/field-mappings/{import}"));
    let Some((user, client)) = backend.user(&headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    let version = backend.0.lock().unwrap().versions.get(&import).copied().unwrap_or_default();
    Json(json!({"user": user, "client": client, "version": version})).into_response()
}

async fn approve(State(backend): State<Backend>, Path(import): Path<String>) -> Response {
    *backend.0.lock().unwrap().versions.entry(import).or_default() += 1;
    Json(json!({"approved": true})).into_response()
}

async fn shared(State(backend): State<Backend>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    backend.called(&format!("/shared/{name}"));
    let Some((_, client)) = backend.user(&headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    Json(json!({"client": client})).into_response()
}

async fn public(State(backend): State<Backend>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let calls = backend.called(&format!("/public/{name}"));
    let credentials = headers.contains_key("authorization") || headers.contains_key("cookie");
    Json(json!({"credentials": credentials, "calls": calls})).into_response()
}

/// Says that all but `q` of its query does not matter; its answers say how often it was asked.
async fn search(
    State(backend): State<Backend>,
    Path(name): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Response {
    let calls = backend.called(&format!("/search/{name}"));
    let headers = [("cache-control", "max-age=60"), ("no-vary-search", "params, except=(\"q\")")];
    (headers, Json(json!({"query": query, "calls": calls}))).into_response()
}

/// Echoes what it reads of a request, in its body and in a header. What it is declared to give alike to all of a tenant
/// (`/echo/tenant/…`), it gives without who they are.
async fn echo(State(backend): State<Backend>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let is_shared = head.uri.path().starts_with("/echo/tenant/");
    let mut words = vec![format!("url={} method={}", head.uri, head.method)];
    if !is_shared {
        let (user, client) = backend.user(&head.headers).unwrap_or_default();
        words.push(format!("who={client}/{user}"));
    }
    for (name, value) in &head.headers {
        if !(is_shared && ["authorization", "cookie", "x-api-key"].contains(&name.as_str())) {
            words.push(format!("{name}={}", String::from_utf8_lossy(value.as_bytes())));
        }
    }
    words.push(format!("body={}", String::from_utf8_lossy(&body)));
    let text = words.join(" ");
    let own = http::HeaderValue::from_bytes(text.as_bytes()).unwrap();
    ([("cache-control", "max-age=60".parse().unwrap()), ("x-echo", own)], text).into_response()
}

/// A gateway that runs; it ends when it is dropped.
pub(super) struct World {
    pub(super) backend: Backend,
    pub(super) addr: SocketAddr,
    pub(super) control: SocketAddr,
    pub(super) file: std::path::PathBuf,
    pub(super) upstream: SocketAddr,
    _directory: Folder,
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The part of a file that all worlds share.
fn head(upstream: SocketAddr) -> String {
    let hash = blake3::hash(CONTROL_TOKEN.as_bytes()).to_hex();
    let other = blake3::hash(b"another token of thirty-two bytes").to_hex();
    format!(
        "fallback = \"api\"\n[listen]\naddress = \"127.0.0.1:0\"\nrequest_body_max = \"1KiB\"\n\
         [control]\naddress = \"127.0.0.1:0\"\n\
         [[control.credentials]]\nname = \"backend\"\ntenants = [\"*\"]\noperates = true\ntoken_blake3 = \"{hash}\"\n\
         [[control.credentials]]\nname = \"globex\"\ntenants = [\"globex\"]\ntoken_blake3 = \"{other}\"\n\
         [upstreams.api]\nservers = [\"http://{upstream}\"]\n"
    )
}

/// Identities by signed tokens.
pub(super) const JWT: &str = "
[[identity]]
name = \"tokens\"
[identity.jwt]
secret_env = \"SECRET\"
issuers = [\"https://issuer\"]
audiences = [\"api\"]
tenant = \"org\"
session = \"sid\"
";

/// Identities by asking the backend.
pub(super) const INTROSPECTION: &str = "
[[identity]]
name = \"session\"
[identity.introspection]
upstream = \"api\"
path = \"/me\"
principal = \"user.id\"
tenant = \"client.id\"
session = \"session_id\"
max_age = \"5m\"
";

/// The routes of the backend.
pub(super) const ROUTES: &str = "
[[routes]]
path = \"/field-mappings/{import_id}\"
methods = [\"GET\"]
upstream = \"api\"
groups = [\"import:{import_id}\"]
cache = { ttl = \"5m\" }

[[routes]]
path = \"/field-mappings/{id}/bulk-approve\"
methods = [\"POST\"]
upstream = \"api\"
invalidates = [\"import:{id}\"]

[[routes]]
path = \"/open/{id}/touch\"
upstream = \"api\"
invalidates = [\"import:{id}\"]

[[routes]]
path = \"/shared/{name}\"
upstream = \"api\"
sharing = \"tenant\"
cache = { ttl = \"5m\" }

[[routes]]
path = \"/public/{name}\"
upstream = \"api\"
sharing = \"public\"
groups = [\"public:{name}\"]
cache = { ttl = \"5m\" }
";

impl World {
    /// A backend and a gateway with this in its file.
    pub(super) async fn start(more: &str) -> Self {
        let (backend, upstream) = Backend::start().await;
        Self::before(backend, upstream, more).await
    }

    /// The same, where what is said first is of the table `[listen]`.
    pub(super) async fn start_listening(more: &str) -> Self {
        let (listen, more) = more.split_once('\n').unwrap();
        let (backend, upstream) = Backend::start().await;
        let text = head(upstream).replace("[listen]\n", &format!("[listen]\n{listen}\n"));
        Self::with(backend, upstream, &format!("{text}{more}")).await
    }

    /// A gateway before this backend.
    pub(super) async fn before(backend: Backend, upstream: SocketAddr, more: &str) -> Self {
        Self::with(backend, upstream, &format!("{}{more}", head(upstream))).await
    }

    async fn with(backend: Backend, upstream: SocketAddr, text: &str) -> Self {
        let directory = Folder::new();
        let file = directory.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let env = |name: &str| (name == "SECRET").then(|| SECRET.to_owned());
        let mut plan = config::parse(text, &Surroundings { directory: directory.path(), env: &env })
            .unwrap_or_else(|faults| panic!("{faults:#?}"));
        plan.files.push(ReadFile::new(&file, Some(text.as_bytes())));
        let build = BuildInfo { version: "test", commit: "test" };
        let gateway = Gateway::start(plan, Some(file.clone()), &build).await.unwrap();
        let (addr, control) = (gateway.local_addr().unwrap(), gateway.control_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            gateway.run(async move { drop(stopped.await) }).await;
        });
        Self { backend, addr, control, file, upstream, _directory: directory, _stop: stop, task }
    }

    /// Writes another file, as a deployment does: whole, under another name, then renamed.
    pub(super) fn rewrite(&self, more: &str) {
        self.write(&format!("{}{more}", head(self.upstream)));
    }

    /// The same, of this text alone.
    pub(super) fn write(&self, text: &str) {
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &self.file).unwrap();
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.addr, "GET", path, headers, "").await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.addr, "POST", path, headers, "").await
    }

    /// Calls the API for backends.
    pub(super) async fn call(&self, path: &str, body: &Value) -> Answer {
        self.call_as(CONTROL_TOKEN, path, body).await
    }

    pub(super) async fn call_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        ask(self.control, "POST", path, &headers, &body.to_string()).await
    }

    /// Calls the API as an operator; without a body if it is null.
    pub(super) async fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.operate_as(CONTROL_TOKEN, method, path, body).await
    }

    pub(super) async fn operate_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(self.control, method, path, &headers, &body).await
    }

    pub(super) async fn metrics(&self) -> String {
        ask(self.control, "GET", "/metrics", &[], "").await.body
    }

    /// Waits until the metrics hold this.
    pub(super) async fn until_metrics(&self, hold: &str) {
        soon(async {
            while !self.metrics().await.contains(hold) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(super) fn cache(&self) -> &str {
        self.header("x-cache")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// One request on a connection of its own.
pub(super) async fn ask(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    // A body that brings its own framing.
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let text = written(method, path, headers, body);
    read(&mut stream, &text).await.unwrap_or_else(|| panic!("no answer to {text:?}"))
}

/// A request as it is written on HTTP/1.1.
fn written(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (method, is_framed) = if method == "PUT-CHUNKED" { ("POST", true) } else { (method, false) };
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text.push_str("host: app.test\r\n");
    }
    headers.iter().for_each(|(name, value)| text.extend([name, ": ", value, "\r\n"]));
    if !is_framed && (!body.is_empty() || method == "POST") {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.extend(["\r\n", body]);
    text
}

/// Sends a request and reads the answer up to the connection's end; none if there is none.
async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> Option<Answer> {
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunked(rest) } else { rest.to_owned() };
    Some(Answer { status, head: head.to_owned(), body })
}

/// The same over TLS; none if the server refuses the connection.
pub(super) async fn ask_over_tls(
    connector: &TlsConnector,
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Answer> {
    let mut stream = connect(connector, addr).await.ok()?;
    read(&mut stream, &written(method, path, headers, body)).await
}

fn dechunked(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        text = &rest[(size + 2).min(rest.len())..];
    }
    body
}

/// A signed token, as a header's value.
pub(super) fn bearer(user: &str, tenant: &str, more: &Value) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": "https://issuer", "aud": "api", "sub": user, "org": tenant, "sid": format!("s-{user}"), "exp": now + 600,
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    unstale_server::token_crypto::install();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    format!("Bearer {}", jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap())
}
