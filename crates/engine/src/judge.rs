//! May this entry be served? The decision in one place, pure: the entry, the node's view, the policy and the time.

use std::time::Duration;

use crate::{
    clocks::{Clocks, Validity},
    entry::Entry,
    policy::{Mode, Policy},
    time::Timestamp,
    verdict::{MissReason, StaleReason},
};

/// What may be done with a stored entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Serve it.
    Fresh,
    /// Serve it and load a new value meanwhile.
    Refresh(StaleReason),
    /// Load; if that fails, it may be served.
    FailSafe(MissReason),
    /// Load; it must not be served.
    Dead(MissReason),
}

/// How long an unconfirmed view may be used where staleness is allowed anyway: until then nothing is called stale.
pub(crate) const STALE_OK_BOUND: Duration = Duration::from_secs(1);

/// Whether [`judge`] says of an entry that it is fresh, by a confirmed view: short where it nearly always is.
#[inline]
pub(crate) fn is_fresh(entry: &Entry, clocks: &Clocks, policy: &Policy, now: Timestamp) -> bool {
    if policy.age_max.is_none() && clocks.has_nothing_since(entry.epoch, entry.base()) {
        return now < entry.expires_at;
    }
    judge(entry, clocks, policy, true, now) == Judgement::Fresh
}

/// Judges `entry` at `now`. `confirmed`: the view is known to hold all that the policy's mode demands.
///
/// Order matters: the rule comes before the time, because an invalidated value must not be served however young it
/// is, and its grace and fail-safe (which are about time) do not apply to it. Where a policy serves it all the same, it
/// serves none that was purged.
pub(crate) fn judge(entry: &Entry, clocks: &Clocks, policy: &Policy, confirmed: bool, now: Timestamp) -> Judgement {
    let base = entry.base();
    // Nearly every hit ends the rule here, without a look at the tags.
    if clocks.has_nothing_since(entry.epoch, base) {
        return if confirmed { by_time(entry, policy, now) } else { unconfirmed(entry, policy, now) };
    }
    match clocks.judge(entry.epoch, base, entry.tags()) {
        Validity::Valid { through } => {
            if through > base {
                entry.raise_base(through);
            }
        }
        broken => return not_valid(entry, clocks, policy, now, broken),
    }
    if confirmed { by_time(entry, policy, now) } else { unconfirmed(entry, policy, now) }
}

/// Whether a view that was complete at `confirmed_at` is good enough for the policy at `now`, without asking the
/// store. A view that never was complete is good enough for nobody.
#[inline]
pub(crate) fn is_recent(confirmed_at: Option<Timestamp>, policy: &Policy, now: Timestamp) -> bool {
    let bound = match policy.mode {
        Mode::Strict => return false,
        Mode::Bounded(bound) => bound,
        Mode::StaleOk(_) => STALE_OK_BOUND,
    };
    // A confirmation in the future is from before the clock was set back: how old it is, nobody knows.
    confirmed_at.is_some_and(|at| at <= now && now.since(at) <= bound)
}

/// The judgement of an entry one of whose tags is known to be invalidated, by a record that `clocks` do not hold.
pub(crate) fn invalidated(entry: &Entry, clocks: &Clocks, policy: &Policy, now: Timestamp) -> Judgement {
    not_valid(entry, clocks, policy, now, Validity::Invalidated)
}

/// Draws beyond which the logarithm is not followed: one in half a billion.
const EARLINESS_MAX: u64 = 20;

/// Whether a fresh entry is due to be loaded anew although its time is not over.
///
/// `XFetch` (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): each read
/// is due with a chance that grows towards the end, by how long the load took: `now − δ · β · ln(random) ≥ end`.
/// Bounded to the second half of the life, so that a load as long as that does not run without end. `random` is above
/// 0 and at most 1; it is drawn only where the answer can be yes.
#[inline]
pub(crate) fn is_due_early(entry: &Entry, policy: &Policy, now: Timestamp, random: impl FnOnce() -> f64) -> bool {
    if policy.early_refresh_percent == 0 {
        return false;
    }
    // δ · β in hundredths of a millisecond.
    let scale = u64::from(entry.load_ms) * u64::from(policy.early_refresh_percent);
    let left = entry.expires_at.as_millis().saturating_sub(now.as_millis());
    left.saturating_mul(100) < scale.saturating_mul(EARLINESS_MAX) && draws_early(entry, scale, left, random())
}

#[cold]
#[allow(clippy::cast_precision_loss, reason = "times are far below 2⁵³ ms")]
fn draws_early(entry: &Entry, scale: u64, left: u64, random: f64) -> bool {
    let life = entry.expires_at.as_millis().saturating_sub(entry.loaded_at().as_millis());
    left <= life / 2 && scale as f64 * -random.ln() >= left as f64 * 100.0
}

fn not_valid(entry: &Entry, clocks: &Clocks, policy: &Policy, now: Timestamp, validity: Validity) -> Judgement {
    let reason = match validity {
        Validity::Valid { .. } => unreachable!("only called for entries that are not valid"),
        Validity::Invalidated => MissReason::Invalidated,
        Validity::BelowFloor => MissReason::BelowFloor,
        Validity::EpochChanged => MissReason::EpochChanged,
    };
    // By the base as it is now: it rises only where the rule has shown that no tag moved in between, by a purge or not.
    let is_purged = || clocks.is_purged(entry.epoch, entry.base(), entry.tags());
    match policy.mode {
        Mode::StaleOk(age) if now.since(entry.loaded_at()) <= age && !is_purged() => {
            Judgement::Refresh(StaleReason::Invalidated)
        }
        _ => Judgement::Dead(reason),
    }
}

fn unconfirmed(entry: &Entry, policy: &Policy, now: Timestamp) -> Judgement {
    match policy.mode {
        Mode::StaleOk(age) if now.since(entry.loaded_at()) <= age => Judgement::Refresh(StaleReason::Unconfirmed),
        _ => Judgement::Dead(MissReason::Unconfirmed),
    }
}

fn by_time(entry: &Entry, policy: &Policy, now: Timestamp) -> Judgement {
    // What a hit reads of an entry is one cache line, and when it was loaded stands in another: mostly not needed.
    let expires_at = match policy.age_max {
        None => entry.expires_at,
        Some(age_max) => entry.expires_at.min(entry.loaded_at() + age_max),
    };
    if now < expires_at {
        Judgement::Fresh
    } else if now < expires_at + policy.grace {
        Judgement::Refresh(StaleReason::Grace)
    } else if now < expires_at + policy.fail_safe {
        Judgement::FailSafe(MissReason::Expired)
    } else {
        Judgement::Dead(MissReason::Expired)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smallvec::smallvec;

    use super::*;
    use crate::{
        clocks::ClockLimits,
        entry::NewEntry,
        position::{Epoch, Partition, Position, Sequence},
        tag::TagId,
    };

    crate::catalogue! {
        /// Of these tests.
        const _PATTERNS;
        /// A page.
        fn page() -> u8 = "page";
    }

    const TAG: TagId = TagId(5);

    /// Loaded at 1,000 ms, fresh until 2,000 ms, base 0.
    fn entry(load_ms: u16) -> Arc<Entry> {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(0) };
        let key = page(&crate::Tenant::new("acme").unwrap());
        let new = NewEntry {
            key: key.raw(),
            tags: smallvec![TAG],
            base,
            loaded_at: Timestamp::from_millis(1_000),
            expires_at: Timestamp::from_millis(2_000),
            value_bytes: 0,
            has_tenant_tags: true,
            load_ms,
            subjects: 0,
            is_sensitive: false,
        };
        Entry::new(None::<u8>, &new)
    }

    fn check(policy: Policy, invalidated: bool, confirmed: bool, now: u64, expected: Judgement) {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(0) };
        let clocks = Clocks::new(base, ClockLimits::default());
        if invalidated {
            clocks.apply(Sequence(1), &[TAG]);
        }
        let entry = entry(0);
        assert_eq!(judge(&entry, &clocks, &policy, confirmed, Timestamp::from_millis(now)), expected);
    }

    fn policy() -> Policy {
        Policy::ttl(Duration::from_secs(1)).grace(Duration::from_secs(1)).fail_safe(Duration::from_secs(3))
    }

    #[test]
    fn time_leads_from_fresh_over_grace_and_fail_safe_to_dead() {
        check(policy(), false, true, 1_999, Judgement::Fresh);
        check(policy(), false, true, 2_000, Judgement::Refresh(StaleReason::Grace));
        check(policy(), false, true, 2_999, Judgement::Refresh(StaleReason::Grace));
        check(policy(), false, true, 3_000, Judgement::FailSafe(MissReason::Expired));
        check(policy(), false, true, 4_999, Judgement::FailSafe(MissReason::Expired));
        check(policy(), false, true, 5_000, Judgement::Dead(MissReason::Expired));
    }

    #[test]
    fn a_shorter_life_is_that_of_what_was_loaded_before_too() {
        let shortened = policy().age_max(Duration::from_millis(500));
        check(shortened, false, true, 1_499, Judgement::Fresh);
        check(shortened, false, true, 1_500, Judgement::Refresh(StaleReason::Grace));
        check(policy().age_max(Duration::from_secs(9)), false, true, 2_000, Judgement::Refresh(StaleReason::Grace));
    }

    #[test]
    fn nothing_of_another_epoch_or_below_the_floor_is_served() {
        let base = Position { partition: Partition(0), epoch: Epoch(2), sequence: Sequence(0) };
        let clocks = Clocks::new(base, ClockLimits::default());
        let now = Timestamp::from_millis(1_500);
        assert_eq!(judge(&entry(0), &clocks, &policy(), true, now), Judgement::Dead(MissReason::EpochChanged));
        assert!(!is_fresh(&entry(0), &clocks, &policy(), now));
        clocks.start_anew(Position { epoch: Epoch(1), sequence: Sequence(1), ..base });
        assert_eq!(judge(&entry(0), &clocks, &policy(), true, now), Judgement::Dead(MissReason::BelowFloor));
    }

    #[test]
    fn fresh_in_short_is_what_is_fresh_at_length() {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(0) };
        let clocks = Clocks::new(base, ClockLimits { filter_slots: 1, exact_clocks_max: 8 });
        let shortened = policy().age_max(Duration::from_millis(500));
        let check = |clocks: &Clocks, policy: &Policy, expected: [bool; 4]| {
            let at = [1_499, 1_500, 1_999, 2_000].map(Timestamp::from_millis);
            assert_eq!(at.map(|now| is_fresh(&entry(0), clocks, policy, now)), expected);
            let fresh = |now| judge(&entry(0), clocks, policy, true, now) == Judgement::Fresh;
            assert_eq!(at.map(fresh), expected);
        };
        check(&clocks, &policy(), [true, true, true, false]);
        check(&clocks, &shortened, [true, false, false, false]);
        clocks.apply(Sequence(1), &[TagId(6)]);
        check(&clocks, &policy(), [true, true, true, false]);
        check(&clocks, &shortened, [true, false, false, false]);
        clocks.apply(Sequence(2), &[TAG]);
        check(&clocks, &policy(), [false; 4]);
    }

    #[test]
    fn what_was_shown_valid_need_not_be_shown_again() {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(0) };
        let clocks = Clocks::new(base, ClockLimits { filter_slots: 1, exact_clocks_max: 8 });
        clocks.apply(Sequence(1), &[TagId(6)]);
        let entry = entry(0);
        assert_eq!(judge(&entry, &clocks, &policy(), true, Timestamp::from_millis(1_500)), Judgement::Fresh);
        assert_eq!(entry.base(), Sequence(1));
    }

    #[test]
    fn an_invalidated_value_has_no_grace_and_no_fail_safe() {
        for now in [1_000, 2_500, 4_000] {
            check(policy(), true, true, now, Judgement::Dead(MissReason::Invalidated));
        }
    }

    #[test]
    fn only_stale_ok_serves_an_invalidated_value_and_only_while_it_is_young() {
        let stale_ok = policy().mode(Mode::StaleOk(Duration::from_millis(500)));
        check(stale_ok, true, true, 1_500, Judgement::Refresh(StaleReason::Invalidated));
        check(stale_ok, true, true, 1_501, Judgement::Dead(MissReason::Invalidated));
    }

    #[test]
    fn no_policy_serves_what_was_purged_however_young_it_is() {
        let base = Position { partition: Partition(0), epoch: Epoch(1), sequence: Sequence(0) };
        let now = Timestamp::from_millis(1_500);
        let clocks = Clocks::new(base, ClockLimits::default());
        clocks.apply(Sequence(1), &[TAG, TagId::PURGE]);
        clocks.apply(Sequence(2), &[TAG]);
        let entry = entry(0);
        for mode in [Mode::StaleOk(Duration::MAX), Mode::Bounded(Duration::MAX), Mode::Strict] {
            for confirmed in [true, false] {
                let judged = judge(&entry, &clocks, &policy().mode(mode), confirmed, now);
                assert_eq!(judged, Judgement::Dead(MissReason::Invalidated), "{mode:?}");
            }
        }
        let stale_ok = policy().mode(Mode::StaleOk(Duration::MAX));
        assert_eq!(invalidated(&entry, &clocks, &stale_ok, now), Judgement::Dead(MissReason::Invalidated));
        entry.raise_base(Sequence(1));
        assert_eq!(judge(&entry, &clocks, &stale_ok, true, now), Judgement::Refresh(StaleReason::Invalidated));
        let begun_since = Clocks::new(Position { sequence: Sequence(9), ..base }, ClockLimits::default());
        assert_eq!(judge(&entry, &begun_since, &stale_ok, true, now), Judgement::Dead(MissReason::BelowFloor));
        begun_since.start_anew(Position { epoch: Epoch(2), ..base });
        assert_eq!(judge(&entry, &begun_since, &stale_ok, true, now), Judgement::Dead(MissReason::EpochChanged));
    }

    #[test]
    fn an_unconfirmed_view_serves_nothing_but_where_staleness_is_allowed() {
        check(policy(), false, false, 1_000, Judgement::Dead(MissReason::Unconfirmed));
        let stale_ok = policy().mode(Mode::StaleOk(Duration::from_secs(2)));
        check(stale_ok, false, false, 2_001, Judgement::Refresh(StaleReason::Unconfirmed));
        check(stale_ok, false, false, 3_001, Judgement::Dead(MissReason::Unconfirmed));
    }

    #[test]
    fn a_refresh_is_due_the_sooner_the_longer_the_load_and_by_chance() {
        let due = |load_ms, percent, now, random| {
            let policy = policy().early_refresh(percent);
            is_due_early(&entry(load_ms), &policy, Timestamp::from_millis(now), || random)
        };
        // −ln(random) = 1: due when no more is left than the load took.
        let one = (-1.0_f64).exp();
        assert!(due(100, 100, 1_901, one) && !due(100, 100, 1_899, one));
        assert!(due(200, 100, 1_801, one) && !due(200, 100, 1_799, one));
        assert!(due(100, 200, 1_801, one) && !due(100, 200, 1_799, one), "as eager as the policy says");
        assert!(!due(100, 100, 1_950, 1.0), "the luckiest are never due");
        assert!(due(1_000, 100, 1_500, 0.001) && !due(1_000, 100, 1_499, 0.001), "not in the first half");
        assert!(!due(0, 100, 1_999, 0.001), "where it is not known what a load takes, never");
    }

    #[test]
    fn nothing_is_drawn_where_the_answer_is_no_anyway() {
        let never = || unreachable!("a draw on the path of a hit");
        let at = Timestamp::from_millis;
        assert!(!is_due_early(&entry(10), &policy(), at(1_999), never), "the policy wants none");
        assert!(!is_due_early(&entry(10), &policy().early_refresh(100), at(1_799), never), "far from the end");
    }

    #[test]
    fn a_view_is_recent_within_the_bound_and_never_for_strict_reads() {
        let recent = |mode, now| {
            is_recent(Some(Timestamp::from_millis(1_000)), &policy().mode(mode), Timestamp::from_millis(now))
        };
        let bounded = Mode::Bounded(Duration::from_millis(100));
        assert!(recent(bounded, 1_100) && !recent(bounded, 1_101));
        assert!(!recent(Mode::Strict, 1_000));
        let never = |now| is_recent(None, &policy().mode(Mode::Bounded(Duration::MAX)), now);
        assert!(!never(Timestamp::from_millis(1)), "however patient the policy");
        let stale_ok = Mode::StaleOk(Duration::from_secs(60));
        assert!(recent(stale_ok, 2_000) && !recent(stale_ok, 2_001));
    }

    #[test]
    fn a_view_that_was_confirmed_in_the_future_is_not_recent() {
        let bounded = policy().mode(Mode::Bounded(Duration::from_secs(3600)));
        assert!(!is_recent(Some(Timestamp::from_millis(1_000)), &bounded, Timestamp::from_millis(999)));
    }
}
