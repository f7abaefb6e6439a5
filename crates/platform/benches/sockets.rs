//! Many authenticated live sockets on the real platform: when the last of them is told of a write, and what one costs.
//!
//! The server is a process of its own on loopback, with users who all work for one client; each signs in once, reads the
//! flows of one engagement, and opens as many sockets as a user may. Then one of the flows is written, again and again.
//! What counts is the time from the write's answer to the last socket's event; and the server's resident memory with the
//! sockets, less that without. `SOCKETS` (10,000) and `WRITES` (20) say how many. `make bench-sockets` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a benchmark")]

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

/// What the server lets one user open.
const SOCKETS_PER_USER: usize = 16;
/// Of each seeded client; see `DEMO_SIZE`.
const STAFF_PER_CLIENT: usize = 6;
/// Connections that are opened at once.
const OPENING: usize = 32;
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(250);
/// Requests so far.
static SENT: AtomicU8 = AtomicU8::new(0);
/// What is not told by then was lost.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

struct Server(Child, SocketAddr);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn main() {
    let number = |name, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (sockets, writes): (usize, usize) = (number("SOCKETS", 10_000), number("WRITES", 20));
    let users = sockets.div_ceil(SOCKETS_PER_USER);
    let clients = users.div_ceil(STAFF_PER_CLIENT).clamp(1, 200);
    let folder = std::env::temp_dir().join(format!("unstale-sockets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = start(&folder, clients);
    runtime.block_on(measure(&server, users, sockets, writes));
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn start(folder: &std::path::Path, clients: usize) -> Server {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let size = format!("2x{}x1x0", clients.div_ceil(2));
    let child = Command::new(env!("CARGO_BIN_EXE_platform"))
        .env("LISTEN_ADDR", address.to_string())
        .env("DATA_DIR", folder)
        .env("REDIS_ENABLED", "false")
        .env("PASSWORD_COST", "low")
        .env("LOG", "warn")
        .env("DEMO", "1")
        .env("DEMO_SIZE", size)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Server(child, address)
}

async fn measure(server: &Server, users: usize, sockets: usize, writes: usize) {
    let at = server.1;
    while TcpStream::connect(at).await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let admin = sign_in(at, "operator@platform.test").await;
    let all = call(at, "GET", "/admin/users", &admin, None, None).await;
    let staff: Vec<(String, String)> =
        all["items"].as_array().unwrap().iter().filter_map(of_staff).take(users).collect();
    assert_eq!(staff.len(), users, "the demonstration has enough people");
    let colleague = sign_in(at, "colleague@meridian.test").await;
    let context = call(at, "GET", "/context/me", &colleague, None, None).await;
    let client = context["client"]["id"].as_str().unwrap().to_owned();
    let flows = call(at, "GET", "/discovery/flows", &colleague, Some(&client), None).await;
    let flow = &flows["items"][0];
    let list = format!("/discovery/flows?engagement_id={}", flow["engagement_id"].as_str().unwrap());
    let path = format!("/discovery/flows/{}", flow["id"].as_str().unwrap());

    let mut tokens = Vec::new();
    for (id, email) in &staff {
        let grant = format!("/users/{id}/clients/{client}");
        call(at, "PUT", &grant, &admin, None, Some(json!({ "role": "analyst" }))).await;
        let token = sign_in(at, email).await;
        call(at, "GET", &list, &token, Some(&client), None).await;
        tokens.push(token);
    }
    let before = resident_bytes(server);
    let (told, mut hears) = mpsc::unbounded_channel::<Instant>();
    let wanted = (0..sockets).map(|place| tokens[place / SOCKETS_PER_USER].clone());
    let opening = stream::iter(wanted).map(|token| open(at, token, &client, told.clone()));
    let opened = opening.buffer_unordered(OPENING).collect::<Vec<()>>().await.len();
    let each = resident_bytes(server).saturating_sub(before) / opened as u64;
    println!("{opened} sockets of {users} users; {:.1} kB of the server's memory each", each as f64 / 1000.0);

    let mut last = Vec::new();
    for round in 1..=writes {
        // What else sockets are told of, such as of who was seen, is not counted.
        tokio::time::sleep(PAUSE).await;
        while hears.try_recv().is_ok() {}
        call(at, "PATCH", &path, &colleague, Some(&client), Some(json!({ "name": format!("Round {round}") }))).await;
        let answered = Instant::now();
        let mut latest = answered;
        for _ in 0..opened {
            let told_at = tokio::time::timeout(TOLD_WITHIN, hears.recv()).await.expect("every socket is told").unwrap();
            latest = latest.max(told_at);
        }
        last.push(latest - answered);
    }
    last.sort_unstable();
    let (median, worst) = (last[last.len() / 2], last[last.len() - 1]);
    println!(
        "the last of them is told {median:.1?} after the write's answer (median of {writes}; at worst {worst:.1?})"
    );
}

fn of_staff(user: &Value) -> Option<(String, String)> {
    let email = user["email"].as_str()?;
    email.starts_with("staff").then(|| (user["id"].as_str().unwrap_or_default().to_owned(), email.to_owned()))
}

/// Opens a socket, waits for its greeting, and tells of every invalidation from then on.
async fn open(at: SocketAddr, token: String, client: &str, told: mpsc::UnboundedSender<Instant>) {
    let url = format!("ws://{at}/api/v1/events?client_account_id={client}");
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("the server takes the socket");
    let greeting = socket.next().await.unwrap().unwrap();
    assert!(greeting.to_text().unwrap().contains("\"hello\""), "{greeting}");
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) if text.contains("cache_invalidation") => _ = told.send(Instant::now()),
                Message::Ping(data) => _ = socket.send(Message::Pong(data)).await,
                _ => {}
            }
        }
    });
}

async fn sign_in(at: SocketAddr, email: &str) -> String {
    let body = json!({ "email": email, "password": "demo-password" });
    let answer = call(at, "POST", "/auth/login", "", None, Some(body)).await;
    answer["access_token"].as_str().expect("everybody can sign in").to_owned()
}

/// One request on a connection of its own.
async fn call(
    at: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    client: Option<&str>,
    body: Option<Value>,
) -> Value {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut head = format!("{method} /api/v1{path} HTTP/1.0\r\nHost: {at}\r\nContent-Length: {}\r\n", body.len());
    if !token.is_empty() {
        head.extend(["Authorization: Bearer ", token, "\r\n"]);
    }
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    if let Some(client) = client {
        head.extend(["X-Client-Account-Id: ", client, "\r\n"]);
    }
    // As from many machines: attempts to sign in are limited for each address.
    let from = [127, 0, 1, SENT.fetch_add(1, Relaxed) % 200 + 1];
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap();
    assert!(status.starts_with('2'), "{method} {path} was answered {answer}");
    serde_json::from_str(body).unwrap_or(Value::Null)
}

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
