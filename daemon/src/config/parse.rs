//! From the text of the file to a checked [`Config`]. Each table of the file is one function here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloudstic_engine::prune::MAX_WASTE_PERCENT;
use cloudstic_engine::source::SourceError;
use cloudstic_engine::source::local::{LocalOptions, check_mark, check_pattern, excludes_folder};

use super::reader::{At, Problem, Reader, Section};
use super::values::{Address, Level, Period, Place};
use super::*;

pub(super) fn parse(path: &Path, text: &str, accounts: &Accounts) -> Result<Config, Vec<Problem>> {
    let reader = Reader::new(&path.display().to_string(), text);
    let config = read(&reader, path, accounts);
    let problems = reader.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// What of the file makes sense; only good if the reader has no problems.
pub(super) fn read(reader: &Reader<'_>, path: &Path, accounts: &Accounts) -> Option<Config> {
    let mut root = reader.root()?;
    let daemon = root.section("daemon");
    let access = root.section("access");
    let http = root.section("http");
    let repositories = root.named_sections("repositories");
    let profiles = root.named_sections("profiles");
    root.finish();

    let repositories = read_repositories(reader, repositories);
    Some(Config {
        path: path.to_owned(),
        daemon: read_daemon(reader, daemon, accounts),
        access: access.map(|section| read_access(reader, section, accounts)).unwrap_or_default(),
        http: http.map(read_http).unwrap_or_default(),
        profiles: read_profiles(reader, profiles, &repositories),
        repositories: repositories.into_iter().filter_map(|(name, it)| Some((name, it?))).collect(),
    })
}

/// `sun_path` has 108 bytes, and the last one is NUL (unix(7)).
const LONGEST_SOCKET: usize = 107;

fn read_daemon(reader: &Reader<'_>, section: Option<Section<'_, '_>>, accounts: &Accounts) -> DaemonConfig {
    let mut daemon = DaemonConfig {
        socket: cloudstic_proto::DEFAULT_SOCKET.into(),
        socket_group: None,
        state_dir: "/var/lib/cloudstic".into(),
        max_running_jobs: 2,
        keep_jobs: 1000,
        shutdown_grace: Duration::from_secs(30),
        log_level: tracing::Level::INFO,
        log_format: LogFormat::Text,
    };
    let Some(mut section) = section else { return daemon };
    let given = section.string("socket");
    if let Some(long) = given.as_ref().filter(|path| path.value.len() > LONGEST_SOCKET) {
        reader.problem(
            long,
            format!("is longer than {LONGEST_SOCKET} bytes, the most that the system allows for a socket"),
        );
    }
    if let Some(socket) = absolute(reader, given) {
        daemon.socket = socket;
    }
    if let Some(group) = section.string("socket_group") {
        daemon.socket_group = group_number(reader, &group, accounts);
    }
    if let Some(state_dir) = absolute(reader, section.string("state_dir")) {
        daemon.state_dir = state_dir;
    }
    if let Some(most) = section.integer("max_running_jobs", 1, 64) {
        daemon.max_running_jobs = most.value as usize;
    }
    if let Some(keep) = section.integer("keep_jobs", 1, 100_000) {
        daemon.keep_jobs = keep.value as usize;
    }
    if let Some(grace) = section.parsed::<Period>("shutdown_grace") {
        daemon.shutdown_grace = grace.value.0;
    }
    if let Some(level) = section.parsed::<Level>("log_level") {
        daemon.log_level = level.value.0;
    }
    if let Some(format) = section.parsed::<LogFormat>("log_format") {
        daemon.log_format = format.value;
    }
    section.finish();
    daemon
}

fn read_access(reader: &Reader<'_>, mut section: Section<'_, '_>, accounts: &Accounts) -> AccessConfig {
    let users = section.list("users").unwrap_or_default();
    let groups = section.list("groups").unwrap_or_default();
    section.finish();
    let user_number = |user: &At<String>| match user.value.parse().ok().or_else(|| accounts.user_id(&user.value)) {
        None => {
            let name = &user.value;
            reader.problem(
                user,
                format!("there is no user {name:?} in /etc/passwd: for one from elsewhere, use its number"),
            );
            None
        }
        found => found,
    };
    AccessConfig {
        users: users.iter().filter_map(user_number).collect(),
        groups: groups.iter().filter_map(|group| group_number(reader, group, accounts)).collect(),
    }
}

fn read_http(mut section: Section<'_, '_>) -> HttpConfig {
    let listen = section.parsed::<Address>("listen").map(|address| address.value.0);
    section.finish();
    HttpConfig { listen }
}

/// Each name that is in the file, with `None` where what it says is wrong: a profile that names it is not to blame.
fn read_repositories(
    reader: &Reader<'_>,
    sections: Vec<(At<String>, Section<'_, '_>)>,
) -> BTreeMap<String, Option<RepositoryConfig>> {
    let mut repositories: BTreeMap<String, Option<RepositoryConfig>> = BTreeMap::new();
    for (name, section) in sections {
        check_name(reader, &name);
        let (repository, store) = read_repository(reader, section);
        if let Some(store) = store {
            let taken =
                repositories.iter().find(|(_, it)| it.as_ref().is_some_and(|it| it.store.is_place_of(&store.value)));
            if let Some((other, _)) = taken {
                reader.problem(&store, format!("is the store of repositories.{other} already"));
            }
        }
        repositories.insert(name.value, repository);
    }
    repositories
}

fn read_repository(
    reader: &Reader<'_>,
    mut section: Section<'_, '_>,
) -> (Option<RepositoryConfig>, Option<At<StoreLocation>>) {
    let store = read_store(reader, &mut section);
    let mut credentials = Vec::new();
    for (key, kind) in [
        ("password", CredentialKind::Password),
        ("platform_key", CredentialKind::PlatformKey),
        ("recovery_words", CredentialKind::RecoveryWords),
    ] {
        credentials.extend(section.parsed(key).map(|secret| CredentialRef { kind, secret: secret.value }));
    }
    let kms = section.section("kms").and_then(|section| KmsConfig::read(reader, section));
    let max_running_jobs = section.integer("max_running_jobs", 1, 64).map(|most| most.value as usize);
    let lock_wait = section.parsed::<Period>("lock_wait").map(|wait| wait.value.0).unwrap_or_default();
    let prune = PruneConfig {
        max_waste_percent: section
            .integer("max_waste", 0, 100)
            .map_or(MAX_WASTE_PERCENT, |percent| percent.value as u8),
        max_repack_bytes: section.parsed::<Size>("max_repack_size").map(|size| size.value.0),
    };
    let limits = section.section("limits");
    if let (Some(limits), Some(StoreLocation::Local(_))) = (&limits, store.as_ref().map(|store| &store.value)) {
        reader.problem(&limits.here(), "is for stores at the other end of a line");
    }
    let limits = limits.map(LimitsConfig::read).unwrap_or_default();
    section.finish();
    let repository = store.clone().map(|store| {
        let store = store.value;
        RepositoryConfig { store, credentials, kms, max_running_jobs, lock_wait, prune, limits }
    });
    (repository, store)
}

fn read_store(reader: &Reader<'_>, section: &mut Section<'_, '_>) -> Option<At<StoreLocation>> {
    let given = section.required("store", "say where the repository lies, as in store = \"local:/srv/backup\"");
    let (mut s3, mut b2, mut sftp) = (section.section("s3"), section.section("b2"), section.section("sftp"));
    let given = given?;
    let location = match given.value.parse() {
        Ok(Place::Local(path)) => StoreLocation::Local(path),
        Ok(Place::S3(bucket)) => StoreLocation::S3(Box::new(S3Config::read(reader, bucket, s3.take()))),
        Ok(Place::B2(bucket)) => StoreLocation::B2(Box::new(B2Config::read(reader, bucket, b2.take()))),
        Ok(Place::Sftp(location)) => StoreLocation::Sftp(Box::new(SftpConfig::read(reader, location, sftp.take()))),
        Err(bad) => {
            let bad: BadStore = bad;
            reader.problem(&given, bad.to_string());
            return None;
        }
    };
    for (section, kind) in [(s3, "s3"), (b2, "b2"), (sftp, "sftp")] {
        if let Some(section) = section {
            reader.problem(&section.here(), format!("is for a store that begins with \"{kind}:\""));
        }
    }
    Some(given.with(location))
}

fn read_profiles(
    reader: &Reader<'_>,
    sections: Vec<(At<String>, Section<'_, '_>)>,
    repositories: &BTreeMap<String, Option<RepositoryConfig>>,
) -> BTreeMap<String, ProfileConfig> {
    let mut profiles = BTreeMap::new();
    for (name, section) in sections {
        check_name(reader, &name);
        if let Some(profile) = read_profile(reader, section, repositories) {
            profiles.insert(name.value, profile);
        }
    }
    profiles
}

fn read_profile(
    reader: &Reader<'_>,
    mut section: Section<'_, '_>,
    repositories: &BTreeMap<String, Option<RepositoryConfig>>,
) -> Option<ProfileConfig> {
    let repository = section.required("repository", "name one of [repositories]");
    if let Some(name) = repository.as_ref().filter(|name| !repositories.contains_key(&name.value)) {
        let known: Vec<&str> = repositories.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
        reader.problem(name, format!("there is no repository {:?} (configured: {known})", name.value));
    }
    let source = section.required("source", "name the folder to back up");
    let source_at = source.clone();
    let source = absolute(reader, source);
    let tags = texts(section.list("tags"));
    let options = LocalOptions {
        excludes: checked(reader, section.list("excludes"), check_pattern),
        exclude_if_present: checked(reader, section.list("exclude_if_present"), check_mark),
        exclude_caches: section.boolean("exclude_caches").is_some_and(|it| it.value),
        one_file_system: section.boolean("one_file_system").is_some_and(|it| it.value),
        max_file_size: section.parsed::<Size>("max_file_size").map(|size| size.value.0),
    };
    section.finish();
    let target = repository.as_ref().and_then(|name| repositories.get(&name.value)?.as_ref());
    if let (Some(source), Some(at), Some(target)) = (&source, &source_at, target) {
        check_not_within(reader, at, source, &options, target);
    }
    Some(ProfileConfig { repository: repository?.value, source: source?, tags, options })
}

/// A backup of its own repository would grow with every run.
fn check_not_within(
    reader: &Reader<'_>,
    at: &At<String>,
    source: &Path,
    options: &LocalOptions,
    repository: &RepositoryConfig,
) {
    let StoreLocation::Local(store) = &repository.store else { return };
    let Ok(inside) = store.strip_prefix(source) else { return };
    // A bad pattern has been told already; other file systems may not be entered.
    if options.one_file_system || excludes_folder(&options.excludes, inside).unwrap_or(true) {
        return;
    }
    let problem = match inside.as_os_str().is_empty() {
        true => "is the store of the repository".to_owned(),
        false => format!("has the repository in it: add \"/{}/\" to the excludes", inside.display()),
    };
    reader.problem(at, problem);
}

fn check_name(reader: &Reader<'_>, name: &At<String>) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = name.value.starts_with(allowed) && name.value.chars().all(|c| allowed(c) || c == '-' || c == '_');
    if !good {
        reader.problem(name, "a name is made of a-z, 0-9, \"-\" and \"_\", and begins with a letter or digit");
    }
}

pub(super) fn absolute(reader: &Reader<'_>, text: Option<At<String>>) -> Option<PathBuf> {
    let text = text?;
    if !text.value.starts_with('/') {
        reader.problem(&text, "must be an absolute path");
        return None;
    }
    Some(text.value.into())
}

fn group_number(reader: &Reader<'_>, group: &At<String>, accounts: &Accounts) -> Option<u32> {
    let number = group.value.parse().ok().or_else(|| accounts.group_id(&group.value));
    if number.is_none() {
        let name = &group.value;
        reader.problem(
            group,
            format!("there is no group {name:?} in /etc/group: for one from elsewhere, use its number"),
        );
    }
    number
}

fn texts(list: Option<Vec<At<String>>>) -> Vec<String> {
    list.into_iter().flatten().map(|text| text.value).collect()
}

/// Texts that the engine has to accept, each by itself.
fn checked(
    reader: &Reader<'_>,
    list: Option<Vec<At<String>>>,
    check: fn(&str) -> Result<(), SourceError>,
) -> Vec<String> {
    for text in list.iter().flatten() {
        match check(&text.value) {
            Ok(()) => {}
            Err(SourceError::BadPattern { pattern, problem }) => {
                reader.problem(text, format!("{pattern:?} is not valid: {problem} (docs/excludes.md)"));
            }
            Err(other) => reader.problem(text, other.to_string()),
        }
    }
    texts(list)
}
