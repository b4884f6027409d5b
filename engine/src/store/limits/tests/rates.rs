//! Rates, also by the time of day.

use std::time::Duration;

use chrono::NaiveTime;
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::*;
use super::limits;
use super::scripted::{Fault, Scripted};
use crate::store::StoreErrorKind;

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_counts_again() {
    let store = Scripted::new([Fault::Unsent(StoreErrorKind::Transient); 3]);
    let pace = Arc::new(Pace::new(RateSchedule::always(1000), RateSchedule::always(1000)).with_clock(Noon));
    let limited = LimitedStore::new(store.clone(), limits(), pace).with_random(Arc::new(|| 0.0));
    limited.put("chunk/a", Bytes::from(vec![0; 10_000])).await.unwrap();
    // Whoever comes next waits for all of it.
    limited.put("chunk/b", Bytes::from_static(b"x")).await.unwrap();
    let times = store.hook.times();
    assert_eq!((times.len(), (times[3] - times[0]).as_secs()), (5, 0));
    assert!((39..=41).contains(&(times[4] - times[0]).as_secs()), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_changes_a_lock_is_tried_once_and_does_not_wait_for_its_turn() {
    let store = Scripted::new([]);
    let pace = Arc::new(Pace::new(RateSchedule::always(1), RateSchedule::always(1)).with_clock(Noon));
    let limited = LimitedStore::new(store.clone(), limits(), pace);
    limited.put("chunk/a", Bytes::from(vec![0; 1000])).await.unwrap();
    limited.get("chunk/a").await.unwrap();
    let start = Instant::now();
    let lock = "index/lock.shared/1";
    limited.put(lock, Bytes::from_static(b"lock")).await.unwrap();
    limited.get(lock).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    store.hook.next(Fault::Unanswered(StoreErrorKind::Transient));
    assert!(limited.put(lock, Bytes::from_static(b"again")).await.is_err());
    limited.get(lock).await.unwrap();
    limited.put("chunk/b", Bytes::new()).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1000);
}

#[derive(Debug)]
struct Noon;

impl TimeOfDay for Noon {
    fn now(&self) -> NaiveTime {
        NaiveTime::from_hms_opt(12, 0, 0).unwrap()
    }
}

/// Tokio's clock, from an hour on.
#[derive(Debug)]
struct Since(u32, Instant);

impl TimeOfDay for Since {
    fn now(&self) -> NaiveTime {
        let (time, _) = hour(self.0).overflowing_add_signed(chrono::TimeDelta::from_std(self.1.elapsed()).unwrap());
        time
    }
}

fn hour(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap()
}

#[test]
fn the_first_span_of_a_day_counts_and_spans_go_over_midnight() {
    let span = |from, until, rate| RateSpan { from: hour(from), until: hour(until), rate };
    let spans = vec![span(8, 18, Some(2)), span(22, 6, None), span(17, 23, Some(0))];
    let schedule = RateSchedule { spans, otherwise: Some(9) };
    let rates = [8, 17, 18, 21, 22, 0, 5, 6, 7].map(|at| schedule.at(hour(at)));
    assert_eq!(rates, [Some(2), Some(2), Some(1), Some(1), None, None, None, Some(9), Some(9)]);
    assert!(!schedule.is_unlimited() && RateSchedule::default().is_unlimited());
}

#[tokio::test(start_paused = true)]
async fn a_rate_changes_with_the_time_of_day_even_for_those_who_wait() {
    let spans = vec![RateSpan { from: hour(8), until: hour(18), rate: Some(1000) }];
    let schedule = RateSchedule { spans, otherwise: None };
    let pace = Pace::new(schedule, RateSchedule::default()).with_clock(Since(17, Instant::now()));
    let start = Instant::now();
    // Ten hours' worth, which is sent, and then the next one has to wait until the day is over.
    pace.send(36_000_000).await;
    pace.send(1).await;
    let waited = start.elapsed().as_secs();
    assert!((3600..3640).contains(&waited), "{waited}");
    pace.send(1 << 40).await;
    assert_eq!(start.elapsed().as_secs(), waited);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_takes_nothing_and_blocks_nobody() {
    let pace = Pace::new(RateSchedule::always(100), RateSchedule::default()).with_clock(Noon);
    pace.send(1100).await;
    let start = Instant::now();
    let gave_up = tokio::time::timeout(Duration::from_secs(5), pace.send(1_000_000));
    let (gave_up, ()) = tokio::join!(gave_up, pace.send(1));
    assert!(gave_up.is_err());
    assert_eq!(start.elapsed().as_secs(), 10);
}

proptest! {
    #[test]
    fn no_more_goes_than_the_rate_allows(rate in 1_u64..10_000, sizes in prop::collection::vec(0_u64..20_000, 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let pace = Pace::new(RateSchedule::always(rate), RateSchedule::default()).with_clock(Noon);
            let start = Instant::now();
            let mut sent = 0;
            for size in &sizes {
                pace.send(*size).await;
                // What was sent before the last one fits the time, with what the bucket held at first.
                let allowed = rate as f64 * (start.elapsed().as_secs_f64() + 1.0);
                assert!(sent as f64 <= allowed + 1.0, "{sent} of {allowed}");
                sent += size;
            }
            // And not much less.
            let least = sent.saturating_sub(rate + sizes.last().unwrap()) as f64 / rate as f64;
            let slack = 0.01 * sizes.len() as f64 + 2.0 / rate as f64;
            assert!(start.elapsed().as_secs_f64() <= least.max(0.0) + slack + 1.0 / rate as f64 * sizes.len() as f64);
        });
    }
}
