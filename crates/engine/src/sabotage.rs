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
    /// What an invalidation that waits for the store declares wrong is served all the same.
    ServePending,
    /// Whoever could not ask the store joins a load that began before it asked.
    JoinUnconfirmed,
    /// All owners of leases call themselves the same. No read becomes stale by it, but a key is loaded twice at once.
    LeaseWithoutOwner,
    /// Records that were trimmed before this node had read them are taken for none.
    IgnoreGap,
    /// The view is confirmed as of the store's answer, not as of the question.
    ConfirmLate,
    /// A record that was told confirms the view, as if the log had been asked.
    ConfirmByTold,
    /// A record that was told is applied although some before it are missing.
    ApplyToldOverGap,
    /// A store that does not answer is taken for one in which nothing has changed.
    ConfirmUnheard,
    /// Positions are compared without their epochs.
    PositionWithoutEpoch,
    /// What the store holds is served without being judged.
    TrustStore,
    /// A purge is taken for an invalidation: where a policy allows what is invalid, what was purged is served.
    ForgetPurges,
    /// What a load within a load depends on is not passed on to the outer one.
    ForgetNested,
    /// What a load for a strict reader reads is read as its own policy says, however patient that is.
    ReadPatiently,
    /// When the time of an entry of the store is over is believed of the clock of the node that loaded it.
    TrustClocks,
}

impl Sabotage {
    /// Breaches that show only while the store is away.
    #[cfg(feature = "testing")]
    pub const AWAY: [Self; 2] = [Self::ServePending, Self::JoinUnconfirmed];

    /// Breaches that show only where nodes' clocks differ: a value is served when its time is over.
    #[cfg(feature = "testing")]
    pub const SKEWED: [Self; 1] = [Self::TrustClocks];

    /// Breaches that show only where loads read what other policies, or other tenants, have.
    #[cfg(feature = "testing")]
    pub const WITHIN: [Self; 1] = [Self::ReadPatiently];

    /// Every other breach that lets a read be stale.
    #[cfg(feature = "testing")]
    pub const ALL: [Self; 14] = [
        Self::StampAfterLoad,
        Self::JoinUnjudged,
        Self::AcknowledgeEarly,
        Self::ForgetRecordedTags,
        Self::IgnoreEpoch,
        Self::JoinUnconfirmed,
        Self::IgnoreGap,
        Self::ConfirmLate,
        Self::ConfirmByTold,
        Self::ApplyToldOverGap,
        Self::ConfirmUnheard,
        Self::PositionWithoutEpoch,
        Self::TrustStore,
        Self::ForgetNested,
    ];

    /// Whether this is the breach at hand; always false in a build without the feature `testing`.
    #[inline]
    pub(crate) fn is(self, breach: Self) -> bool {
        cfg!(feature = "testing") && self == breach
    }
}
