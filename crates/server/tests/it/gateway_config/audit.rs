//! The gateway's audit trail, and the command that verifies it.

use std::{path::Path, process::Output, time::Duration};

use serde_json::{Value, json};
use unstale::testing::Folder;

use super::world::{INTROSPECTION, JWT, ROUTES, SECRET, World, bearer, soon};

/// A gateway with a trail of this level, in a database beside its file.
async fn world(level: &str) -> (World, Folder) {
    world_with(JWT, level).await
}

async fn world_with(identities: &str, level: &str) -> (World, Folder) {
    let place = Folder::new();
    let url = format!("sqlite://{}?mode=rwc", place.path().join("audit.db").display());
    std::fs::write(place.path().join("url"), url).unwrap();
    std::fs::write(place.path().join("secret"), SECRET).unwrap();
    (World::start(&format!("{}{identities}{ROUTES}", audit(place.path(), level))).await, place)
}

fn audit(place: &Path, level: &str) -> String {
    let place = place.display();
    format!(
        "[cache]\nsecret_file = \"{place}/secret\"\n[audit]\ndatabase_url_file = \"{place}/url\"\n\
         directory = \"{place}/spool\"\nlevel = \"{level}\"\nsensitive = [\"/field-mappings/{{import_id}}\"]\n"
    )
}

/// The gateway's file as the command reads it, which knows no variable of the tests.
fn file(place: &Path) -> String {
    let text = format!("[listen]\naddress = \"127.0.0.1:0\"\n{}[upstreams]\n", audit(place, "all"));
    let path = place.join("gateway.toml");
    std::fs::write(&path, text.replace("sensitive = [\"/field-mappings/{import_id}\"]\n", "")).unwrap();
    path.display().to_string()
}

async fn command(arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_unstale"));
    command.arg("audit").args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What the trail holds, oldest first, when it is all there.
async fn told(place: &Path, count: usize) -> Vec<String> {
    let file = file(place);
    soon(async {
        loop {
            let found = command(&["search", "--gateway-config", &file, "--limit", "1000"]).await;
            let text = String::from_utf8(found.stdout).unwrap();
            let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let records: Vec<&Value> = records.iter().filter(|it| it["operation"] != "chain").collect();
            if records.len() >= count {
                let word = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
                let mut lines: Vec<_> = records
                    .iter()
                    .map(|it| {
                        (
                            it["number"].as_u64(),
                            format!(
                                "{} {} {} {} {}{}",
                                word(it, "tenant"),
                                word(it, "operation"),
                                word(it, "outcome"),
                                word(it, "entity"),
                                word(it, "key"),
                                if it["subject"].is_null() { "" } else { " ~" },
                            ),
                        )
                    })
                    .collect();
                lines.sort();
                return lines.into_iter().map(|(_, line)| line).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_passes_and_what_backends_declare_is_recorded() {
    let (world, place) = world("sensitive").await;
    let ann = bearer("ann", "acme", &json!({}));
    let headers = [("authorization", ann.as_str())];
    world.get("/field-mappings/7", &headers).await;
    world.get("/shared/a", &headers).await;
    assert_eq!(world.post("/field-mappings/7/bulk-approve", &headers).await.status, 200);
    let wanted = json!({"tenant": "acme", "groups": ["import:7"], "principals": ["ann"]});
    assert_eq!(world.call("/v1/invalidate", &wanted).await.status, 200);
    let hard = json!({"tenant": "acme", "groups": ["import:8"], "mode": "hard"});
    assert_eq!(world.call("/v1/purge", &hard).await.status, 200);
    let dry = json!({"tenant": "acme", "groups": ["import:9"], "dry_run": true});
    assert_eq!(world.call("/v1/purge", &dry).await.status, 200);
    let expected = [
        "acme read miss /field-mappings/{import_id} /field-mappings/7",
        "acme write done /field-mappings/{id}/bulk-approve /field-mappings/7/bulk-approve",
        "acme invalidate done group import:7",
        "acme invalidate done principal  ~",
        "acme purge done group import:8",
    ];
    assert_eq!(told(place.path(), expected.len()).await, expected);
    assert!(world.metrics().await.contains("audit_records_spooled_total{class=\"mutation\"}"));
}

#[tokio::test]
async fn another_level_counts_when_the_file_says_so() {
    let (world, place) = world_with(INTROSPECTION, "off").await;
    world.backend.sign_in("session", "ann", "acme");
    let headers = [("authorization", "Bearer session")];
    world.get("/shared/a", &headers).await;
    world.rewrite(&format!("{}{INTROSPECTION}{ROUTES}", audit(place.path(), "all")));
    world.until_metrics("gateway_config_reloads_total{outcome=\"applied\"} 1").await;
    world.get("/shared/a", &headers).await;
    let mut found = told(place.path(), 2).await;
    found.sort();
    assert_eq!(found, [" configure done audit level", "acme read hit /shared/{name} /shared/a"]);
}

#[tokio::test]
async fn the_command_verifies_a_trail_and_fails_where_it_was_altered() {
    let (world, place) = world("all").await;
    let ann = bearer("ann", "acme", &json!({}));
    for import in 0..5 {
        world.post(&format!("/field-mappings/{import}/bulk-approve"), &[("authorization", &ann)]).await;
    }
    assert_eq!(told(place.path(), 5).await.len(), 5);
    let file = file(place.path());
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let good = command(&["verify", "--gateway-config", &file]).await;
    assert!(good.status.success() && text(&good) == "6 records in 2 chains verified\n", "{good:?}");
    let noted = place.path().join("heads");
    std::fs::write(&noted, command(&["heads", "--gateway-config", &file]).await.stdout).unwrap();
    let noted = noted.display().to_string();
    assert!(command(&["verify", "--gateway-config", &file, "--expect", &noted]).await.status.success());
    let csv = command(&["export", "--gateway-config", &file, "--format", "csv", "--tenant", "acme"]).await;
    assert_eq!(text(&csv).lines().count(), 6);
    let url = std::fs::read_to_string(place.path().join("url")).unwrap();
    let pool = sea_orm::Database::connect(url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&pool, "DELETE FROM cache_audit WHERE tenant = 'acme' AND number = 3")
        .await
        .unwrap();
    let bad = command(&["verify", "--gateway-config", &file]).await;
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(text(&bad), "acme: record 3 is missing: 4 comes after 2\n");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("1 of 2 chains do not verify"));
    std::fs::write(place.path().join("secret"), "another secret of thirty-two bytes").unwrap();
    assert_eq!(command(&["verify", "--gateway-config", &file]).await.status.code(), Some(1));
}
