//! The protocol of this project, with everything that may go wrong.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::ALONE;
use super::world::{ACTORS, Actor, At, Variant, World};
use crate::lock::decide::Kind::{self, Exclusive, Shared};

/// Some actors on one store.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    pub(super) variant: Variant,
    pub(super) kinds: Vec<Kind>,
    pub(super) faults: Faults,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    /// Time passes, at any moment: a step may take as long as it likes.
    pub(super) time: bool,
    /// How long a lock lives.
    pub(super) ttl: u8,
    /// Clocks differ by this much.
    pub(super) skew: u8,
    /// What a holder allows for that. As it is sure of its lock until the margin begins, and others call it dead after it
    /// expired, a margin of so many ticks is enough for a skew of one more.
    pub(super) margin: u8,
    /// Actors die, at any moment.
    pub(super) crashes: bool,
    /// All run on one host, where the dead are known.
    pub(super) one_host: bool,
    /// How often a holder refreshes its lock, and how many of those who hold at a time do.
    pub(super) refreshes: u8,
    pub(super) refreshers: usize,
    /// Whether a write may get lost or arrive late.
    pub(super) late_writes: bool,
    /// A holder whose lock is in doubt writes it again if it is still there, and relies on that.
    pub(super) careless: bool,
}

pub(super) const QUIET: Faults = Faults {
    time: false,
    ttl: 1,
    skew: 0,
    margin: 0,
    crashes: false,
    one_host: false,
    refreshes: 0,
    refreshers: ACTORS,
    late_writes: false,
    careless: false,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Tick,
    Step(usize),
    Crash(usize),
    Refresh(usize),
    /// The holder gets no answer to its write and gives it up. It may arrive later, or never.
    GiveUp(usize),
    Arrive(usize),
}

impl Ours {
    pub(super) fn new(variant: Variant, kinds: &[Kind], faults: Faults) -> Self {
        Self { variant, kinds: kinds.to_vec(), faults }
    }

    /// What was begun so long ago makes no difference any more.
    fn oldest(&self) -> u8 {
        self.faults.ttl + self.faults.skew + 1
    }

    fn may_refresh(&self, world: &World, actor: usize) -> bool {
        let refreshed = |n: &usize| *n != actor && world.actors[*n].refreshes > 0;
        let others = (0..ACTORS).filter(refreshed).count();
        world.actors[actor].refreshes < self.faults.refreshes && others < self.faults.refreshers
    }

    /// Lets time pass until what others left behind is dead, and then only `actor` run.
    fn gets_in_alone(&self, world: &World, actor: usize) -> bool {
        let mut world = world.clone();
        for _ in 0..self.oldest() {
            world.tick(self.oldest());
        }
        assert!(super::steps::everything_is_dead(&world, actor), "{world:?}");
        while !matches!(world.actors[actor].at, At::Holding | At::Done) {
            self.step(&mut world, actor);
        }
        world.holds(actor)
    }
}

impl Model for Ours {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let skews = BTreeSet::from([0, self.faults.skew]);
        let mut worlds = BTreeSet::new();
        for a in &skews {
            for b in &skews {
                for c in &skews {
                    let used = [*a, *b, *c].into_iter().take(self.kinds.len());
                    worlds.insert(used.collect::<Vec<_>>());
                }
            }
        }
        let actor = |skew: u8, is_there: bool| match is_there {
            true => Actor::new(skew),
            false => Actor { at: At::Done, ..Actor::new(0) },
        };
        let world = |skews: Vec<u8>| World {
            exclusive: None,
            own: Default::default(),
            actors: std::array::from_fn::<_, ACTORS, _>(|n| {
                actor(skews.get(n).copied().unwrap_or(0), n < self.kinds.len())
            }),
            somebody_held: false,
        };
        let mut different = Vec::new();
        for world in worlds.into_iter().map(|skews| world(skews).canonical(&self.kinds)) {
            if !different.contains(&world) {
                different.push(world);
            }
        }
        different
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if self.faults.time {
            actions.push(Action::Tick);
        }
        for (n, actor) in world.actors.iter().enumerate().take(self.kinds.len()) {
            if actor.late.is_some() {
                actions.push(Action::Arrive(n));
            }
            if matches!(actor.at, At::Done | At::Crashed) {
                continue;
            }
            actions.push(Action::Step(n));
            if self.faults.crashes && actor.at != At::Start {
                actions.push(Action::Crash(n));
            }
            if actor.at == At::Holding && self.may_refresh(world, n) {
                actions.push(Action::Refresh(n));
            }
            let may_be_late = self.faults.late_writes && actor.late.is_none();
            if may_be_late && self.write_under_way(world, n).is_some() {
                actions.push(Action::GiveUp(n));
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Tick => world.tick(self.oldest()),
            Action::Step(n) => self.step(&mut world, n),
            // From elsewhere, the dead cannot be told from those who left without a word.
            Action::Crash(n) => world.actors[n].end(if self.faults.one_host { At::Crashed } else { At::Done }),
            Action::Refresh(n) => self.begin_refresh(&mut world, n),
            Action::GiveUp(n) => {
                let write = self.write_under_way(&world, n)?;
                let actor = &mut world.actors[n];
                (actor.late, actor.quiet) = (Some(write), false);
                actor.go(match actor.at {
                    At::RewriteWrite => At::Holding,
                    At::TakeKey => At::Withdraw,
                    _ => At::DropOwn,
                });
            }
            Action::Arrive(n) => {
                let write = world.actors[n].late.take()?;
                world.apply(write);
            }
        }
        Some(world.canonical(&self.kinds))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ALONE, |model: &Self, world: &World| world.is_alone_if_exclusive(&model.kinds)),
            Property::sometimes("a shared one gets in, if there is one", |model: &Self, world: &World| {
                holds(model, world, Shared)
            }),
            Property::sometimes("an exclusive one gets in", |model: &Self, world: &World| {
                holds(model, world, Exclusive)
            }),
            Property::always("the dead keep nobody out for longer than they live", |model: &Self, world: &World| {
                let over = |n: usize| n >= model.kinds.len() || matches!(world.actors[n].at, At::Done | At::Crashed);
                let waits = |n: usize| n < model.kinds.len() && world.actors[n].at == At::Start;
                let others_are_over = |n: usize| (0..ACTORS).all(|other| other == n || over(other) || waits(other));
                (0..ACTORS).filter(|n| waits(*n) && others_are_over(*n)).all(|n| model.gets_in_alone(world, n))
            }),
            Property::always(
                "in quiet times, one of several exclusive takers gets in",
                |model: &Self, world: &World| {
                    let applies = !model.faults.time
                        && !model.faults.crashes
                        && model.variant == Variant::Conditional
                        && !model.kinds.contains(&Shared);
                    !applies || world.somebody_held || world.actors.iter().any(|actor| actor.at != At::Done)
                },
            ),
        ]
    }
}

fn holds(model: &Ours, world: &World, kind: Kind) -> bool {
    !model.kinds.contains(&kind) || (0..model.kinds.len()).any(|n| model.kinds[n] == kind && world.holds(n))
}
