//! The protocol, and ways to break it.

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The protocol as it is.
    Sound,
    /// An entry's base is captured after its load, not before.
    StampAfterLoad,
    /// Every epoch has the same name.
    PositionWithoutEpoch,
    /// In the store the clocks can be lost without the epoch.
    ClocksEvictedAlone,
    /// Clocks beyond the limit are dropped, in the store and on the nodes, and the floor stays.
    ClocksPrunedWithoutFloor,
    /// Whoever ends a load deletes the lease, whosever it is.
    LeaseWithoutOwner,
    /// A lease names the node it was granted to, not the load.
    LeaseOwnedByNode,
    /// A value that another's load brought is taken as it is.
    JoinUnjudged,
    /// A reader who could not ask the log joins loads, and takes others' fills, as if it had.
    JoinUnconfirmed,
    /// A reader who could not reach his position goes on as if he had none.
    OutOfReachIgnored,
    /// A write is acknowledged when it is recorded; the writer's node may not have heard of it.
    AcknowledgeEarly,
    /// A page of the log that begins too late is taken for what comes next.
    GapIgnored,
    /// The log was trimmed too far: the view goes on at its head, and the floor stays.
    TrimmedWithoutFloor,
    /// A view counts as complete when the log's answer has come, not when the log was asked.
    ConfirmedWhenAnswered,
    /// Who needs to know the log's head takes the answer to an earlier question.
    RoundOfOthers,
    /// A load forgets what it read last.
    TagForgotten,
    /// A replica that has taken over goes on in the epoch of its predecessor.
    FailoverUnnoticed,
    /// The predecessor goes on taking records, which nobody will ever read.
    FormerMasterAnswers,
    /// A lease lasts until it is released, and who waits for it waits.
    LeaseForEver,
    /// A node that hears of a new epoch does not begin anew.
    EpochNotFollowed,
    /// A record that a node was told of confirms its view.
    ConfirmedByTold,
    /// A record that a node was told of is applied although some before it are missing.
    ToldOverGap,
    /// A record that a node was told of is applied whatever its epoch is.
    ToldOfAnyEpoch,
    /// Who follows the log takes a purge for an invalidation.
    PurgeForgotten,
    /// What was missed of the log, or lost with an epoch, is taken for no purge.
    PurgeMissed,
}

impl Variant {
    /// Every way to break it.
    pub const BROKEN: [Self; 24] = [
        Self::StampAfterLoad,
        Self::PositionWithoutEpoch,
        Self::ClocksEvictedAlone,
        Self::ClocksPrunedWithoutFloor,
        Self::LeaseWithoutOwner,
        Self::LeaseOwnedByNode,
        Self::JoinUnjudged,
        Self::JoinUnconfirmed,
        Self::OutOfReachIgnored,
        Self::AcknowledgeEarly,
        Self::GapIgnored,
        Self::TrimmedWithoutFloor,
        Self::ConfirmedWhenAnswered,
        Self::RoundOfOthers,
        Self::TagForgotten,
        Self::FailoverUnnoticed,
        Self::FormerMasterAnswers,
        Self::LeaseForEver,
        Self::EpochNotFollowed,
        Self::ConfirmedByTold,
        Self::ToldOverGap,
        Self::ToldOfAnyEpoch,
        Self::PurgeForgotten,
        Self::PurgeMissed,
    ];

    /// Whether what was refused once may be taken again, so that no refused entry may be left out of the state.
    pub(super) fn revives(self) -> bool {
        matches!(
            self,
            Self::PositionWithoutEpoch
                | Self::ClocksEvictedAlone
                | Self::ClocksPrunedWithoutFloor
                | Self::FailoverUnnoticed
        )
    }
}
