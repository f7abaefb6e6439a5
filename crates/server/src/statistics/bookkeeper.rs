//! What takes note of the cache's events, where they happen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use unstale::{Event, Observer, RawKey, Timestamp, Verdict};
use unstale_http::{Answered, ServedObserver};

use super::{Limits, histogram::Histogram, sampling::Sampling};
use crate::telemetry::RecordMetrics;

/// Something that happened, to be added up.
#[derive(Debug)]
pub(crate) enum Note {
    /// A read that stands for so many.
    Read { key: RawKey, verdict: Verdict, count: u32 },
    /// A load; until when its value is kept, if it is.
    Loaded { key: RawKey, took: Duration, kept_until: Option<Timestamp>, bytes: usize },
    /// A load that failed.
    Failed { key: RawKey, took: Duration },
}

/// Takes note of what the cache tells. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Bookkeeper(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<Note>,
    sampling: Sampling,
    /// Hits that were noted while the queue was more than half full.
    crowded: AtomicU32,
    counts: Counts,
    limits: Limits,
    metrics: RecordMetrics,
}

/// What is counted in place.
#[derive(Debug, Default)]
pub(super) struct Counts {
    evictions: AtomicU64,
    invalidations: AtomicU64,
    checks: AtomicU64,
    incorrect: AtomicU64,
    loads: Histogram,
    requests: Histogram,
}

/// What was counted in place since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) evictions: u64,
    pub(super) invalidations: u64,
    pub(super) checks: u64,
    pub(super) incorrect: u64,
    pub(super) load_quantiles: [Option<i64>; 3],
    pub(super) request_quantiles: [Option<i64>; 3],
}

impl Bookkeeper {
    pub(super) fn new(limits: Limits, metrics: RecordMetrics) -> (Self, mpsc::Receiver<Note>) {
        let (queue, notes) = mpsc::channel(limits.queue_max);
        let shared = Shared {
            queue,
            sampling: Sampling::new(),
            crowded: AtomicU32::new(0),
            counts: Counts::default(),
            limits,
            metrics,
        };
        (Self(Arc::new(shared)), notes)
    }

    /// What observes the cache: give it to the cache's builder.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.0.clone()
    }

    /// Notes how long a request took that the cache answered.
    pub fn answered(&self, took: Duration) {
        self.0.counts.requests.note(took);
    }

    /// Notes that the consistency watch has compared a hit with the truth.
    pub fn checked(&self, is_incorrect: bool) {
        self.0.counts.checks.fetch_add(1, Relaxed);
        self.0.counts.incorrect.fetch_add(u64::from(is_incorrect), Relaxed);
    }

    /// Notes that found no place in the queue, from the start on.
    pub fn dropped(&self) -> u64 {
        self.0.metrics.dropped.get()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Adapts what is noted to the hits of the last second.
    pub(super) fn adapt(&self, hits: u64) {
        self.0.sampling.adapt(hits, self.0.limits.hits_noted_per_second);
    }

    pub(super) fn take_counted(&self) -> Counted {
        let Counts { evictions, invalidations, checks, incorrect, loads, requests, .. } = &self.0.counts;
        Counted {
            evictions: evictions.swap(0, Relaxed),
            invalidations: invalidations.swap(0, Relaxed),
            checks: checks.swap(0, Relaxed),
            incorrect: incorrect.swap(0, Relaxed),
            load_quantiles: loads.take(),
            request_quantiles: requests.take(),
        }
    }
}

/// While the queue is more than half full, as many hits are noted before they are thinned out: so the other half holds
/// what sixteen doublings bring.
const THIN_OUT_EVERY: u32 = 512;

impl Shared {
    /// A burst is thinned out at once: who adapts once a second would come too late for it.
    #[cold]
    fn note_hit(&self, key: &RawKey, count: u32) {
        if self.queue.capacity() < self.queue.max_capacity() / 2
            && self.crowded.fetch_add(1, Relaxed) % THIN_OUT_EVERY == THIN_OUT_EVERY - 1
        {
            self.sampling.thin_out();
        }
        self.note(Note::Read { key: key.clone(), verdict: Verdict::Hit, count });
    }

    fn note(&self, note: Note) {
        if self.queue.try_send(note).is_err() {
            self.metrics.dropped.inc();
        }
    }
}

impl Observer for Shared {
    #[inline]
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Read { key, verdict: Verdict::Hit } => {
                if let Some(count) = self.sampling.draw() {
                    self.note_hit(key, count);
                }
            }
            Event::Read { key, verdict } => self.note(Note::Read { key: (*key).clone(), verdict: *verdict, count: 1 }),
            Event::Loaded { key, took, not_stored, expires_at, bytes } => {
                self.counts.loads.note(*took);
                let kept_until = not_stored.is_none().then_some(*expires_at);
                self.note(Note::Loaded { key: (*key).clone(), took: *took, kept_until, bytes: *bytes });
            }
            Event::LoadFailed { key, took } => self.note(Note::Failed { key: (*key).clone(), took: *took }),
            Event::Evicted { .. } => {
                self.counts.evictions.fetch_add(1, Relaxed);
            }
            Event::Applied { record } => {
                self.counts.invalidations.fetch_add(record.tags.len() as u64, Relaxed);
            }
            _ => {}
        }
    }
}

impl ServedObserver for Bookkeeper {
    fn answered(&self, answered: &Answered<'_>) {
        self.answered(answered.elapsed);
    }
}

impl std::fmt::Debug for Bookkeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bookkeeper").field("dropped", &self.dropped()).field("mean", &self.0.sampling.mean()).finish()
    }
}

#[cfg(test)]
mod tests {
    use unstale::Tenant;

    use super::*;

    unstale::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A flow.
        fn flow(id) -> String = "flow";
    }

    #[test]
    fn a_burst_is_thinned_out_and_not_dropped() {
        let (books, mut notes) = Bookkeeper::new(Limits::default(), RecordMetrics::default());
        let (observer, key) = (books.observer(), flow(&Tenant::new("acme").unwrap(), 1));
        let hits = 2_000_000;
        for _ in 0..hits {
            observer.on_event(&Event::Read { key: key.raw(), verdict: Verdict::Hit });
        }
        assert_eq!(books.dropped(), 0, "{books:?}");
        let mut noted = 0;
        while let Ok(Note::Read { count, .. }) = notes.try_recv() {
            noted += u64::from(count);
        }
        assert!((hits * 9 / 10..hits * 11 / 10).contains(&noted), "{noted} of {hits}");
    }
}
