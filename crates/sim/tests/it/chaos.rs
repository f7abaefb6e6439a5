//! A short run of the chaos scenarios, as `make chaos` runs them for longer.

use std::process::Command;

#[test]
fn nothing_is_stale_whatever_happens_to_redis_and_broken_nodes_are_caught() {
    let of_one = "killed,flushed,failed_over,keys_lost,full,nodes_killed,cut_off,broken_base,broken_purge,broken_epoch";
    passes(of_one, 44);
}

/// One round each: what sentinels and a cluster wait for before they act takes longer than anything else.
#[test]
fn nothing_is_stale_whatever_happens_to_sentinels_and_a_cluster() {
    passes("sentinels_killed,cluster", 0);
}

fn passes(scenarios: &str, seconds: u32) {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output =
        chaos.args(["--seconds", &seconds.to_string(), "--scenario", scenarios]).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(last, format!("{} passed, 0 failed", scenarios.split(',').count()), "{said}");
}
