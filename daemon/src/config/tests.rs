//! What a user gets wrong in the file, and what the daemon says then.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use super::reader::Reader;
use super::*;

fn accounts() -> Accounts {
    Accounts::from_texts("root:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh", "root:x:0:\nbackup:x:34:ada")
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("config.toml"), text, &accounts())
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => panic!("this was taken as good:\n{text}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

const SECRET_ADVICE: &str = "a secret must not stand in the configuration: say where it is with \
    \"env:NAME\", \"file:/path\", \"credential:NAME\" or \"command:…\"";

#[test]
fn every_mistake_names_file_line_and_key() {
    let main = "[repositories.main]\nstore = \"local:/srv\"\n";
    let cases = [
        (
            "[repositories.main]\nstroe = \"local:/srv\"\nstore = \"local:/srv\"",
            r#"config.toml:2: repositories.main.stroe: unknown key (did you mean "store"?)"#,
        ),
        ("[deamon]\n", r#"config.toml:1: deamon: unknown key (did you mean "daemon"?)"#),
        ("[access]\ncolour = 1", "config.toml:2: access.colour: unknown key (known here: users, groups)"),
        (
            "[daemon]\nmax_running_jobs = 0",
            "config.toml:2: daemon.max_running_jobs: must be a whole number from 1 to 64",
        ),
        (
            "[daemon]\nmax_running_jobs = -1",
            "config.toml:2: daemon.max_running_jobs: must be a whole number from 1 to 64",
        ),
        (
            "[daemon]\nmax_running_jobs = \"2\"",
            "config.toml:2: daemon.max_running_jobs: must be a whole number, not a text",
        ),
        (
            "[repositories.main]\nstore = \"local:/srv\"\nmax_waste = 101",
            "config.toml:3: repositories.main.max_waste: must be a whole number from 0 to 100",
        ),
        (
            "[repositories.main]\nstore = \"local:/srv\"\nmax_waste = \"30%\"",
            "config.toml:3: repositories.main.max_waste: must be a whole number, not a text",
        ),
        (
            "[repositories.main]\nstore = \"local:/srv\"\nmax_repack_size = \"much\"",
            "config.toml:3: repositories.main.max_repack_size: not a size: write bytes as \"4096\", or \"500 MB\" (thousands), \
             or \"1 GiB\" (powers of 1,024)",
        ),
        ("[daemon]\n\nsocket = \"run/x.sock\"", "config.toml:3: daemon.socket: must be an absolute path"),
        (
            "[daemon]\nshutdown_grace = \"soon\"",
            r#"config.toml:2: daemon.shutdown_grace: not a duration: write "30s" or "2m""#,
        ),
        (
            "[daemon]\nlog_level = \"loud\"",
            r#"config.toml:2: daemon.log_level: must be "error", "warn", "info", "debug" or "trace""#,
        ),
        ("[daemon]\nlog_format = \"xml\"", r#"config.toml:2: daemon.log_format: must be "text" or "json""#),
        (
            "[daemon]\nsocket_group = \"wheel\"",
            r#"config.toml:2: daemon.socket_group: there is no group "wheel" in /etc/group: for one from elsewhere, use its number"#,
        ),
        ("daemon = 3", "config.toml:1: daemon: must be a table, not a number"),
        (
            "[access]\nusers = []",
            "config.toml:2: access.users: the list is empty: put something in or leave the key out",
        ),
        (
            "[access]\nusers = [\n  \"ada\",\n  \"bob\",\n]",
            r#"config.toml:4: access.users: there is no user "bob" in /etc/passwd: for one from elsewhere, use its number"#,
        ),
        ("[access]\nusers = [\"ada\", \"ada\"]", r#"config.toml:2: access.users: "ada" is listed twice"#),
        ("[access]\nusers = \"ada\"", "config.toml:2: access.users: must be a list, not a text"),
        (
            "[repositories.main]\n",
            r#"config.toml:1: repositories.main: "store" is missing: say where the repository lies, as in store = "local:/srv/backup""#,
        ),
        (
            "[repositories.main]\nstore = \"/srv\"",
            r#"config.toml:2: repositories.main.store: not a store: write "local:" and an absolute path, as in "local:/srv/backup", or "sftp://USER@HOST/PATH", "s3:BUCKET/PREFIX" or "b2:BUCKET/PREFIX""#,
        ),
        (
            "[repositories.main]\nstore = \"local:srv\"",
            r#"config.toml:2: repositories.main.store: not a store: write "local:" and an absolute path, as in "local:/srv/backup", or "sftp://USER@HOST/PATH", "s3:BUCKET/PREFIX" or "b2:BUCKET/PREFIX""#,
        ),
        (
            "[repositories.a]\nstore = \"s3:key:hunter2@bucket\"",
            r#"config.toml:2: repositories.a.store: not a store: write "local:" and an absolute path, as in "local:/srv/backup", or "sftp://USER@HOST/PATH", "s3:BUCKET/PREFIX" or "b2:BUCKET/PREFIX""#,
        ),
        (
            "[repositories.a]\nstore = \"s3:bucket/a\"\n[repositories.b]\nstore = \"s3:bucket/a/\"",
            "config.toml:4: repositories.b.store: is the store of repositories.a already",
        ),
        (
            "[repositories.a]\nstore = \"s3:bucket\"\ns3.access_key_id = \"env:ID\"",
            "config.toml:3: repositories.a.s3.access_key_id: access_key_id and secret_access_key belong together: set both or none",
        ),
        (
            "[repositories.a]\nstore = \"s3:bucket\"\ns3.storage_class = \"GLACIER\"",
            "config.toml:3: repositories.a.s3.storage_class: objects of this class cannot be read before they are restored: use GLACIER_IR, STANDARD_IA or another one",
        ),
        (
            "[repositories.a]\nstore = \"s3:bucket\"\ns3.kms_key = \"arn:x\"",
            "config.toml:3: repositories.a.s3.kms_key: is used with encryption = \"aws:kms\" only",
        ),
        (
            "[repositories.a]\nstore = \"s3:bucket\"\ns3.endpoint = \"http://me:hunter2@host\"",
            "config.toml:3: repositories.a.s3.endpoint: not the URL of a service: write \"https://HOST\", with \":PORT\" if it has another",
        ),
        (
            "[repositories.Main]\nstore = \"local:/srv\"",
            r#"config.toml:1: repositories.Main: a name is made of a-z, 0-9, "-" and "_", and begins with a letter or digit"#,
        ),
        (
            "[repositories.a]\nstore = \"local:/srv\"\n[repositories.b]\nstore = \"local:/srv/\"",
            "config.toml:4: repositories.b.store: is the store of repositories.a already",
        ),
        ("[repositories.a]\n[repositories.a]", "config.toml:2: duplicate key"),
        ("[repositories.main\n", "config.toml:1: unclosed table, expected `]`"),
        (
            &format!("{main}[profiles.home]\nrepository = \"mian\"\nsource = \"/home\""),
            r#"config.toml:4: profiles.home.repository: there is no repository "mian" (configured: main)"#,
        ),
        (
            &format!("{main}[profiles.home]\nsource = \"/home\""),
            r#"config.toml:3: profiles.home: "repository" is missing: name one of [repositories]"#,
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\""),
            r#"config.toml:3: profiles.home: "source" is missing: name the folder to back up"#,
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\"\nsource = \"~/x\""),
            "config.toml:5: profiles.home.source: must be an absolute path",
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\"\nsource = \"/h\"\nmax_file_size = \"big\""),
            r#"config.toml:6: profiles.home.max_file_size: not a size: write bytes as "4096", or "500 MB" (thousands), or "1 GiB" (powers of 1,024)"#,
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\"\nsource = \"/h\"\nexclude_caches = \"yes\""),
            "config.toml:6: profiles.home.exclude_caches: must be true or false, not a text",
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\"\nsource = \"/h\"\nexclude_if_present = [\"a/b\"]"),
            r#"config.toml:6: profiles.home.exclude_if_present: "a/b" is not valid: the mark of a folder is the name of a file, without slashes (docs/excludes.md)"#,
        ),
        (
            &format!(
                "{main}[profiles.home]\nrepository = \"main\"\nsource = \"/h\"\nexcludes = [\n\"*.o\",\n\"x[z-a]\"\n]"
            ),
            r#"config.toml:8: profiles.home.excludes: "x[z-a]" is not valid: invalid range; 'z' > 'a' (docs/excludes.md)"#,
        ),
        (
            &format!("{main}[profiles.home]\nrepository = \"main\"\nsource = \"/h\"\nexcludes = [\"a{{b\"]"),
            r#"config.toml:6: profiles.home.excludes: "a{b" is not valid: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?) (docs/excludes.md)"#,
        ),
        (
            &format!("{main}password = \"hunter2\""),
            &format!("config.toml:3: repositories.main.password: {SECRET_ADVICE}"),
        ),
        (
            &format!("{main}password = 12345"),
            "config.toml:3: repositories.main.password: must be a text in quotes, not a number",
        ),
        (
            &format!("{main}platform_key = \"file:key\""),
            r#"config.toml:3: repositories.main.platform_key: the path after "file:" must be absolute"#,
        ),
    ];
    for (text, message) in cases {
        assert_eq!(problems(text), [message], "for\n{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    let found = problems("[daemon]\nlog_level = 1\nsokcet = 2\n[profiles.x]\n");
    let lines: Vec<_> = found.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3", "4", "4"]);
}

#[test]
fn a_broken_repository_is_not_held_against_its_profiles() {
    let text = "[repositories.main]\nstore = 1\n[profiles.home]\nrepository = \"main\"\nsource = \"/\"";
    assert_eq!(problems(text), ["config.toml:2: repositories.main.store: must be a text in quotes, not a number"]);
}

#[test]
fn a_repository_is_not_backed_up_into_itself() {
    let with = |source: &str, more: &str| {
        format!(
            "[repositories.r]\nstore = \"local:/srv/b\"\n[profiles.p]\nrepository = \"r\"\nsource = \"{source}\"\n{more}"
        )
    };
    let line = "config.toml:5: profiles.p.source";
    assert_eq!(problems(&with("/srv/b", "")), [format!("{line}: is the store of the repository")]);
    let inside = format!("{line}: has the repository in it: add \"/srv/b/\" to the excludes");
    assert_eq!(problems(&with("/", "excludes = [\"/b/\"]")), [inside]);
    for (source, more) in [
        ("/", "excludes = [\"/srv/b/\"]"),
        ("/srv", "excludes = [\"b\"]"),
        ("/", "one_file_system = true"),
        ("/srv/b/c", ""),
    ] {
        assert!(parse(&with(source, more)).is_ok(), "{source} {more}");
    }
}

#[test]
fn a_socket_must_have_a_path_that_the_system_takes() {
    let with = |length: usize| format!("[daemon]\nsocket = \"/{}\"", "x".repeat(length - 1));
    assert!(parse(&with(107)).is_ok());
    assert_eq!(problems(&with(108)).len(), 1);
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.daemon.socket, Path::new("/run/cloudstic/cloudsticd.sock"));
    assert_eq!(config.daemon.state_dir, Path::new("/var/lib/cloudstic"));
    assert_eq!((config.daemon.max_running_jobs, config.daemon.keep_jobs), (2, 1000));
    assert_eq!(config.access, AccessConfig::default());
}

#[test]
fn everything_that_is_said_arrives() {
    let config = parse(
        "[access]\nusers = [\"ada\", 7]\ngroups = [\"backup\"]\n\
         [repositories.main]\nstore = \"local:/srv/\"\npassword = \"env:PASS\"\nrecovery_words = \"file:/w\"\n\
         [profiles.home]\nrepository = \"main\"\nsource = \"/home\"\ntags = [\"a\"]\nexcludes = [\"*.o\", \"!x.o\"]\n\
         exclude_if_present = [\".nobackup\"]\nexclude_caches = true\none_file_system = true\nmax_file_size = \"1 GiB\"",
    )
    .unwrap();
    assert_eq!(config.access, AccessConfig { users: [1000, 7].into(), groups: [34].into() });
    let main = &config.repositories["main"];
    assert_eq!(main.store.to_string(), "local:/srv");
    let kinds: Vec<_> = main.credentials.iter().map(|credential| credential.kind).collect();
    assert_eq!(kinds, [CredentialKind::Password, CredentialKind::RecoveryWords]);
    let home = &config.profiles["home"];
    assert_eq!(home.options.excludes, ["*.o", "!x.o"]);
    assert_eq!(home.options.max_file_size, Some(1 << 30));
    assert!(home.options.exclude_caches && home.options.one_file_system);
    assert_eq!(config.profiles_of("main").collect::<Vec<_>>(), ["home"]);
}

#[test]
fn what_is_said_of_a_bucket_arrives() {
    let text = "[repositories.a]\nstore = \"s3:bucket/pre/fix/\"\n[repositories.a.s3]\nendpoint = \"https://minio:9000\"\n\
        region = \"eu\"\npath_style = false\naccess_key_id = \"env:ID\"\nsecret_access_key = \"file:/s\"\n\
        encryption = \"aws:kms\"\nkms_key = \"arn:x\"\nremove_versions = true\nproxy = \"http://proxy:3128\"\nca_file = \"/ca.pem\"\n\
        [repositories.b]\nstore = \"b2:bucket/pre/fix\"\n[repositories.b.b2]\nendpoint = \"https://b2:1\"\n";
    let config = parse(text).unwrap();
    let (a, b) = (&config.repositories["a"].store, &config.repositories["b"].store);
    assert_eq!((a.to_string().as_str(), b.to_string().as_str()), ("s3:bucket/pre/fix", "b2:bucket/pre/fix"));
    let (StoreLocation::S3(a), StoreLocation::B2(b)) = (a, b) else { panic!("{a:?} {b:?}") };
    assert_eq!((a.endpoint.as_deref(), a.path_style), (Some("https://minio:9000"), Some(false)));
    assert_eq!(a.keys.as_ref().unwrap().secret.to_string(), "file:/s");
    assert_eq!(a.way.ca_file.as_deref(), Some(Path::new("/ca.pem")));
    assert!(a.remove_versions);
    assert_eq!(b.endpoint.as_deref(), Some("https://b2:1"));
    assert_eq!(
        (b.key_id.to_string(), b.application_key.to_string()),
        ("env:B2_KEY_ID".into(), "env:B2_APP_KEY".into())
    );
}

#[test]
fn no_secret_shows_in_debug_output() {
    let text = "[repositories.main]\nstore = \"local:/srv\"\npassword = \"command:printf hunter2\"";
    assert!(!format!("{:?}", parse(text).unwrap()).contains("hunter2"));
}

#[test]
fn the_example_is_valid_and_shows_every_key() {
    let text = include_str!("../../../config.example.toml");
    let reader = Reader::new("config.example.toml", text);
    // Its profiles and repositories use every table, so that every key is asked for.
    assert!(super::parse::read(&reader, Path::new("config.example.toml"), &Accounts::read()).is_some());
    let asked = reader.asked();
    assert_eq!(reader.into_problems(), []);
    assert!(asked.contains("profiles.NAME.max_file_size"), "{asked:?}");
    for key in asked {
        let (_, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let shown = text.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            let is_table = line.starts_with(&format!("[{name}")) || line.ends_with(&format!(".{name}]"));
            line.starts_with(&format!("{name} = ")) || is_table
        });
        assert!(shown, "config.example.toml does not show {key}");
    }
}

#[test]
fn a_prune_has_its_limits_from_the_repository_and_defaults_without() {
    let config = parse(
        "[repositories.a]\nstore = \"local:/a\"\n\
         [repositories.b]\nstore = \"local:/b\"\nmax_waste = 0\nmax_repack_size = \"1 GiB\"",
    );
    let config = config.unwrap();
    let prune = |name: &str| config.repositories[name].prune;
    assert_eq!(prune("a"), PruneConfig { max_waste_percent: 30, max_repack_bytes: None });
    assert_eq!(prune("b"), PruneConfig { max_waste_percent: 0, max_repack_bytes: Some(1 << 30) });
}

#[test]
fn a_server_is_described_once_and_no_password_stands_in_its_location() {
    let with = |store: &str, more: &str| format!("[repositories.main]\nstore = \"{store}\"\n{more}");
    let config = parse(&with(
        "sftp://me@h:2222/srv",
        "[repositories.main.sftp]\nkey = \"/k\"\nknown_hosts = \"/h\"\n[repositories.main.limits]\nupload = \"1M\"\noutage = \"1m\"",
    ));
    let main = config.unwrap().repositories.remove("main").unwrap();
    assert_eq!(main.store.to_string(), "sftp://me@h:2222/srv");
    let StoreLocation::Sftp(server) = main.store else { panic!("{:?}", main.store) };
    assert_eq!(server.login, SftpLoginConfig::Key("/k".into()));
    assert_eq!(main.limits.store.outage, Duration::from_secs(60));
    assert_eq!(main.limits.upload.otherwise, Some(1_000_000));

    let secret = problems(&with("sftp://me:hunter2@h/srv", ""));
    let text = r#"config.toml:2: repositories.main.store: not a store: a password must not stand in the location: set "password" to where it is"#;
    assert_eq!(secret, [text]);
    for (store, more, problem) in [
        (
            "local:/srv",
            "[repositories.main.sftp]\nkey = \"/k\"",
            r#"main.sftp: is for a store that begins with "sftp:""#,
        ),
        (
            "local:/srv",
            "[repositories.main.limits]\ntries = 3",
            "main.limits: is for stores at the other end of a line",
        ),
        (
            "sftp://h/srv",
            "[repositories.main.sftp]\nkey = \"/k\"\npassword = \"env:X\"",
            "main.sftp.password: is a second way",
        ),
        ("sftp://h/srv", "[repositories.main.sftp]\nknown_hosts = \"/h\"\ninsecure = true", "contradict each other"),
        ("sftp://h/srv", "[repositories.main.limits]\nupload = \"fast\"", "main.limits.upload: not a rate"),
        (
            "sftp://h/srv",
            "[repositories.other]\nstore = \"sftp://me@H:22//srv/\"",
            "repositories.other.store: is the store of repositories.main already",
        ),
    ] {
        let found = problems(&with(store, more));
        assert!(found.len() == 1 && found[0].contains(problem), "{found:?}");
    }
}
