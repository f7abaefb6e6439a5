//! Server processes on the first core, and what they use.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The servers' core.
pub const SERVER_CORE: u32 = 0;
/// The load's core, and the backend's.
pub const LOAD_CORE: u32 = 1;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A server process; ended when dropped, also when the benchmark panics.
pub struct Process {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Processor time in seconds, of all its threads.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub memory: f64,
}

impl Process {
    /// Starts it and waits until it takes connections; why not, if it does not.
    pub fn start(command: &mut Command, address: SocketAddr) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Self { child: child.map_err(|error| error.to_string())?, address };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("it did not answer within {} s", START_LIMIT.as_secs()));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    /// What it and the processes that it started have used so far.
    pub fn used(&self) -> Used {
        let mut used = Used { cpu: 0.0, memory: 0.0 };
        for id in family(self.child.id()) {
            let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok()).unwrap_or(0.0);
            // utime and stime in hundredths of a second, and pages of 4 KiB: proc(5).
            used.cpu += (number(11) + number(12)) / 100.0;
            used.memory += number(21) * 4096.0;
        }
        used
    }
}

/// A process and all that it started, and they.
fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(id) = all.get(next) {
        let path = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        next += 1;
    }
    all
}

impl Drop for Process {
    fn drop(&mut self) {
        // Varnish's parent ends its child; one that is killed would leave it behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on a core.
pub fn on_core(core: u32, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program.as_ref());
    command
}

/// Whether a program is there.
pub fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin"].map(std::path::PathBuf::from);
    std::env::split_paths(&paths).chain(system).any(|folder| folder.join(program).is_file())
}

/// A port of the loopback that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("there is a free port")
}
