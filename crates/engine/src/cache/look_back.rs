//! Looking back: what a node that starts knows of the log before it.
//!
//! A view that began at the log's head would refuse everything that other nodes have stored before: whether it was
//! invalidated since, such a view cannot tell. So it begins some records earlier, and reads these, as if the node had
//! run since then. Nobody is told of them: for live events and the like they are long over.

use super::follow::RECORDS_PER_PAGE;
use crate::{
    clocks::{ClockLimits, Clocks},
    position::{Partition, Position, Sequence},
    store::{LogPage, Store, StoreError},
};

/// How far a node looks back: half of what stores keep by default, so that none of it is trimmed meanwhile.
const RECORDS_BACK: u64 = 2048;

/// A view that has reached the head of a partition's log, at least, and begins as early as can be; at the head itself
/// where the log before it cannot be read.
pub(super) async fn view(store: &dyn Store, partition: Partition, limits: ClockLimits) -> Result<Clocks, StoreError> {
    let head = store.head(partition).await?;
    let begin = Sequence(head.sequence.0.saturating_sub(RECORDS_BACK));
    let clocks = Clocks::new(Position { sequence: begin, ..head }, limits);
    while clocks.frontier().sequence < head.sequence {
        match store.read_log(clocks.frontier(), RECORDS_PER_PAGE).await {
            Ok(LogPage::Records(records)) if !records.is_empty() => {
                records.iter().for_each(|record| clocks.apply(record.position.sequence, &record.tags));
            }
            // Trimmed, another epoch, away, or shorter than its head says.
            _ => return Ok(Clocks::new(head, limits)),
        }
    }
    Ok(clocks)
}
