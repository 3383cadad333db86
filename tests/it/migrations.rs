//! The schema goes up, down to nothing, and up again, by the command line, on both databases.

use flagstaff::store::{Access, Store};

use crate::support::{cli::Flagstaff, migrated_postgres, sqlite_url};

/// What `flagstaff migrate …` says, line by line.
fn migrate(url: &str, direction: &str) -> Vec<String> {
    let said = Flagstaff::new(&["migrate", direction, "--database-url", url]).run().stdout;
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
    let down = migrate(url, "down");
    assert!(all(&down, "pending"), "{down:?}");
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
    migrate(&url, "down");
    commands_name_the_migration(&url);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_goes_up_down_and_up_again() {
    let Some(database) = migrated_postgres().await else { return };
    goes_up_down_and_up_again(&database.url).await;
    migrate(&database.url, "down");
    commands_name_the_migration(&database.url);
}
