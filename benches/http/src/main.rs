//! The gateway and the cache layer against servers that answer the same 2 KB of JSON: from memory, from their caches,
//! and passed on from a backend.
//!
//! Servers run on the first core and take turns, `wrk` and the backend run on the second. Machines are noisy: within a
//! round every contender runs once, only ratios to the yardstick of the same round count, and their medians are
//! printed. Every request carries the same token; what varies by it is told apart by it. `make bench` runs it.
//!
//! `UNSTALE_BIN` names the program of the gateway, `ONLY` the parts that run (`hit`, `304`, `passed`, `many`, `memory`).

mod contenders;
mod load;
mod process;
mod serve;

use std::{path::PathBuf, time::Duration};

use contenders::{Contender, Field, KEPT, PASSED};
use load::{Run, memory_per_connection, run};

const ROUNDS: usize = 5;
const SECONDS: u32 = 2;
const CONNECTIONS: u32 = 64;
const YARDSTICK: &str = "axum from memory";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, kind, address] = arguments.as_slice()
        && serve == "serve"
    {
        let kind = serve::Kind::named(kind).expect("a kind of server");
        return serve::serve(kind, address.parse().expect("an address"));
    }
    if !process::is_installed("wrk") {
        println!("wrk is not installed; scripts/setup bench installs it");
        return;
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only.split(',').any(|name| name == part);
    let folder = std::env::temp_dir().join(format!("unstale-http-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let gateway = std::env::var_os("UNSTALE_BIN").map(PathBuf::from);
    let field = Field::start(&folder, gateway.as_deref());
    println!("{} bytes, {CONNECTIONS} connections, one core, {ROUNDS} rounds", serve::body().len());
    if wanted("hit") {
        compare(&field, "hit", |_| true, KEPT, false);
    }
    if wanted("304") {
        let compared = |name: &str| name != "hyper from memory" && name != "Varnish";
        compare(&field, "304", compared, KEPT, true);
    }
    if wanted("passed") {
        let compared = |name: &str| [YARDSTICK, "unstale gateway", "nginx"].contains(&name);
        compare(&field, "passed on", compared, PASSED, false);
    }
    if wanted("many") {
        many(&field, 1000, 3, 3);
        many(&field, 10_000, 3, 4);
    }
    drop(field);
    if wanted("memory") {
        // Servers that have not been loaded: what they hold of it would hide what connections take.
        memory(&Field::start(&folder, gateway.as_deref()));
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Every contender once in each round; prints medians, and ratios to the yardstick of the same round.
fn compare(field: &Field, what: &str, compared: impl Fn(&str) -> bool, path: &str, conditional: bool) {
    let all: Vec<&Contender> = field.contenders.iter().filter(|contender| compared(contender.name)).collect();
    let rounds: Vec<Vec<Run>> = (0..ROUNDS)
        .map(|_| {
            let run = |contender: &&Contender| {
                let condition = format!("If-None-Match: {}", contender.etag);
                let mut headers = field.headers().to_vec();
                headers.extend(conditional.then_some(condition.as_str()));
                run(contender, path, &headers, CONNECTIONS, SECONDS)
            };
            all.iter().map(run).collect()
        })
        .collect();
    print(what, &all, &rounds);
}

/// Many connections at a time.
fn many(field: &Field, connections: u32, rounds: usize, seconds: u32) {
    let compared = [YARDSTICK, "unstale gateway", "nginx", "nginx, sendfile off"];
    let all: Vec<&Contender> = compared.iter().filter_map(|name| field.get(name)).collect();
    let once = |contender: &&Contender| run(contender, KEPT, &field.headers(), connections, seconds);
    let rounds: Vec<Vec<Run>> = (0..rounds).map(|_| all.iter().map(once).collect()).collect();
    print(&format!("hit, {connections} connections"), &all, &rounds);
}

fn print(what: &str, all: &[&Contender], rounds: &[Vec<Run>]) {
    println!("\n{what:<34} {:>9} {:>7} {:>9} {:>9} {:>7}", "req/s", "ratio", "cpu µs", "p99 ms", "errors");
    let yardstick = all.iter().position(|contender| contender.name == YARDSTICK).expect("the yardstick is there");
    for (at, contender) in all.iter().enumerate() {
        let median = |of: fn(&Run) -> f64| median(rounds.iter().map(|round| of(&round[at])).collect());
        let ratio = crate::median(rounds.iter().map(|round| round[at].rate / round[yardstick].rate).collect());
        let errors: u64 = rounds.iter().map(|round| round[at].errors).sum();
        let (rate, cpu, p99) = (median(|run| run.rate), median(|run| run.cpu), median(|run| run.p99));
        println!("{:<34} {rate:>9.0} {ratio:>6.2}× {cpu:>9.2} {p99:>9.2} {errors:>7}", contender.name);
    }
}

fn memory(field: &Field) {
    println!("\n{:<34} {:>9} {:>9}", "KB per connection (5,000)", "used", "idle");
    for name in [YARDSTICK, "hyper from memory", "unstale gateway", "nginx"] {
        let Some(contender) = field.get(name) else { continue };
        let (used, idle) = memory_per_connection(contender, &field.headers(), 5000, Duration::from_secs(6));
        println!("{name:<34} {:>9.1} {:>9.1}", used / 1000.0, idle / 1000.0);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
