//! TLS, to one server, to sentinels and to a cluster; the sentinels' own logins; and what is said when certificates or
//! passwords are wrong. Nothing is asked again in a hurry then.

use std::path::Path;

use unstale::{
    InvalidRedisSettings, RedisSettings, RedisStore, RedisTls,
    store::{Filled, Store as _},
    testing::redis_server::{Certificates, RedisCluster, RedisSentinels, RedisServer},
};

use crate::{
    fleet::{Fleet, aside},
    troubles::{append, check, fill, head, store},
    world::acme,
};

/// Of the data servers.
const APP: &[&str] = &["--user", "app", "on", ">right", "~{test:*", "&{test:*", "+@all"];

fn over(server: &RedisServer, tls: RedisTls) -> RedisSettings {
    RedisSettings { tls, ..RedisSettings::new(server.tls_url(), "test") }
}

#[tokio::test]
async fn tls_is_spoken_to_who_the_authority_has_signed() {
    let certificates = Certificates::new();
    let server = RedisServer::start_with_tls(&certificates, "server", false);
    let mut settings = over(&server, RedisTls::default());
    settings.url = settings.url.replace("127.0.0.1", "localhost");
    check(head(&store(settings.clone())).await, true, "name the file of the authority");
    settings.tls.authority_file = Some(certificates.path("ca.crt"));
    let store = store(settings.clone());
    let base = append(&store).await.unwrap();
    assert_eq!(fill(&store, base, 1, 100).await.unwrap(), Filled::Stored);
    let mut moves = store.moves();
    append(&store).await.unwrap();
    assert!(!moves.take().is_empty());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_before_anybody_is_asked() {
    let certificates = Certificates::new();
    let refused = |tls: RedisTls| {
        let settings = RedisSettings { tls, ..RedisSettings::new("rediss://localhost", "test") };
        RedisStore::new(settings).unwrap_err()
    };
    let whole = certificates.of_client();
    let told = refused(RedisTls { certificate_file: None, ..whole.clone() });
    assert!(matches!(told, InvalidRedisSettings::HalfCertificate), "{told}");
    let told = refused(RedisTls { certificate_file: Some(Path::new("/nowhere").into()), ..whole.clone() });
    assert!(matches!(told, InvalidRedisSettings::File(..)), "{told}");
    let told = refused(RedisTls { authority_file: Some(certificates.path("ca.key")), ..whole.clone() });
    assert!(told.to_string().contains("holds no certificate in PEM format"), "{told}");
    let told = refused(RedisTls { key_file: Some(certificates.path("server.key")), ..whole });
    assert!(told.to_string().contains("the private key that belongs to"), "{told}");
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_asks_for_one() {
    let certificates = Certificates::new();
    let server = RedisServer::start_with_tls(&certificates, "server", true);
    let whole = certificates.of_client();
    append(&store(over(&server, whole.clone()))).await.unwrap();
    let none = RedisTls { certificate_file: None, key_file: None, ..whole.clone() };
    check(head(&store(over(&server, none))).await, true, "the client's own certificate");
    let expired = RedisTls {
        certificate_file: Some(certificates.path("expired-client.crt")),
        key_file: Some(certificates.path("expired-client.key")),
        ..whole.clone()
    };
    check(head(&store(over(&server, expired))).await, true, "the client's certificate has expired");
    let strangers = Certificates::new();
    let stranger = RedisTls { authority_file: whole.authority_file, ..strangers.of_client() };
    check(head(&store(over(&server, stranger))).await, true, "does not accept the client's certificate");
}

/// Connections that a server has accepted, but for the ones that these tests look at it by.
async fn connections_during(server: &RedisServer, operations: impl Future<Output = ()>) -> u64 {
    let count = || server.info("total_connections_received").parse::<u64>().unwrap();
    let before = count();
    operations.await;
    count() - before - 1
}

#[tokio::test]
async fn certificates_that_are_not_good_are_told_apart_and_nobody_hammers() {
    let certificates = Certificates::new();
    let strangers = Certificates::new();
    for (name, tls, says) in [
        ("server", strangers.of_client(), "name the file of the authority"),
        ("expired-server", certificates.of_client(), "Redis's certificate has expired"),
        ("other-server", certificates.of_client(), "is not for the name or address"),
    ] {
        let server = RedisServer::start_with_tls(&certificates, name, false);
        let store = store(over(&server, tls));
        let connections = connections_during(&server, async {
            for _ in 0..200 {
                check(head(&store).await, true, says);
            }
        });
        let connections = connections.await;
        assert!(connections < 10, "{connections} connections for 200 operations");
    }
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_told() {
    let server = RedisServer::start();
    let certificates = Certificates::new();
    let store = RedisStore::new(over(&server, certificates.of_client())).unwrap();
    check(head(&store).await, false, "does this port of Redis speak TLS?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_are_asked_by_tls_with_a_login_of_their_own_and_fail_over() {
    let certificates = Certificates::new();
    let tls = certificates.of_client();
    let (certificates, servers) = aside(move || {
        let servers = RedisSentinels::start_with_tls(&certificates, APP);
        (certificates, servers)
    })
    .await;
    let settings = RedisSettings {
        tls: tls.clone(),
        sentinel_login: servers.login(),
        ..RedisSettings::new(servers.tls_url("app:right"), "test")
    };

    // Each login is wrong in its own way, and each says whose it is.
    let mut wrong = settings.clone();
    wrong.sentinel_login.password = None;
    wrong.sentinel_login.user = None;
    check(head(&store(wrong)).await, true, "the sentinels want a login of their own");
    let mut wrong = settings.clone();
    wrong.sentinel_login.password = Some("guessed".to_owned());
    let wrong = store(wrong);
    let connections = connections_during(&servers.sentinels()[0], async {
        for _ in 0..200 {
            check(head(&wrong).await, true, "the sentinels refuse their user and password");
        }
    });
    let connections = connections.await;
    // Sentinels connect to each other, too.
    assert!(connections < 40, "{connections} connections for 200 operations");
    let wrong = RedisSettings { url: servers.tls_url("app:wrong"), ..settings.clone() };
    check(head(&store(wrong)).await, true, "correct them in its URL");
    let strangers = Certificates::new();
    let stranger = RedisSettings { tls: strangers.of_client(), ..settings.clone() };
    check(head(&store(stranger)).await, true, "name the file of the authority");
    let plain = RedisSettings { url: settings.url.replace("rediss", "redis"), ..settings.clone() };
    assert!(head(&store(plain)).await.is_err());

    let fleet = Fleet::over(|| settings.clone()).await;
    let servers = aside(move || {
        servers.fail_over();
        servers.wait_until_followed();
        servers
    })
    .await;
    fleet.recover().await;
    fleet.end().await;
    drop((servers, certificates));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_spoken_to_by_tls_while_it_fails_over_and_moves_a_slot() {
    let certificates = Certificates::new();
    let tls = certificates.of_client();
    let (certificates, cluster) = aside(move || {
        let cluster = RedisCluster::start_with_tls(&certificates);
        (certificates, cluster)
    })
    .await;
    let settings = RedisSettings { tls, ..RedisSettings::new(cluster.tls_url(), "test") };
    let strangers = Certificates::new();
    let stranger = RedisSettings { tls: strangers.of_client(), ..settings.clone() };
    check(head(&store(stranger)).await, true, "name the file of the authority");

    let probe = RedisStore::new(settings.clone()).unwrap();
    let slot = cluster.slot(&format!("{{test:{}}}:state", probe.partitions().of(&acme()).index()));
    let fleet = Fleet::over(|| settings.clone()).await;
    let cluster = aside(move || {
        cluster.fail_over(slot);
        cluster.wait_until_whole();
        cluster
    })
    .await;
    fleet.recover().await;
    let cluster = aside(move || {
        let home = cluster.owner(slot).unwrap();
        let to =
            (0..cluster.servers.len()).find(|at| *at != home && cluster.servers[*at].info("role") == "master").unwrap();
        cluster.migrate(slot, to, || std::thread::sleep(std::time::Duration::from_millis(30)));
        cluster
    })
    .await;
    fleet.recover().await;
    fleet.end().await;
    drop((cluster, certificates));
}
