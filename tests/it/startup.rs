//! Starting, and refusing to start: one sentence that names the setting, exit code 2, and nothing
//! half-made.

use std::{fs, net::TcpListener, path::Path};

use tempfile::TempDir;

use crate::support::cli::{Flagstaff, Outcome};

const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];

/// Everything in a folder, sorted.
fn contents(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| name(e.unwrap())).collect();
    names.sort();
    names
}

/// Runs a command that must fail in the documented way, and leave its folder as it was.
fn refused(folder: &TempDir, arguments: &[&str], settings: &[(&str, &str)], named: &str) {
    let before = contents(folder.path());
    let command = Flagstaff::new(arguments).within(folder.path());
    let outcome = settings.iter().fold(command, |c, (name, value)| c.env(name, value)).outcome();
    let asked = format!("{arguments:?} {settings:?}: {outcome:?}");
    assert_eq!(outcome.code, Some(2), "{asked}");
    assert_eq!(outcome.stdout, "", "{asked}");
    assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{asked}");
    assert!(outcome.stderr.contains(named), "{named} is not named by {asked}");
    assert_eq!(contents(folder.path()), before, "{asked}");
}

fn serve<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["serve"], arguments].concat()
}

/// `serve` on free ports, with more arguments.
fn serve_with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["serve"], &FREE_PORTS[..], arguments].concat()
}

#[test]
fn a_bad_argument_or_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let arguments: [(&[&str], &str); 13] = [
        (&["--listen", "nonsense"], "--listen"),
        (&["--ops-listen", "127.0.0.1:99999"], "--ops-listen"),
        (&["--shutdown-grace", "soon"], "--shutdown-grace"),
        (&["--rate-limits", "maybe"], "--rate-limits"),
        (&["--trusted-proxies", "10.0.0.0/99"], "--trusted-proxies"),
        (&["--encryption-keys", "short"], "--encryption-keys"),
        (&["--public-url", "flags.example.com"], "--public-url"),
        (&["--max-body-bytes", "many"], "--max-body-bytes"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--log", "flagstaff=loud"], "--log"),
        (&["--otlp-endpoint", "not a url"], "--otlp-endpoint"),
        (&["--tls-cert", "cert.pem"], "--tls-key"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (wrong, named) in arguments {
        refused(&folder, &serve(wrong), &[], named);
    }
    let variables = [
        ("FLAGSTAFF_RATE_LIMITS", "maybe", "--rate-limits"),
        ("FLAGSTAFF_SHUTDOWN_GRACE", "soon", "--shutdown-grace"),
        ("FLAGSTAFF_LOG_FORMAT", "xml", "--log-format"),
        ("FLAGSTAFF_DATABASE_URL", "mysql://db/x", "FLAGSTAFF_DATABASE_URL"),
        (
            "FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN",
            "phx_wrong_kind",
            "FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN",
        ),
        ("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", "phx_", "FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY"),
        (
            "FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY",
            "phx_12345678901234567890123",
            "FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY: must have at least 24 characters",
        ),
        (
            "FLAGSTAFF_BOOTSTRAP_PROJECT_SECRET",
            "phs_12345678",
            "FLAGSTAFF_BOOTSTRAP_PROJECT_SECRET: must have at least 24 characters",
        ),
    ];
    for (name, value, named) in variables {
        refused(&folder, &serve_with(&[]), &[(name, value)], named);
    }
    refused(&folder, &["serve"], &[("FLAGSTAFF_LISTEN", "nonsense")], "--listen");
    refused(&folder, &["sevre"], &[], "sevre");
    refused(&folder, &["keys", "create", "--project", "1"], &[], "--scopes");
    refused(&folder, &["keys", "create", "--scopes", "*"], &[], "--project");
}

#[test]
fn a_secret_is_not_repeated_in_the_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", "phc_very_secret_value"),
        ("FLAGSTAFF_ENCRYPTION_KEYS", "very_secret_value"),
        ("FLAGSTAFF_DATABASE_URL", "mysql://ann:very_secret_value@db/x"),
    ];
    for (name, value) in settings {
        let command = Flagstaff::new(&serve_with(&[])).within(folder.path()).env(name, value);
        let outcome = command.outcome();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(!outcome.stderr.contains("very_secret_value"), "{outcome:?}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (listen, ops, named) in [(&address[..], free, "--listen"), (free, &address, "--ops-listen")]
    {
        let arguments = serve(&["--listen", listen, "--ops-listen", ops]);
        refused(&folder, &arguments, &[], named);
        refused(&folder, &arguments, &[], &address);
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("garbage.db"), "this is no database, and was never one").unwrap();
    let urls = [
        "postgres://flagstaff:hidden@127.0.0.1:1/x",
        "mysql://127.0.0.1/x",
        "nonsense",
        "",
        "sqlite://no/such/folder/flagstaff.db?mode=rwc",
        "sqlite://garbage.db?mode=rwc",
        "sqlite://absent.db",
        "sqlite://absent.db?mode=nonsense",
    ];
    for url in urls {
        refused(&folder, &serve_with(&["--database-url", url]), &[], "--database-url");
    }
}

#[test]
fn an_unusable_key_file_is_named() {
    for make in [
        |file: &Path| fs::write(file, "no key").unwrap(),
        |file: &Path| fs::write(file, [0xff, 0xfe]).unwrap(),
        |file: &Path| fs::create_dir(file).unwrap(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join("flagstaff.db.key"));
        refused(&folder, &serve_with(&[]), &[], "--encryption-keys");
        refused(&folder, &serve_with(&[]), &[], "flagstaff.db.key");
    }
}

#[test]
fn a_missing_or_broken_tls_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.pem"), "").unwrap();
    let files = |cert, key| serve_with(&["--tls-cert", cert, "--tls-key", key]);
    refused(&folder, &files("absent.pem", "empty.pem"), &[], "--tls-cert");
    refused(&folder, &files("empty.pem", "absent.pem"), &[], "--tls-");
    refused(&folder, &files("empty.pem", "empty.pem"), &[], "empty.pem");
}

#[test]
fn commands_open_a_database_and_never_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 8] = [
        &["keys", "list"],
        &["keys", "create", "--project", "1", "--scopes", "*"],
        &["keys", "revoke", "1"],
        &["projects", "list"],
        &["projects", "create", "--name", "x"],
        &["migrate", "status"],
        &["migrate", "down"],
        &["eval", "--project", "1", "--flag", "x", "--distinct-id", "y"],
    ];
    for command in commands {
        refused(&folder, command, &[], "flagstaff migrate up");
        refused(&folder, command, &[], "--database-url");
    }
    assert_eq!(contents(folder.path()), [""; 0]);
}

/// The credentials that a first start prints, one `name: value` a line.
fn printed(stdout: &str, name: &str) -> String {
    let lines: Vec<_> =
        stdout.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
    assert_eq!(lines.len(), 1, "{name} is printed once: {stdout}");
    lines[0].to_owned()
}

#[test]
fn the_first_start_prints_each_credential_once_and_the_second_none() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Flagstaff::new(&FREE_PORTS).within(folder.path()).start().terminate();
    let (status, stdout, stderr) = start();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let shapes =
        [("project token", "phc_"), ("project secret", "phs_"), ("personal api key", "phx_")];
    for (name, prefix) in shapes {
        let secret = printed(&stdout, name);
        assert!(secret.starts_with(prefix) && secret.len() == 44, "{name}: {secret}");
        assert!(!stderr.contains(&secret), "not in the log: {stderr}");
    }
    assert_eq!(printed(&stdout, "project id"), "1");
    assert_eq!(contents(folder.path()), ["flagstaff.db", "flagstaff.db.key"]);

    let (status, stdout, _) = start();
    assert_eq!((status.code(), stdout.as_str()), (Some(0), ""));
}

#[test]
fn chosen_secrets_count_on_the_first_start_alone() {
    let folder = tempfile::tempdir().unwrap();
    let start = |n: &str| {
        let (_, stdout, _) = Flagstaff::new(&FREE_PORTS)
            .within(folder.path())
            .env("FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN", &format!("phc_chosen_token_{n}"))
            .env(
                "FLAGSTAFF_BOOTSTRAP_PROJECT_SECRET",
                &format!("phs_chosen_secret_of_at_least_24_{n}"),
            )
            .env(
                "FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY",
                &format!("phx_chosen_key_of_at_least_24_{n}"),
            )
            .start()
            .terminate();
        stdout
    };
    let stdout = start("1");
    let names = ["project token", "project secret", "personal api key"];
    for (name, variable) in
        names.into_iter().zip(["PROJECT_TOKEN", "PROJECT_SECRET", "PERSONAL_API_KEY"])
    {
        assert_eq!(printed(&stdout, name), format!("(from FLAGSTAFF_BOOTSTRAP_{variable})"));
    }
    assert!(!stdout.contains("chosen"), "{stdout}");
    assert_eq!(printed(&stdout, "project id"), "1");
    assert_eq!(start("2"), "");
    let projects = Flagstaff::new(&["projects", "list"]).within(folder.path()).run();
    assert!(projects.stdout.contains("phc_chosen_token_1"), "{projects:?}");
}

#[test]
fn a_short_secret_that_was_chosen_before_does_not_stop_a_later_start() {
    let folder = tempfile::tempdir().unwrap();
    let command = || Flagstaff::new(&FREE_PORTS).within(folder.path());
    command().start().terminate();
    let (status, stdout, stderr) =
        command().env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", "phx_12345678").start().terminate();
    assert_eq!((status.code(), stdout.as_str()), (Some(0), ""), "{stderr}");

    // A file without a project is still before its first start.
    let folder = tempfile::tempdir().unwrap();
    Flagstaff::new(&["migrate", "up"]).within(folder.path()).run();
    let outcome = Flagstaff::new(&FREE_PORTS)
        .within(folder.path())
        .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", "phx_12345678")
        .outcome();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY"), "{outcome:?}");
    assert!(!outcome.stderr.contains("12345678"), "{outcome:?}");
}

#[test]
fn only_what_was_made_is_printed_where_some_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stdout, _) = Flagstaff::new(&FREE_PORTS)
        .within(folder.path())
        .env("FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN", "phc_chosen_token")
        .start()
        .terminate();
    let token = printed(&stdout, "project token");
    assert_eq!(token, "(from FLAGSTAFF_BOOTSTRAP_PROJECT_TOKEN)");
    assert!(printed(&stdout, "project secret").starts_with("phs_"));
    assert!(printed(&stdout, "personal api key").starts_with("phx_"));
}

#[test]
fn a_healthcheck_tells_a_running_service_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let running = Flagstaff::new(&FREE_PORTS).within(folder.path()).start();
    let ops = running.address("ops.address");
    let check = || -> Outcome { Flagstaff::new(&["healthcheck", "--ops-listen", &ops]).outcome() };
    assert_eq!((check().code, check().stdout.as_str()), (Some(0), ""));
    let (status, _, stderr) = running.terminate();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let outcome = check();
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("--ops-listen"), "{outcome:?}");
}
