use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const EPOCH: Epoch = Epoch(7);

fn head(epoch: Epoch, sequence: u64) -> Position {
    Position { partition: Partition(0), epoch, sequence: Sequence(sequence) }
}

fn clocks(filter_slots: usize, exact_clocks_max: usize) -> Clocks {
    Clocks::new(head(EPOCH, 0), ClockLimits { filter_slots, exact_clocks_max })
}

#[track_caller]
fn check(clocks: &Clocks, base: u64, tags: &[u64], expected: Validity) {
    let tags: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
    assert_eq!(clocks.judge(EPOCH, Sequence(base), &tags), expected);
}

const fn valid(through: u64) -> Validity {
    Validity::Valid { through: Sequence(through) }
}

#[test]
fn a_tag_moved_past_the_base_invalidates() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    check(&clocks, 0, &[3], Validity::Invalidated);
    check(&clocks, 0, &[1, 3], Validity::Invalidated);
    check(&clocks, 1, &[3], valid(1));
    check(&clocks, 0, &[1], valid(0));
    check(&clocks, 0, &[], valid(0));
}

#[test]
fn a_shared_slot_is_told_apart_and_raises_the_base() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    clocks.apply(Sequence(2), &[TagId(4)]);
    // 11 shares the slot of 3, but was never invalidated.
    check(&clocks, 0, &[11], valid(2));
    clocks.apply(Sequence(3), &[TagId(11)]);
    // The slot has moved past 1, the clock of 3 has not.
    check(&clocks, 1, &[3], valid(3));
}

#[test]
fn trimming_raises_the_floor_and_nothing_below_it_is_valid() {
    let clocks = clocks(8, 2);
    for sequence in 1..=3 {
        clocks.apply(Sequence(sequence), &[TagId(sequence)]);
    }
    assert_eq!(clocks.floor(), Sequence(1));
    check(&clocks, 0, &[100], Validity::BelowFloor);
    check(&clocks, 1, &[1], valid(1));
    check(&clocks, 1, &[10], valid(3));
    check(&clocks, 1, &[2], Validity::Invalidated);
}

#[test]
fn places_left_behind_cost_no_clock_that_stands() {
    let clocks = clocks(8, 4);
    clocks.apply(Sequence(1), &[TagId(1)]);
    for sequence in 2..=8 {
        clocks.apply(Sequence(sequence), &[TagId(2)]);
    }
    assert_eq!(clocks.exact.read().clocks.by_age.len(), 8, "eight places of two tags are just twice four");
    clocks.apply(Sequence(9), &[TagId(2), TagId(3), TagId(4)]);
    let by_age: Vec<_> = clocks.exact.read().clocks.by_age.iter().map(|(sequence, tag)| (sequence.0, tag.0)).collect();
    assert_eq!((by_age, clocks.floor()), (vec![(1, 1), (9, 2), (9, 3), (9, 4)], Sequence(0)));
    // A fifth tag is one too many: the oldest clock goes.
    clocks.apply(Sequence(10), &[TagId(5)]);
    assert_eq!((clocks.floor(), clocks.exact_len()), (Sequence(1), 4));
    check(&clocks, 0, &[100], Validity::BelowFloor);
}

#[test]
fn a_hot_tag_ages_none_of_its_neighbours_out() {
    let clocks = Clocks::new(head(EPOCH, 0), ClockLimits::default());
    for sequence in 1..=40_000 {
        let cold = (sequence % 400 == 0).then_some(TagId(1 + sequence / 400));
        let tags: Vec<TagId> = [TagId(0)].into_iter().chain(cold).collect();
        clocks.apply(Sequence(sequence), &tags);
    }
    assert_eq!((clocks.floor(), clocks.exact_len()), (Sequence(0), 101));
    check(&clocks, 0, &[1000], valid(0));
    check(&clocks, 399, &[2], Validity::Invalidated);
    assert!(clocks.exact.read().clocks.by_age.len() <= 2 * ClockLimits::default().exact_clocks_max);
}

/// One tag several times in a record: each has a place, and none is superseded.
#[test]
fn places_are_bounded_whatever_a_record_holds() {
    let clocks = clocks(8, 4);
    clocks.apply(Sequence(1), &[TagId(1); 20]);
    assert!(clocks.exact.read().clocks.by_age.len() <= 8);
    check(&clocks, 0, &[1], Validity::BelowFloor);
}

#[test]
fn a_tag_invalidated_again_and_again_fills_no_memory_and_raises_no_floor() {
    let clocks = clocks(8, 4);
    for sequence in 1..=1000 {
        clocks.apply(Sequence(sequence), &[TagId(1)]);
    }
    assert_eq!(clocks.floor(), Sequence(0));
    assert!(clocks.exact.read().clocks.by_age.len() <= 8);
}

#[test]
fn another_epoch_refuses_everything_of_the_old_one() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    clocks.start_anew(head(Epoch(8), 5));
    check(&clocks, 1, &[3], Validity::EpochChanged);
    check(&clocks, 9, &[], Validity::EpochChanged);
    assert_eq!(clocks.judge(Epoch(8), Sequence(5), &[TagId(3)]), valid(5));
    assert_eq!(clocks.judge(Epoch(8), Sequence(4), &[]), Validity::BelowFloor);
    assert_eq!(clocks.frontier(), head(Epoch(8), 5));
}

#[test]
fn a_gap_in_what_is_known_is_an_o1_flush() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    clocks.skip_to(Sequence(9));
    check(&clocks, 8, &[], Validity::BelowFloor);
    check(&clocks, 9, &[3], valid(9));
    clocks.apply(Sequence(10), &[TagId(3)]);
    check(&clocks, 9, &[3], Validity::Invalidated);
}

#[test]
#[should_panic(expected = "without gaps")]
fn a_gap_is_never_applied() {
    clocks(8, 8).apply(Sequence(2), &[]);
}

#[test]
fn the_last_confirmation_counts_also_after_the_clock_was_set_back() {
    let clocks = clocks(8, 8);
    clocks.confirm(Timestamp::from_millis(9));
    clocks.confirm(Timestamp::from_millis(5));
    assert_eq!(clocks.confirmed_at(), Some(Timestamp::from_millis(5)));
    clocks.unconfirm();
    assert_eq!(clocks.confirmed_at(), None);
    clocks.confirm(Timestamp::default());
    assert_eq!(clocks.confirmed_at(), Some(Timestamp::default()), "the first moment is not never");
}

#[test]
fn where_nothing_happened_since_the_rule_is_short() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    let nothing_since = |epoch, base| clocks.has_nothing_since(epoch, Sequence(base));
    assert!(nothing_since(EPOCH, 1) && nothing_since(EPOCH, 2));
    assert!(!nothing_since(EPOCH, 0), "a record came after it");
    assert!(!nothing_since(Epoch(8), 1), "it is of another epoch");
    assert!(clocks.is_at(head(EPOCH, 1)) && !clocks.is_at(head(EPOCH, 0)) && !clocks.is_at(head(Epoch(8), 1)));
    clocks.skip_to(Sequence(9));
    assert!(!nothing_since(EPOCH, 8) && nothing_since(EPOCH, 9));
    clocks.start_anew(head(Epoch(8), 2));
    assert!(!nothing_since(EPOCH, 9) && nothing_since(Epoch(8), 2) && !nothing_since(Epoch(8), 1));
    assert!(clocks.is_at(head(Epoch(8), 2)));
}

#[track_caller]
fn purged(clocks: &Clocks, base: u64, tags: &[u64], expected: bool) {
    let tags: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
    assert_eq!(clocks.is_purged(EPOCH, Sequence(base), &tags), expected);
}

#[test]
fn a_purge_is_told_from_invalidations_before_and_after_it() {
    let clocks = clocks(8, 8);
    clocks.apply(Sequence(1), &[TagId(3)]);
    purged(&clocks, 0, &[3], false);
    clocks.apply(Sequence(2), &[TagId(3), TagId::PURGE]);
    clocks.apply(Sequence(3), &[TagId(3), TagId(4)]);
    check(&clocks, 2, &[3], Validity::Invalidated);
    purged(&clocks, 1, &[3], true);
    purged(&clocks, 1, &[9, 3], true);
    purged(&clocks, 2, &[3], false);
    purged(&clocks, 0, &[4], false);
    clocks.apply(Sequence(4), &[TagId(4), TagId::ERASURE]);
    purged(&clocks, 3, &[4], true);
}

#[test]
fn what_cannot_be_known_to_be_no_purge_is_taken_for_one() {
    let begun = Clocks::new(head(EPOCH, 5), ClockLimits { filter_slots: 8, exact_clocks_max: 8 });
    purged(&begun, 4, &[3], true);
    purged(&begun, 5, &[3], false);
    begun.skip_to(Sequence(9));
    purged(&begun, 8, &[3], true);
    purged(&begun, 9, &[3], false);
    begun.start_anew(head(Epoch(8), 2));
    purged(&begun, 9, &[3], true);
    assert!(begun.is_purged(Epoch(8), Sequence(1), &[]) && !begun.is_purged(Epoch(8), Sequence(2), &[]));
}

#[test]
fn a_floor_that_rose_over_known_clocks_purges_nothing_and_forgotten_purges_end_what_is_invalid() {
    let clocks = clocks(8, 2);
    (1..=4).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence)]));
    check(&clocks, 1, &[3], Validity::BelowFloor);
    purged(&clocks, 0, &[3], false);
    // Each purge takes two places: the marker's and its tag's.
    clocks.apply(Sequence(5), &[TagId(5), TagId::PURGE]);
    purged(&clocks, 0, &[3], false);
    clocks.apply(Sequence(6), &[TagId(6), TagId::PURGE]);
    purged(&clocks, 4, &[3], true);
    purged(&clocks, 5, &[3], false);
    purged(&clocks, 5, &[6], true);
}

#[test]
fn purges_are_bounded_whatever_clocks_are_held_beside() {
    let clocks = Clocks::new(head(EPOCH, 0), ClockLimits::default());
    let tags_max = PURGES_MAX as u64 - 1;
    (1..=tags_max).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence), TagId::PURGE]));
    purged(&clocks, 0, &[9999], false);
    (1..=9).for_each(|more| clocks.apply(Sequence(tags_max + more), &[TagId(tags_max + more), TagId::PURGE]));
    let known = clocks.exact.read();
    assert_eq!((known.purges.clocks.len(), known.purges_floor), (PURGES_MAX, Sequence(9)));
    assert!(known.purges.by_age.len() <= 2 * PURGES_MAX && known.clocks.clocks.len() > PURGES_MAX);
    drop(known);
    purged(&clocks, 8, &[9999], true);
    purged(&clocks, 9, &[9999], false);
    assert_eq!(clocks.floor(), Sequence(0), "the rule knows nothing of it");
}

#[test]
fn what_is_held_exactly_can_be_asked_for() {
    let clocks = clocks(8, 2);
    (1..=3).for_each(|sequence| clocks.apply(Sequence(sequence), &[TagId(sequence)]));
    assert_eq!(clocks.exact_len(), 2);
    assert_eq!(clocks.exact(&[TagId(1), TagId(3), TagId(9)]), [(TagId(3), Sequence(3))]);
}

proptest! {
    /// Against the rule written down naively: never valid when it should not be; and refused without need only
    /// when the floor has risen.
    #[test]
    fn agrees_with_the_rule(
        records in proptest::collection::vec(proptest::collection::vec(0..40u64, 0..4), 0..60),
        base in 0..60u64,
        tags in proptest::collection::vec(0..40u64, 0..5),
        exact_clocks_max in 1..40usize,
    ) {
        let clocks = clocks(16, exact_clocks_max);
        let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            let sequence = at as u64 + 1;
            let ids: Vec<TagId> = record.iter().map(|tag| TagId(*tag)).collect();
            clocks.apply(Sequence(sequence), &ids);
            truth.extend(record.iter().map(|tag| (*tag, sequence)));
        }
        let base = base.min(records.len() as u64);
        let should_be_valid = tags.iter().all(|tag| truth.get(tag).is_none_or(|clock| *clock <= base));
        let ids: Vec<TagId> = tags.iter().map(|tag| TagId(*tag)).collect();
        match clocks.judge(EPOCH, Sequence(base), &ids) {
            Validity::Valid { through } => {
                prop_assert!(should_be_valid);
                prop_assert!(through.0 >= base && through.0 <= records.len() as u64);
            }
            Validity::Invalidated => prop_assert!(!should_be_valid),
            Validity::BelowFloor => prop_assert!(clocks.floor().0 > base),
            Validity::EpochChanged => prop_assert!(false, "the epoch did not change"),
        }
    }
}
