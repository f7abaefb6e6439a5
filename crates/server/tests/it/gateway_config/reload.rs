//! The file changes while requests run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::world::{JWT, ROUTES, World, soon};

/// The public route alone: its identities need no environment.
const PUBLIC: &str = "
[[routes]]
path = \"/public/{name}\"
upstream = \"api\"
sharing = \"public\"
cache = { ttl = \"5m\" }
";

#[tokio::test]
async fn a_new_file_counts_and_no_request_is_dropped() {
    let world = World::start(PUBLIC).await;
    assert_eq!(world.get("/public/x", &[]).await.cache(), "MISS");
    let (ends, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (addr, ends, answered) = (world.addr, ends.clone(), answered.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                let mut buffer = vec![0; 4096];
                while !ends.load(Relaxed) {
                    stream.write_all(b"GET /public/x HTTP/1.1\r\nhost: app.test\r\n\r\n").await.unwrap();
                    let read = soon(stream.read(&mut buffer)).await.unwrap();
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    // What is answered otherwise from now on is not answered from what was kept.
    world.rewrite(&PUBLIC.replace("5m", "6m"));
    world.until_metrics("gateway_config_reloads_total{outcome=\"applied\"} 1").await;
    let so_far = answered.load(Relaxed);
    soon(async {
        while answered.load(Relaxed) < so_far + 100 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    ends.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(world.backend.calls("/public/x") > 1, "what the old file kept is still served");
}

#[tokio::test]
async fn a_broken_file_is_refused_and_the_old_one_goes_on() {
    let world = World::start(PUBLIC).await;
    world.get("/public/x", &[]).await;
    world.write("[listen\naddress = 7");
    world.until_metrics("gateway_config_reloads_total{outcome=\"refused\"} 1").await;
    assert_eq!(world.get("/public/x", &[]).await.cache(), "HIT");
    // A file that means nothing, too: it names a secret that is not there.
    world.rewrite(&format!("{JWT}{ROUTES}"));
    world.until_metrics("gateway_config_reloads_total{outcome=\"refused\"} 2").await;
    assert_eq!(world.get("/public/x", &[]).await.cache(), "HIT");
    world.rewrite("");
    world.until_metrics("gateway_config_reloads_total{outcome=\"applied\"} 1").await;
    assert_eq!(world.get("/public/x", &[]).await.cache(), "BYPASS");
}

#[tokio::test]
async fn what_cannot_change_is_told_and_the_rest_counts() {
    let world = World::start(PUBLIC).await;
    let text = std::fs::read_to_string(&world.file).unwrap();
    world.write(
        &text.replace("127.0.0.1:0\"\nrequest", "127.0.0.1:1\"\nrequest").replace("public/{name}", "other/{name}"),
    );
    world.until_metrics("gateway_config_reloads_total{outcome=\"restart_needed\"} 1").await;
    assert_eq!(world.get("/public/x", &[]).await.cache(), "BYPASS");
    let invalidated = world.call("/v1/invalidate", &json!({"tenant": "public", "groups": ["a"]})).await;
    assert_eq!(invalidated.status, 200);
}
