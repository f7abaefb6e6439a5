//! Real nodes on a real Redis that is hurt while they are under load. See [`unstale_sim::chaos`].

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use unstale_sim::chaos::{NodeSettings, Scenario, measure, run_node};

const USAGE: &str = "usage: chaos [--seconds <n, for all together>] [--scenario <name>,…] [--seed <n>]
       chaos list
       chaos measure";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(run());
    // Tools that wait for servers on threads of their own are not waited for: the servers end with this process.
    runtime.shutdown_background();
    done
}

async fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["node", redis, database, sabotage @ ..] = &arguments[..] {
        let (redis_url, database_port) = (redis.to_string(), database.parse()?);
        let sabotage = sabotage.first().map(ToString::to_string);
        return Ok(run_node(NodeSettings { redis_url, database_port, sabotage }).await?);
    }
    // Whatever ends it, everything it started is dropped, that is, ended.
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        done = drive(&arguments) => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    }
}

async fn drive(arguments: &[&str]) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("looking for this program")?;
    match arguments {
        ["list"] => {
            Scenario::all().iter().for_each(|scenario| println!("{:<19} {}", scenario.name, scenario.what));
            Ok(())
        }
        ["measure"] => {
            println!("{}", measure(&own).await?);
            Ok(())
        }
        options => play(&own, &Options::parse(options)?).await,
    }
}

struct Options {
    seconds: u64,
    scenarios: Vec<Scenario>,
    seed: u64,
}

impl Options {
    fn parse(mut words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self { seconds: 0, scenarios: Scenario::all(), seed: rand::random() };
        while let [name, value, rest @ ..] = words {
            match *name {
                "--seconds" => options.seconds = value.parse().context("--seconds takes a number")?,
                "--seed" => options.seed = value.parse().context("--seed takes a number")?,
                "--scenario" => options.scenarios = value.split(',').map(scenario).collect::<anyhow::Result<_>>()?,
                _ => bail!("{USAGE}"),
            }
            words = rest;
        }
        if !words.is_empty() {
            bail!("{USAGE}");
        }
        Ok(options)
    }
}

fn scenario(name: &str) -> anyhow::Result<Scenario> {
    let found = Scenario::all().into_iter().find(|scenario| scenario.name == name);
    found.with_context(|| format!("there is no scenario {name}; `chaos list` names them"))
}

async fn play(own: &Path, options: &Options) -> anyhow::Result<()> {
    let Options { seconds, scenarios, seed } = options;
    println!("seed {seed}");
    let each = Duration::from_secs(*seconds) / u32::try_from(scenarios.len().max(1)).unwrap_or(u32::MAX);
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let report = scenario.run(own, *seed, each).await;
        println!("{report}");
        if report.passed() { passed += 1 } else { failed += 1 }
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}
