//! `outbox-kills`: kills processes that write through the outbox, some hundred times, and looks for stale reads.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use unstale_server::testing::{
    database::TestDatabase,
    kills::{Kill, Run, Stage, WorkerArguments, work},
};

#[derive(Parser)]
#[command(name = "outbox-kills")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill workers by turns at every step and from outside
    Run {
        /// Kills on each database
        #[arg(long, default_value_t = 308)]
        kills: usize,
        /// On which
        #[arg(long, value_enum)]
        database: Vec<Kind>,
        /// Let nobody take over, to see stale reads
        #[arg(long)]
        nobody_takes_over: bool,
    },
    /// What is killed
    Worker(WorkerArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Worker(arguments) => work(arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Run { kills, database, nobody_takes_over } => {
            let kinds = if database.is_empty() { vec![Kind::Sqlite, Kind::Postgres] } else { database };
            let run = Run { nobody_takes_over };
            let (mut passed, mut failed) = (0, 0);
            for kind in kinds {
                let database = match kind {
                    Kind::Sqlite => TestDatabase::sqlite(),
                    Kind::Postgres => TestDatabase::postgres().await,
                };
                let stage = Stage::set_up(&std::env::current_exe()?, database).await?;
                for at in 0..kills {
                    let outcome = stage.kill(Kill::planned(at), run).await;
                    let count = if outcome.failure.is_none() { &mut passed } else { &mut failed };
                    *count += 1;
                    println!("{kind:?} {} of {kills}: {outcome}", at + 1);
                }
                println!("{kind:?}: {} reads were checked", stage.reads());
            }
            println!("{passed} passed, {failed} failed");
            Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
