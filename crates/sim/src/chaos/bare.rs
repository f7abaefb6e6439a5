//! What the bare client takes for the same: a message to every node, and as many operations at once.

use std::sync::Arc;

use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection,
};

use super::{
    measure::{Burst, Did, all_of},
    node::monotonic_ns,
};

const CHANNEL: &str = "floor";
/// What the plain `GET`s ask for: about what a page takes.
const NAME: &str = "plain";
const VALUE: [u8; 200] = [7; 200];

/// Connections of the bare client: one to ask on, one that hears.
pub(super) struct Bare {
    asking: MultiplexedConnection,
    _hearing: MultiplexedConnection,
    heard: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Bare {
    /// Connects, and subscribes.
    pub(super) async fn connect(redis_url: &str) -> RedisResult<Self> {
        let info = redis::IntoConnectionInfo::into_connection_info(redis_url)?;
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = redis::Client::open(info.set_redis_settings(login))?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        let pushed = move |push: PushInfo| {
            if push.kind == PushKind::SMessage
                && let Some(Value::BulkString(text)) = push.data.get(1)
                && let Some(number) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())
            {
                notes.lock().push((number, monotonic_ns()));
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new().set_push_sender(pushed);
        let mut hearing = client.get_multiplexed_async_connection_with_config(&config).await?;
        hearing.send_packed_command(redis::cmd("SSUBSCRIBE").arg(CHANNEL)).await?;
        let mut asking = client.get_multiplexed_async_connection().await?;
        redis::cmd("SET").arg(NAME).arg(&VALUE[..]).query_async::<()>(&mut asking).await?;
        Ok(Self { asking, _hearing: hearing, heard })
    }

    /// Publishes a number: when that began, and when it was answered.
    pub(super) async fn publish(&self, number: u64) -> RedisResult<(u64, u64)> {
        let began = monotonic_ns();
        let mut asking = self.asking.clone();
        redis::cmd("SPUBLISH").arg(CHANNEL).arg(number).query_async::<()>(&mut asking).await?;
        Ok((began, monotonic_ns()))
    }

    pub(super) fn take_heard(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.heard.lock())
    }

    /// So many plain `GET`s that all begin at once.
    pub(super) async fn burst(&self, operations: usize) -> Burst {
        let get = |_| {
            let mut asking = self.asking.clone();
            async move { redis::cmd("GET").arg(NAME).query_async::<Vec<u8>>(&mut asking).await.ok().map(|_| Did::Get) }
        };
        all_of((0..operations).map(get)).await
    }
}
