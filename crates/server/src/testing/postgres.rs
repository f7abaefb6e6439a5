//! A PostgreSQL server of the tests' own: started once for the test binary, on a free loopback port, in a folder of
//! its own.
//!
//! It is started and stopped by a shell that waits for the end of its input. The input is a pipe from this process:
//! however this process ends, the pipe closes, the server stops and its folder goes.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::OnceLock,
};

const BIN: &str = "/usr/lib/postgresql/15/bin";

const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2 port=$3
mkdir -p "$folder"
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as_owner() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
cd "$folder"
stop() { as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >&2 || true; rm -rf "$folder"; }
trap stop EXIT
as_owner "$bin/initdb" -D "$folder/data" --no-sync -A trust -U postgres -E UTF8 --locale=C >&2
as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w start >&2 </dev/null -o "\
    -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off \
    -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" || { cat "$folder/log" >&2; exit 1; }
echo ready
cat >/dev/null
"#;

/// The server; its input is held for as long as this process lives.
#[derive(Debug)]
pub struct Server {
    port: u16,
    _input: ChildStdin,
}

impl Server {
    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// The one server of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

#[expect(clippy::zombie_processes, reason = "the shell outlives this process, to tidy up after it")]
fn start() -> Server {
    assert!(
        Path::new(BIN).join("initdb").exists(),
        "PostgreSQL 15 is not in {BIN}; install it (apt-get install postgresql-15): these tests run over it, always"
    );
    // Free at this moment; should another process take it before the server does, the start says so.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound").port();
    let folder = std::env::temp_dir().join(format!("unstale-postgres-{}", std::process::id()));
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT, "sh", BIN])
        .arg(&folder)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut answer = String::new();
    BufReader::new(shell.stdout.take().expect("it is piped"))
        .read_line(&mut answer)
        .expect("the shell answers or ends");
    if answer.trim() != "ready" {
        let said = std::io::read_to_string(shell.stderr.take().expect("it is piped")).unwrap_or_default();
        panic!("the PostgreSQL server did not start:\n{said}");
    }
    Server { port, _input: shell.stdin.take().expect("it is piped") }
}
