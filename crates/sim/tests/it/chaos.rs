//! A short run of the chaos scenarios, as `make chaos` runs them for longer.

use std::process::Command;

const SCENARIOS: &str = "killed,flushed,failed_over,keys_lost,full,nodes_killed,cut_off,broken_base,broken_epoch";

#[test]
fn nothing_is_stale_whatever_happens_to_redis_and_broken_nodes_are_caught() {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = chaos.args(["--seconds", "40", "--scenario", SCENARIOS]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(last, format!("{} passed, 0 failed", SCENARIOS.split(',').count()), "{said}");
}
