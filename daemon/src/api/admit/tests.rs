#![allow(clippy::unwrap_used)]
use super::*;
use crate::accounts::Accounts;
use crate::config::AccessConfig;
use cloudstic_engine::lock::Kind;
use cloudstic_engine::restore::Identity;

const ROOT: u32 = 0;
const DAEMON: u32 = 500;
const ADA: u32 = 1000;

fn submit(operation: Operation, uid: u32, own_uid: u32) -> Result<Submission, Reason> {
    let text = "[repositories.main]\nstore = \"local:/srv\"\n[repositories.other]\nstore = \"local:/other\"\n[profiles.home]\nrepository = \"main\"\nsource = \"/home\"";
    let config = Config::parse("x".as_ref(), text, &Accounts::default()).unwrap();
    let caller = Caller { uid, gid: 7, groups: [7, 8].into() };
    let access = Access::new(AccessConfig::default(), own_uid);
    job(Some(v1::JobSpec { operation: Some(operation) }), &caller, &access, &config).map_err(|failure| failure.reason)
}

fn backup_of(profile: &str, repository: &str, path: &str) -> Operation {
    let (profile, repository, path) = (profile.into(), repository.into(), path.as_bytes().to_vec());
    Operation::Backup(v1::BackupSpec { profile, repository, path, ..Default::default() })
}

fn restore_to(target: &str) -> Operation {
    let (repository, snapshot, target) = ("main".into(), "latest".into(), target.as_bytes().to_vec());
    Operation::Restore(v1::RestoreSpec { repository, snapshot, target, ..Default::default() })
}

#[test]
fn anybody_may_run_a_profile_but_not_back_up_any_path() {
    let job = submit(backup_of("home", "", ""), ADA, ROOT).unwrap().description;
    assert_eq!((job.repository.as_str(), job.profile.as_str(), job.uid), ("main", "home", ADA));
    let ad_hoc = || backup_of("", "main", "/etc");
    assert_eq!(submit(ad_hoc(), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
    assert!(submit(ad_hoc(), ROOT, DAEMON).is_ok());
    assert!(submit(ad_hoc(), DAEMON, DAEMON).is_ok());
}

#[test]
fn a_job_that_no_message_could_tell_of_is_refused() {
    let tags = |count| {
        let Operation::Backup(spec) = backup_of("home", "", "") else { unreachable!() };
        Operation::Backup(v1::BackupSpec { tags: vec!["x".repeat(1000); count], ..spec })
    };
    assert!(submit(tags(1000), ROOT, ROOT).is_ok());
    assert_eq!(submit(tags(1100), ROOT, ROOT).unwrap_err(), Reason::BadRequest);
}

#[test]
fn only_who_has_the_daemons_rights_may_leave_out_more_than_the_profile() {
    let with = |profile: &str, excludes: &[&str]| {
        let Operation::Backup(spec) = backup_of(profile, "", "") else { unreachable!() };
        Operation::Backup(v1::BackupSpec { excludes: excludes.iter().map(|it| (*it).into()).collect(), ..spec })
    };
    assert_eq!(submit(with("home", &["*"]), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
    assert!(submit(with("home", &["*"]), ROOT, ROOT).is_ok());
}

#[test]
fn only_who_has_the_daemons_rights_may_prune_and_it_works_alone() {
    let prune = |dry_run, max_waste_percent| {
        let repository = "main".to_owned();
        Operation::Prune(v1::PruneSpec { repository, dry_run, max_waste_percent, ..Default::default() })
    };
    let lock = |dry_run| submit(prune(dry_run, Some(100)), DAEMON, DAEMON).unwrap().needs.lock;
    assert_eq!((lock(false), lock(true)), (Some(Kind::Exclusive), Some(Kind::Shared)));
    assert_eq!(submit(prune(true, None), ADA, DAEMON).unwrap_err(), Reason::PermissionDenied);
    assert_eq!(submit(prune(false, Some(101)), ROOT, DAEMON).unwrap_err(), Reason::BadRequest);
    let elsewhere = Operation::Prune(v1::PruneSpec { repository: "mian".into(), ..Default::default() });
    assert_eq!(submit(elsewhere, ROOT, DAEMON).unwrap_err(), Reason::NoSuchRepository);
}

#[test]
fn a_restore_into_the_source_of_a_profile_excludes_its_backup() {
    let profiles = |target| submit(restore_to(target), ROOT, ROOT).unwrap().needs.profiles;
    assert_eq!(profiles("/home/ada/back"), ["home"]);
    assert_eq!(profiles("/home"), ["home"]);
    assert_eq!(profiles("/"), ["home"]);
    assert_eq!(profiles("/homes"), [""; 0]);
}

#[test]
fn a_restore_has_the_callers_rights_and_never_more() {
    let identity = |uid, own_uid| submit(restore_to("/tmp/x"), uid, own_uid).map(|job| job.identity);
    assert_eq!(identity(ROOT, ROOT), Ok(None));
    assert_eq!(identity(DAEMON, DAEMON), Ok(None));
    assert_eq!(identity(ADA, ROOT), Ok(Some(Identity { uid: ADA, gid: 7, groups: vec![7, 8] })));
    assert_eq!(identity(ADA, DAEMON), Err(Reason::PermissionDenied));
}

#[test]
fn what_makes_no_sense_is_refused_before_it_becomes_a_job() {
    let reason = |operation| submit(operation, ROOT, ROOT).unwrap_err();
    assert_eq!(reason(backup_of("hoem", "", "")), Reason::NoSuchProfile);
    assert_eq!(reason(backup_of("home", "main", "")), Reason::BadRequest);
    assert_eq!(reason(backup_of("", "mian", "/etc")), Reason::NoSuchRepository);
    assert_eq!(reason(backup_of("", "main", "etc")), Reason::BadRequest);
    assert_eq!(reason(restore_to("relative")), Reason::BadRequest);
    assert_eq!(reason(Operation::Archive(v1::ArchiveSpec::default())), Reason::BadRequest);
}

fn forget(spec: v1::ForgetSpec) -> Operation {
    Operation::Forget(v1::ForgetSpec { repository: "main".into(), ..spec })
}

fn tag(spec: v1::TagSpec) -> Operation {
    let (repository, tags) = ("main".into(), vec!["x".into()]);
    Operation::Tag(v1::TagSpec { repository, tags, change: v1::TagChange::Add.into(), ..spec })
}

fn of_latest(dry_run: bool) -> [Operation; 2] {
    let snapshots = vec!["latest".to_owned()];
    let to_forget = forget(v1::ForgetSpec { snapshots: snapshots.clone(), dry_run, ..Default::default() });
    [to_forget, tag(v1::TagSpec { snapshots, dry_run, ..Default::default() })]
}

#[test]
fn only_who_has_the_daemons_rights_may_forget_or_tag_but_everybody_may_ask_what_would_happen() {
    for operation in of_latest(false) {
        assert_eq!(submit(operation.clone(), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
        assert_eq!(submit(operation.clone(), DAEMON, DAEMON).unwrap().needs.lock, Some(Kind::Exclusive));
        assert!(submit(operation, ROOT, DAEMON).is_ok());
    }
    for operation in of_latest(true) {
        assert_eq!(submit(operation, ADA, ROOT).unwrap().needs.lock, None);
    }
}

#[test]
fn what_to_forget_or_tag_must_be_said_in_one_way() {
    let reason = |operation| submit(operation, ROOT, ROOT).map(|_| ()).unwrap_err();
    let named = vec!["latest".to_owned()];
    let policy = |last, within: &str| v1::RetentionPolicy { last, within: within.into(), ..Default::default() };
    let filter = v1::SnapshotFilter { tags: vec!["x".into()], ..Default::default() };
    for wrong in [
        v1::ForgetSpec::default(),
        v1::ForgetSpec { policy: Some(policy(0, "")), ..Default::default() },
        v1::ForgetSpec { policy: Some(policy(0, "0d")), ..Default::default() },
        v1::ForgetSpec { policy: Some(policy(1, "a while")), ..Default::default() },
        v1::ForgetSpec { policy: Some(policy(1, "")), snapshots: named.clone(), ..Default::default() },
        v1::ForgetSpec { filter: Some(filter.clone()), snapshots: named.clone(), ..Default::default() },
        v1::ForgetSpec { snapshots: vec![String::new()], ..Default::default() },
        v1::ForgetSpec { snapshots: named.clone(), max_waste_percent: Some(5), ..Default::default() },
        v1::ForgetSpec { snapshots: named.clone(), max_repack_bytes: Some(5), ..Default::default() },
        v1::ForgetSpec { snapshots: named.clone(), despite_unknown: true, ..Default::default() },
        v1::ForgetSpec { snapshots: named.clone(), prune: true, max_waste_percent: Some(101), ..Default::default() },
    ] {
        assert_eq!(reason(forget(wrong.clone())), Reason::BadRequest, "{wrong:?}");
    }
    assert!(submit(forget(v1::ForgetSpec { policy: Some(policy(1, "1y")), ..Default::default() }), ROOT, ROOT).is_ok());
    for wrong in [
        v1::TagSpec::default(),
        v1::TagSpec { filter: Some(v1::SnapshotFilter::default()), ..Default::default() },
        v1::TagSpec { filter: Some(filter.clone()), snapshots: named.clone(), ..Default::default() },
    ] {
        assert_eq!(reason(tag(wrong.clone())), Reason::BadRequest, "{wrong:?}");
    }
    let with = |change: v1::TagChange, tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let spec = v1::TagSpec { repository: "main".into(), snapshots: named.clone(), tags, ..Default::default() };
        Operation::Tag(v1::TagSpec { change: change.into(), ..spec })
    };
    for wrong in [
        with(v1::TagChange::Unspecified, &["x"]),
        with(v1::TagChange::Add, &[]),
        with(v1::TagChange::Remove, &[]),
        with(v1::TagChange::Add, &["a,b"]),
        with(v1::TagChange::Set, &[""]),
    ] {
        assert_eq!(reason(wrong), Reason::BadRequest);
    }
    assert!(submit(tag(v1::TagSpec { filter: Some(filter), ..Default::default() }), ROOT, ROOT).is_ok());
}

#[test]
fn only_who_has_the_daemons_rights_copies_and_everybody_counts() {
    let copy = |to: &str, tag: &[&str], name: &[&str]| {
        let snapshots = name.iter().map(|name| (*name).to_owned()).collect();
        Operation::Copy(v1::CopySpec {
            from: "main".into(),
            to: to.into(),
            filter: Some(v1::SnapshotFilter {
                tags: tag.iter().map(|tag| (*tag).to_owned()).collect(),
                ..Default::default()
            }),
            snapshots,
            ..Default::default()
        })
    };
    assert_eq!(submit(copy("main", &[], &[]), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
    assert_eq!(submit(copy("main", &[], &[]), ROOT, ROOT).unwrap_err(), Reason::BadRequest);
    assert_eq!(submit(copy("other", &["x"], &["latest"]), ROOT, ROOT).unwrap_err(), Reason::BadRequest);
    assert_eq!(submit(copy("othre", &[], &[]), ROOT, ROOT).unwrap_err(), Reason::NoSuchRepository);
    let needs = submit(copy("other", &[], &["latest"]), ROOT, ROOT).unwrap().needs;
    assert_eq!((needs.repository.as_str(), needs.second.as_deref()), ("other", Some("main")));
    let stats = Operation::Stats(v1::StatsSpec { repository: "main".into(), ..Default::default() });
    assert!(submit(stats, ADA, ROOT).is_ok());
}

#[test]
fn everybody_may_check_and_only_who_has_the_daemons_rights_may_repair() {
    let check = |read_data, subset: &str| {
        let (repository, read_data_subset) = ("main".into(), subset.into());
        Operation::Check(v1::CheckSpec { repository, read_data, read_data_subset, ..Default::default() })
    };
    assert!(submit(check(false, "10%"), ADA, ROOT).is_ok());
    let of_one = |operation| {
        let Operation::Check(spec) = operation else { unreachable!() };
        Operation::Check(v1::CheckSpec { snapshot: "latest".into(), ..spec })
    };
    for good in [check(true, ""), check(false, "1/3"), check(false, "")] {
        assert!(submit(of_one(good), ADA, ROOT).is_ok());
    }
    let rotating = ["10%", "1G"].map(|part| of_one(check(false, part)));
    for wrong in [check(true, "10%"), check(false, "0/3"), check(false, "much")].into_iter().chain(rotating) {
        assert_eq!(submit(wrong, ROOT, ROOT).unwrap_err(), Reason::BadRequest);
    }
    let repair =
        |dry_run| Operation::Repair(v1::RepairSpec { repository: "main".into(), dry_run, ..Default::default() });
    assert_eq!(submit(repair(true), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
    let lock = |dry_run| submit(repair(dry_run), ROOT, ROOT).unwrap().needs.lock;
    assert_eq!((lock(true), lock(false)), (Some(Kind::Shared), Some(Kind::Exclusive)));
}
