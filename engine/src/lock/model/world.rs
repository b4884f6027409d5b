//! What the actors share, and what each of them remembers.

use std::time::Duration;

use chrono::DateTime;

use crate::lock::decide::{self, Holder, Kind, Stale, Standing, Timing};

/// How an exclusive lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Variant {
    /// The store creates and replaces on condition.
    Conditional,
    /// It does not, and intents stay for as long as the lock is held.
    Blind,
    /// It does not, and the intent is deleted once the exclusive lock is written: what was first written down.
    BlindWithoutIntents,
}

/// In ticks. All times are relative to now, and those that make no difference any more are one: so there are finitely
/// many, though time never ends.
pub(super) const NOW: u8 = 100;

pub(super) fn timing(ttl: u8, margin: u8) -> Timing {
    let ticks = |ticks: u8| Duration::from_secs(ticks.into());
    Timing { margin: ticks(margin), ..Timing::scaled(ticks(ttl)) }
}

/// Actors, and the keys of each one: its first lock and the one that it may renew it with.
pub(super) const ACTORS: usize = 3;
pub(super) const KEYS: usize = 2;

/// The place of an object: the exclusive key, or a key of one actor's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Exclusive,
    Own { actor: u8, key: u8 },
}

/// A stored lock. Two that are equal are one version, which gives more chances to conditional writes than they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stored {
    pub(super) owner: u8,
    /// In how many ticks it expires, by a clock that goes after the slowest actor's. -1: it has.
    pub(super) expires: i8,
}

/// A write on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Write {
    pub(super) place: Place,
    pub(super) lock: Option<Stored>,
    pub(super) only_if: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Condition {
    Always,
    /// What is there is this.
    Is(Option<Stored>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Actor {
    pub(super) at: At,
    /// What its clock is ahead by.
    pub(super) skew: u8,
    /// How long ago it began to write the lock that it is about to rely on.
    pub(super) age: u8,
    /// For how long it is still sure of its lock.
    pub(super) sure_for: u8,
    pub(super) quiet: bool,
    /// Its current key, and what is stored there as far as it knows.
    pub(super) key: u8,
    /// What it saw: a version of the exclusive lock, and which of the others' keys were listed, or are to be deleted.
    pub(super) saw: Option<Stored>,
    pub(super) mask: u8,
    /// A write that it gave up, and that may still arrive.
    pub(super) late: Option<Write>,
    pub(super) refreshes: u8,
}

/// Where an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum At {
    Start,
    Place,
    /// Intents only: the look between the intent and the exclusive key.
    MiddleList,
    MiddleJudge,
    LookKey,
    TakeKey,
    List,
    Judge,
    Delete,
    LastLook,
    RetireKey,
    DropIntent,
    Holding,
    RewriteLook,
    RewriteWrite,
    RenewOld,
    Withdraw,
    WithdrawKey,
    DropOwn,
    /// It was refused, or gave its lock back, or lost it.
    Done,
    Crashed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) exclusive: Option<Stored>,
    pub(super) own: [[Option<Stored>; KEYS]; ACTORS],
    pub(super) actors: [Actor; ACTORS],
    pub(super) somebody_held: bool,
}

impl World {
    /// Time passes.
    pub(super) fn tick(&mut self, oldest: u8) {
        let older = |lock: &mut Stored| lock.expires = (lock.expires - 1).max(-1);
        self.own.iter_mut().flatten().flatten().for_each(older);
        self.exclusive.iter_mut().for_each(older);
        for actor in &mut self.actors {
            actor.saw.iter_mut().for_each(older);
            if let Some(late) = &mut actor.late {
                late.lock.iter_mut().for_each(older);
                if let Condition::Is(Some(lock)) = &mut late.only_if {
                    older(lock);
                }
            }
            actor.sure_for = actor.sure_for.saturating_sub(1);
            if actor.is_writing() {
                actor.age = (actor.age + 1).min(oldest);
            }
        }
    }

    pub(super) fn get(&self, place: Place) -> Option<Stored> {
        match place {
            Place::Exclusive => self.exclusive,
            Place::Own { actor, key } => self.own[actor as usize][key as usize],
        }
    }

    /// Carries out a write; whether its condition held.
    pub(super) fn apply(&mut self, write: Write) -> bool {
        if let Condition::Is(expected) = write.only_if
            && self.get(write.place) != expected
        {
            return false;
        }
        match write.place {
            Place::Exclusive => self.exclusive = write.lock,
            Place::Own { actor, key } => self.own[actor as usize][key as usize] = write.lock,
        }
        true
    }

    /// What `actor`'s clock says of a lock.
    pub(super) fn standing(&self, actor: usize, lock: Stored, one_host: bool) -> Standing {
        let at = |ticks: i8| DateTime::from_timestamp(ticks.into(), 0).unwrap();
        let is_dead = one_host && self.actors[lock.owner as usize].at == At::Crashed;
        let holder = if is_dead { Holder::Dead(Stale::ProcessGone) } else { Holder::NotKnownDead };
        decide::standing(Some(at(lock.expires)), holder, at(self.actors[actor].skew.cast_signed()))
    }

    /// The keys of others that are there, as a set.
    pub(super) fn listed(&self, actor: usize) -> u8 {
        let is_there = |bit: usize| bit / KEYS != actor && self.own[bit / KEYS][bit % KEYS].is_some();
        (0..ACTORS * KEYS).filter(|bit| is_there(*bit)).map(|bit| 1 << bit).sum()
    }

    pub(super) fn is_sure(&self, actor: usize) -> bool {
        self.actors[actor].sure_for > 0
    }

    /// Whether it believes that it holds, and its check would pass.
    pub(super) fn holds(&self, actor: usize) -> bool {
        let at = self.actors[actor].at;
        let believes = at == At::Holding || self.actors[actor].is_refreshing();
        believes && self.is_sure(actor)
    }

    /// The one of all worlds like this one, but for the numbers of actors of one kind, that stands for them.
    pub(super) fn canonical(&self, kinds: &[Kind]) -> Self {
        let mut order: Vec<usize> = (0..ACTORS).collect();
        order.sort_by_key(|n| (kinds.get(*n).map_or(u8::MAX, |kind| *kind as u8), self.actors[*n], self.own[*n]));
        let new = |old: u8| order.iter().position(|n| *n == old as usize).unwrap() as u8;
        let lock = |lock: &mut Stored| lock.owner = new(lock.owner);
        let mut world = self.clone();
        for (n, from) in order.iter().enumerate() {
            (world.actors[n], world.own[n]) = (self.actors[*from], self.own[*from]);
            let bits = |old: usize| (self.actors[*from].mask >> (old * KEYS)) & ((1 << KEYS) - 1);
            world.actors[n].mask = (0..ACTORS).map(|old| bits(old) << (usize::from(new(old as u8)) * KEYS)).sum();
        }
        world.own.iter_mut().flatten().flatten().for_each(lock);
        world.exclusive.iter_mut().for_each(lock);
        for actor in &mut world.actors {
            actor.saw.iter_mut().for_each(lock);
            if let Some(late) = &mut actor.late {
                if let Place::Own { actor, .. } = &mut late.place {
                    *actor = new(*actor);
                }
                late.lock.iter_mut().for_each(lock);
                if let Condition::Is(Some(expected)) = &mut late.only_if {
                    lock(expected);
                }
            }
        }
        world
    }

    pub(super) fn is_alone_if_exclusive(&self, kinds: &[Kind]) -> bool {
        let holders: Vec<_> = (0..kinds.len()).filter(|actor| self.holds(*actor)).collect();
        holders.len() < 2 || holders.iter().all(|actor| kinds[*actor] == Kind::Shared)
    }
}

impl Actor {
    pub(super) fn new(skew: u8) -> Self {
        Self {
            at: At::Start,
            skew,
            age: 0,
            sure_for: 0,
            quiet: true,
            key: 0,
            saw: None,
            mask: 0,
            late: None,
            refreshes: 0,
        }
    }

    /// It holds already, and is on its way through a refresh. Then `refreshes` counts it.
    pub(super) fn is_refreshing(&self) -> bool {
        self.refreshes > 0
            && !matches!(self.at, At::Holding | At::Withdraw | At::WithdrawKey | At::DropOwn | At::Done | At::Crashed)
    }

    /// Whether it matters how long ago it began.
    fn is_writing(&self) -> bool {
        use At::*;
        !matches!(self.at, Start | Holding | Withdraw | WithdrawKey | DropOwn | Done | Crashed)
    }

    /// Goes on. Forgets what does not matter any more, so that fewer states differ.
    pub(super) fn go(&mut self, at: At) {
        self.at = at;
        if !self.is_writing() {
            self.age = 0;
        }
        if matches!(at, At::Holding | At::Withdraw | At::DropOwn) {
            (self.saw, self.mask) = (None, 0);
        }
        if matches!(at, At::Withdraw | At::WithdrawKey | At::DropOwn) {
            (self.sure_for, self.quiet, self.key, self.refreshes) = (0, true, 0, 0);
        }
    }

    /// Forgets everything but what is still on its way.
    pub(super) fn end(&mut self, at: At) {
        *self = Self { at, late: self.late, ..Self::new(0) };
    }
}
