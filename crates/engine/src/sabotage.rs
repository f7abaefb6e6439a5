//! Deliberate breaches of the protocol.
//!
//! A checker that has never failed proves nothing. Each breach is one that an implementation could well contain; the
//! property tests run every one of them and demand that the history checker catches it. Without the feature
//! `testing` there is only [`Sabotage::None`], and the comparisons vanish.

/// How the protocol is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), allow(dead_code, unreachable_pub, reason = "only tests break the protocol"))]
pub enum Sabotage {
    /// Not at all.
    None,
    /// The base is captured after the load instead of before it: the stale-set race.
    StampAfterLoad,
    /// Whoever meets a running load takes its value, without judging it when it lands.
    JoinUnjudged,
    /// A write is acknowledged before this node's view holds its invalidation.
    AcknowledgeEarly,
    /// Tags recorded by the load are forgotten; only those given explicitly stay.
    ForgetRecordedTags,
    /// A new epoch of the store is not noticed.
    IgnoreEpoch,
    /// All owners of leases call themselves the same. No read becomes stale by it, but a key is loaded twice at once.
    LeaseWithoutOwner,
}

impl Sabotage {
    /// Every breach that lets a read be stale.
    #[cfg(feature = "testing")]
    pub const ALL: [Self; 5] =
        [Self::StampAfterLoad, Self::JoinUnjudged, Self::AcknowledgeEarly, Self::ForgetRecordedTags, Self::IgnoreEpoch];

    /// Whether this is the breach at hand; always false in a build without the feature `testing`.
    pub(crate) fn is(self, breach: Self) -> bool {
        cfg!(feature = "testing") && self == breach
    }
}
