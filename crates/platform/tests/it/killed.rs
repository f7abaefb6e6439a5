//! A real server that is killed in the middle of its work: what it has acknowledged is on record.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use unstale::testing::{Folder, leashed};

const KILLS: usize = 6;
const WRITERS: usize = 4;
/// Long enough for a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = leashed(env!("CARGO_BIN_EXE_platform"))
            .env_clear()
            .env("LISTEN_ADDR", address.to_string())
            .env("DATA_DIR", folder)
            .env("DEMO", "1")
            .env("LOG", "error")
            .env("PASSWORD_COST", "low")
            .env("AUDIT_LEVEL", "all")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, address };
        let deadline = Instant::now() + LIMIT;
        while server.ask("GET", "/readyz", "", None).is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "the server did not start");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// An answer, if a whole one came.
    fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or_default()))
    }

    fn sign_in(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": "demo-password" });
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some((200, signed_in)) = self.ask("POST", "/api/v1/auth/login", "", Some(&body)) {
                return signed_in["access_token"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "{email} cannot sign in");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// All records that match, by pages.
fn records(server: &Server, token: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) =
            server.ask("GET", &format!("/api/v1/admin/audit?limit=1000&{query}{cursor}"), token, None).unwrap();
        assert_eq!(status, 200, "{page}");
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn everything_that_was_acknowledged_before_a_kill_is_on_record() {
    let folder = Folder::new();
    let mut server = Server::start(folder.path());
    let analyst = server.sign_in("analyst@acme.test");
    let (_, imports) = server.ask("GET", "/api/v1/imports", &analyst, None).unwrap();
    let engagement = imports["items"][0]["engagement_id"].clone();
    let flows: Mutex<HashSet<String>> = Mutex::default();
    let reads = AtomicU64::new(0);
    for round in 0..KILLS {
        let stop = AtomicBool::new(false);
        let written = flows.lock().unwrap().len();
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (server, analyst, stop, flows, reads, engagement) =
                    (&server, &analyst, &stop, &flows, &reads, &engagement);
                scope.spawn(move || {
                    for number in 0.. {
                        if stop.load(Relaxed) {
                            return;
                        }
                        let name = format!("flow {round}.{writer}.{number}");
                        let body = json!({ "engagement_id": engagement, "name": name });
                        if let Some((201, flow)) = server.ask("POST", "/api/v1/discovery/flows", analyst, Some(&body)) {
                            flows.lock().unwrap().insert(flow["id"].as_str().unwrap().to_owned());
                        }
                        if let Some((200, _)) = server.ask("GET", "/api/v1/target-attributes", analyst, None) {
                            reads.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            // Under load: some have been answered, and others are on their way.
            let deadline = Instant::now() + LIMIT;
            while flows.lock().unwrap().len() < written + 25 {
                assert!(Instant::now() < deadline, "nothing is written");
                thread::sleep(Duration::from_millis(5));
            }
            let pid = server.process.id().to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            stop.store(true, Relaxed);
        });
        server.kill();
        server = Server::start(folder.path());
    }
    let operator = server.sign_in("operator@platform.test");
    let acknowledged = flows.into_inner().unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = records(&server, &operator, "entity=flow&operation=invalidate");
        let recorded: HashSet<&str> = found.iter().filter_map(|it| it["key"].as_str()?.strip_prefix("flow:")).collect();
        let missing = acknowledged.iter().filter(|id| !recorded.contains(id.as_str())).count();
        let kept = records(&server, &operator, "operation=read&key=/api/v1/target-attributes&outcome=hit");
        let kept: u64 = kept
            .iter()
            .chain(&records(&server, &operator, "operation=read&key=/api/v1/target-attributes&outcome=miss"))
            .map(|it| it["times"].as_u64().unwrap())
            .sum();
        let read = reads.load(Relaxed);
        if missing == 0 && kept >= read {
            assert!(acknowledged.len() >= 25 * KILLS, "{}", acknowledged.len());
            // Each once: what was done is not on record twice.
            assert_eq!(found.iter().filter(|it| it["detail"] == "created").count(), recorded.len());
            // Of those that were on their way, it is known at least that they were begun.
            let (_, list) = server.ask("GET", "/api/v1/discovery/flows", &analyst, None).unwrap();
            let saved = list["items"].as_array().unwrap();
            let begun = saved.iter().filter(|flow| flow["name"].as_str().unwrap().starts_with("flow "));
            for flow in begun {
                assert!(recorded.contains(flow["id"].as_str().unwrap()), "{flow} is saved and not on record");
            }
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{missing} of {} writes and {} of {read} reads are not on record",
            acknowledged.len(),
            read.saturating_sub(kept)
        );
        thread::sleep(Duration::from_millis(100));
    }
    server.kill();
}
