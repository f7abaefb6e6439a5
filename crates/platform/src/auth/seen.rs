//! Noting when users were seen: at most once a minute each, and off the request's path.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::Utc;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use unstale::Cache;
use uuid::Uuid;

use crate::store::{Store, StoreError, repositories::users};

/// How often a user is noted.
const EVERY: Duration = Duration::from_secs(60);
/// Users that are remembered as noted; beyond that all are forgotten and noted once more.
const USERS_MAX: usize = 100_000;
/// Notes that wait to be written; more are dropped, and made with the user's next request.
const QUEUE_MAX: usize = 1024;

/// Notes users. What it cannot write it leaves out: it matters to nobody at once.
#[derive(Debug)]
pub(crate) struct Seen {
    noted: Mutex<HashMap<Uuid, Instant>>,
    queue: mpsc::Sender<Uuid>,
}

impl Seen {
    /// Begins to write what is noted; ends with the last of it.
    pub(crate) fn start(store: Store, cache: Cache) -> Self {
        let (queue, mut notes) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            while let Some(user) = notes.recv().await {
                if let Err(error) = write(&store, &cache, user).await {
                    tracing::debug!(%error, "it was not noted that a user was seen");
                }
            }
        });
        Self { noted: Mutex::default(), queue }
    }

    /// Notes that a user was seen.
    pub(crate) fn note(&self, user: Uuid) {
        let now = Instant::now();
        let mut noted = self.noted.lock();
        if noted.get(&user).is_some_and(|last| now.duration_since(*last) < EVERY) {
            return;
        }
        if noted.len() >= USERS_MAX {
            noted.clear();
        }
        if self.queue.try_send(user).is_ok() {
            noted.insert(user, now);
        }
    }
}

async fn write(store: &Store, cache: &Cache, user: Uuid) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    if users::seen(&mut write, user, Utc::now()).await? {
        if let Err(error) = write.commit(cache).await {
            tracing::debug!(%error, "it was not noted that a user was seen");
        }
        return Ok(());
    }
    write.roll_back().await
}
