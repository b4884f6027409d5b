//! The CLI's own protocol (format, section 9). Time stands still and nobody dies: its races need neither.
//!
//! Shared: an exclusive lock there? fail; write one's own; one there now? delete one's own and fail. Exclusive: any shared
//! one there? fail; an exclusive one? fail; write one's own; read it back: somebody else's? fail.

use stateright::{Checker, Model, Property};

use crate::lock::decide::Kind::{self, Exclusive, Shared};
use crate::lock::decide::{Standing, Verdict, verdict};

struct Cli(Vec<Kind>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Store {
    exclusive: Option<usize>,
    shared: Vec<bool>,
    at: Vec<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Start,
    LookForExclusive,
    Write,
    LookAgain,
    Holding,
    Refused,
}

impl Cli {
    fn step(&self, store: &mut Store, n: usize) {
        let refuses =
            |found: Kind, is_there: bool| is_there && verdict(self.0[n], found, Standing::Live) == Verdict::Refuse;
        let on = |refused: bool, next: At| if refused { At::Refused } else { next };
        let exclusive_is_others = store.exclusive.is_some_and(|owner| owner != n);
        store.at[n] = match (store.at[n], self.0[n]) {
            (At::Start, Exclusive) => on(refuses(Shared, store.shared.contains(&true)), At::LookForExclusive),
            (At::Start, Shared) | (At::LookForExclusive, _) => on(refuses(Exclusive, exclusive_is_others), At::Write),
            (At::Write, kind) => {
                match kind {
                    Shared => store.shared[n] = true,
                    Exclusive => store.exclusive = Some(n),
                }
                At::LookAgain
            }
            (At::LookAgain, kind) => {
                let refused = refuses(Exclusive, exclusive_is_others);
                if refused && kind == Shared {
                    store.shared[n] = false;
                }
                on(refused, At::Holding)
            }
            (over, _) => over,
        };
    }

    fn hold_together(&self, store: &Store, a: Kind, b: Kind) -> bool {
        let holders: Vec<_> = (0..self.0.len()).filter(|n| store.at[*n] == At::Holding).collect();
        let is = |n: usize, kind| self.0[n] == kind;
        holders.iter().any(|n| is(*n, a) && holders.iter().any(|other| other != n && is(*other, b)))
    }
}

const WITH_SHARED: &str = "no exclusive holder beside a shared one";
const WITH_EXCLUSIVE: &str = "no two exclusive holders";

impl Model for Cli {
    type State = Store;
    type Action = usize;

    fn init_states(&self) -> Vec<Store> {
        vec![Store { exclusive: None, shared: vec![false; self.0.len()], at: vec![At::Start; self.0.len()] }]
    }

    fn actions(&self, store: &Store, actions: &mut Vec<usize>) {
        actions.extend((0..self.0.len()).filter(|n| !matches!(store.at[*n], At::Holding | At::Refused)));
    }

    fn next_state(&self, store: &Store, n: usize) -> Option<Store> {
        let mut store = store.clone();
        self.step(&mut store, n);
        Some(store)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITH_SHARED, |cli: &Self, store: &Store| !cli.hold_together(store, Exclusive, Shared)),
            Property::always(WITH_EXCLUSIVE, |cli: &Self, store: &Store| {
                !cli.hold_together(store, Exclusive, Exclusive)
            }),
        ]
    }
}

#[test]
fn an_exclusive_taker_of_the_cli_misses_a_shared_one_that_came_while_it_wrote() {
    let checker = Cli(vec![Shared, Exclusive]).checker().spawn_bfs().join();
    checker.assert_any_discovery(WITH_SHARED);
    checker.assert_no_discovery(WITH_EXCLUSIVE);
}

#[test]
fn two_exclusive_takers_of_the_cli_overwrite_and_verify_in_turn() {
    let checker = Cli(vec![Exclusive, Exclusive]).checker().spawn_bfs().join();
    checker.assert_any_discovery(WITH_EXCLUSIVE);
    checker.assert_no_discovery(WITH_SHARED);
}
