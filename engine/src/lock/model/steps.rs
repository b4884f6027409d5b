//! The steps of one actor. Each is one request to the store, or one decision; anything may happen in between.

use super::ours::Ours;
use super::world::{Actor, At, Condition, KEYS, NOW, Place, Stored, Variant, World, Write, timing};
use crate::lock::decide::{self, Kind, Refresh, Standing, Verdict};

impl Ours {
    /// The next step of `actor`. While it holds, what it does is not its own choice: see [`Self::begin_refresh`].
    pub(super) fn step(&self, world: &mut World, actor: usize) {
        let kind = self.kinds[actor];
        let (blind, exclusive) = (self.variant != Variant::Conditional, kind == Kind::Exclusive);
        let lists = exclusive || blind;
        let next = match world.actors[actor].at {
            // The first look, before anything is written, only spares work: here nobody takes it.
            At::Start => {
                world.actors[actor].age = 0;
                world.actors[actor].sure_for = self.sure_for(0);
                if exclusive && !blind { At::LookKey } else { At::Place }
            }
            At::Place => {
                let place = self.own(world, actor);
                world.apply(Write { place, lock: Some(self.lock(world, actor)), only_if: Condition::Always });
                match (exclusive, world.actors[actor].is_refreshing()) {
                    (true, false) => At::MiddleList,
                    _ if lists => At::List,
                    _ => At::LastLook,
                }
            }
            At::MiddleList => self.list(world, actor, At::MiddleJudge),
            At::MiddleJudge => {
                if self.judge(world, actor).is_some() {
                    At::LookKey
                } else {
                    At::Withdraw
                }
            }
            At::LookKey => match self.look(world, actor) {
                Look::Refuse if blind => At::Withdraw,
                Look::Refuse => At::Done,
                _ => At::TakeKey,
            },
            At::TakeKey => match self.write_under_way(world, actor).is_some_and(|write| world.apply(write)) {
                true => At::List,
                false => At::Done,
            },
            At::List => self.list(world, actor, At::Judge),
            At::Judge => match self.judge(world, actor) {
                Some(dead) => {
                    world.actors[actor].mask = dead;
                    self.after_list(world, actor)
                }
                None => At::Withdraw,
            },
            At::Delete => {
                let bit = world.actors[actor].mask.trailing_zeros() as usize;
                let place = Place::Own { actor: (bit / KEYS) as u8, key: (bit % KEYS) as u8 };
                world.apply(Write { place, lock: None, only_if: Condition::Always });
                world.actors[actor].mask &= !(1 << bit);
                self.after_list(world, actor)
            }
            At::LastLook => match self.look(world, actor) {
                Look::Refuse => At::Withdraw,
                Look::Retire if !blind => At::RetireKey,
                _ => self.after_look(world, actor),
            },
            At::RetireKey => {
                let only_if = Condition::Is(world.actors[actor].saw);
                match world.apply(Write { place: Place::Exclusive, lock: None, only_if }) {
                    true => self.after_look(world, actor),
                    false => At::LastLook,
                }
            }
            At::DropIntent => {
                let place = self.own(world, actor);
                world.apply(Write { place, lock: None, only_if: Condition::Always });
                settle(world, actor)
            }
            At::Holding => At::Withdraw,
            At::RewriteLook => {
                let place = self.place(world, actor);
                world.actors[actor].saw = world.get(place);
                match world.get(place) {
                    Some(Stored { owner, .. }) if owner as usize == actor => At::RewriteWrite,
                    _ => At::Withdraw,
                }
            }
            At::RewriteWrite => match self.write_under_way(world, actor).is_some_and(|write| world.apply(write)) {
                true => self.after_rewrite(world, actor),
                false => At::Withdraw,
            },
            At::RenewOld => self.after_renewal(world, actor),
            At::Withdraw => {
                world.actors[actor].saw = world.exclusive;
                let owns_key = world.exclusive.is_some_and(|lock| lock.owner as usize == actor);
                if owns_key { At::WithdrawKey } else { At::DropOwn }
            }
            At::WithdrawKey => {
                let write = self.write_under_way(world, actor);
                write.map(|write| world.apply(write));
                At::DropOwn
            }
            At::DropOwn => {
                for key in 0..KEYS as u8 {
                    let place = Place::Own { actor: actor as u8, key };
                    world.apply(Write { place, lock: None, only_if: Condition::Always });
                }
                At::Done
            }
            At::Done | At::Crashed => return,
        };
        // Who never had the exclusive key has only its own to remove.
        let next = if next == At::Withdraw && !exclusive { At::DropOwn } else { next };
        match next {
            At::Done => world.actors[actor].end(At::Done),
            next => world.actors[actor].go(next),
        }
        world.somebody_held |= next == At::Holding;
    }

    /// A holder refreshes its lock.
    pub(super) fn begin_refresh(&self, world: &mut World, actor: usize) {
        let how = match self.faults.careless {
            true => Refresh::Rewrite,
            false => decide::refresh(world.is_sure(actor), world.actors[actor].quiet),
        };
        world.actors[actor].refreshes += 1;
        world.actors[actor].age = 0;
        let next = match how {
            Refresh::Renew if !self.relies_on_key(actor) => self.renew(world, actor),
            _ => At::RewriteLook,
        };
        world.actors[actor].go(next);
    }

    /// The write that `actor` is about to make, if it may get lost or be late in a way that matters.
    pub(super) fn write_under_way(&self, world: &World, actor: usize) -> Option<Write> {
        let place = match world.actors[actor].at {
            At::RewriteWrite => self.place(world, actor),
            At::TakeKey | At::WithdrawKey => Place::Exclusive,
            _ => return None,
        };
        let lock = (world.actors[actor].at != At::WithdrawKey).then(|| self.lock(world, actor));
        let only_if = match self.variant {
            Variant::Conditional => Condition::Is(world.actors[actor].saw),
            _ => Condition::Always,
        };
        Some(Write { place, lock, only_if })
    }

    fn after_rewrite(&self, world: &mut World, actor: usize) -> At {
        let is_sure = world.is_sure(actor) || self.faults.careless;
        let sure_for = self.sure_for(world.actors[actor].age);
        if self.relies_on_key(actor) {
            // As in the code: a lapsed one looks for shared locks before it is sure again.
            if is_sure {
                world.actors[actor].sure_for = sure_for;
                return At::Holding;
            }
            return At::List;
        }
        if is_sure {
            world.actors[actor].sure_for = sure_for;
            world.actors[actor].quiet = true;
            return At::Holding;
        }
        world.actors[actor].quiet = false;
        self.renew(world, actor)
    }

    /// Goes on to a new key; one that has none left gives up.
    fn renew(&self, world: &mut World, actor: usize) -> At {
        let state = &mut world.actors[actor];
        state.age = 0;
        if usize::from(state.key) + 1 == KEYS {
            return At::Withdraw;
        }
        state.key += 1;
        At::Place
    }

    fn after_renewal(&self, world: &mut World, actor: usize) -> At {
        let is_sure = world.is_sure(actor);
        let old = Place::Own { actor: actor as u8, key: world.actors[actor].key - 1 };
        let conditional = self.variant == Variant::Conditional;
        let proof = decide::old_lock_is_proof(is_sure, world.actors[actor].quiet, conditional);
        let sure_for = self.sure_for(world.actors[actor].age);
        if world.get(old).is_none() || !proof || sure_for == 0 {
            return At::Withdraw;
        }
        world.apply(Write { place: old, lock: None, only_if: Condition::Always });
        world.actors[actor].sure_for = sure_for;
        world.actors[actor].quiet = true;
        At::Holding
    }

    fn list(&self, world: &mut World, actor: usize, next: At) -> At {
        world.actors[actor].mask = world.listed(actor);
        next
    }

    /// Reads what was listed: `None` if something refuses, else what must be deleted.
    fn judge(&self, world: &mut World, actor: usize) -> Option<u8> {
        let mask = std::mem::take(&mut world.actors[actor].mask);
        let mut dead = 0;
        for bit in (0..8).filter(|bit| mask & (1 << bit) != 0) {
            let Some(lock) = world.own[bit / KEYS][bit % KEYS] else { continue };
            let standing = world.standing(actor, lock, self.faults.one_host);
            match decide::verdict(self.kinds[actor], self.kinds[bit / KEYS], standing) {
                Verdict::Ignore => {}
                Verdict::Refuse => return None,
                Verdict::Retire => dead |= 1 << bit,
            }
        }
        Some(dead)
    }

    fn after_list(&self, world: &mut World, actor: usize) -> At {
        match self.variant {
            _ if world.actors[actor].mask != 0 => At::Delete,
            Variant::Conditional => self.after_look(world, actor),
            _ => At::LastLook,
        }
    }

    /// Everything was looked at, and made way for.
    fn after_look(&self, world: &mut World, actor: usize) -> At {
        let state = world.actors[actor];
        match self.variant {
            _ if state.refreshes > 0 && self.relies_on_key(actor) => {
                world.actors[actor].sure_for = self.sure_for(state.age);
                At::Holding
            }
            _ if state.refreshes > 0 => At::RenewOld,
            Variant::BlindWithoutIntents if self.kinds[actor] == Kind::Exclusive => At::DropIntent,
            _ => settle(world, actor),
        }
    }

    fn look(&self, world: &mut World, actor: usize) -> Look {
        let found = world.exclusive.filter(|lock| lock.owner as usize != actor);
        world.actors[actor].saw = found;
        let standing = found.map(|lock| world.standing(actor, lock, self.faults.one_host));
        match standing.map(|standing| decide::verdict(self.kinds[actor], Kind::Exclusive, standing)) {
            Some(Verdict::Refuse) => Look::Refuse,
            Some(Verdict::Retire) => Look::Retire,
            _ => Look::Free,
        }
    }

    /// Whether it is the exclusive key, and not a key of its own, that makes `actor` a holder.
    fn relies_on_key(&self, actor: usize) -> bool {
        self.variant != Variant::Blind && self.kinds[actor] == Kind::Exclusive
    }

    fn place(&self, world: &World, actor: usize) -> Place {
        if self.relies_on_key(actor) { Place::Exclusive } else { self.own(world, actor) }
    }

    fn own(&self, world: &World, actor: usize) -> Place {
        Place::Own { actor: actor as u8, key: world.actors[actor].key }
    }

    /// What `actor` writes: its clock was read when it began.
    fn lock(&self, world: &World, actor: usize) -> Stored {
        let Actor { skew, age, .. } = world.actors[actor];
        let expires = (skew + self.faults.ttl).cast_signed() - age.cast_signed();
        Stored { owner: actor as u8, expires: expires.max(-1) }
    }

    /// For how long a lock is sure whose writing began so long ago.
    fn sure_for(&self, age: u8) -> u8 {
        let at = |ticks: u8| std::time::Duration::from_secs(ticks.into());
        let until = timing(self.faults.ttl, self.faults.margin).sure_until(at(NOW - age));
        u8::try_from(until.saturating_sub(at(NOW)).as_secs()).unwrap()
    }
}

/// Everything is in its favour, if it is in time.
fn settle(world: &World, actor: usize) -> At {
    if world.is_sure(actor) { At::Holding } else { At::Withdraw }
}

enum Look {
    Free,
    Retire,
    Refuse,
}

/// Everything that was left behind is dead in the eyes of `actor`.
pub(super) fn everything_is_dead(world: &World, actor: usize) -> bool {
    let left = world.own.iter().flatten().flatten().chain(&world.exclusive);
    left.filter(|lock| lock.owner as usize != actor).all(|lock| world.standing(actor, *lock, false) != Standing::Live)
}
