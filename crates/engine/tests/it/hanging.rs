//! Servers that fall silent, and state that is put back: what a restart of the server would show, and nothing does.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use unstale::{
    Bytes, RedisSettings, RedisStore,
    store::Store as _,
    testing::redis_server::{RedisServer, settings},
};

use crate::world::{acme, fact_tag};

/// For what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Passes connections on to `url`'s server. Those that are open when `true` is sent stay open, and silent for ever, as
/// when a machine hangs and another takes over its address.
async fn before(url: &str) -> (u16, watch::Sender<bool>) {
    let server = url.strip_prefix("redis://").unwrap().to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hangs = watch::Sender::new(false);
    let told = hangs.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, mut told) = (server.clone(), told.subscribe());
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = told.changed() => std::future::pending().await,
                }
            });
        }
    });
    (port, hangs)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up_for_a_new_one() {
    let server = RedisServer::start();
    let (port, hangs) = before(&server.url()).await;
    let mut settings = RedisSettings { url: format!("redis://127.0.0.1:{port}"), ..settings(&server, "test") };
    settings.limits.operation_timeout = Duration::from_millis(200);
    let store = RedisStore::new(settings).unwrap();
    let partition = store.partitions().of(&acme());
    store.head(partition).await.unwrap();
    hangs.send_replace(true);
    store.head(partition).await.unwrap_err();
    let recovery = async { while store.head(partition).await.is_err() {} };
    timeout(PATIENCE, recovery).await.expect("a new connection is made, although nobody closed the old one");
}

#[tokio::test]
async fn what_is_appended_to_a_state_that_was_put_back_is_not_acknowledged_in_its_epoch() {
    let server = RedisServer::start();
    let (store, tag) = (RedisStore::new(settings(&server, "test")).unwrap(), fact_tag(1).id());
    let partition = store.partitions().of(&acme());
    let append = async || store.append(partition, vec![tag], Bytes::new()).await;
    append().await.unwrap();
    let state = format!("{{test:{}}}:state", partition.index());
    server.run::<()>(&["COPY", &state, "kept"]);
    let forgotten = append().await.unwrap();
    server.run::<()>(&["COPY", "kept", &state, "REPLACE"]);
    // It has the sequence of the record that was forgotten: a node at that sequence would never hear of it.
    if let Ok(position) = append().await {
        assert_ne!(position.epoch, forgotten.epoch);
    }
    assert_ne!(append().await.unwrap().epoch, forgotten.epoch);
}
