//! A run of the tests that is killed leaves neither servers nor folders behind.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use unstale::testing::redis_server::{Certificates, RedisSentinels, RedisServer};

const KILLED: &str = "leftovers::one_that_is_killed";

#[test]
#[ignore = "only as another process, by the next test, which kills it"]
fn one_that_is_killed() {
    let (mut stopped, running, certificates) = (RedisServer::start(), RedisSentinels::start(), Certificates::new());
    stopped.kill();
    // Nobody drops what stands in a static.
    let running = Box::leak(Box::new(running));
    let servers = running.servers.iter().chain(running.sentinels());
    let folders = servers.chain([&stopped]).map(RedisServer::folder);
    let files = folders.map(Path::to_path_buf).chain([certificates.path("ca.crt")]);
    files.for_each(|file| println!("file {}", file.display()));
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_killed_run_leaves_nothing_behind() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([KILLED, "--exact", "--ignored", "--nocapture"]);
    let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "ready").collect();
    let files: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("file ")).collect();
    assert_eq!(files.len(), 8, "{said:?}");
    assert!(files.iter().all(|file| Path::new(file).exists()), "{files:?}");

    run.kill().unwrap();
    // The servers, and who tidies up, have the run's other output: it ends with the last of them, or never.
    let mut errors = String::new();
    run.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    run.wait().unwrap();

    assert_eq!(files.iter().find(|file| Path::new(file).exists()), None, "{errors}");
}
