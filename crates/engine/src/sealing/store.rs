//! Any store, with entries sealed on their way in and opened on their way out.
//!
//! It stands outside of the guard before the store ([`ResilientStore`](crate::ResilientStore)): waiting for a subject's
//! key is not the store's fault. Everything but entries passes.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

use super::Sealing;
use crate::{
    key::RawKey,
    observe::{Event, Observers},
    position::{Partition, PartitionCount, Position},
    store::{
        AfterLease, Filled, LeaseRequest, LeaseToken, Leased, LocalHeads, LogPage, MovesWatcher, Nodes, Seal, Store,
        StoreError, StoredEntry, TaggedKeys,
    },
    tag::TagId,
};

/// A store whose entries are sealed.
pub(crate) struct SealedStore {
    inner: Arc<dyn Store>,
    sealing: Sealing,
    observers: Observers,
}

impl SealedStore {
    pub(crate) fn new(inner: Arc<dyn Store>, sealing: Sealing, observers: Observers) -> Self {
        Self { inner, sealing, observers }
    }

    /// An entry as it was, or the reason why it is none.
    async fn opened(&self, key: &RawKey, entry: StoredEntry) -> StoredEntry {
        let kept = StoredEntry { value: None, tags: entry.tags.clone(), ..entry };
        match self.sealing.open(key, entry).await {
            Ok(opened) => opened,
            Err(reason) => StoredEntry { seal: Seal::Broken(reason), ..kept },
        }
    }

    async fn open_lease(&self, key: &RawKey, mut leased: Leased) -> Leased {
        leased.entry = match leased.entry {
            Some(entry) => Some(self.opened(key, entry).await),
            None => None,
        };
        leased
    }
}

impl Store for SealedStore {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    fn local_heads(&self) -> Option<Arc<LocalHeads>> {
        self.inner.local_heads()
    }

    fn head(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner.head(partition)
    }

    fn append(
        &self,
        partition: Partition,
        tags: Vec<TagId>,
        note: Bytes,
    ) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner.append(partition, tags, note)
    }

    fn read_log(&self, after: Position, records_max: usize) -> BoxFuture<'_, Result<LogPage, StoreError>> {
        self.inner.read_log(after, records_max)
    }

    fn start_anew(&self, partition: Partition) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner.start_anew(partition)
    }

    fn moves(&self) -> MovesWatcher {
        self.inner.moves()
    }

    fn get<'a>(&'a self, keys: &'a [RawKey]) -> BoxFuture<'a, Result<Vec<Option<StoredEntry>>, StoreError>> {
        async move {
            let mut found = self.inner.get(keys).await?;
            for (key, found) in keys.iter().zip(&mut found) {
                if let Some(entry) = found.take() {
                    *found = Some(self.opened(key, entry).await);
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn fill<'a>(&'a self, key: &'a RawKey, entry: StoredEntry) -> BoxFuture<'a, Result<Filled, StoreError>> {
        async move {
            match self.sealing.seal(key, entry).await {
                Ok(sealed) => self.inner.fill(key, sealed).await,
                Err(reason) => {
                    self.observers.tell(&Event::NotShared { key, reason });
                    Ok(Filled::NotKept)
                }
            }
        }
        .boxed()
    }

    fn remove<'a>(&'a self, key: &'a RawKey) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.remove(key)
    }

    fn shares_entries(&self) -> bool {
        self.inner.shares_entries()
    }

    fn keys_tagged(&self, tag: TagId, looks_max: usize) -> BoxFuture<'_, Result<TaggedKeys, StoreError>> {
        self.inner.keys_tagged(tag, looks_max)
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.inner.nodes()
    }

    fn lease<'a>(&'a self, key: &'a RawKey, request: &'a LeaseRequest) -> BoxFuture<'a, Result<Leased, StoreError>> {
        async move {
            let leased = self.inner.lease(key, request).await?;
            Ok(self.open_lease(key, leased).await)
        }
        .boxed()
    }

    fn lease_many<'a>(
        &'a self,
        requests: &'a [(RawKey, LeaseRequest)],
    ) -> BoxFuture<'a, Result<Vec<Leased>, StoreError>> {
        async move {
            let leased = self.inner.lease_many(requests).await?;
            let mut opened = Vec::with_capacity(leased.len());
            for ((key, _), leased) in requests.iter().zip(leased) {
                opened.push(self.open_lease(key, leased).await);
            }
            Ok(opened)
        }
        .boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a RawKey,
        owner: LeaseToken,
        after: AfterLease,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.release(key, owner, after)
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedStore({:?}, {:?})", self.inner, self.sealing)
    }
}
