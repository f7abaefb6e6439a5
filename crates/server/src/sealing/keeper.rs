//! Keeping the keys of a running process as their source has them.

use std::{fmt, sync::Arc, time::Duration};

use unstale::{CacheVersion, KeyRing, Sealing, SealingLimits, sealing::SubjectKeys};

use super::{KeySource, KeySourceError, SealingSettings};
use crate::secret::{Purpose, Secret};

/// How often subjects' keys are wrapped anew that could not be at once.
const REWRAP_EVERY: Duration = Duration::from_secs(600);

/// Sealing as the settings want it, and what keeps its keys up to date: spawn [`Keeper::keep_up`]. None if it is turned
/// off.
pub async fn open(
    settings: &SealingSettings,
    secret: &Secret,
    keys: Arc<dyn SubjectKeys>,
    version: CacheVersion,
) -> Result<Option<(Sealing, Keeper)>, KeySourceError> {
    if !settings.is_enabled {
        return Ok(None);
    }
    let source = settings.source.clone().unwrap_or_else(|| own(secret));
    let ring = source.fetch().await?;
    let sealing = Sealing::new(ring, keys, version, SealingLimits::default());
    let keeper = Keeper { sealing: sealing.clone(), source, refresh_every: settings.refresh_every };
    Ok(Some((sealing, keeper)))
}

/// The installation's own key: all nodes have the same secret.
fn own(secret: &Secret) -> KeySource {
    let key = secret.key(Purpose::Application("sealing of cached values"));
    KeySource::Fixed(KeyRing::new([key]).expect("a derived key is random"))
}

/// Puts in force whatever keys the source has.
pub struct Keeper {
    sealing: Sealing,
    source: KeySource,
    refresh_every: Duration,
}

impl Keeper {
    /// Asks the source again and again, for as long as the process runs.
    pub async fn keep_up(self) {
        // Those of a rotation before this start.
        let mut is_wrapped = self.rewrap().await;
        let every = if self.source.may_change() { self.refresh_every } else { REWRAP_EVERY };
        loop {
            if is_wrapped && !self.source.may_change() {
                return;
            }
            tokio::time::sleep(every).await;
            if self.refresh().await || !is_wrapped {
                is_wrapped = self.rewrap().await;
            }
        }
    }

    /// Whether there are other keys now.
    async fn refresh(&self) -> bool {
        match self.source.fetch().await {
            Ok(ring) if ring.ids().eq(self.sealing.key_ids()) => false,
            Ok(ring) => {
                let (current, count) = (ring.current_id(), ring.ids().count());
                self.sealing.rotate(ring);
                tracing::info!(%current, count, "other sealing keys are in force");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the sealing keys stay as they are");
                false
            }
        }
    }

    /// Whether all subjects' keys are wrapped by the current key that can be.
    async fn rewrap(&self) -> bool {
        match self.sealing.rewrap().await {
            Ok(0) => true,
            Ok(count) => {
                tracing::info!(count, "keys of subjects were wrapped by the current sealing key");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "keys of subjects are still wrapped by a previous sealing key");
                false
            }
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keeper({:?}, {:?})", self.sealing, self.source)
    }
}

#[cfg(test)]
mod tests {
    use unstale::{sealing::MemorySubjectKeys, testing::Folder};

    use super::*;
    use crate::sealing::KeyCommand;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn settings(source: Option<KeySource>) -> SealingSettings {
        SealingSettings {
            is_enabled: true,
            is_memory_sealed: false,
            source,
            refresh_every: Duration::from_secs(1),
            subject_lifetime_max: Duration::MAX,
        }
    }

    async fn opened(settings: &SealingSettings, secret: &Secret) -> Option<(Sealing, Keeper)> {
        open(settings, secret, Arc::<MemorySubjectKeys>::default(), CacheVersion::default()).await.unwrap()
    }

    #[tokio::test]
    async fn nodes_with_one_secret_have_one_key_and_it_may_be_turned_off() {
        let secret = Secret::random();
        let ids = |node: Option<(Sealing, Keeper)>| node.unwrap().0.key_ids();
        let own = ids(opened(&settings(None), &secret).await);
        assert_eq!(own, ids(opened(&settings(None), &secret).await));
        assert_ne!(own, ids(opened(&settings(None), &Secret::random()).await));
        let off = SealingSettings { is_enabled: false, ..settings(None) };
        assert!(opened(&off, &secret).await.is_none());
    }

    #[tokio::test]
    async fn a_rotation_is_taken_over_and_a_source_that_fails_changes_nothing() {
        let dir = Folder::new();
        let path = dir.path().join("keys");
        let source = KeySource::Service(Arc::new(KeyCommand::new(vec!["cat".into(), path.display().to_string()])));
        std::fs::write(&path, ONE).unwrap();
        let (sealing, keeper) = opened(&settings(Some(source)), &Secret::random()).await.unwrap();
        let first = sealing.key_ids();
        assert!(!keeper.refresh().await);
        std::fs::write(&path, format!("{TWO}\n{ONE}")).unwrap();
        assert!(keeper.refresh().await);
        assert_eq!(sealing.key_ids()[1..], first);
        std::fs::remove_file(&path).unwrap();
        assert!(!keeper.refresh().await);
        assert_eq!(sealing.key_ids().len(), 2);
        assert!(keeper.rewrap().await);
    }
}
