//! Many hosts for hours, with slow lines, clocks that differ, and failures of every sort: whoever passes its check is
//! alone if it is exclusive.

use std::sync::Mutex;

use super::super::LeaseWatch;
use super::*;
use crate::store::ObjectStore;

const HOSTS: u64 = 5;
const HOURS: Duration = Duration::from_secs(4 * 3600);

/// The leases of all hosts.
type Leases = Arc<Mutex<Vec<Option<(Kind, LeaseWatch)>>>>;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One host: takes locks, works under them, gives them back or just goes. Gives how often it held each kind.
async fn live(line: Arc<MemoryStore>, locks: Locks, number: usize, leases: Leases) -> [u32; 2] {
    let mut dice = Dice(number as u64 * 0x9e37_79b9 + 1);
    let mut held = [0; 2];
    let set = |lease| leases.lock().unwrap()[number] = lease;
    let heal = || {
        line.line().break_off(false);
        line.line().lose_answers(false);
        line.line().stall(false);
    };
    while locks.clock.boottime() < HOURS {
        line.line().set_latency(Duration::from_millis([1, 100, 2000][dice.below(3) as usize]));
        let kind = if dice.below(2) == 0 { Exclusive } else { Shared };
        let wait = Duration::from_secs(dice.below(120));
        let Ok(lease) = locks.acquire_with(kind, "work", wait).await else { continue };
        held[kind as usize] += 1;
        set(Some((kind, lease.watch())));
        for _ in 0..dice.below(60) {
            tokio::time::sleep(Duration::from_millis(dice.below(4000))).await;
            match dice.below(40) {
                0 => line.line().break_off(true),
                1 => line.line().lose_answers(true),
                2 => line.line().stall(true),
                3..8 => heal(),
                _ => {}
            }
        }
        set(None);
        heal();
        match dice.below(4) {
            0 => {
                // It dies: what it left is removed by nobody.
                line.line().break_off(true);
                drop(lease.release().await);
                line.line().break_off(false);
            }
            1 => drop(lease),
            _ => drop(lease.release().await),
        }
        tokio::time::sleep(Duration::from_millis(dice.below(20_000))).await;
    }
    held
}

/// Looks at all of them, all the time.
async fn watch(leases: Leases, clock: SimClock) {
    let mut dice = Dice(7);
    while clock.boottime() < HOURS {
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
        if dice.below(20_000) == 0 {
            clock.suspend(Duration::from_secs(dice.below(300)));
        }
        let leases = leases.lock().unwrap();
        let holders: Vec<_> = leases.iter().flatten().filter(|(_, lease)| lease.check().is_ok()).collect();
        let is_alone = holders.len() < 2 || holders.iter().all(|(kind, _)| *kind == Shared);
        assert!(is_alone, "at {:?}: {holders:?}", clock.boottime());
    }
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_holder_is_alone_whatever_happens() {
    for store in stores() {
        let net = Net::new(store);
        let leases = Leases::new(Mutex::new(vec![None; HOSTS as usize]));
        let host = |number: u64| {
            // No two clocks differ by more than the margin.
            let skew = TimeDelta::milliseconds(number as i64 * 2400 - 5000);
            let (line, locks) = net.host_with(number + 1, skew);
            tokio::spawn(live(line, locks, number as usize, Arc::clone(&leases)))
        };
        let hosts: Vec<_> = (0..HOSTS).map(host).collect();
        watch(Arc::clone(&leases), net.clock.clone()).await;
        let mut held = [0; 2];
        for host in hosts {
            let of_one = host.await.unwrap();
            held[0] += of_one[0];
            held[1] += of_one[1];
        }
        assert!(held.iter().all(|held| *held > 20), "{held:?} {:?}", net.store.capabilities());
    }
}
