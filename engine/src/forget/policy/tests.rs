//! A year of snapshots against answers that were worked out without this code, and the laws that every policy keeps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::zone::tests::berlin;
use super::*;
use crate::object::{Hash, ObjectKind, ObjectRef, SourceInfo};

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn snapshot(created: &str, seq: u64) -> SnapshotEntry {
    SnapshotEntry {
        reference: ObjectRef::new(ObjectKind::Snapshot, Hash::of(format!("{created} {seq}").as_bytes())),
        seq,
        created: serde_json::from_value(created.into()).unwrap(),
        root: None,
        source: SourceInfo::default(),
        tags: Vec::new(),
        change_token: String::new(),
        exclude_hash: String::new(),
    }
}

fn at(moment: DateTime<Utc>, seq: u64) -> SnapshotEntry {
    snapshot(&moment.to_rfc3339(), seq)
}

/// Every 5 hours and 7 minutes from 20 December 2019 to 12 January 2021: a leap day, a week 53, and two days with other
/// than 24 hours, around which there is one every 20 minutes, too.
fn year() -> Vec<SnapshotEntry> {
    let until = moment("2021-01-12T00:00:00Z");
    let mut times: BTreeSet<DateTime<Utc>> = BTreeSet::new();
    let mut time = moment("2019-12-20T03:11:00Z");
    while time < until {
        times.insert(time);
        time += TimeDelta::minutes(5 * 60 + 7);
    }
    for evening in ["2020-03-28T20:00:00Z", "2020-10-24T20:00:00Z"] {
        times.extend((0..30).map(|n| moment(evening) + TimeDelta::minutes(20 * n)));
    }
    times.into_iter().zip(1..).map(|(time, seq)| at(time, seq)).collect()
}

fn rules(text: &str) -> Policy {
    let mut policy = Policy::default();
    for rule in text.split(' ') {
        let (name, value) = rule.split_once('=').unwrap();
        let count = || value.parse().unwrap();
        match name {
            "last" => policy.last = count(),
            "hourly" => policy.hourly = count(),
            "daily" => policy.daily = count(),
            "weekly" => policy.weekly = count(),
            "monthly" => policy.monthly = count(),
            "yearly" => policy.yearly = count(),
            "within" => policy.within = Some(value.parse().unwrap()),
            _ => unreachable!("{name}"),
        }
    }
    policy
}

#[test]
fn of_a_year_just_the_right_snapshots_are_kept_for_the_right_reasons() {
    let table = include_str!("year.txt");
    let cases: Vec<&str> = table.split("# ").filter(|case| !case.is_empty()).collect();
    assert!(cases.len() > 12);
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (head, expected) = rest.split_once('\n').unwrap();
        let (until, policy) = head.strip_prefix("until ").unwrap().split_once(' ').unwrap();
        let until = moment(until);
        let known = year().into_iter().filter(|snapshot| snapshot.created.moment().unwrap() <= until).collect();
        let verdicts = rules(policy).judge(known, until, &berlin());
        let kept = verdicts.iter().filter(|verdict| verdict.stays()).map(|verdict| {
            let time = verdict.snapshot.created.moment().unwrap().format("%Y-%m-%dT%H:%M:%SZ");
            format!(
                "  {time} {}\n",
                verdict.reasons().iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(",")
            )
        });
        assert_eq!(kept.collect::<String>(), expected, "{name}");
    }
}

#[test]
fn one_from_a_clock_that_was_wrong_stays_and_takes_the_place_of_none() {
    let now = moment("2026-06-01T00:00:00Z");
    let good = [at(now - TimeDelta::days(2), 1), at(now - TimeDelta::days(1), 2), at(now, 3)];
    let bad = [snapshot("2099-01-01T00:00:00Z", 4), snapshot("yesterday", 5), snapshot("", 6)];
    let policy = Policy { last: 1, within: Some("1h".parse().unwrap()), ..Policy::default() };
    let verdicts = policy.judge([&good[..], &bad].concat(), now, &Zone::system());
    let reasons = |snapshot: &SnapshotEntry| {
        let verdict = verdicts.iter().find(|verdict| verdict.snapshot == *snapshot).unwrap();
        verdict.reasons().iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(good.each_ref().map(reasons), ["", "", "last, within"]);
    assert_eq!(bad.each_ref().map(reasons), ["future", "undated", "undated"]);
}

#[test]
fn tags_keep_what_no_rule_counts() {
    let now = moment("2026-06-01T00:00:00Z");
    let mut snapshots: Vec<_> = (0..4).map(|n| at(now - TimeDelta::days(n), n as u64)).collect();
    snapshots[3].tags = vec!["other".to_owned(), "keep".to_owned()];
    let tags = vec!["keep".to_owned(), "pin".to_owned()];
    let verdicts = Policy { last: 1, tags, ..Policy::default() }.judge(snapshots, now, &Zone::system());
    let reasons: Vec<_> = verdicts.iter().map(Verdict::reasons).collect();
    assert_eq!(reasons, [&[Reason::Last][..], &[], &[], &[Reason::Tag]]);
    assert!(verdicts[1..3].iter().all(|verdict| verdict.fate == Fate::Goes(Cause::NoRule)));
}

#[test]
fn of_one_moment_the_higher_number_is_the_newer_one() {
    let now = moment("2026-06-01T00:00:00Z");
    let twins = vec![at(now, 8), at(now, 9), at(now, 7)];
    let verdicts = rules("last=1 daily=3").judge(twins, now, &Zone::system());
    assert_eq!(verdicts.iter().map(|verdict| verdict.snapshot.seq).collect::<Vec<_>>(), [9, 8, 7]);
    assert_eq!(verdicts.iter().map(Verdict::stays).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_policy_of_nothing_is_empty() {
    assert!(Policy::default().is_empty());
    assert!(Policy { within: Some(Span::default()), ..Policy::default() }.is_empty());
    for rule in ["last=1", "hourly=1", "daily=1", "weekly=1", "monthly=1", "yearly=1", "within=1h"] {
        assert!(!rules(rule).is_empty());
    }
    assert!(!Policy { tags: vec!["x".to_owned()], ..Policy::default() }.is_empty());
}

prop_compose! {
    fn policy()(
        counts in prop::array::uniform6(prop_oneof![Just(0u32), 0u32..8]),
        within in prop::option::of((0u32..3, 0u32..40, 0u32..50)),
        tagged in any::<bool>(),
    ) -> Policy {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        let within = within.map(|(months, days, hours)| Span { months, days, hours });
        let tags = if tagged { vec!["keep".to_owned()] } else { Vec::new() };
        Policy { last, hourly, daily, weekly, monthly, yearly, within, tags }
    }
}

/// Snapshots of two years and a half around a change of the clocks, some of them of the same moment.
fn history() -> impl Strategy<Value = Vec<SnapshotEntry>> {
    let step = prop_oneof![0i64..3, 0i64..100_000, 0i64..4_000_000];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 0..60).prop_map(|steps| {
        let mut time = moment("2020-03-29T03:00:00Z");
        let made = steps.into_iter().zip(1..).map(|((step, tagged), seq)| {
            time -= TimeDelta::seconds(step);
            let tags = if tagged { vec!["keep".to_owned()] } else { Vec::new() };
            SnapshotEntry { tags, ..at(time, seq) }
        });
        made.collect()
    })
}

fn kept(policy: &Policy, snapshots: Vec<SnapshotEntry>) -> Vec<SnapshotEntry> {
    let verdicts = policy.judge(snapshots, moment("2020-03-29T03:00:00Z"), &berlin());
    verdicts.into_iter().filter(Verdict::stays).map(|verdict| verdict.snapshot).collect()
}

fn names(snapshots: &[SnapshotEntry]) -> BTreeSet<ObjectRef> {
    snapshots.iter().map(|snapshot| snapshot.reference).collect()
}

proptest! {
    #[test]
    fn keeping_more_never_removes_more(less in policy(), more in policy(), snapshots in history()) {
        let sum = Policy {
            last: less.last + more.last,
            hourly: less.hourly + more.hourly,
            daily: less.daily + more.daily,
            weekly: less.weekly + more.weekly,
            monthly: less.monthly + more.monthly,
            yearly: less.yearly + more.yearly,
            within: less.within.map(|span| Span { days: span.days + more.within.map_or(0, |more| more.days), ..span }),
            tags: [less.tags.clone(), more.tags].concat(),
        };
        prop_assert!(names(&kept(&less, snapshots.clone())).is_subset(&names(&kept(&sum, snapshots))));
    }

    #[test]
    fn what_was_kept_is_kept_again(policy in policy(), snapshots in history()) {
        let once = kept(&policy, snapshots);
        prop_assert_eq!(kept(&policy, once.clone()), once);
    }

    #[test]
    fn the_order_they_come_in_does_not_matter(
        policy in policy(),
        (one, other) in history().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(kept(&policy, one), kept(&policy, other));
    }

    #[test]
    fn the_newest_is_kept_by_any_rule_that_counts(policy in policy(), snapshots in history()) {
        let newest = snapshots.iter().max_by(|a, b| newer(a, b)).map(|snapshot| snapshot.reference);
        let only_tags = Policy { tags: Vec::new(), ..policy.clone() }.is_empty();
        if let Some(newest) = newest.filter(|_| !only_tags) {
            prop_assert!(names(&kept(&policy, snapshots)).contains(&newest));
        }
    }
}
