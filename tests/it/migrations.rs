//! The schema goes up, down to nothing, and up again, by the command line, on both databases.

use flagstaff::store::{Access, Store};

use crate::support::{Service, cli::Flagstaff, migrated_postgres, sqlite_url};

both_databases! {
    data_is_taken_away_only_where_somebody_said_so,
}

/// What `flagstaff migrate …` says, line by line.
fn migrate(url: &str, words: &str) -> Vec<String> {
    let words: Vec<_> = words.split(' ').collect();
    let said =
        Flagstaff::new(&[&["migrate"], &words[..], &["--database-url", url]].concat()).run().stdout;
    said.lines().map(str::to_owned).collect()
}

fn all(lines: &[String], state: &str) -> bool {
    !lines.is_empty() && lines.iter().all(|line| line.starts_with(state))
}

async fn goes_up_down_and_up_again(url: &str) {
    let up = migrate(url, "up");
    assert!(all(&up, "applied"), "{up:?}");
    assert_eq!(migrate(url, "status"), up);
    assert_eq!(migrate(url, "up"), up, "again changes nothing");
    let step = migrate(url, "down");
    let (last, rest) = step.split_last().unwrap();
    assert!(last.starts_with("pending") && all(rest, "applied"), "one step: {step:?}");
    let steps = migrate(url, "down --steps 2");
    assert_eq!(steps.iter().filter(|line| line.starts_with("pending")).count(), 3, "{steps:?}");
    let down = migrate(url, "down --all");
    assert!(all(&down, "pending"), "{down:?}");
    assert_eq!(migrate(url, "down"), down, "there is nothing left");
    assert_eq!(migrate(url, "status"), down);
    assert_eq!((down.len(), migrate(url, "up")), (up.len(), up.clone()));

    let store = Store::connect(url, Access::Existing).await.unwrap();
    store.require_schema().await.unwrap();
    store.close().await;
}

/// Commands that use a database whose schema is not there say what to do.
fn commands_name_the_migration(url: &str) {
    for command in [&["keys", "list"][..], &["projects", "list"], &["serve", "--no-migrate"]] {
        let ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let ports = if command[0] == "serve" { &ports[..] } else { &[] };
        let arguments = [command, ports, &["--database-url", url]].concat();
        let outcome = Flagstaff::new(&arguments).outcome();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains("flagstaff migrate up"), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_goes_up_down_and_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder, "schema.db");
    goes_up_down_and_up_again(&url).await;
    migrate(&url, "down --all");
    commands_name_the_migration(&url);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_goes_up_down_and_up_again() {
    let Some(database) = migrated_postgres().await else { return };
    goes_up_down_and_up_again(&database.url).await;
    migrate(&database.url, "down --all");
    commands_name_the_migration(&database.url);
}

/// The service goes on meanwhile: nothing is changed but by the last command.
async fn data_is_taken_away_only_where_somebody_said_so(service: &Service) {
    let before = service.flagstaff(&["migrate", "status"]).run().stdout;
    for words in [&["down"][..], &["down", "--steps", "3"], &["down", "--all"]] {
        let outcome = service.flagstaff(&[&["migrate"], words].concat()).outcome();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains("--yes") && outcome.stderr.contains("1 project"));
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
    for wrong in [&["--steps", "0"][..], &["--steps", "x"], &["--steps", "1", "--all"]] {
        let outcome = service.flagstaff(&[&["migrate", "down"], wrong].concat()).outcome();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
    }
    assert_eq!(service.flagstaff(&["migrate", "status"]).run().stdout, before);
    let after = service.flagstaff(&["migrate", "down", "--yes"]).run().stdout;
    let pending: Vec<_> = after.lines().filter(|line| line.starts_with("pending")).collect();
    assert_eq!(pending, after.lines().last().into_iter().collect::<Vec<_>>(), "one step");
    service.flagstaff(&["migrate", "up"]).run();
}
