//! Two nodes of one installation: one database, one Redis.

use std::path::PathBuf;

use platform::{app::App, settings::Settings};
use serde_json::{Value, json};
use unstale::testing::{
    Folder,
    redis_server::{Certificates, RedisServer},
};
use unstale_server::settings::Sources;

use super::{
    flags::{evaluate, value},
    sockets::{listen, listen_on},
    world::{ADMIN, ANALYST, OPERATOR, Person, World},
};

pub(super) struct Nodes {
    pub(super) one: World,
    pub(super) two: World,
    redis: RedisServer,
    database: Folder,
}

impl Nodes {
    pub(super) async fn start() -> Self {
        let redis = RedisServer::start();
        let database = Folder::new();
        let shared = shared(&redis, &database);
        let settings = shared.each_ref().map(|(name, value)| (*name, value.as_str()));
        let one = World::with(&settings).await;
        let two = World::beside(&one, &settings).await;
        Self { one, two, redis, database }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.database.path().join("shared.db")
    }

    async fn start_another(&self) -> World {
        let shared = shared(&self.redis, &self.database);
        World::beside(&self.one, &shared.each_ref().map(|(name, value)| (*name, value.as_str()))).await
    }
}

/// The settings that name what nodes share.
fn shared(redis: &RedisServer, database: &Folder) -> [(&'static str, String); 3] {
    let path = database.path().join("shared.db");
    [
        ("DATABASE_URL", format!("sqlite://{}?mode=rwc", path.display())),
        ("REDIS_URL", redis.url()),
        // A minute, as it is by default, is longer than a test may take.
        ("REDIS_BREAKER_OPEN", "500ms".to_owned()),
    ]
}

/// Whether both nodes share values through Redis for everybody, from when it returns on.
async fn share(nodes: &Nodes, operator: &Person, shares: bool) {
    let percentage = if shares { 100 } else { 0 };
    operator.put("/admin/cache/flags/USE_REDIS_CACHE", json!({ "percentage": percentage })).await.expect(200);
    let until_known = async {
        for node in [&nodes.one, &nodes.two] {
            while *value(&evaluate(node, operator, "", None).await, "USE_REDIS_CACHE") != json!(shares) {}
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), until_known).await.expect("both nodes hear of the flag");
}

/// The status of a mapping, read with the position that a write returned.
async fn status_after(person: &Person, mappings: &str, mapping: &str, position: &str) -> String {
    let body = person.get_with(mappings, &[("unstale-position", position)]).await.expect(200).body;
    let items = body["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["id"] == mapping).expect("the mapping is there");
    found["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_node_loaded_the_other_answers_and_what_one_wrote_the_other_shows() {
    let nodes = Nodes::start().await;
    let admin = nodes.one.sign_in(ADMIN).await;
    let elsewhere = admin.at(&nodes.two);
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    let held = admin.get(&mappings).await.expect(200);
    let shared = elsewhere.get(&mappings).await.expect(200);
    assert!(shared.is_hit(), "{shared:?}");
    assert_eq!((shared.body, shared.headers["etag"].clone()), (held.body, held.headers["etag"].clone()));

    for node in [&nodes.one, &nodes.two] {
        for status in ["approve", "reject"] {
            let chosen = json!({ "mapping_ids": [ids.mapping] });
            let written = admin.at(node).post(&format!("{mappings}/bulk-{status}"), chosen).await.expect(200);
            let position = written.header("unstale-position");
            for reader in [&admin, &elsewhere] {
                let shown = status_after(reader, &mappings, &ids.mapping, position).await;
                assert!(shown.starts_with(status), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_flag_keeps_values_out_of_redis_while_nodes_run_and_nothing_is_old_by_it() {
    let nodes = Nodes::start().await;
    let (admin, operator) = (nodes.one.sign_in(ADMIN).await, nodes.one.sign_in(OPERATOR).await);
    let elsewhere = admin.at(&nodes.two);
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    let review = async |to: &str| {
        let chosen = json!({ "mapping_ids": [ids.mapping] });
        let written = admin.post(&format!("{mappings}/bulk-{to}"), chosen).await.expect(200);
        written.header("unstale-position").to_owned()
    };
    // Pages of so many assets as nobody has asked for, so that nothing warms them.
    let page = |size: usize| format!("/assets?engagement_id={}&page_size={size}", ids.engagement);
    let hits = async |reader: &Person, size: usize| {
        let read = async || reader.get(&page(size)).await.expect(200).is_hit();
        [read().await, read().await]
    };
    assert_eq!([hits(&admin, 11).await, hits(&elsewhere, 11).await], [[false, true], [true, true]]);
    assert_eq!(hits(&admin, 12).await, [false, true]);

    share(&nodes, &operator, false).await;
    assert_eq!(hits(&elsewhere, 12).await, [false, true], "it is in Redis, and is not read there");
    assert_eq!([hits(&admin, 13).await, hits(&elsewhere, 13).await], [[false, true]; 2], "it was put into Redis");
    // Changes go on being told.
    let position = review("approve").await;
    for reader in [&admin, &elsewhere] {
        assert_eq!(status_after(reader, &mappings, &ids.mapping, &position).await, "approved");
    }

    // What was put there before is still there, and was declared wrong meanwhile.
    share(&nodes, &operator, true).await;
    let third = nodes.start_another().await;
    let found = status_after(&admin.at(&third), &mappings, &ids.mapping, &position).await;
    assert_eq!(found, "approved");
    let position = review("reject").await;
    for reader in [&admin, &elsewhere] {
        assert_eq!(status_after(reader, &mappings, &ids.mapping, &position).await, "rejected");
    }
    assert_eq!([hits(&admin, 14).await, hits(&elsewhere, 14).await], [[false, true], [true, true]]);
}

#[tokio::test]
async fn a_socket_hears_of_what_is_written_at_another_node() {
    let nodes = Nodes::start().await;
    let (admin, analyst) = (nodes.one.sign_in(ADMIN).await, nodes.two.sign_in(ANALYST).await);
    let address = listen_on(&nodes.two).await;
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    let mut socket = listen(&address, &analyst).await;
    analyst.get(&mappings).await.expect(200);
    let chosen = json!({ "mapping_ids": [ids.mapping] });
    admin.post(&format!("{mappings}/bulk-approve"), chosen).await.expect(200);
    let event = socket.next().await;
    assert_eq!((&event["type"], &event["data"]["import_id"]), (&json!("cache_invalidation"), &json!(ids.import)));
}

#[tokio::test]
async fn what_is_taken_at_one_node_ends_at_the_other() {
    let nodes = Nodes::start().await;
    let (admin, analyst) = (nodes.one.sign_in(ADMIN).await, nodes.two.sign_in(ANALYST).await);
    let address = listen_on(&nodes.two).await;
    let socket = listen(&address, &analyst).await;
    admin.put(&format!("/users/{}/roles", analyst.id), json!({ "role": "client_admin" })).await.expect(200);
    assert_eq!(socket.closed().await, 4401, "the rights have changed");
    let socket = listen(&address, &analyst).await;
    analyst.at(&nodes.one).post("/auth/logout", Value::Null).await.expect(204);
    assert_eq!(socket.closed().await, 4401, "the session has ended");
    analyst.get("/context/me").await.expect(401);
}

#[tokio::test]
async fn a_node_that_starts_leaves_the_imports_of_another_alone() {
    let nodes = Nodes::start().await;
    let admin = nodes.one.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let file = format!("Name,OS\n{}", "host,linux\n".repeat(5_000));
    let accepted = admin.upload(&ids.engagement, "a.csv", file.as_bytes()).await.expect(202);
    let _third = nodes.start_another().await;
    let import = admin.finished(accepted.body["import_id"].as_str().unwrap()).await;
    assert_eq!(import["status"], "completed", "{import:?}");
}

#[tokio::test]
async fn without_redis_everything_is_answered_and_with_it_again_nothing_is_old() {
    let mut nodes = Nodes::start().await;
    let admin = nodes.one.sign_in(ADMIN).await;
    let elsewhere = admin.at(&nodes.two);
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    for reader in [&admin, &elsewhere] {
        reader.get(&mappings).await.expect(200);
    }
    nodes.redis.kill();
    for reader in [&admin, &elsewhere] {
        reader.get(&mappings).await.expect(200);
    }
    nodes.redis.start_again();
    let until_written = async {
        // By turns, because a write that changes nothing declares nothing wrong and has no position.
        for (review, status) in [("approve", "approved"), ("reject", "rejected")].into_iter().cycle() {
            let chosen = json!({ "mapping_ids": [ids.mapping] });
            let written = admin.post(&format!("{mappings}/bulk-{review}"), chosen).await;
            if written.status.is_success() && !written.header("unstale-position").is_empty() {
                return (written.header("unstale-position").to_owned(), status);
            }
        }
        unreachable!("it goes round until a write is recorded")
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), until_written).await;
    let (position, status) = waited.expect("the nodes recover without a restart");
    assert_eq!(status_after(&elsewhere, &mappings, &ids.mapping, &position).await, status);
}

/// By the settings that operators have, against a server that asks for the client's certificate.
#[tokio::test]
async fn nodes_share_a_redis_by_tls_with_certificates_of_their_own() {
    let certificates = Certificates::new();
    let redis = RedisServer::start_with_tls(&certificates, "server", true);
    let folder = Folder::new();
    let path = |name: &str| certificates.path(name).to_str().unwrap().to_owned();
    let settings = [
        ("DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.path().join("shared.db").display())),
        ("REDIS_URL", redis.tls_url()),
        ("REDIS_CA_FILE", path("ca.crt")),
        ("REDIS_CERT_FILE", path("client.crt")),
        ("REDIS_KEY_FILE", path("client.key")),
        // A machine that is busy with other tests needs longer for TLS than a read waits: that is no failure here.
        ("REDIS_BREAKER_FAILURES", "1000".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let one = World::with(&settings).await;
    let two = World::beside(&one, &settings).await;
    let admin = one.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let mappings = format!("/field-mappings/{}", ids.import);
    admin.get(&mappings).await.expect(200);
    let shared = admin.at(&two).get(&mappings).await.expect(200);
    assert!(shared.is_hit(), "{shared:?}");

    // Whom it is refused by is told by the engine's own tests; here, that a node does not start without its files.
    let settings = settings.map(|(name, value)| (name, if name == "REDIS_KEY_FILE" { "/nowhere" } else { value }));
    let own = [("DATA_DIR", folder.path().to_str().unwrap()), ("PASSWORD_COST", "low")];
    let env = Sources::default().with_env(own.into_iter().chain(settings));
    let error = App::build(Settings::read(env).unwrap()).await.err().expect("it does not start");
    assert!(format!("{error:#}").contains("cannot be read"), "{error:#}");
}
