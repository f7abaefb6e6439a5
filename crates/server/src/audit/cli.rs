//! `unstale audit …`: verifying, searching and exporting a trail from the command line.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use futures_util::{StreamExt as _, pin_mut};

use super::{AuditKeys, AuditTrail, Expected, ExportFormat, Filter, PAGE_MAX, export};
use crate::{
    database::{PoolLimits, connect},
    gateway::config,
    secret::{Purpose, Secret},
};

/// What is to be done with an audit trail.
#[derive(Subcommand)]
#[allow(missing_docs, reason = "what is said of a flattened field would be shown as the command's own description")]
pub enum AuditCommand {
    /// Verify every chain; tells the first fault of each, and fails if there is one
    Verify {
        #[command(flatten)]
        place: AuditPlace,
        /// A file that `heads` has printed before: what it names must be in the chains, so that a database that was put
        /// back is found
        #[arg(long)]
        expect: Option<PathBuf>,
    },
    /// Print how far the chains go, to be noted outside of the database, for `verify --expect`
    Heads {
        #[command(flatten)]
        place: AuditPlace,
    },
    /// Print the newest records that match, one JSON object per line
    Search {
        #[command(flatten)]
        place: AuditPlace,
        #[command(flatten)]
        filter: AuditFilter,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Write all records that match, newest first
    Export {
        #[command(flatten)]
        place: AuditPlace,
        #[command(flatten)]
        filter: AuditFilter,
        /// How they are written
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// The file; else they are printed
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

/// How a file is written.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// With a line of names, for spreadsheets
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// Where the trail is, and what its keys are made of.
#[derive(Args)]
pub struct AuditPlace {
    /// The database's URL; else the environment variable `DATABASE_URL` is read
    #[arg(long)]
    database: Option<String>,
    /// The application's secret, such as data/secret.key
    #[arg(long, required_unless_present = "gateway_config")]
    secret_file: Option<PathBuf>,
    /// The configuration file of a gateway, which names both
    #[arg(long, conflicts_with = "secret_file")]
    gateway_config: Option<PathBuf>,
}

/// What is looked for.
#[derive(Args)]
pub struct AuditFilter {
    /// Of this tenant; `-` is the installation's own chain
    #[arg(long)]
    tenant: Option<String>,
    /// By this principal
    #[arg(long)]
    actor: Option<String>,
    /// By this agent
    #[arg(long)]
    agent: Option<String>,
    /// About this subject, by its name
    #[arg(long)]
    subject: Option<String>,
    /// What was done, such as invalidate
    #[arg(long)]
    operation: Option<String>,
    /// How it ended, such as done
    #[arg(long)]
    outcome: Option<String>,
    /// The kind of thing
    #[arg(long)]
    entity: Option<String>,
    /// Exactly this key
    #[arg(long)]
    key: Option<String>,
    /// At this time or later, such as 2026-01-31T00:00:00Z
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

impl AuditPlace {
    async fn open(&self) -> anyhow::Result<AuditTrail> {
        let (named, keys) = match (&self.gateway_config, &self.secret_file) {
            (Some(file), _) => of_gateway(file)?,
            (None, Some(file)) => (None, AuditKeys::derive(&Secret::of_file(file)?.key(Purpose::Audit))),
            (None, None) => bail!("name the secret with --secret-file, or a gateway's file with --gateway-config"),
        };
        let url = self.database.clone().or(named).or_else(|| std::env::var("DATABASE_URL").ok());
        let url = url.context("name the database with --database, or set DATABASE_URL")?;
        // A database that is not there must not be made.
        let url = url.replace("mode=rwc", "mode=rw");
        let limits = PoolLimits { connections_max: 2, ..PoolLimits::default() };
        let pool = connect(&url, "unstale audit", &limits).await.context("the database cannot be opened")?;
        Ok(AuditTrail::new(pool, keys))
    }
}

fn of_gateway(file: &Path) -> anyhow::Result<(Option<String>, AuditKeys)> {
    let plan = config::read(file)?;
    let secret = plan.secret.as_ref().context("this gateway's file names no secret, so its trail verifies nowhere")?;
    let url = plan.audit_url.as_ref().and_then(|url| url.expose_text()).map(str::to_owned);
    Ok((url, AuditKeys::derive(secret.expose())))
}

impl AuditFilter {
    fn filter(&self, trail: &AuditTrail) -> Filter {
        let millis = |time: &DateTime<Utc>| u64::try_from(time.timestamp_millis()).unwrap_or_default();
        let tenant = self.tenant.as_ref().map(|tenant| if tenant == "-" { String::new() } else { tenant.clone() });
        Filter {
            tenant,
            principal: self.actor.clone(),
            agent: self.agent.clone(),
            subject: self.subject.as_deref().map(|name| trail.subject(name)),
            operation: self.operation.clone(),
            outcome: self.outcome.clone(),
            entity: self.entity.clone(),
            key: self.key.clone(),
            trace: None,
            since_ms: self.since.as_ref().map(millis),
            until_ms: self.until.as_ref().map(millis),
        }
    }
}

/// Does it.
pub async fn run(command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify { place, expect } => verify(&place.open().await?, expect.as_deref()).await,
        AuditCommand::Heads { place } => {
            for head in place.open().await?.heads().await? {
                println!("{head}");
            }
            Ok(())
        }
        AuditCommand::Search { place, filter, limit } => {
            let trail = place.open().await?;
            let filter = filter.filter(&trail);
            let (mut left, mut after) = (limit, None);
            while left > 0 {
                let page = trail.search(&filter, after.as_ref(), left.min(PAGE_MAX)).await?;
                left -= (page.found.len() as u64).min(left);
                for found in page.found {
                    let line = serde_json::to_string(&super::AuditRecord::from(found));
                    println!("{}", line.context("a record cannot be written")?);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            Ok(())
        }
        AuditCommand::Export { place, filter, format, output } => {
            let trail = place.open().await?;
            let filter = filter.filter(&trail);
            let mut out: Box<dyn io::Write> = match &output {
                Some(file) => {
                    Box::new(std::fs::File::create(file).with_context(|| format!("{} cannot be made", file.display()))?)
                }
                None => Box::new(io::stdout().lock()),
            };
            let format = match format {
                Format::Csv => ExportFormat::Csv,
                Format::Jsonl => ExportFormat::JsonLines,
            };
            let pieces = export(trail, filter, format);
            pin_mut!(pieces);
            while let Some(piece) = pieces.next().await {
                out.write_all(&piece?)?;
            }
            Ok(out.flush()?)
        }
    }
}

async fn verify(trail: &AuditTrail, expect: Option<&Path>) -> anyhow::Result<()> {
    let mut expected = Vec::new();
    if let Some(file) = expect {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        for (line, number) in text.lines().zip(1..) {
            let noted = Expected::parse(line).with_context(|| {
                format!("{}:{number} is no line that `unstale audit heads` has printed", file.display())
            })?;
            expected.push(noted);
        }
    }
    let report = trail.verify(&expected).await?;
    for (tenant, fault) in &report.faults {
        println!("{}: {fault}", if tenant.is_empty() { "-" } else { tenant });
    }
    if !report.faults.is_empty() {
        let chains: BTreeSet<&str> = report.faults.iter().map(|(tenant, _)| tenant.as_str()).collect();
        bail!("{} of {} chains do not verify", chains.len(), report.chains);
    }
    println!("{} records in {} chains verified", report.records, report.chains);
    Ok(())
}
