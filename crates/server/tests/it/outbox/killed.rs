//! Processes that are killed while they write: a few times at each step here, some hundred times by `make outbox-kills`.

use std::path::Path;

use unstale_server::{
    on_both_databases,
    outbox::steps::Step,
    testing::{
        database::TestDatabase,
        kills::{Kill, Run, Stage},
    },
};

on_both_databases!(nothing_is_stale_after_any_death, a_death_that_nobody_takes_over_is_noticed);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_outbox-kills"))
}

/// One stage at a time: each has processes of its own, and other tests run beside.
static STAGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn nothing_is_stale_after_any_death(database: TestDatabase) {
    let _alone = STAGE.lock().await;
    let stage = Stage::set_up(program(), database).await.unwrap();
    let mut acknowledged = 0;
    for at in 0..2 * (Step::ALL.len() + 1) {
        let outcome = stage.kill(Kill::planned(at), Run::default()).await;
        assert!(outcome.failure.is_none(), "{outcome}");
        acknowledged += outcome.acknowledged;
    }
    assert!(acknowledged > 20 && stage.reads() > 500, "{acknowledged} writes, {} reads", stage.reads());
}

/// The checker can fail.
async fn a_death_that_nobody_takes_over_is_noticed(database: TestDatabase) {
    let _alone = STAGE.lock().await;
    let stage = Stage::set_up(program(), database).await.unwrap();
    // Whether the last write hit a page that was cached is chance; ten times it never does.
    for _ in 0..10 {
        let outcome = stage.kill(Kill::At(Step::Committed, 5), Run { nobody_takes_over: true }).await;
        if outcome.failure.is_some_and(|failure| failure.contains("stale reads")) {
            return;
        }
    }
    panic!("what was committed and never published was shown nevertheless");
}
