//! The steps of a write and of the relay at which a process may die: tests end it there (feature `testing`).

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only tests name them"))]
pub enum Step {
    /// A writer's transaction has begun.
    Begun,
    /// Its rows are in the outbox, nothing is committed.
    Noted,
    /// It is committed, nothing is published.
    Committed,
    /// An invalidation was published, by a writer or the relay; others of the same write may follow.
    PublishedOne,
    /// A writer has published everything, and has not answered.
    Published,
    /// What writers published is about to be marked.
    Marking,
    /// It is marked.
    Marked,
    /// A relay has taken rows.
    Taken,
    /// It has published them.
    Relayed,
    /// It has marked them; on PostgreSQL, that is not committed.
    RelayMarked,
}

impl Step {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Begun,
        Self::Noted,
        Self::Committed,
        Self::PublishedOne,
        Self::Published,
        Self::Marking,
        Self::Marked,
        Self::Taken,
        Self::Relayed,
        Self::RelayMarked,
    ];
}

#[cfg(not(feature = "testing"))]
#[inline]
pub(super) fn reached(_: Step) {}

#[cfg(feature = "testing")]
pub(super) use self::armed::reached;
#[cfg(feature = "testing")]
pub use self::armed::{die_at, kill_process};

#[cfg(feature = "testing")]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    };

    use rustix::process::{Signal, getpid};

    use super::Step;

    static ARMED: OnceLock<(Step, AtomicU32)> = OnceLock::new();

    /// Ends this process, by SIGKILL, when it comes to `step` for the `nth` time. Once per process.
    pub fn die_at(step: Step, nth: u32) {
        ARMED.set((step, AtomicU32::new(nth))).expect("a process dies once");
    }

    pub(in super::super) fn reached(step: Step) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == step
            && left.fetch_sub(1, SeqCst) == 1
        {
            let _ = rustix::process::kill_process(getpid(), Signal::KILL);
            // The signal ends every thread; none goes on from here meanwhile.
            loop {
                std::thread::park();
            }
        }
    }

    /// Kills another process, by SIGKILL.
    pub fn kill_process(id: u32) -> std::io::Result<()> {
        let pid = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::kill_process(pid, Signal::KILL)?)
    }
}
