//! The platform as it is run, with everything that it writes looked through for what must not be in it: its output at the
//! finest level, its metrics, and every file of the Redis it uses.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use unstale::testing::{Folder, leashed, redis_server::RedisServer};

const EMAIL: &str = "wilhelmina.planted@secret.example";
const NAME: &str = "Wilhelmina Planted-Name";
const PASSWORD: &str = "planted-password-77";
const REASON: &str = "planted reason of my own";

/// The platform's program, with what it wrote.
struct Running {
    child: Child,
    address: String,
    output: Arc<Mutex<String>>,
}

impl Running {
    fn start(redis: &RedisServer, folder: &Path) -> Self {
        let mut child = leashed(env!("CARGO_BIN_EXE_platform"))
            .env_clear()
            .env("DATA_DIR", folder)
            .env("REDIS_URL", redis.url())
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("PASSWORD_COST", "low")
            .env("DEMO", "1")
            .env("LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (found, address) = std::sync::mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let listen = |lines: Box<dyn Iterator<Item = String> + Send>| {
            let (output, found) = (output.clone(), found.clone());
            std::thread::spawn(move || {
                for line in lines {
                    if let Some((_, address)) = line.split_once("answers at http://") {
                        found.send(address.trim().to_owned()).unwrap();
                    }
                    let mut output = output.lock().unwrap();
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        };
        listen(Box::new(stdout.lines().map_while(Result::ok)));
        listen(Box::new(stderr.lines().map_while(Result::ok)));
        let address = address.recv_timeout(Duration::from_secs(120)).expect("it says where it answers");
        Self { child, address, output }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = body.unwrap_or_default();
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {authorization}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    #[track_caller]
    fn json(&self, method: &str, path: &str, token: &str, body: &Value, expected: u16) -> Value {
        let path = format!("/api/v1{path}");
        let body = (!body.is_null()).then(|| body.to_string());
        let (status, answer) = self.ask(method, &path, token, body.as_deref());
        assert_eq!(status, expected, "{method} {path}: {answer}");
        // A chunked body's lengths stand around it.
        let json = answer.find('{').map_or("null", |begin| &answer[begin..=answer.rfind('}').unwrap()]);
        serde_json::from_str(json).unwrap()
    }

    fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let answer = self.json("POST", "/auth/login", "", &body, 200);
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which of the planted texts stand in some bytes.
fn found<'a>(bytes: &[u8], planted: &[&'a str]) -> Vec<&'a str> {
    let stands = |text: &&&str| bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
    planted.iter().filter(stands).copied().collect()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

#[test]
fn nothing_personal_is_in_logs_metrics_or_in_what_redis_writes_to_disk() {
    // Everything on disk, and nothing of it packed.
    let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always", "--rdbcompression", "no"]);
    let folder = Folder::new();
    let platform = Running::start(&redis, folder.path());
    let operator = platform.sign_in("operator@platform.test", "demo-password");
    let planted = json!({
        "email": EMAIL, "name": NAME, "password": PASSWORD, "requested_client": "Acme", "reason": REASON,
    });
    platform.json("POST", "/auth/register", "", &planted, 202);
    platform.json("GET", "/admin/pending-approvals", &operator, &Value::Null, 200);
    let users = platform.json("GET", "/admin/users", &operator, &Value::Null, 200);
    let user = users["items"].as_array().unwrap().iter().find(|user| user["email"] == EMAIL).unwrap();
    let id = user["id"].as_str().unwrap().to_owned();
    let clients = platform.json("GET", "/admin/clients", &operator, &Value::Null, 200);
    let client = clients["items"][0]["id"].as_str().unwrap().to_owned();
    let approval = json!({ "client_account_id": client, "role": "client_admin" });
    platform.json("POST", &format!("/admin/pending-approvals/{id}/approve"), &operator, &approval, 200);

    // Everything that shows them, twice, so that it is also answered from the cache; and what goes wrong.
    let token = platform.sign_in(EMAIL, PASSWORD);
    for _ in 0..2 {
        let reads = ["/context/me", "/context/full", "/admin/users", "/auth/active-users", "/discovery/flows"];
        for path in reads.map(str::to_owned).into_iter().chain([format!("/users/{id}/defaults")]) {
            platform.json("GET", &path, &token, &Value::Null, 200);
        }
        platform.json("GET", &format!("/admin/users/{id}/cache-report"), &operator, &Value::Null, 200);
    }
    let role = json!({ "role": "analyst", "client_account_id": client });
    platform.json("PUT", &format!("/users/{id}/roles"), &operator, &role, 200);
    let wrong = json!({ "email": EMAIL, "password": "wrong-password" });
    platform.json("POST", "/auth/login", "", &wrong, 401);
    platform.json("POST", "/auth/register", "", &planted, 202);
    let (status, _) = platform.ask("POST", "/api/v1/auth/login", "", Some(&format!("{{\"email\": \"{EMAIL}\", oops")));
    assert_eq!(status, 400);
    let (status, _) = platform.ask("GET", "/api/v1/context/me", &format!("{token}x"), None);
    assert_eq!(status, 401);
    platform.json("DELETE", &format!("/users/{id}/clients/{client}x"), &operator, &Value::Null, 404);

    let secrets = [EMAIL, NAME, PASSWORD, REASON, &token, &operator];
    assert!(redis.keys("*}:v1:*").len() > 5, "values were shared through Redis");
    redis.run::<()>(&["SAVE"]);
    for (name, bytes) in files(redis.folder()) {
        assert_eq!(found(&bytes, &secrets), Vec::<&str>::new(), "{name}, before the erasure");
    }
    let proof = platform.json("POST", &format!("/admin/users/{id}/erase"), &operator, &Value::Null, 200);
    assert!(proof["keys_destroyed"].as_u64().unwrap() >= 1, "{proof}");
    assert_eq!(found(proof.to_string().as_bytes(), &[EMAIL, NAME, &id]), Vec::<&str>::new());
    let (status, metrics) = platform.ask("GET", "/metrics", "", None);
    assert_eq!(status, 200);
    assert_eq!(found(metrics.as_bytes(), &secrets), Vec::<&str>::new(), "in the metrics");
    redis.run::<()>(&["SAVE"]);
    let written = files(redis.folder());
    let is_there = |part: &str| written.iter().any(|(name, _)| name.contains(part));
    assert!(is_there("dump.rdb") && is_there("appendonly"), "Redis has written to disk");
    for (name, bytes) in written {
        assert_eq!(found(&bytes, &secrets), Vec::<&str>::new(), "{name}");
    }
    // The database has forgotten them too, pages that were given back included.
    for (name, bytes) in files(folder.path()) {
        assert_eq!(found(&bytes, &[EMAIL, NAME, REASON]), Vec::<&str>::new(), "{name}");
    }
    drop(platform.json("GET", "/context/me", &operator, &Value::Null, 200));
    let output = platform.output.lock().unwrap();
    assert!(output.contains("a person was erased from the cache") && output.contains("TRACE"), "it tells what it does");
    let told: Vec<&str> = output.lines().filter(|line| !found(line.as_bytes(), &secrets).is_empty()).take(5).collect();
    assert_eq!(told, Vec::<&str>::new(), "in the output");
}
