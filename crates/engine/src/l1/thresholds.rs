//! When memory fills up, and when it empties again. *Decides*.

/// How far below a threshold memory must fall before it counts as below, in percent of the whole: so that memory at
/// a threshold is not told of again and again.
const SLACK_PERCENT: u64 = 5;

/// Thresholds in percent of the bytes allowed.
pub(super) struct Thresholds<const N: usize> {
    percents: [u8; N],
    above: [bool; N],
}

/// A threshold was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) percent: u8,
    pub(super) above: bool,
}

impl<const N: usize> Thresholds<N> {
    pub(super) fn new(percents: [u8; N]) -> Self {
        Self { percents, above: [false; N] }
    }

    /// The next threshold that `bytes` of `bytes_max` have crossed; none if all are as they were left.
    pub(super) fn next_crossing(&mut self, bytes: u64, bytes_max: u64) -> Option<Crossing> {
        let reaches = |percent: u64| u128::from(bytes) * 100 >= u128::from(bytes_max) * u128::from(percent);
        for (percent, above) in self.percents.iter().copied().zip(&mut self.above) {
            let is_above = reaches(u64::from(percent).saturating_sub(if *above { SLACK_PERCENT } else { 0 }));
            if is_above != *above {
                *above = is_above;
                return Some(Crossing { percent, above: is_above });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossings(thresholds: &mut Thresholds<2>, bytes: u64) -> Vec<(u8, bool)> {
        std::iter::from_fn(|| thresholds.next_crossing(bytes, 1000))
            .map(|crossing| (crossing.percent, crossing.above))
            .collect()
    }

    #[test]
    fn each_crossing_is_told_once_and_a_little_less_is_not_below() {
        let mut thresholds = Thresholds::new([80, 95]);
        assert_eq!(crossings(&mut thresholds, 799), []);
        assert_eq!(crossings(&mut thresholds, 800), [(80, true)]);
        assert_eq!(crossings(&mut thresholds, 751), []);
        assert_eq!(crossings(&mut thresholds, 1000), [(95, true)]);
        assert_eq!(crossings(&mut thresholds, 949), []);
        assert_eq!(crossings(&mut thresholds, 100), [(80, false), (95, false)]);
        assert_eq!(crossings(&mut thresholds, 1000), [(80, true), (95, true)]);
    }
}
