//! The truth: facts and their versions, in the driver, asked over a socket by the nodes' loaders.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use unstale::testing::history::{Fact, Version};

use super::{
    wire::{self, Serving},
    world::FACTS,
};

/// A look at one fact.
#[derive(Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) fact: Fact,
    /// Whether a load begins with it.
    pub(super) begins_load: bool,
}

/// Facts with versions.
pub(super) struct Database {
    versions: [AtomicU64; FACTS as usize],
    loads: AtomicU64,
    /// The longest that a look takes, in ms.
    look_ms_max: AtomicU64,
}

/// Loads must take long enough to be overtaken by writes.
const LOOK_MS_MAX: u64 = 6;

impl Database {
    /// Opens it to the nodes; returns its port.
    pub(super) async fn open() -> io::Result<(Arc<Self>, u16, Serving)> {
        let this = Arc::new(Self {
            versions: [const { AtomicU64::new(0) }; FACTS as usize],
            loads: AtomicU64::new(0),
            look_ms_max: AtomicU64::new(LOOK_MS_MAX),
        });
        let looked_at = this.clone();
        let (port, serving) = wire::serve(move |look| looked_at.clone().look(look)).await?;
        Ok((this, port, serving))
    }

    async fn look(self: Arc<Self>, look: Look) -> Version {
        self.loads.fetch_add(u64::from(look.begins_load), SeqCst);
        let before = self.dawdle_ms();
        tokio::time::sleep(Duration::from_millis(before)).await;
        let version = self.versions[look.fact as usize].load(SeqCst);
        let after = self.dawdle_ms();
        tokio::time::sleep(Duration::from_millis(after)).await;
        version
    }

    fn dawdle_ms(&self) -> u64 {
        rand::rng().random_range(0..=self.look_ms_max.load(SeqCst) / 2)
    }

    /// Writes facts; returns their new versions. Nobody is told: that is the cache's part.
    pub(super) fn commit(&self, facts: &[Fact]) -> Vec<(Fact, Version)> {
        facts.iter().map(|fact| (*fact, self.versions[*fact as usize].fetch_add(1, SeqCst) + 1)).collect()
    }

    pub(super) fn version(&self, fact: Fact) -> Version {
        self.versions[fact as usize].load(SeqCst)
    }

    /// How many loads have begun.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(SeqCst)
    }

    pub(super) fn set_look_ms_max(&self, millis: u64) {
        self.look_ms_max.store(millis, SeqCst);
    }
}
