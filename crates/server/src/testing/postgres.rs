//! A PostgreSQL server of the tests' own: started once for the test binary, on a free loopback port, in a folder of
//! its own.
//!
//! It is started and stopped by a shell that waits for the end of its input. The input is a pipe from this process:
//! however this process ends, the pipe closes, the server stops and its folder goes. That is not among the tests' other
//! folders because another user owns it, who may not look into those.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// Where its programs are.
pub const BIN: &str = "/usr/lib/postgresql/15/bin";

const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2 port=$3 synchronous=$4
mkdir -p "$folder"
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as_owner() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
cd "$folder"
stop() { as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true; rm -rf "$folder"; }
trap stop EXIT
as_owner "$bin/initdb" -D "$folder/data" --no-sync -A trust -U postgres -E UTF8 --locale=C >&2
start() {
    as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w start >&2 </dev/null -o "\
    -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off \
    -c synchronous_commit=$synchronous -c full_page_writes=off -c max_connections=200" || { cat "$folder/log" >&2; exit 1; }
    echo ready
}
start
while read -r word; do
    case $word in
        stop) as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >&2; echo stopped ;;
        start) start ;;
    esac
done
"#;

/// The server; its input is held for as long as this process lives.
#[derive(Debug)]
pub struct Server {
    port: u16,
    shell: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Server {
    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Server {
    /// One of a test's own, which it may stop. Blocks for seconds.
    pub fn own() -> Self {
        start("on")
    }

    /// Stops it as a crash would. Blocks.
    pub fn stop(&self) {
        self.tell("stop", "stopped");
    }

    /// Starts it again. Blocks.
    pub fn start(&self) {
        self.tell("start", "ready");
    }

    fn tell(&self, word: &str, expected: &str) {
        let mut shell = self.shell.lock().expect("no test has failed here");
        writeln!(shell.0, "{word}").expect("the shell listens");
        let mut answer = String::new();
        shell.1.read_line(&mut answer).expect("the shell answers");
        assert_eq!(answer.trim(), expected, "PostgreSQL did not {word}");
    }
}

/// Numbers the servers of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The one server of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start("off"))
}

/// `synchronous_commit`: whether a commit waits until it cannot be lost; only who stops a server needs that.
#[expect(clippy::zombie_processes, reason = "the shell outlives this process, to tidy up after it")]
fn start(synchronous_commit: &str) -> Server {
    assert!(
        Path::new(BIN).join("initdb").exists(),
        "PostgreSQL 15 is not in {BIN}; install it (apt-get install postgresql-15): these tests run over it, always"
    );
    // Free at this moment; should another process take it before the server does, the start says so.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound").port();
    let folder =
        std::env::temp_dir().join(format!("unstale-postgres-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT, "sh", BIN])
        .arg(&folder)
        .arg(port.to_string())
        .arg(synchronous_commit)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // In a group of its own, so that what ends the tests (Ctrl-C, a limit of time) does not end it.
        .process_group(0)
        .spawn()
        .expect("a shell starts");
    let mut answer = String::new();
    let mut output = BufReader::new(shell.stdout.take().expect("it is piped"));
    output.read_line(&mut answer).expect("the shell answers or ends");
    if answer.trim() != "ready" {
        let said = std::io::read_to_string(shell.stderr.take().expect("it is piped")).unwrap_or_default();
        panic!("the PostgreSQL server did not start:\n{said}");
    }
    // Nobody reads what it says from now on, and what nobody reads must not fill its pipe: it ends with the process.
    let mut said = shell.stderr.take().expect("it is piped");
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Server { port, shell: Mutex::new((shell.stdin.take().expect("it is piped"), output)) }
}
