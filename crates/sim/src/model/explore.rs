//! Visiting every reachable state of a model, breadth first.
//!
//! Knows nothing of caches. Of each state only a fingerprint of 64 bits is kept (two states of five million share one
//! with a chance of 10⁻⁶), how it was first reached, and which goals hold in it; so a counterexample is a shortest one,
//! and is made again by replaying it.
//!
//! # Liveness
//! A goal is *always possible* if from every reachable state some path of progress (no fault, no new demand) leads to a
//! state in which it holds. Every such path begins in a reachable state and ends in one, so it is one walk backwards
//! over the graph. With a finite number of states it says more than it seems to: a system that stops failing and in
//! which nothing that is possible again and again is put off for ever reaches the goal.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt::{Debug, Display},
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// A system of states and the actions that lead from one to the next.
pub trait Model {
    /// Everything that decides what can happen next.
    type State: Clone + Hash + Debug;
    /// A step, by name.
    type Action: Copy + Display;

    /// Where it begins.
    fn initial(&self) -> Self::State;

    /// What can happen in `state`.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// What `action` makes of `state`.
    fn next(&self, state: &Self::State, action: Self::Action, notes: &mut Notes) -> Self::State;

    /// Why `state` must not be, if it must not.
    fn breach(&self, state: &Self::State) -> Option<String>;

    /// Whether it happens in a system that nobody hurts and of which nobody wants more.
    fn is_progress(&self, action: Self::Action) -> bool;

    /// What must always be possible, by name.
    fn goals(&self) -> Vec<String>;

    /// What `state` is known by. States that are the same but for the names of things may share one.
    fn fingerprint(&self, state: &Self::State) -> u64 {
        fingerprint(state)
    }

    /// Whether a goal holds.
    fn holds(&self, goal: usize, state: &Self::State) -> bool;
}

/// 64 bits of a hash, the same in every run.
pub(super) fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = Folded::default();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Takes what is hashed as a row of bytes, eight of which at a time are folded into the hash: multiplied to 128 bits,
/// whose halves are combined. Three times as fast here as the standard library's hash, and a search hashes more than
/// anything else. What is hashed are states of small numbers: discriminants and lengths have one byte, too.
#[derive(Default)]
struct Folded {
    hash: u64,
    bytes: u64,
    count: u32,
}

impl Folded {
    fn byte(&mut self, byte: u8) {
        self.bytes = self.bytes << 8 | u64::from(byte);
        self.count += 1;
        if self.count.is_multiple_of(8) {
            self.fold();
        }
    }

    fn fold(&mut self) {
        let mixed = self.hash ^ self.bytes ^ 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(mixed) * 0xa076_1d64_78bd_642f;
        #[allow(clippy::cast_possible_truncation, reason = "the halves are wanted")]
        let halves = (product as u64, (product >> 64) as u64);
        self.hash = halves.0 ^ halves.1.rotate_left(23) ^ self.hash.rotate_left(7);
        self.bytes = 0;
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.byte(byte);
    }

    fn write_usize(&mut self, number: usize) {
        self.byte(u8::try_from(number).expect("models are small"));
    }

    fn write_isize(&mut self, number: isize) {
        self.byte(u8::try_from(number).expect("models are small"));
    }

    fn finish(&self) -> u64 {
        let mut last = Self { bytes: self.bytes | u64::from(self.count) << 56, ..*self };
        last.fold();
        last.fold();
        last.hash
    }
}

/// How often what happened, by name; shows that nothing is proven of a system in which nothing happens.
#[derive(Debug, Default)]
pub struct Notes(HashMap<&'static str, u64>);

impl Notes {
    /// Counts one more of `what`.
    pub fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How often `what` happened.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Adds those of another search.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what).or_default() += count);
    }

    /// All of them, by name.
    pub fn sorted(&self) -> Vec<(&'static str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(what, count)| (*what, *count)).collect();
        all.sort_unstable();
        all
    }
}

/// A path to a state that must not be.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is wrong with its last state.
    pub breach: String,
    /// The steps that led there, in words.
    pub steps: Vec<String>,
    /// The last state.
    pub last: String,
}

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: u64,
    /// Steps from the first state to the one farthest away.
    pub depth: u32,
    /// Whether all states were visited (and not only as many as wanted).
    pub complete: bool,
    /// What happened on the way.
    pub notes: Notes,
    /// A shortest path to a state that must not be.
    pub counterexample: Option<Counterexample>,
}

struct Visited<A> {
    parent: u32,
    depth: u32,
    goals: u32,
    action: Option<A>,
}

type Ids = HashMap<u64, u32, BuildHasherDefault<Fingerprints>>;

/// Visits all states of `model`, at most `states_max`; ends at the first that must not be.
pub fn explore<M: Model>(model: &M, states_max: usize) -> Report {
    let goals = model.goals();
    assert!(goals.len() <= 32, "goals are kept in 32 bits");
    let mut search =
        Search { model, ids: Ids::default(), visited: Vec::new(), queue: VecDeque::new(), goals: goals.len() };
    let mut progress: Vec<(u32, u32)> = Vec::new();
    let mut notes = Notes::default();
    let mut steps = 0;
    let mut actions = Vec::new();
    let mut complete = true;
    search.meet(model.initial(), u32::MAX, None);
    while let Some((id, state)) = search.queue.pop_front() {
        if let Some(breach) = model.breach(&state) {
            let found = search.counterexample(id, breach);
            return search.report(steps, notes, false, Some(found));
        }
        if search.visited.len() >= states_max {
            complete = false;
            break;
        }
        actions.clear();
        model.actions(&state, &mut actions);
        for action in &actions {
            let next = model.next(&state, *action, &mut notes);
            let to = search.meet(next, id, Some(*action));
            steps += 1;
            if model.is_progress(*action) && to != id {
                progress.push((to, id));
            }
        }
    }
    // Of a part of the graph it cannot be said that something is never possible.
    let stuck = if complete { search.stuck(progress, &goals) } else { None };
    search.report(steps, notes, complete, stuck)
}

struct Search<'a, M: Model> {
    model: &'a M,
    ids: Ids,
    visited: Vec<Visited<M::Action>>,
    queue: VecDeque<(u32, M::State)>,
    goals: usize,
}

impl<M: Model> Search<'_, M> {
    /// The number of a state, which is queued if it is new.
    fn meet(&mut self, state: M::State, parent: u32, action: Option<M::Action>) -> u32 {
        match self.ids.entry(self.model.fingerprint(&state)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let id = u32::try_from(self.visited.len()).expect("states are counted in 32 bits");
                new.insert(id);
                let depth = self.visited.get(parent as usize).map_or(0, |parent| parent.depth + 1);
                let goals =
                    (0..self.goals).filter(|goal| self.model.holds(*goal, &state)).fold(0, |all, goal| all | 1 << goal);
                self.visited.push(Visited { parent, depth, goals, action });
                self.queue.push_back((id, state));
                id
            }
        }
    }

    /// The nearest state from which no progress reaches some goal.
    fn stuck(&self, mut progress: Vec<(u32, u32)>, goals: &[String]) -> Option<Counterexample> {
        progress.sort_unstable();
        progress.dedup();
        let before = |to: u32| {
            let first = progress.partition_point(|(other, _)| *other < to);
            progress[first..].iter().take_while(move |(other, _)| *other == to).map(|(_, from)| *from)
        };
        for (goal, name) in goals.iter().enumerate() {
            let mut possible: Vec<bool> = self.visited.iter().map(|state| state.goals & 1 << goal != 0).collect();
            let mut reached: Vec<u32> =
                (0u32..).zip(&possible).filter(|(_, holds)| **holds).map(|(id, _)| id).collect();
            while let Some(to) = reached.pop() {
                for from in before(to) {
                    if !std::mem::replace(&mut possible[from as usize], true) {
                        reached.push(from);
                    }
                }
            }
            if let Some(id) = possible.iter().position(|possible| !possible) {
                let id = u32::try_from(id).expect("states are counted in 32 bits");
                return Some(self.counterexample(id, format!("from here on it is never possible again: {name}")));
            }
        }
        None
    }

    fn counterexample(&self, id: u32, breach: String) -> Counterexample {
        let mut path = Vec::new();
        let mut at = &self.visited[id as usize];
        while let Some(action) = at.action {
            path.push(action);
            at = &self.visited[at.parent as usize];
        }
        let mut state = self.model.initial();
        let mut steps = Vec::new();
        for action in path.into_iter().rev() {
            state = self.model.next(&state, action, &mut Notes::default());
            steps.push(action.to_string());
        }
        Counterexample { breach, steps, last: format!("{state:#?}") }
    }

    fn report(&self, steps: u64, notes: Notes, complete: bool, counterexample: Option<Counterexample>) -> Report {
        let depth = self.visited.last().map_or(0, |last| last.depth);
        Report { states: self.visited.len(), steps, depth, complete, notes, counterexample }
    }
}

/// Passes a fingerprint through.
#[derive(Default)]
struct Fingerprints(u64);

impl Hasher for Fingerprints {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are looked up");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that is raised by one or two, up to five; the way out of three is a fault.
    struct Stairs {
        forbidden: Option<u8>,
        trap: bool,
    }

    impl Model for Stairs {
        type State = u8;
        type Action = u8;

        fn initial(&self) -> u8 {
            0
        }

        fn actions(&self, state: &u8, actions: &mut Vec<u8>) {
            actions.extend((1..=2).filter(|by| state + by <= 5));
        }

        fn next(&self, state: &u8, by: u8, notes: &mut Notes) -> u8 {
            notes.add(if by == 1 { "one" } else { "two" });
            // The fourth step is a trap, if there is one: it leads nowhere but to itself.
            if self.trap && *state == 4 { 4 } else { state + by }
        }

        fn breach(&self, state: &u8) -> Option<String> {
            (self.forbidden == Some(*state)).then(|| format!("{state} is forbidden"))
        }

        fn is_progress(&self, _: u8) -> bool {
            true
        }

        fn goals(&self) -> Vec<String> {
            vec!["five".into()]
        }

        fn holds(&self, _: usize, state: &u8) -> bool {
            *state == 5
        }
    }

    #[test]
    fn visits_every_state_once_and_counts_what_happened() {
        let report = explore(&Stairs { forbidden: None, trap: false }, 100);
        assert!(report.counterexample.is_none() && report.complete);
        assert_eq!((report.states, report.steps, report.depth), (6, 9, 3));
        assert_eq!((report.notes.count("one"), report.notes.count("two"), report.notes.count("three")), (5, 4, 0));
    }

    #[test]
    fn finds_a_shortest_path_to_what_must_not_be() {
        let found = explore(&Stairs { forbidden: Some(4), trap: false }, 100).counterexample.unwrap();
        assert_eq!((found.breach.as_str(), found.steps), ("4 is forbidden", vec!["2".into(), "2".into()]));
    }

    #[test]
    fn finds_the_state_from_which_a_goal_is_out_of_reach() {
        let found = explore(&Stairs { forbidden: None, trap: true }, 100).counterexample.unwrap();
        assert_eq!(
            (found.breach.as_str(), found.last.as_str()),
            ("from here on it is never possible again: five", "4")
        );
    }

    #[test]
    fn says_when_it_has_not_seen_everything() {
        assert!(!explore(&Stairs { forbidden: None, trap: false }, 3).complete);
    }
}
