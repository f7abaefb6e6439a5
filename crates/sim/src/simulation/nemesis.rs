//! What goes wrong, when; and that it all goes well again in the end.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    dice::Dice,
    node::Node,
    plan::{Fault, JUMP_MS_MAX},
    store::{Health, Places, Server, Weather},
    world::World,
};
use std::sync::atomic::Ordering::Relaxed;

/// Brings the run's faults about.
pub(crate) struct Nemesis {
    pub(crate) world: Arc<World>,
    pub(crate) nodes: Arc<[Node]>,
    pub(crate) server: Arc<Server>,
    pub(crate) dice: Dice,
}

impl Nemesis {
    /// Does harm for as long as it is polled.
    pub(crate) async fn run(&self) {
        let plan = &self.world.plan;
        if plan.faults.is_empty() {
            return;
        }
        loop {
            sleep(self.dice.millis(0..plan.faults_every_ms * 2)).await;
            if self.dice.percent(20) {
                self.server.take_snapshot();
            }
            self.strike(*self.dice.one(&plan.faults)).await;
        }
    }

    /// Does each kind of harm once more, on its own, and has `after` see to it.
    pub(crate) async fn each_alone(&self, mut after: impl AsyncFnMut(Fault)) {
        let plan = &self.world.plan;
        for fault in Fault::ALL.into_iter().filter(|fault| plan.faults.contains(fault)) {
            self.strike(fault).await;
            after(fault).await;
        }
    }

    async fn strike(&self, fault: Fault) {
        let node = &self.nodes[self.dice.pick(0..self.nodes.len())];
        self.world.trace.count(&format!("fault: {fault:?}"));
        self.world.trace.note(format_args!("fault: {fault:?} (node {})", node.index));
        let a_while = self.dice.millis(10..3000);
        match fault {
            Fault::Cut => {
                if let Some(process) = node.process() {
                    process.link.set_weather(|weather| weather.cut = true);
                    sleep(a_while).await;
                    process.link.set_weather(|weather| weather.cut = false);
                }
            }
            Fault::CutPartition => {
                if let Some(process) = node.process() {
                    let partitions: Vec<_> = self.server.partitions.all().collect();
                    let which = Places::of(*self.dice.one(&partitions));
                    process.link.set_weather(|weather| weather.cut_partitions = which);
                    sleep(a_while).await;
                    process.link.set_weather(|weather| weather.cut_partitions = Places::NONE);
                }
            }
            Fault::Crash => {
                if node.crash() {
                    sleep(a_while / 4).await;
                    let weather = if self.world.healed.load(Relaxed) {
                        Weather::default()
                    } else {
                        self.world.plan.weather_of(node.index)
                    };
                    node.start(&self.world.plan, weather).await;
                }
            }
            Fault::Storm => {
                if let Some(process) = node.process() {
                    let before = process.link.weather();
                    let percent = *self.dice.one(&[10, 30, 70]);
                    let storm = Weather {
                        cut: false,
                        cut_partitions: Places::NONE,
                        lost_requests_percent: percent,
                        lost_answers_percent: percent,
                        lost_wakes_percent: percent,
                        doubled_percent: percent,
                        slow_percent: percent,
                        late_pages_percent: percent,
                        refused_pages_percent: 0,
                        wakes_lag_ms: if self.dice.percent(percent) { self.dice.pick(30..100) } else { 0 },
                    };
                    process.link.set_weather(|weather| *weather = storm);
                    sleep(a_while).await;
                    process.link.set_weather(|weather| *weather = before);
                }
            }
            Fault::Stall => {
                let time = if self.dice.percent(20) { Duration::from_secs(30) } else { a_while };
                self.server.stall(time);
                sleep(time / 2).await;
            }
            Fault::Refusal => {
                self.server.set_health(*self.dice.one(&[Health::ReadOnly, Health::Refusing]));
                sleep(a_while / 2).await;
                self.server.set_health(Health::Well);
            }
            Fault::Evict => {
                let partitions: Vec<_> = self.server.partitions.all().collect();
                self.server.evict(self.dice.pick(0..1000), *self.dice.one(&partitions));
            }
            Fault::Empty => self.server.restart(true),
            Fault::Snapshot => self.server.restart(false),
            Fault::Failover => self.server.fail_over(),
            Fault::ClockJump => {
                // A clock that is set back again and again stands still, and no bound in time means anything.
                let back = self.dice.percent(50) && !node.clock.jumped_back(Duration::from_secs(10));
                let by_ms = self.dice.pick(10..JUMP_MS_MAX);
                self.world.trace.count(if back { "fault: clock set back" } else { "fault: clock set forward" });
                node.clock.jump(if back { -by_ms } else { by_ms });
            }
            Fault::DatabaseDown => {
                self.world.database_down.store(true, Relaxed);
                sleep(a_while / 2).await;
                self.world.database_down.store(false, Relaxed);
            }
            Fault::DatabaseSlow => {
                self.world.database_slow.store(true, Relaxed);
                sleep(a_while).await;
                self.world.database_slow.store(false, Relaxed);
            }
        }
    }

    /// Makes everything well.
    pub(crate) async fn heal(&self) {
        self.world.trace.note(format_args!("all is healed"));
        self.world.database_down.store(false, Relaxed);
        self.world.database_slow.store(false, Relaxed);
        self.world.healed.store(true, Relaxed);
        self.server.set_health(Health::Well);
        self.server.stall(Duration::ZERO);
        for node in self.nodes.iter() {
            match node.process() {
                Some(process) => process.link.set_weather(|weather| *weather = Weather::default()),
                None => node.start(&self.world.plan, Weather::default()).await,
            }
        }
    }
}
