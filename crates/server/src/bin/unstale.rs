//! `unstale`: the gateway, and a client of its API for backends.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use unstale_server::{
    audit::{self, cli::AuditCommand},
    gateway::{Gateway, client, config, openapi},
    run::stop_signal,
    runtime::runtime,
    settings::LogFormat,
    telemetry::{self, BuildInfo},
};

/// The system's allocator is fair to all programs; this one is quicker for many small pieces that live as long as a
/// request. Without huge pages (`no_thp`): with them the system backs what is reserved and never touched, half of each
/// connection's buffers, and gets hardly anything back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("GIT_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};

/// A coherent cache before any HTTP backend.
#[derive(Parser)]
#[command(name = "unstale", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The cache as a reverse proxy
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Declare groups, principals or sessions wrong, by a gateway's API for backends
    Invalidate(Invalidate),
    /// An audit trail: verify it, search it, take it out as a file
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Subcommand)]
enum GatewayCommand {
    /// Run what a configuration file says, and follow its changes (at once, and at SIGHUP)
    Run {
        /// The configuration file
        file: PathBuf,
    },
    /// Tell everything that is wrong with a configuration file
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print the JSON schema of configuration files
    Schema,
    /// Print the OpenAPI document of the API for backends
    Openapi,
    /// Make a token for the API for backends, and print its hash for the configuration file
    Token,
}

#[derive(Args)]
struct Invalidate {
    /// Where the gateway's [control] is
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    url: String,
    /// A PEM file with the authorities that vouch for an https address; without one, the system's
    #[arg(long)]
    ca: Option<PathBuf>,
    /// A file that holds the token; else the environment variable `UNSTALE_TOKEN` is read
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// For which tenant
    #[arg(long)]
    tenant: String,
    /// A group that is wrong, such as import:7; may be repeated
    #[arg(long = "group")]
    groups: Vec<String>,
    /// A principal whose answers are wrong; may be repeated
    #[arg(long = "principal")]
    principals: Vec<String>,
    /// A session that is over; may be repeated
    #[arg(long = "session")]
    sessions: Vec<String>,
    /// Only count what the gateway's memory holds of it
    #[arg(long)]
    dry_run: bool,
    /// Whether no route gives it on any more, and bytes are deleted
    #[arg(long, value_enum, default_value_t = Purge::Soft)]
    purge: Purge,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purge {
    /// Served no more, but by routes with `stale_ok` within their bound; the bytes go in time
    Soft,
    /// Served no more by any route, and deleted as far as the gateway knows of it
    Hard,
}

fn main() -> ExitCode {
    let runtime = runtime().expect("the system gives a runtime what it needs");
    match runtime.block_on(run(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line, without a backtrace: most of them are for whoever calls to correct.
            eprintln!("unstale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Gateway(GatewayCommand::Run { file }) => run_gateway(file).await,
        Command::Gateway(GatewayCommand::Check { file }) => {
            let plan = config::read(&file)?;
            let (routes, upstreams) = (plan.file.routes.len(), plan.file.upstreams.len());
            println!("{} is good: {upstreams} upstreams, {routes} routes", file.display());
            Ok(())
        }
        Command::Gateway(GatewayCommand::Schema) => {
            println!("{}", serde_json::to_string_pretty(&config::schema()).context("the schema cannot be written")?);
            Ok(())
        }
        Command::Gateway(GatewayCommand::Openapi) => {
            print!("{}", openapi());
            Ok(())
        }
        Command::Gateway(GatewayCommand::Token) => {
            let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            println!("token:        {token}");
            println!("token_blake3: {}", blake3::hash(token.as_bytes()).to_hex());
            println!("The backend keeps the token; the configuration file gets token_blake3.");
            Ok(())
        }
        Command::Invalidate(invalidate) => call(invalidate).await,
        Command::Audit(command) => audit::cli::run(command).await,
    }
}

async fn run_gateway(file: PathBuf) -> anyhow::Result<()> {
    let plan = config::read(&file)?;
    let format = match plan.file.log.format {
        config::file::LogFormat::Text => LogFormat::Text,
        config::file::LogFormat::Json => LogFormat::Json,
    };
    telemetry::init(&plan.file.log.filter, format)?;
    let gateway = Gateway::start(plan, Some(file), &BUILD).await?;
    tracing::info!(address = %gateway.local_addr()?, "the gateway answers");
    if let Some(address) = gateway.control_addr() {
        tracing::info!(%address, "the API for backends answers");
    }
    gateway.run(stop_signal()).await;
    Ok(())
}

async fn call(invalidate: Invalidate) -> anyhow::Result<()> {
    let token = match &invalidate.token_file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None => std::env::var("UNSTALE_TOKEN").context("set UNSTALE_TOKEN, or name a file with --token-file")?,
    };
    let Invalidate { tenant, groups, principals, sessions, dry_run, .. } = &invalidate;
    let mode = if invalidate.purge == Purge::Hard { "hard" } else { "soft" };
    let body = json!({
        "tenant": tenant, "groups": groups, "principals": principals, "sessions": sessions,
        "dry_run": dry_run, "mode": mode,
    });
    let api = client::Api { address: invalidate.url.clone(), ca: invalidate.ca.clone() };
    let (status, answer) = client::call(&api, "/v1/purge", token.trim(), &body).await?;
    println!("{}", serde_json::to_string_pretty(&answer).context("the answer cannot be written")?);
    if !status.is_success() {
        bail!("the gateway refused: {status}");
    }
    Ok(())
}
