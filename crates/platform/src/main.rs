//! The platform's server.

use std::process::ExitCode;

use anyhow::Context as _;
use platform::{app::App, demo, settings::Settings};
use unstale_server::{
    run::{Server, stop_signal},
    runtime::runtime,
    settings::Sources,
    telemetry,
};

fn main() -> ExitCode {
    let runtime = runtime().expect("the system gives a runtime what it needs");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes in one line, without a backtrace: most of them are for whoever starts the server to correct.
            eprintln!("platform: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::read(Sources::of_process()?)?;
    telemetry::init(&settings.common.log, settings.common.log_format)?;
    let (address, is_demo) = (settings.common.listen_addr, settings.common.demo);
    // Before anything else is touched: another server at this address may be using the same data.
    let server = Server::bind(address).await?;
    let app = App::build(settings).await?;
    if is_demo {
        demo::seed(app.platform()).await.context("the demonstration could not be set up")?;
    }
    println!("The platform answers at http://{}", server.local_addr()?);
    if is_demo {
        println!("{}", demo::accounts());
    }
    let server = server.readiness(app.readiness()).on_stop(app.on_stop());
    let on_stopped = app.on_stopped();
    let served = server.run(app.router, stop_signal()).await;
    on_stopped.await;
    Ok(served?)
}
