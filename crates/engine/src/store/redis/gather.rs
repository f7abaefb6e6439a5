//! Group commit: while calls of one kind are on their way, what more is asked for gathers, and goes as one call.
//!
//! # Invariants
//! - *Nothing waits that need not*: a call goes at once while fewer than `calls_max` are on their way.
//! - *Order*: items go in the order in which they came, and a call's answers are those of its items, in their order.
//! - *A call that fails fails exactly its items*; those that came later go in calls of their own.
//! - *Who goes away neither loses nor blocks anybody*: calls are driven by a task of their own and not by the first
//!   caller, who may have stopped polling. What was not yet sent for a caller that is gone is not sent.
//! - *Bounded*: a group by [`GroupLimits`], the wait by the deadline of a group's oldest item, and what is waiting by the
//!   callers that wait.
//!
//! It knows nothing of Redis: a call is a function from items to as many answers.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::store::StoreError;

/// How much goes in one call, and how many calls at a time.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "they are limits, and say so as all limits do")]
pub(super) struct GroupLimits {
    /// Calls on their way at a time: with two, the server works on one while the other's answers are handed out.
    pub(super) calls_max: usize,
    /// Items of one call.
    pub(super) items_max: usize,
    /// Bytes of one call; a larger item goes alone.
    pub(super) bytes_max: usize,
    /// Tags of one call: Lua can pass on some thousands of arguments.
    pub(super) tags_max: usize,
    /// How long an item may wait for its answer, since it came.
    pub(super) wait_max: Duration,
}

/// What an item adds to a group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) tags: usize,
}

/// Gathers items `I` and hands out answers `A`.
pub(super) struct Gather<I, A> {
    limits: GroupLimits,
    state: Mutex<State<I, A>>,
}

struct State<I, A> {
    waiting: VecDeque<Waiting<I, A>>,
    calls: usize,
}

struct Waiting<I, A> {
    item: I,
    size: Size,
    since: Instant,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

struct Group<I, A> {
    items: Vec<I>,
    answers: Vec<oneshot::Sender<Result<A, StoreError>>>,
    deadline: Instant,
}

impl<I: Send + 'static, A: Send + 'static> Gather<I, A> {
    pub(super) fn new(limits: GroupLimits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::new(State { waiting: VecDeque::new(), calls: 0 }) })
    }

    /// The answer to `item`, which goes alone or with others. `call` answers a group until a deadline; whose `call` is
    /// used does not matter.
    pub(super) async fn ask<C, F>(self: &Arc<Self>, item: I, size: Size, call: C) -> Result<A, StoreError>
    where
        C: Fn(Vec<I>, Instant) -> F + Send + 'static,
        F: Future<Output = Result<Vec<A>, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let goes_at_once = {
            let mut state = self.state.lock();
            state.waiting.push_back(Waiting { item, size, since: Instant::now(), answer });
            let goes_at_once = state.calls < self.limits.calls_max;
            state.calls += usize::from(goes_at_once);
            goes_at_once
        };
        if goes_at_once {
            tokio::spawn(Driver { gather: self.clone(), done: false }.drive(call));
        }
        answered.await.unwrap_or_else(|_gone| {
            Err(StoreError::Unavailable("the call was given up; it may or may not have happened".into()))
        })
    }

    /// The next group; none if nobody waits, and then one call less is on its way.
    fn next_group(&self) -> Option<Group<I, A>> {
        let mut state = self.state.lock();
        let mut group = Group { items: Vec::new(), answers: Vec::new(), deadline: Instant::now() };
        let (mut bytes, mut tags) = (0, 0);
        while let Some(next) = state.waiting.front() {
            let size = next.size;
            let fits = group.items.len() < self.limits.items_max
                && bytes + size.bytes <= self.limits.bytes_max
                && tags + size.tags <= self.limits.tags_max;
            if !fits && !group.items.is_empty() {
                break;
            }
            let next = state.waiting.pop_front().expect("it was in front, under the same lock");
            if next.answer.is_closed() {
                continue;
            }
            if group.items.is_empty() {
                group.deadline = next.since + self.limits.wait_max;
            }
            (bytes, tags) = (bytes + size.bytes, tags + size.tags);
            group.items.push(next.item);
            group.answers.push(next.answer);
        }
        if group.items.is_empty() {
            state.calls -= 1;
            return None;
        }
        Some(group)
    }
}

/// Makes one call after the other until nobody waits.
struct Driver<I: Send + 'static, A: Send + 'static> {
    gather: Arc<Gather<I, A>>,
    done: bool,
}

impl<I: Send + 'static, A: Send + 'static> Driver<I, A> {
    async fn drive<C, F>(mut self, call: C)
    where
        C: Fn(Vec<I>, Instant) -> F + Send,
        F: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        while let Some(Group { items, answers, deadline }) = self.gather.next_group() {
            match call(items, deadline).await {
                // Those that it has no answer for are told that it was given up.
                Ok(results) => answers.into_iter().zip(results).for_each(|(answer, result)| {
                    let _ = answer.send(Ok(result));
                }),
                Err(error) => answers.into_iter().for_each(|answer| {
                    let _ = answer.send(Err(error.clone()));
                }),
            }
        }
        self.done = true;
    }
}

impl<I: Send + 'static, A: Send + 'static> Drop for Driver<I, A> {
    /// A driver that did not get to its end (its runtime is shut down, a call panicked) lets go of those that nobody
    /// else would serve.
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.gather.state.lock();
            state.calls -= 1;
            if state.calls == 0 {
                state.waiting.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, FutureExt as _, join_all};
    use tokio::sync::Semaphore;

    use super::*;

    const LIMITS: GroupLimits =
        GroupLimits { calls_max: 1, items_max: 4, bytes_max: 100, tags_max: 10, wait_max: Duration::from_secs(1) };

    type Asked = Arc<Mutex<Vec<Vec<u32>>>>;

    /// Calls that answer each number with itself, one for each permit of the gate; those that hold 13 fail.
    struct Server {
        gather: Arc<Gather<u32, u32>>,
        asked: Asked,
        gate: Arc<Semaphore>,
    }

    impl Server {
        fn new(limits: GroupLimits) -> Self {
            Self { gather: Gather::new(limits), asked: Asked::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        fn ask(&self, number: u32, size: Size) -> BoxFuture<'static, Result<u32, StoreError>> {
            let (gather, asked, gate) = (self.gather.clone(), self.asked.clone(), self.gate.clone());
            let call = move |items: Vec<u32>, deadline: Instant| {
                asked.lock().push(items.clone());
                let gate = gate.clone();
                async move {
                    let passing = tokio::time::timeout_at(deadline, gate.acquire_owned()).await;
                    match passing {
                        Ok(permit) => permit.unwrap().forget(),
                        Err(_elapsed) => return Err(StoreError::Unavailable("late".into())),
                    }
                    if items.contains(&13) { Err(StoreError::Unavailable("thirteen".into())) } else { Ok(items) }
                }
            };
            async move { gather.ask(number, size, call).await }.boxed()
        }

        fn spawn(&self, number: u32) -> tokio::task::JoinHandle<Result<u32, StoreError>> {
            tokio::spawn(self.ask(number, Size { bytes: 1, tags: 1 }))
        }

        fn asked(&self) -> Vec<Vec<u32>> {
            self.asked.lock().clone()
        }
    }

    /// Lets everything run that can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_first_goes_at_once_and_the_others_together_in_order() {
        let server = Server::new(LIMITS);
        let first = server.spawn(0);
        settle().await;
        assert_eq!(server.asked(), [vec![0]], "the first did not wait for others");
        let others: Vec<_> = (1..7).map(|number| server.spawn(number)).collect();
        settle().await;
        server.gate.add_permits(10);
        let answers: Vec<u32> = join_all(others).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
        assert_eq!((first.await.unwrap().unwrap(), answers), (0, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(server.asked(), [vec![0], vec![1, 2, 3, 4], vec![5, 6]]);
        assert_eq!(server.ask(9, Size::default()).await.unwrap(), 9, "and then the next goes at once again");
    }

    #[tokio::test]
    async fn as_many_calls_as_allowed_are_on_their_way() {
        let server = Server::new(GroupLimits { calls_max: 2, ..LIMITS });
        for number in [0, 1] {
            server.spawn(number);
            settle().await;
        }
        let others: Vec<_> = (2..5).map(|number| server.spawn(number)).collect();
        settle().await;
        assert_eq!(server.asked(), [vec![0], vec![1]]);
        server.gate.add_permits(10);
        join_all(others).await;
        assert_eq!(server.asked(), [vec![0], vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_group_is_bounded_in_bytes_and_tags_and_a_large_item_goes_alone() {
        let server = Server::new(LIMITS);
        let sizes = [(60, 1), (60, 1), (10, 9), (10, 1), (999, 99), (1, 1)];
        let asking: Vec<_> = sizes
            .iter()
            .zip(0..)
            .map(|((bytes, tags), number)| tokio::spawn(server.ask(number, Size { bytes: *bytes, tags: *tags })))
            .collect();
        server.gate.add_permits(10);
        join_all(asking).await;
        assert_eq!(server.asked(), [vec![0], vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[tokio::test]
    async fn a_call_that_fails_fails_exactly_its_callers() {
        let server = Server::new(LIMITS);
        let asking: Vec<_> = [1, 13, 3, 4, 5].map(|number| server.spawn(number)).into();
        server.gate.add_permits(10);
        let failed: Vec<bool> = join_all(asking).await.into_iter().map(|answer| answer.unwrap().is_err()).collect();
        assert_eq!(failed, [true, true, true, true, false]);
    }

    #[tokio::test]
    async fn who_goes_away_neither_loses_nor_blocks_others() {
        let server = Server::new(LIMITS);
        let first = server.spawn(0);
        settle().await;
        let [second, third, fourth] = [1, 2, 3].map(|number| server.spawn(number));
        settle().await;
        // One whose call is on its way, and one that still waits.
        first.abort();
        third.abort();
        settle().await;
        server.gate.add_permits(10);
        assert_eq!((second.await.unwrap().unwrap(), fourth.await.unwrap().unwrap()), (1, 3));
        assert_eq!(server.asked(), [vec![0], vec![1, 3]], "what nobody waits for any more is not sent");
    }

    #[tokio::test]
    async fn a_first_caller_that_stops_polling_does_not_hold_the_others_up() {
        let server = Server::new(LIMITS);
        let mut first = server.ask(0, Size::default());
        assert!(first.as_mut().now_or_never().is_none());
        let second = server.spawn(1);
        server.gate.add_permits(10);
        assert_eq!(second.await.unwrap().unwrap(), 1);
        assert_eq!(first.await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_allowed_not_even_behind_a_call_that_takes_long() {
        let server = Server::new(LIMITS);
        let began = Instant::now();
        let first = server.spawn(0);
        settle().await;
        tokio::time::advance(Duration::from_millis(600)).await;
        let second = server.spawn(1);
        assert!(first.await.unwrap().is_err());
        assert_eq!(began.elapsed().as_millis(), 1000);
        assert!(second.await.unwrap().is_err());
        assert_eq!(began.elapsed().as_millis(), 1600);
    }

    #[test]
    fn when_the_runtime_ends_those_who_wait_are_told() {
        let server = Server::new(LIMITS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asking: Vec<_> = (0..3).map(|number| server.ask(number, Size::default())).collect();
        let mut asking = join_all(asking);
        runtime.block_on(async {
            assert!((&mut asking).now_or_never().is_none());
            settle().await;
        });
        drop(runtime);
        let answers = futures_util::FutureExt::now_or_never(asking).expect("nobody waits for ever");
        assert!(answers.iter().all(Result::is_err));
    }
}
