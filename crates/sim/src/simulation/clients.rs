//! Who reads and writes: clients that go from node to node, and the relay that delivers what writers left undone.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use unstale::{
    FetchError, Fetched, InvalidateError, Invalidation, Mode, Policy, PositionSet,
    testing::{
        History,
        history::{Fact, Version},
    },
};

use super::{
    dice::Dice,
    node::{Node, Process},
    pages::{COMMON, FirstPage, Kind, Page, SecondPage},
    promise::{Answer, Promise, ReadKind},
    world::{self, DatabaseDown, PageId, World, Written},
};

/// A client: a browser, say, or another service.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Arc<[Node]>,
    pub(crate) dice: Dice,
    /// Where what it knows to be written stands in the log, and what that is.
    pub(crate) positions: PositionSet,
    pub(crate) history: History,
}

/// How often a writer tries before it leaves its change to the relay.
const ATTEMPTS_MAX: usize = 5;

impl Client {
    /// Does its steps.
    pub(crate) async fn run(mut self) {
        let steps = self.world.plan.steps;
        let home = self.dice.pick(0..self.nodes.len());
        for _ in 0..steps {
            sleep(self.dice.millis(0..self.world.plan.think_ms_max)).await;
            let at = if self.dice.percent(60) { home } else { self.dice.pick(0..self.nodes.len()) };
            match self.dice.pick(0..100) {
                58..68 => self.read_many(at).await,
                68..92 if self.dice.percent(self.world.plan.writes_percent) => self.write(at).await,
                92..97 => self.hear(),
                97.. => self.forget(),
                _ => self.read(at).await,
            }
        }
    }

    async fn read(&mut self, at: usize) {
        let tenant = self.dice.pick(0..self.world.plan.tenants);
        let rare = self.dice.percent(10);
        let all = u32::try_from(Kind::ALL.len()).expect("few kinds");
        let number = match (rare, self.world.plan.hot) {
            (true, _) => self.dice.pick(0..all),
            (false, true) => *self.dice.one(&[0, 1, 4]),
            (false, false) => self.dice.pick(0..Kind::COMMON_PAGES),
        };
        let (mode, carries) = (self.mode(), self.dice.percent(50));
        if self.world.plan.two_builds && at % 2 == 1 {
            self.read_page::<SecondPage>(at, PageId { tenant, number }, mode, carries).await;
        } else {
            self.read_page::<FirstPage>(at, PageId { tenant, number }, mode, carries).await;
        }
    }

    async fn read_page<P: Page>(&mut self, at: usize, page: PageId, mode: Mode, carries: bool) {
        let nodes = self.nodes.clone();
        let node = &nodes[at];
        let Some(process) = node.process() else { return };
        let promise = Promise::of(&self.world, (node, &process), page.kind(), mode, carries.then_some(&self.history));
        let at_least = if carries { self.positions.clone() } else { PositionSet::default() };
        self.begins(at, format_args!("reads {} {page:?} {mode:?}, carrying {}", self.name, carries));
        let read = world::read::<P>(self.world.clone(), process.clone(), page, mode, at_least);
        let Ok(read) = process.answer(read).await else { return };
        self.answered(node, page, World::policy(page.kind(), mode), &promise, read);
    }

    async fn read_many(&mut self, at: usize) {
        let tenant = self.dice.pick(0..self.world.plan.tenants);
        let page = |number| PageId { tenant, number };
        let pages = vec![page(0), page(1), page(4), page(self.dice.pick(0..4))];
        if self.world.plan.two_builds && at % 2 == 1 {
            self.read_pages::<SecondPage>(at, pages).await;
        } else {
            self.read_pages::<FirstPage>(at, pages).await;
        }
    }

    async fn read_pages<P: Page>(&mut self, at: usize, pages: Vec<PageId>) {
        let (mode, carries) = (self.mode(), self.dice.percent(50));
        let nodes = self.nodes.clone();
        let node = &nodes[at];
        let Some(process) = node.process() else { return };
        let carried = carries.then_some(&self.history);
        let promise = |page: &PageId| Promise::of(&self.world, (node, &process), page.kind(), mode, carried);
        let promises: Vec<Promise> = pages.iter().map(promise).collect();
        let at_least = if carries { self.positions.clone() } else { PositionSet::default() };
        self.begins(
            at,
            format_args!("reads {} {} pages at once, {mode:?}, carrying {carries}", self.name, pages.len()),
        );
        let read = world::read_many::<P>(self.world.clone(), process.clone(), pages.clone(), mode, at_least);
        let Ok(read) = process.answer(read).await else { return };
        let policy = self.world.policy_of_batches(mode);
        match read {
            Ok(fetched) => {
                for ((page, promise), fetched) in pages.into_iter().zip(promises).zip(fetched) {
                    self.answered(node, page, policy, &promise, Ok(fetched));
                }
            }
            Err(error) => self.answered::<P>(node, pages[0], policy, &promises[0], Err(error)),
        }
    }

    fn answered<P: Page>(
        &self,
        node: &Node,
        page: PageId,
        policy: Policy,
        promise: &Promise,
        read: Result<Fetched<P>, FetchError<DatabaseDown>>,
    ) {
        let (world, mode) = (&self.world, policy.mode);
        world.trace.count("reads");
        match read {
            Ok(fetched) => {
                world.trace.count(&format!("verdict: {}", fetched.verdict));
                world.trace.count(match mode {
                    Mode::Strict => "read: strict",
                    Mode::Bounded(_) => "read: bounded",
                    Mode::StaleOk(_) => "read: stale ok",
                });
                let Some(value) = fetched.value() else { return };
                let text = format!(
                    "{} read {}/{} on node {} ({mode:?}, {}, base {}, collapsed {})",
                    self.name,
                    page.tenant,
                    page.number,
                    node.index,
                    fetched.verdict,
                    super::store::Place(&fetched.base()),
                    fetched.collapsed,
                );
                world.trace.note(format_args!("{text}: {:?}", value.saw()));
                let (verdict, collapsed) = (fetched.verdict, fetched.collapsed);
                let kind = ReadKind { page: page.kind(), mode, verdict, collapsed };
                let answer = Answer { reader: &text, kind, policy, load: value.load(), saw: value.saw() };
                promise.check(world, node, &self.history, &answer);
            }
            Err(error) => {
                world.trace.count(&format!("error: {error:?}"));
                world.trace.note(format_args!("{} on node {}: {error:?}", self.name, node.index));
            }
        }
    }

    async fn write(&mut self, at: usize) {
        let tenant = self.dice.pick(0..self.world.plan.tenants);
        let count = self.dice.pick(1..3);
        let facts: Vec<Fact> = (0..count)
            .map(|_| {
                let number = self.dice.pick(0..world::FACTS);
                if self.dice.percent(25) { world::shared_fact(number) } else { world::fact_of(tenant, number) }
            })
            .collect();
        let is_purge = self.dice.percent(20);
        let (number, written) = self.world.commit(&facts, is_purge);
        self.world.trace.count(if is_purge { "purges" } else { "writes" });
        self.begins(at, format_args!("{} committed {:?}, purge {is_purge}", self.name, written.facts));
        for attempt in 0..ATTEMPTS_MAX {
            // After a failure, perhaps elsewhere: another node serves the retry.
            let at = if attempt < 2 { at } else { self.dice.pick(0..self.nodes.len()) };
            let at = self.world.plan.writers_node(at);
            let nodes = self.nodes.clone();
            let told = match nodes[at].process() {
                Some(process) => publish(&self.world, &nodes[at], &process, number, &written).await,
                None => Told::NotRecorded,
            };
            match told {
                Told::Recorded(positions) => {
                    self.positions.extend(&positions);
                    self.knows(&written.facts);
                    self.world.letters.lock().push((positions, written.facts));
                    return;
                }
                // To be recorded by the node, or by the relay, should the node die.
                Told::Kept => return,
                Told::NotRecorded => {}
            }
            self.world.trace.count("writes repeated");
            sleep(self.dice.millis(0..400)).await;
        }
    }

    /// Hears from another client what it wrote.
    fn hear(&mut self) {
        let letter = {
            let letters = self.world.letters.lock();
            if letters.is_empty() { None } else { Some(self.dice.one(&letters).clone()) }
        };
        if let Some((positions, facts)) = letter {
            self.positions.extend(&positions);
            self.knows(&facts);
        }
    }

    /// Begins a session of its own anew.
    fn forget(&mut self) {
        self.positions = PositionSet::default();
        self.history = History::default();
    }

    fn knows(&self, facts: &[(Fact, Version)]) {
        facts.iter().for_each(|(fact, version)| self.history.acknowledged(*fact, *version));
    }

    fn mode(&self) -> Mode {
        match self.dice.pick(0..100) {
            0..35 => Mode::Strict,
            35..85 => Mode::Bounded(self.world.plan.bound),
            _ => Mode::StaleOk(self.world.plan.stale_ok),
        }
    }

    fn begins(&self, at: usize, what: std::fmt::Arguments<'_>) {
        self.world.trace.note(format_args!("node {at}: {what}"));
    }
}

/// What a writer was told.
pub(crate) enum Told {
    /// That the change is visible.
    Recorded(PositionSet),
    /// That it will be; until then only this node knows.
    Kept,
    /// Nothing good.
    NotRecorded,
}

/// Tells the caches of a change through one node.
pub(crate) async fn publish(world: &World, node: &Node, process: &Process, number: u64, written: &Written) -> Told {
    let invalidation = Invalidation::of(written.facts.iter().map(|(fact, _)| world::tag(*fact)));
    let invalidation = if written.is_purge { invalidation.purging() } else { invalidation };
    let positions = match process.answer(process.cache.invalidate(&invalidation)).await {
        Ok(Ok(positions)) => positions,
        Ok(Err(InvalidateError::Pending { .. })) => {
            world.trace.count("error: kept for the store");
            world.trace.note(format_args!("node {}: keeps {:?}", node.index, written.facts));
            process.keeps(written);
            return Told::Kept;
        }
        Ok(Err(_)) => {
            world.trace.count("error: not recorded");
            return Told::NotRecorded;
        }
        Err(_) => {
            world.trace.count("error: writer's node died");
            return Told::NotRecorded;
        }
    };
    for (fact, version) in &written.facts {
        node.history.acknowledged(*fact, *version);
        if written.is_purge {
            node.purged.acknowledged(*fact, *version);
        }
    }
    world.acknowledged(number, written, &positions);
    world.trace.note(format_args!("node {}: acknowledged {:?} at {positions}", node.index, written.facts));
    Told::Recorded(positions)
}

/// Delivers what writers left undone, for as long as it is polled.
pub(crate) async fn relay(world: Arc<World>, nodes: Arc<[Node]>, dice: Dice) {
    loop {
        sleep(dice.millis(100..500)).await;
        let old = |written: &Written| Instant::now() - written.at > Duration::from_secs(3);
        let due = |(number, written): (&u64, &Written)| old(written).then(|| (*number, written.clone()));
        let due: Vec<(u64, Written)> = world.outbox.lock().iter().filter_map(due).collect();
        let node = &nodes[dice.pick(0..nodes.len())];
        let Some(process) = node.process() else { continue };
        for (number, written) in due {
            world.trace.count("writes relayed");
            // Where one was not recorded, the next one would hardly be: another node's turn.
            if !matches!(publish(&world, node, &process, number, &written).await, Told::Recorded(_)) {
                break;
            }
        }
    }
}

/// Every page of every tenant.
pub(crate) fn all_pages(tenants: usize) -> impl Iterator<Item = PageId> {
    let numbers = 0..u32::try_from(Kind::ALL.len()).expect("few kinds");
    (0..tenants).flat_map(move |tenant| {
        numbers
            .clone()
            .filter(move |number| tenant == 0 || *number != COMMON)
            .map(move |number| PageId { tenant, number })
    })
}
