//! Why a breach shows: which promise it breaks, by which answers, after what.
//!
//! That something is wrong in a run with a breach does not show that the checker would notice the breach: it may be wrong
//! by accident, because a broken part stands in the way of another. So each breach has to be noticed for a reason of
//! its own, which follows from what it leaves out.

use unstale::{Mode, Verdict, testing::Sabotage};

use super::{
    promise::{Broken, Promised, ReadKind},
    run::{Breach, Outcome},
    store::StoreBreach,
};

/// What must be found in a run for its breach to have been noticed.
#[derive(Clone, Copy)]
pub(crate) struct Reason {
    /// Which promise is broken: one of these.
    promises: &'static [Promised],
    /// By which answers.
    answers: fn(&ReadKind) -> bool,
    /// What must have happened in the run, one of these; whatever it was, if there are none.
    after: &'static [&'static str],
}

/// What a value that is too old breaks, whoever reads it.
const AGE: &[Promised] = &[Promised::InTime, Promised::WhereWritten, Promised::Carried];
/// By which the store forgets what a reader may remember.
const FORGETS: &[&str] = &["fault: Empty", "fault: Snapshot", "fault: Failover", "fault: Evict"];

impl Reason {
    const fn of(promises: &'static [Promised], answers: fn(&ReadKind) -> bool) -> Self {
        Self { promises, answers, after: &[] }
    }

    const fn after(self, after: &'static [&'static str]) -> Self {
        Self { after, ..self }
    }

    /// The one of a breach; none if any will do.
    fn of_breach(breach: Breach) -> Option<Self> {
        let of_store = match breach.store {
            StoreBreach::None => None,
            StoreBreach::RunIgnored => Some(Self::of(AGE, kept).after(&["fault: Snapshot", "fault: Failover"])),
            StoreBreach::LostLogIsEmpty => Some(Self::of(AGE, kept).after(&["fault: Evict"])),
            StoreBreach::EpochReused => Some(Self::of(AGE, kept).after(FORGETS)),
            StoreBreach::FillsNotRefused => return None,
        };
        of_store.or_else(|| Self::of_engine(breach.engine))
    }

    fn of_engine(sabotage: Sabotage) -> Option<Self> {
        Some(match sabotage {
            Sabotage::None | Sabotage::LeaseWithoutOwner => return None,
            // What stays wrong in memory or in the store.
            Sabotage::StampAfterLoad
            | Sabotage::ForgetRecordedTags
            | Sabotage::IgnoreGap
            | Sabotage::ApplyToldOverGap
            | Sabotage::TrustStore => Self::of(AGE, kept),
            Sabotage::IgnoreEpoch => Self::of(AGE, kept).after(FORGETS),
            Sabotage::ForgetNested => Self::of(AGE, |read| kept(read) && read.page.is_nested()),
            // What nobody keeps: the value of a load that began too early.
            Sabotage::JoinUnjudged => Self::of(AGE, |read| read.collapsed),
            Sabotage::JoinUnconfirmed => {
                Self::of(&[Promised::InTime], |read| read.collapsed && matches!(read.verdict, Verdict::Bypass(_)))
            }
            // What a view is taken for: only others know better.
            Sabotage::ConfirmLate | Sabotage::ConfirmByTold => {
                Self::of(&[Promised::InTime], |read| kept(read) && matches!(read.mode, Mode::Bounded(_)))
            }
            Sabotage::ConfirmUnheard => Self::of(&[Promised::InTime], |_| true).after(&[
                "fault: out of patience",
                "fault: request lost",
                "fault: answer lost",
                "fault: request into a cut",
                "fault: request into a cut partition",
            ]),
            // What one reader knows, and the cache does not heed.
            Sabotage::AcknowledgeEarly => Self::of(&[Promised::WhereWritten], |_| true),
            Sabotage::ForgetPurges => Self::of(&[Promised::Purged], |read| kept(read) && may_be_stale(read)),
            Sabotage::ServePending => Self::of(&[Promised::WhereKept], |_| true),
            Sabotage::PositionWithoutEpoch => Self::of(&[Promised::Carried], |_| true).after(FORGETS),
            Sabotage::ReadPatiently => Self::of(AGE, |read| read.mode == Mode::Strict && read.page.is_nested()),
            Sabotage::TrustClocks => Self::of(&[Promised::Life], kept),
        })
    }

    fn is_met(&self, broken: &Broken) -> bool {
        self.promises.contains(&broken.promise) && broken.by.as_ref().is_some_and(self.answers)
    }
}

/// Answered by what was kept, in memory or in the store.
fn kept(read: &ReadKind) -> bool {
    matches!(read.verdict, Verdict::Hit | Verdict::Stale(_))
}

/// Whether staleness was asked for, or may have been by what the page is made of.
fn may_be_stale(read: &ReadKind) -> bool {
    matches!(read.mode, Mode::StaleOk(_)) || read.page.is_nested()
}

/// What shows in a run that its breach was noticed for its own reason; none if it was not noticed, or by accident.
pub(crate) fn noticed(breach: Breach, outcome: &Outcome) -> Option<&Broken> {
    let Some(reason) = Reason::of_breach(breach) else { return outcome.violations.first() };
    let happened = |what: &&str| outcome.counts.get(*what).is_some_and(|count| *count > 0);
    let came_after = reason.after.is_empty() || reason.after.iter().any(happened);
    outcome.violations.iter().find(|broken| came_after && reason.is_met(broken))
}

#[cfg(test)]
mod tests {
    use unstale::{BypassReason, MissReason};

    use super::*;
    use crate::simulation::pages::Kind;

    const HIT: ReadKind = ReadKind { page: Kind::Plain, mode: Mode::Strict, verdict: Verdict::Hit, collapsed: false };

    fn check(engine: Sabotage, promise: Promised, by: Option<ReadKind>, after: Option<&str>, expected: bool) {
        let broken = Broken { promise, by, text: String::new() };
        let counts = after.map(|what| (what.to_owned(), 1)).into_iter().collect();
        let outcome = Outcome { seed: 0, trace_hash: 0, counts, violations: vec![broken] };
        let breach = Breach { engine, ..Breach::NONE };
        assert_eq!(noticed(breach, &outcome).is_some(), expected, "{engine:?} by {promise:?}, {by:?}, after {after:?}");
    }

    #[test]
    fn a_breach_is_not_noticed_by_what_another_one_breaks() {
        let hit = Some(HIT);
        check(Sabotage::StampAfterLoad, Promised::InTime, hit, None, true);
        check(Sabotage::StampAfterLoad, Promised::Recovery, None, None, false);
        check(Sabotage::StampAfterLoad, Promised::Life, hit, None, false);
        check(Sabotage::TrustClocks, Promised::Life, hit, None, true);
        check(Sabotage::TrustClocks, Promised::InTime, hit, None, false);
        check(Sabotage::ServePending, Promised::WhereWritten, hit, None, false);
        check(Sabotage::ServePending, Promised::WhereKept, hit, None, true);
    }

    #[test]
    fn by_another_kind_of_answer() {
        let joined = |verdict| Some(ReadKind { verdict, collapsed: true, ..HIT });
        let (miss, bypass) = (Verdict::Miss(MissReason::Absent), Verdict::Bypass(BypassReason::StoreFailed));
        check(Sabotage::JoinUnjudged, Promised::InTime, joined(miss), None, true);
        check(Sabotage::JoinUnjudged, Promised::InTime, Some(HIT), None, false);
        check(Sabotage::JoinUnconfirmed, Promised::InTime, joined(bypass), None, true);
        check(Sabotage::JoinUnconfirmed, Promised::InTime, joined(miss), None, false);
        check(Sabotage::ForgetNested, Promised::InTime, Some(HIT), None, false);
        check(Sabotage::ForgetNested, Promised::InTime, Some(ReadKind { page: Kind::Nested, ..HIT }), None, true);
    }

    #[test]
    fn where_that_did_not_happen_which_it_needs() {
        check(Sabotage::IgnoreEpoch, Promised::InTime, Some(HIT), None, false);
        check(Sabotage::IgnoreEpoch, Promised::InTime, Some(HIT), Some("fault: Cut"), false);
        check(Sabotage::IgnoreEpoch, Promised::InTime, Some(HIT), Some("fault: Failover"), true);
    }
}
