//! 10,000 live sockets on the real platform: when the last of them has been told of a write, counted from the write's
//! answer, and what a socket weighs in the server's memory.
//!
//! The platform runs as a process of its own; this one signs users in, opens their sockets and reads them. Browsers are
//! other machines: the system stamps what arrives at a socket, and it is read when all has arrived, so that reading takes
//! none of the cores' time while the server tells. Each user reads the list of flows once, so that all of them are
//! concerned by a flow's new name. `make bench-sockets` runs it; it wants 11,000 open files for each of the two.
//!
//! The floor is measured beside it, in the same run: a process that does nothing but send the same message to as many bare
//! connections, with plain blocking sends of two threads.
//!
//! The process that is measured has signed nobody in: hashing a password takes megabytes, which an allocator keeps, and the
//! sockets would fit in what was kept and seem to weigh nothing. Another one does that before, on the same data.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a benchmark")]

mod bare;
mod stamped;

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use platform::{
    store::{
        PoolLimits, Store,
        repositories::{
            memberships,
            users::{self, NewUser},
        },
    },
    views::Role,
};
use serde_json::{Value, json};
use stamped::Stamped;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::sleep,
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        self, Message, WebSocket,
        client::IntoClientRequest as _,
        protocol::{self, WebSocketConfig},
    },
};
use unstale::{
    Cache, MemoryStore,
    testing::{Folder, leashed},
};
use uuid::Uuid;

const SOCKETS: usize = 10_000;
/// As many as a user may have.
const SOCKETS_OF_USER: usize = 16;
const USERS: usize = SOCKETS.div_ceil(SOCKETS_OF_USER);
const WRITES: usize = 20;
/// Users that are signed in at a time.
const AT_ONCE: usize = 8;
const ADMIN: &str = "admin@acme.test";
/// Set in the process that is the floor.
const BARE: &str = "BENCH_BARE";
/// By then nearly always all of them were told, and nothing is read before.
const UNREAD: Duration = Duration::from_millis(500);
/// Nobody needs longer to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

fn main() {
    if std::env::var_os(BARE).is_some() {
        return bare::serve();
    }
    // As many threads as cores: the server has as many.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = Folder::new();
    let first = Server::start(folder.path()).await;
    let admin = Person::sign_in(first.at, Ipv4Addr::LOCALHOST, ADMIN).await;
    let context = admin.get("/context/full").await;
    let client: Uuid = text(&context["client"]["id"]).parse().unwrap();
    let engagement = text(&context["engagements"][0]["id"]).to_owned();
    let flows = format!("/discovery/flows?engagement_id={engagement}");
    let flow = text(&admin.get(&flows).await["items"][0]["id"]).to_owned();
    create_users(folder.path(), client).await;
    let people: Vec<Person> = stream::iter(0..USERS)
        .map(|number| {
            // Sign-ins are limited by address: each user has one.
            let from =
                Ipv4Addr::new(127, 1, u8::try_from(number / 250).unwrap(), u8::try_from(number % 250 + 1).unwrap());
            async move { Person::sign_in(first.at, from, &address_of(number)).await }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    first.stop();

    let server = Server::start(folder.path()).await;
    let admin = Person { server: server.at, ..admin };
    let people: Vec<Person> = people.into_iter().map(|person| Person { server: server.at, ..person }).collect();
    stream::iter(&people)
        .for_each_concurrent(AT_ONCE, |person| async {
            person.get(&flows).await;
        })
        .await;
    let before = server.memory_kb();
    let mut sockets = Vec::with_capacity(SOCKETS);
    for number in 0..SOCKETS {
        sockets.push(people[number / SOCKETS_OF_USER].socket().await);
    }
    let connected = server.memory_kb();

    let mut rounds = Vec::new();
    for number in 0..WRITES {
        drain(&mut sockets);
        let body = json!({ "name": format!("Flow {number}") });
        let answered = admin.patch(&format!("/discovery/flows/{flow}"), &body).await;
        rounds.push(Round::hear(answered, &mut sockets));
    }
    let after = server.memory_kb();

    println!("{SOCKETS} sockets of {USERS} users on one node, {WRITES} writes; milliseconds after the write's answer");
    println!("| | median of the writes | best | worst |\n|---|---|---|---|");
    row("half of the sockets told", &rounds, |round| round.at(0.5));
    row("99 % told", &rounds, |round| round.at(0.99));
    row("the last one told", &rounds, |round| round.at(1.0));
    let each = |with: u64| with.saturating_sub(before) as f64 / SOCKETS as f64;
    println!("a socket weighs {:.1} KB, {:.1} KB after the writes", each(connected), each(after));
    println!("the server held {} MB without a socket, {} MB at the end", before / 1024, after / 1024);
    // Their open files are wanted for the next ones.
    drop((server, sockets));

    let rounds = floor().await;
    println!("\nplain sends of the same message to {SOCKETS} bare connections; milliseconds after its answer");
    println!("| | median of the writes | best | worst |\n|---|---|---|---|");
    row("half of them told", &rounds, |round| round.at(0.5));
    row("the last one told", &rounds, |round| round.at(1.0));
}

/// The same rounds, with a server that does nothing else.
async fn floor() -> Vec<Round> {
    let mut command = leashed(std::env::current_exe().unwrap());
    let process = command.env(BARE, "1").stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Server { process, at: (Ipv4Addr::LOCALHOST, 0).into() };
    let mut line = String::new();
    io::BufReader::new(server.process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    server.at = line.trim().parse().unwrap();

    let mut asking = Stamped::waited_for(TcpStream::connect(server.at).await.unwrap());
    let mut sockets = Vec::with_capacity(SOCKETS);
    for _ in 0..SOCKETS {
        let connection = Stamped::looked_at(TcpStream::connect(server.at).await.unwrap());
        sockets.push(WebSocket::from_raw_socket(connection, protocol::Role::Client, Some(small())));
    }
    (0..WRITES)
        .map(|_| {
            drain(&mut sockets);
            asking.write_all(b"?").unwrap();
            asking.read_exact(&mut [0]).unwrap();
            Round::hear(asking.arrived(), &mut sockets)
        })
        .collect()
}

/// There are many.
fn small() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(1024)
}

fn row(what: &str, rounds: &[Round], of: impl Fn(&Round) -> f64) {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    println!("| {what} | {:.1} | {:.1} | {:.1} |", values[values.len() / 2], values[0], values[values.len() - 1]);
}

/// When each socket was told of one write, in milliseconds after its answer, the first first; 0 for those before it.
struct Round(Vec<f64>);

impl Round {
    fn hear(answered: SystemTime, sockets: &mut [WebSocket<Stamped>]) -> Self {
        let since = Instant::now();
        thread::sleep(UNREAD);
        let mut heard: Vec<f64> = sockets
            .iter_mut()
            .map(|socket| {
                while !is_told(socket) {
                    assert!(since.elapsed() < TOLD_WITHIN, "every socket is told");
                    thread::sleep(Duration::from_millis(1));
                }
                let told = socket.get_ref().arrived();
                told.duration_since(answered).unwrap_or_default().as_secs_f64() * 1000.0
            })
            .collect();
        heard.sort_by(f64::total_cmp);
        Self(heard)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

/// Reads what came of the round before.
fn drain(sockets: &mut [WebSocket<Stamped>]) {
    for socket in sockets {
        while is_told(socket) {}
    }
}

/// Reads what is there until it is what a socket is told of a write.
fn is_told(socket: &mut WebSocket<Stamped>) -> bool {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.contains("\"cache_invalidation\"") => return true,
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a socket ended: {error}"),
        }
    }
}

/// Users as the demo's are, with the same password. They are new, so no cache has to hear of them.
async fn create_users(folder: &std::path::Path, client: Uuid) {
    let url = format!("sqlite://{}", folder.join("unstale.db").display());
    let store = Store::connect_within(&url, &PoolLimits::default()).await.unwrap();
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let known = users::credentials(store.read(), ADMIN).await.unwrap().expect("the demo's administrator");
    for numbers in (0..USERS).collect::<Vec<_>>().chunks(100) {
        let mut write = store.begin().await.unwrap();
        for number in numbers {
            let (w, now) = (&mut write, Utc::now());
            let new = NewUser {
                email: address_of(*number),
                name: format!("User {number}"),
                password_hash: known.password_hash.clone(),
            };
            let user = users::create_active(w, &new, false, now).await.unwrap().id;
            memberships::grant(w, user, client, Role::Analyst, now).await.unwrap();
        }
        write.commit(&cache).await.unwrap();
    }
}

fn address_of(number: usize) -> String {
    format!("user-{number}@acme.test")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Somebody signed in, from an address of their own.
struct Person {
    server: SocketAddr,
    from: Ipv4Addr,
    token: String,
}

impl Person {
    async fn sign_in(server: SocketAddr, from: Ipv4Addr, email: &str) -> Self {
        let mut person = Self { server, from, token: String::new() };
        let body = json!({ "email": email, "password": "demo-password" });
        text(&person.ask("POST", "/auth/login", Some(&body)).await["access_token"]).clone_into(&mut person.token);
        person
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).await
    }

    /// Returns when the answer had arrived.
    async fn patch(&self, path: &str, body: &Value) -> SystemTime {
        let mut stream = Stamped::waited_for(self.connect().await);
        stream.write_all(self.request("PATCH", path, Some(body)).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        content(&answer);
        stream.arrived()
    }

    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.from, 0).into()).unwrap();
        socket.connect(self.server).await.unwrap()
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> String {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.server);
        if !self.token.is_empty() {
            write!(head, "Authorization: Bearer {}\r\n", self.token).unwrap();
        }
        write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        head
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut stream = self.connect().await;
        stream.write_all(self.request(method, path, body).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        serde_json::from_slice(content(&answer)).unwrap()
    }

    /// A live socket whose greeting is read.
    async fn socket(&self) -> WebSocket<Stamped> {
        let mut request = format!("ws://{}/api/v1/events", self.server).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        let connection = self.connect().await;
        let (mut socket, _) = client_async_with_config(request, connection, Some(small())).await.unwrap();
        let hello = socket.next().await.unwrap().unwrap();
        assert!(hello.to_text().unwrap().contains("\"hello\""), "{hello}");
        let connection = Stamped::looked_at(socket.into_inner());
        WebSocket::from_raw_socket(connection, protocol::Role::Client, Some(small()))
    }
}

/// The content of an answer that says that it went well.
fn content(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    let (head, content) = answer.split_at(end);
    let is_good = head.starts_with(b"HTTP/1.1 20");
    assert!(is_good, "{}{}", String::from_utf8_lossy(head), String::from_utf8_lossy(content));
    content
}

/// The platform's process; ended when dropped, also when the benchmark panics.
struct Server {
    process: Child,
    at: SocketAddr,
}

impl Server {
    async fn start(folder: &std::path::Path) -> Self {
        let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = leashed(env!("CARGO_BIN_EXE_platform"));
        command.env("LISTEN_ADDR", at.to_string()).env("DATA_DIR", folder).env("DEMO", "1").env("LOG", "warn");
        let process = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let server = Self { process, at };
        for _ in 0..1200 {
            if TcpStream::connect(at).await.is_ok() {
                return server;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the server did not start within a minute");
    }

    /// Lets it end what it has begun.
    fn stop(mut self) {
        let _leash = self.process.stdin.take();
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(asked.success() && self.process.wait().unwrap().success(), "the server ends well");
    }

    /// What it holds of the machine's memory, in KB.
    fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its resident memory");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
