//! The connection, and how long it is waited for.

use std::time::Duration;

use redis::{
    Client, Cmd, IntoConnectionInfo as _, Pipeline, RedisResult, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};

use tokio::time::Instant;

use super::settings::{InvalidRedisSettings, RedisLimits};
use crate::store::StoreError;

/// One multiplexed connection, made when it is first used and again when it is lost.
pub(super) struct Connection {
    client: Client,
    manager: ConnectionManager,
    operation_timeout: Duration,
}

impl Connection {
    pub(super) fn new(url: &str, limits: &RedisLimits) -> Result<Self, InvalidRedisSettings> {
        let invalid = |error: redis::RedisError| InvalidRedisSettings::Url(error.to_string());
        // What was sent and is not acknowledged for so long was sent to nobody: without it, a connection whose other
        // end vanished would be kept for a quarter of an hour. Nagle's algorithm stays on: it gathers the small
        // commands of many tasks; a fifth of the throughput is lost without it.
        let tcp = TcpSettings::default();
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(limits.operation_timeout * 2);
        let info = url.into_connection_info().map_err(invalid)?.set_tcp_settings(tcp);
        let client = Client::open(info).map_err(invalid)?;
        // One attempt at a time and none in the background: while the server is away, an operation costs one refused
        // connection and not a wait.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(limits.connect_timeout))
            .set_response_timeout(None);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(invalid)?;
        Ok(Self { client, manager, operation_timeout: limits.operation_timeout })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn manager(&self) -> &ConnectionManager {
        &self.manager
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        self.manager.clone().send_packed_command(command).await?.extract_error()
    }

    /// The answers in the order of the commands; each may be an error.
    pub(super) async fn send_all(&self, pipeline: &Pipeline, commands: usize) -> RedisResult<Vec<Value>> {
        self.manager.clone().send_packed_commands(pipeline, 0, commands).await
    }

    /// Waits for an operation until `deadline`.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Instant,
        operation: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout_at(deadline, operation).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(_elapsed) => Err(StoreError::Unavailable(format!("no answer within {:?}", self.operation_timeout))),
        }
    }
}
