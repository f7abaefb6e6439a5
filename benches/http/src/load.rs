//! Load from the second core: `wrk`, and connections that are held and do nothing.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use crate::{
    contenders::{Contender, KEPT},
    process::{LOAD_CORE, on_core},
};

/// What a run has shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Requests per second.
    pub rate: f64,
    /// Processor time of the server per request, in microseconds.
    pub cpu: f64,
    /// The slowest of a hundred, in milliseconds.
    pub p99: f64,
    /// Connections that failed, requests that took too long, and statuses that are errors.
    pub errors: u64,
}

/// Loads a contender.
pub fn run(contender: &Contender, path: &str, headers: &[&str], connections: u32, seconds: u32) -> Run {
    let mut wrk = on_core(LOAD_CORE, "wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency", "--timeout", "10s"]);
    for header in headers {
        wrk.args(["-H", header]);
    }
    let before = contender.process.used();
    let output = wrk.arg(format!("http://{}{path}", contender.process.address)).output().expect("wrk runs");
    let used = contender.process.used().cpu - before.cpu;
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut run = Run::default();
    let mut requests = 0.0;
    for line in output.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Requests/sec:", rate] => run.rate = rate.parse().unwrap_or(0.0),
            ["99%", time] => run.p99 = milliseconds(time),
            [count, "requests", "in", ..] => requests = count.parse().unwrap_or(0.0),
            ["Socket", "errors:", ..] => {
                run.errors +=
                    words.iter().filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok()).sum::<u64>();
            }
            ["Non-2xx", .., count] => run.errors += count.parse::<u64>().unwrap_or(1),
            _ => {}
        }
    }
    run.cpu = used * 1e6 / f64::max(requests, 1.0);
    run
}

fn milliseconds(text: &str) -> f64 {
    let (number, factor) = match text {
        text if text.ends_with("us") => (&text[..text.len() - 2], 0.001),
        text if text.ends_with("ms") => (&text[..text.len() - 2], 1.0),
        text => (text.trim_end_matches('s'), 1000.0),
    };
    number.parse::<f64>().unwrap_or(f64::NAN) * factor
}

/// Bytes of memory per connection, after one request each: at once, and after they were idle for some seconds.
pub fn memory_per_connection(contender: &Contender, headers: &[&str], connections: u32, idle: Duration) -> (f64, f64) {
    let before = contender.process.used().memory;
    let mut held = Vec::new();
    let length = crate::serve::body().len();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(contender.process.address).expect("a connection");
        let headers = headers.join("\r\n");
        write!(stream, "GET {KEPT} HTTP/1.1\r\nHost: bench.test\r\n{headers}\r\n\r\n").expect("it takes a request");
        let (mut buffer, mut got) = ([0; 8192], 0);
        while got < length {
            match stream.read(&mut buffer).expect("it answers") {
                0 => break,
                more => got += more,
            }
        }
        held.push(stream);
    }
    let per_connection = || (contender.process.used().memory - before) / f64::from(connections);
    let used = per_connection();
    sleep(idle);
    (used, per_connection())
}
