//! Cached endpoints against an axum handler that returns the same bytes from memory.
//!
//! Two of them: the cache layer on that very handler, with a verified identity and ten tags; and an endpoint of the
//! real platform, with its token, its session, metrics, traces and live events. All servers run on the first core and
//! take turns; `wrk` loads them from the second. Then the platform that records every read in its audit trail against the
//! same without a trail; every read that was answered must be on record (`--audit` does only this). Machines are noisy: only the ratio within a pair counts, and the
//! median over the pairs is printed. `make bench` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a benchmark")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use axum::{Extension, Router, body::Bytes, http::header, routing::get};
use unstale::{
    Cache, MemoryStore, Policy, Tag, Tenant,
    testing::{Folder, leashed},
};
use unstale_http::{CacheLayer, Identity, RoutePolicies, RoutePolicy};

const PAIRS: usize = 7;
const SECONDS_PER_ROUND: u32 = 3;
const CONNECTIONS: u32 = 64;
const PATH: &str = "/api/v1/context/full";

fn main() {
    let mut arguments = std::env::args().skip(1);
    if let Some(what) = arguments.next().filter(|what| what.starts_with("serve-")) {
        let (address, body) = (arguments.next().unwrap(), arguments.next().unwrap());
        return serve(&address, &std::fs::read(body).unwrap(), what == "serve-cached");
    }
    if Command::new("wrk").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("endpoint: wrk is not installed; scripts/setup bench installs it");
        return;
    }
    if !std::env::args().any(|argument| argument == "--audit") {
        compare();
    }
    compare_audit();
}

fn compare() {
    let folder = Folder::new();
    let platform_at = free_address();
    let platform = Server::start(
        pinned(env!("CARGO_BIN_EXE_platform"))
            .env("LISTEN_ADDR", platform_at.to_string())
            .env("DATA_DIR", folder.path())
            .env("DEMO", "1")
            .env("LOG", "warn"),
        platform_at,
    );
    let token = sign_in(platform_at);
    let authorization = format!("Authorization: Bearer {token}");
    let first = request(platform_at, &format!("GET {PATH} HTTP/1.1\r\n{authorization}\r\n"), "");
    let second = request(platform_at, &format!("GET {PATH} HTTP/1.1\r\n{authorization}\r\n"), "");
    assert!(second.head.to_lowercase().contains("x-cache: hit"), "the second read is a hit:\n{}", second.head);
    assert_eq!(first.body, second.body);
    let etag = second.header("etag").expect("an ETag");

    let body = folder.path().join("body.json");
    std::fs::write(&body, &second.body).unwrap();
    let this = std::env::current_exe().unwrap();
    let start = |what: &str| {
        let at = free_address();
        (Server::start(pinned(this.to_str().unwrap()).arg(what).arg(at.to_string()).arg(&body), at), at)
    };
    let (bare, bare_at) = start("serve-bytes");
    let (layered, layered_at) = start("serve-cached");
    let from_layer = request(layered_at, "GET / HTTP/1.1\r\n", "");
    let layer_etag = from_layer.header("etag").expect("an ETag");
    println!("{} bytes, {CONNECTIONS} connections, server on one core", second.body.len());
    println!("{:<52} {:>12} {:>12} {:>7}", "", "ours req/s", "axum req/s", "ratio");
    let (conditional, layer_conditional) = (format!("If-None-Match: {etag}"), format!("If-None-Match: {layer_etag}"));
    let cases: [(&str, SocketAddr, &str, &[&str]); 4] = [
        ("cache layer, hit", layered_at, "/", &[]),
        ("cache layer, 304", layered_at, "/", &[&layer_conditional]),
        ("platform's full context, hit", platform_at, PATH, &[&authorization]),
        ("platform's full context, 304", platform_at, PATH, &[&authorization, &conditional]),
    ];
    for (what, at, path, headers) in cases {
        let pairs: Vec<(f64, f64)> = (0..PAIRS).map(|_| (load(at, path, headers), load(bare_at, "/", &[]))).collect();
        let ratio = median(pairs.iter().map(|(ours, bare)| ours / bare).collect());
        let (ours, bare) = (median(pairs.iter().map(|p| p.0).collect()), median(pairs.iter().map(|p| p.1).collect()));
        println!("{what:<52} {ours:>12.0} {bare:>12.0} {ratio:>6.2}×");
    }
    drop((platform, bare, layered));
}

/// Reads at level `all` against reads without a trail, and whether each that was answered is on record.
fn compare_audit() {
    let folder = Folder::new();
    let start = |level: &str| {
        let at = free_address();
        let folder = folder.path().join(level);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = pinned(env!("CARGO_BIN_EXE_platform"));
        command.env("LISTEN_ADDR", at.to_string()).env("DATA_DIR", &folder).env("DEMO", "1").env("LOG", "warn");
        (Server::start(command.env("AUDIT_LEVEL", level), at), at)
    };
    let ((_off, off_at), (_all, all_at)) = (start("off"), start("all"));
    let bearer = |at| format!("Authorization: Bearer {}", sign_in(at));
    let (off_bearer, all_bearer) = (bearer(off_at), bearer(all_at));
    let warmed = |at, bearer: &str| {
        (0..2).for_each(|_| drop(request(at, &format!("GET {PATH} HTTP/1.1\r\n{bearer}\r\n"), "")));
    };
    warmed(off_at, &off_bearer);
    warmed(all_at, &all_bearer);
    let pairs: Vec<(f64, f64)> =
        (0..PAIRS).map(|_| (load(all_at, PATH, &[&all_bearer]), load(off_at, PATH, &[&off_bearer]))).collect();
    let ratio = median(pairs.iter().map(|(all, off)| all / off).collect());
    let (all, off) = (median(pairs.iter().map(|p| p.0).collect()), median(pairs.iter().map(|p| p.1).collect()));
    println!(
        "{:<52} {all:>12.0} {off:>12.0} {ratio:>6.2}×  (against no trail; aim ≥ 0.90×)",
        "audit trail at level all, hit"
    );
    // As many as were counted: every one of them, when the shipper has caught up.
    let answered = metric(all_at, "http_requests_total{method=\"GET\",route=\"/api/v1/context/full\",status=\"200\"}");
    let deadline = Instant::now() + Duration::from_secs(120);
    let operator = sign_in_as(all_at, "operator@platform.test");
    let kept = loop {
        let kept = on_record(all_at, &operator);
        if kept >= answered || Instant::now() > deadline {
            break kept;
        }
        sleep(Duration::from_millis(500));
    };
    let refused = metric(all_at, "audit_records_refused_total{class=\"read\"}");
    println!("{answered} reads answered, {kept} on record, {refused} refused");
    assert!(kept >= answered, "{} reads are not on record", answered - kept);
}

fn metric(at: SocketAddr, name: &str) -> u64 {
    let answer = request(at, "GET /metrics HTTP/1.1\r\n", "");
    let text = String::from_utf8(answer.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// How many reads of the path the trail says there were.
fn on_record(at: SocketAddr, token: &str) -> u64 {
    let (mut kept, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/v1/admin/audit?limit=1000&operation=read&key={PATH}{cursor}");
        let head = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n");
        let page: serde_json::Value = serde_json::from_slice(&request(at, &head, "").body).unwrap();
        kept += page["items"].as_array().unwrap().iter().map(|it| it["times"].as_u64().unwrap()).sum::<u64>();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return kept,
        }
    }
}

/// The yardstick: the same bytes from memory, nothing else. Or the cache layer over it.
fn serve(address: &str, body: &[u8], cached: bool) {
    let body = Bytes::copy_from_slice(body);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let handler = move || async move {
            // What repositories do while a handler runs; outside a load it does nothing.
            (0..10).for_each(|row| unstale::record(&Tag::shared("row", row)));
            ([(header::CONTENT_TYPE, "application/json")], body.clone())
        };
        let app = Router::new().route("/", get(handler));
        let app = if cached { over_cache(app).await } else { app };
        axum::serve(tokio::net::TcpListener::bind(address).await.unwrap(), app).await.unwrap();
    });
}

async fn over_cache(app: Router) -> Router {
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let policy = RoutePolicy::cached("bytes", Policy::ttl(Duration::from_secs(3600)));
    let routes = RoutePolicies::builder().route("/", policy).build().unwrap();
    let identity = Identity::new(Tenant::new("acme").unwrap(), "user-42").session("session-7");
    app.layer(CacheLayer::new(cache, routes, b"a secret of 32 bytes, for a bench")).layer(Extension(identity))
}

/// A server process on the first core; ended when dropped, also when the benchmark panics.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, address: SocketAddr) -> Self {
        let server = Self(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the server did not start within a minute");
            sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pinned(program: &str) -> Command {
    let mut command = leashed("taskset");
    command.args(["-c", "0"]).arg(Path::new(program));
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn sign_in(address: SocketAddr) -> String {
    sign_in_as(address, "admin@acme.test")
}

fn sign_in_as(address: SocketAddr, email: &str) -> String {
    let body = &format!(r#"{{"email":"{email}","password":"demo-password"}}"#);
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nContent-Type: application/json\r\n";
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = request(address, head, body);
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&answer.body)
            && let Some(token) = value["access_token"].as_str()
        {
            return token.to_owned();
        }
        assert!(Instant::now() < deadline, "sign-in failed: {}", answer.head);
        sleep(Duration::from_millis(200));
    }
}

fn request(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{head}Host: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    Answer { head: String::from_utf8_lossy(&answer[..end]).into_owned(), body: answer[end..].to_vec() }
}

/// Requests per second that `wrk` gets from the second core; it must see no error.
fn load(address: SocketAddr, path: &str, headers: &[&str]) -> f64 {
    let mut wrk = Command::new("taskset");
    wrk.args(["-c", "1", "wrk", "-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS_PER_ROUND}s")]);
    for header in headers {
        wrk.args(["-H", header]);
    }
    let output = wrk.arg(format!("http://{address}{path}")).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(!output.contains("Non-2xx") && !output.contains("Socket errors"), "wrk saw errors:\n{output}");
    let line = output.lines().find(|line| line.starts_with("Requests/sec:")).expect("wrk's summary");
    line["Requests/sec:".len()..].trim().parse().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
