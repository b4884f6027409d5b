//! The protocol as a model, checked against every interleaving of its steps.
//!
//! [`ours`] is the protocol of this folder, step by step, with the decisions of [`super::decide`] and the clocks of its
//! actors; time never ends in it, and any step may take any time. [`cli`] is that of the CLI, in which the checker must
//! find the two races that it is known for: a checker that finds nothing there would find nothing here either. For the
//! same reason, what the protocol must not leave out is left out here, one at a time, and must be missed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod cli;
mod ours;
mod steps;
mod world;

use stateright::{Checker, Model};

use super::decide::Kind::{self, Exclusive, Shared};
use ours::{Faults, Ours, QUIET};
use world::Variant::{self, Blind, BlindWithoutIntents, Conditional};

const ALONE: &str = "an exclusive holder is alone";

/// Time passes, and clocks differ by as much as the margin allows.
const TIME: Faults = Faults { time: true, skew: 1, ..QUIET };
/// Everything that the protocol is made for.
const ALL: Faults = Faults { refreshes: 1, late_writes: true, crashes: true, ..TIME };
/// Holders refresh their locks, and those writes are lost or late. One of three holders, to keep it quick.
const REFRESH: Faults = Faults { refreshes: 1, refreshers: 1, late_writes: true, skew: 0, ..TIME };

const TWO: [[Kind; 2]; 2] = [[Shared, Exclusive], [Exclusive, Exclusive]];
const THREE: [[Kind; 3]; 2] = [[Shared, Shared, Exclusive], [Exclusive, Exclusive, Exclusive]];

/// Checks that everything holds.
fn holds(variant: Variant, kinds: &[Kind], faults: Faults) {
    let checker = Ours::new(variant, kinds, faults).checker().threads(2).spawn_bfs().join();
    println!("{variant:?} {kinds:?} {faults:?}: {} states", checker.unique_state_count());
    checker.assert_properties();
}

/// Checks that two may hold that should not.
fn breaks(variant: Variant, kinds: &[Kind], faults: Faults) {
    let checker = Ours::new(variant, kinds, faults).checker().threads(2).spawn_bfs().join();
    let path = checker.assert_any_discovery(ALONE);
    println!("{variant:?} {kinds:?} {faults:?}: {:?}", path.into_actions());
}

#[test]
fn when_nothing_goes_wrong() {
    for variant in [Conditional, Blind] {
        for kinds in THREE {
            holds(variant, &kinds, QUIET);
        }
    }
}

#[test]
fn two_with_all_faults() {
    for kinds in TWO {
        holds(Conditional, &kinds, Faults { refreshes: 2, ..ALL });
        holds(Blind, &kinds, ALL);
    }
}

#[test]
fn two_on_one_host_where_the_dead_are_known() {
    for variant in [Conditional, Blind] {
        for kinds in TWO {
            holds(variant, &kinds, Faults { late_writes: false, one_host: true, ..ALL });
        }
    }
}

#[test]
fn three_that_crash_and_expire() {
    for kinds in THREE {
        holds(Conditional, &kinds, Faults { refreshes: 0, ..ALL });
        holds(Blind, &kinds, Faults { crashes: true, skew: u8::from(kinds.contains(&Shared)), ..TIME });
    }
}

#[test]
fn three_whose_refreshes_are_lost_or_late() {
    for kinds in THREE {
        holds(Conditional, &kinds, REFRESH);
        holds(Blind, &kinds, Faults { late_writes: kinds.contains(&Shared), ..REFRESH });
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn two_with_all_faults_that_refresh_twice() {
    for kinds in TWO {
        holds(Blind, &kinds, Faults { refreshes: 2, ..ALL });
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn three_with_all_faults_on_a_store_with_conditions() {
    for kinds in THREE {
        holds(Conditional, &kinds, ALL);
    }
}

#[test]
#[ignore = "takes minutes: make model"]
fn three_with_most_faults_on_a_store_without() {
    for kinds in THREE {
        holds(Blind, &kinds, Faults { crashes: true, ..TIME });
        holds(Blind, &kinds, Faults { refreshers: 3, ..REFRESH });
        holds(Blind, &kinds, Faults { skew: 1, late_writes: false, ..REFRESH });
    }
}

#[test]
fn clocks_that_differ_by_more_than_the_margin_break_it() {
    for variant in [Conditional, Blind] {
        breaks(variant, &[Exclusive, Exclusive], Faults { skew: 2, ..TIME });
        breaks(variant, &[Shared, Exclusive], Faults { skew: 2, ..TIME });
        holds(variant, &[Shared, Exclusive], Faults { skew: 2, margin: 1, ttl: 2, ..TIME });
    }
}

#[test]
fn a_lock_in_doubt_that_is_only_written_again_breaks_it() {
    for variant in [Conditional, Blind] {
        breaks(variant, &[Shared, Exclusive], Faults { refreshes: 1, careless: true, ..TIME });
    }
}

#[test]
fn an_intent_that_is_deleted_too_early_breaks_it() {
    let kinds = [Shared, Exclusive, Exclusive];
    breaks(BlindWithoutIntents, &kinds, TIME);
    holds(BlindWithoutIntents, &kinds, QUIET);
}
