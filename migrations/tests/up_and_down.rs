//! The schema goes up, comes down to nothing, and goes up again.
//!
//! SQLite always takes part, in memory. PostgreSQL does when
//! `TEST_DATABASE_URL` is set, in a schema of its own that is dropped after.

use std::process;

use migrations::Migrator;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, Statement};

/// Every table of the newest schema, sorted.
const TABLES: [&str; 29] = [
    "activity_log",
    "api_key",
    "api_key_project",
    "change_log",
    "cohort",
    "cohort_member",
    "dashboard",
    "evaluation_context",
    "feature_flag",
    "feature_flag_dashboard",
    "feature_flag_evaluation_context",
    "feature_flag_tag",
    "flag_cohort",
    "flag_dependency",
    "flag_link",
    "group",
    "group_type",
    "hash_key_override",
    "ingested_event",
    "organization",
    "person",
    "person_change",
    "person_distinct_id",
    "project",
    "tag",
    "tile",
    "usage_hour",
    "usage_unique",
    "user",
];

#[tokio::test]
async fn sqlite_goes_up_down_and_up_again() -> Result<(), DbErr> {
    up_down_up(&sqlite().await?).await
}

#[tokio::test]
async fn postgres_goes_up_down_and_up_again() -> Result<(), DbErr> {
    let Some(server) = Postgres::connect("up_down_up").await? else { return Ok(()) };
    let outcome = up_down_up(&server.own).await;
    server.drop_own().await?;
    outcome
}

#[tokio::test]
async fn sqlite_keeps_the_promises_of_the_schema() -> Result<(), DbErr> {
    promises(&sqlite().await?).await
}

#[tokio::test]
async fn postgres_keeps_the_promises_of_the_schema() -> Result<(), DbErr> {
    let Some(server) = Postgres::connect("promises").await? else { return Ok(()) };
    let outcome = promises(&server.own).await;
    server.drop_own().await?;
    outcome
}

async fn up_down_up(db: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(db, None).await?;
    assert_eq!(tables(db).await?, TABLES, "after the first up");
    Migrator::down(db, None).await?;
    assert_eq!(tables(db).await?, [""; 0], "after the way down");
    Migrator::up(db, None).await?;
    assert_eq!(tables(db).await?, TABLES, "after the second up");
    for step in 1..=Migrator::migrations().len() {
        Migrator::down(db, Some(1)).await?;
        Migrator::up(db, Some(1)).await?;
        Migrator::down(db, Some(1)).await?;
        let left = Migrator::get_applied_migrations(db).await?.len();
        assert_eq!(left, Migrator::migrations().len() - step, "one change at a time");
    }
    Ok(())
}

/// Ids are not reused, defaults are alike, and foreign keys do what they say.
async fn promises(db: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(db, None).await?;
    run(db, "INSERT INTO organization (name, created_at) VALUES ('one', '2026-01-01T00:00:00Z')")
        .await?;
    run(
        db,
        r#"INSERT INTO project (organization_id, name, api_token, created_at)
           VALUES (1, 'web', 'phc_1', '2026-01-01T00:00:00Z')"#,
    )
    .await?;
    run(
        db,
        r#"INSERT INTO "user" (uuid, organization_id, email, first_name, last_name, distinct_id, created_at)
           VALUES ('00000000-0000-0000-0000-000000000001', 1, 'a@example.com', 'Ann', '', 'ann', '2026-01-01T00:00:00Z')"#,
    )
    .await?;
    let defaults = r#"timezone = 'UTC' AND property_matching_version = 1 AND feature_flag_limit = 2000
        AND NOT require_evaluation_contexts AND revision = 0 AND flag_count = 0 AND activity_count = 0"#;
    assert_eq!(count(db, "project", defaults).await?, 1, "a project has its defaults");

    let insert_flag = r#"INSERT INTO feature_flag
        (project_id, key, name, filters, deleted, active, created_by_id, created_at, has_variants, fully_rolled_out, search_text)
        VALUES (1, 'beta', '', '{}', FALSE, TRUE, 1, '2026-01-01T00:00:00Z', FALSE, FALSE, '')"#;
    run(db, insert_flag).await?;
    let twice = run(db, insert_flag).await.expect_err("a project has one flag of a key");
    assert!(matches!(twice.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_))));
    run(db, "DELETE FROM feature_flag").await?;
    run(db, insert_flag).await?;
    assert_eq!(count(db, "feature_flag", "id = 1").await?, 0, "an id is never used twice");

    let defaults = "NOT archived AND NOT internal AND activity_count = 0 AND version IS NULL";
    assert_eq!(count(db, "feature_flag", defaults).await?, 1, "a flag has its defaults");
    run(db, r#"DELETE FROM "user""#).await?;
    assert_eq!(count(db, "feature_flag", "created_by_id IS NULL").await?, 1, "outlives its maker");
    run(db, "DELETE FROM organization").await?;
    assert_eq!(count(db, "feature_flag", "TRUE").await?, 0, "goes with its organization");

    Migrator::down(db, None).await
}

async fn run(db: &DatabaseConnection, sql: &str) -> Result<(), DbErr> {
    db.execute_unprepared(sql).await.map(|_| ())
}

async fn count(db: &DatabaseConnection, table: &str, condition: &str) -> Result<i64, DbErr> {
    let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.expect("COUNT always answers").try_get("", "n")
}

/// The tables there are, sorted, without those that keep the books.
async fn tables(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        sea_orm::DbBackend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        _ => "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()",
    };
    let mut names = Vec::new();
    for row in db.query_all_raw(Statement::from_string(backend, sql)).await? {
        let name: String = row.try_get("", "name")?;
        if name != "seaql_migrations" && !name.starts_with("sqlite_") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A database of its own; one connection, since each would see its own memory.
async fn sqlite() -> Result<DatabaseConnection, DbErr> {
    Database::connect(ConnectOptions::new("sqlite::memory:").max_connections(1).to_owned()).await
}

#[expect(clippy::disallowed_methods, reason = "a test has no `config` to read it from")]
fn server_url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok().filter(|url| url.starts_with("postgres"))
}

/// A connection whose tables live in a schema made for one test.
struct Postgres {
    admin: DatabaseConnection,
    own: DatabaseConnection,
    schema: String,
}

impl Postgres {
    /// Makes the schema, or gives `None` if no server was named.
    async fn connect(test: &str) -> Result<Option<Self>, DbErr> {
        let Some(url) = server_url() else { return Ok(None) };
        let schema = format!("migrations_{test}_{}", process::id());
        let admin = Database::connect(&url).await?;
        run(&admin, &format!("CREATE SCHEMA {schema}")).await?;
        let options = ConnectOptions::new(url).set_schema_search_path(&schema).to_owned();
        let own = Database::connect(options).await?;
        Ok(Some(Self { admin, own, schema }))
    }

    async fn drop_own(self) -> Result<(), DbErr> {
        self.own.close().await?;
        run(&self.admin, &format!("DROP SCHEMA {} CASCADE", self.schema)).await?;
        self.admin.close().await
    }
}

#[tokio::test]
async fn sqlite_redacts_old_activity() -> Result<(), DbErr> {
    redacts_old_activity(&sqlite().await?).await
}

#[tokio::test]
async fn postgres_redacts_old_activity() -> Result<(), DbErr> {
    let Some(server) = Postgres::connect("redacts").await? else { return Ok(()) };
    let outcome = redacts_old_activity(&server.own).await;
    server.drop_own().await?;
    outcome
}

/// Rows that were written before their flag was encrypted lose its payloads; others keep theirs.
async fn redacts_old_activity(db: &DatabaseConnection) -> Result<(), DbErr> {
    let name = "m20261201_000030_redacted_activity";
    let migrations = Migrator::migrations();
    let before = migrations.iter().position(|migration| migration.name() == name);
    let before: u32 = before.expect("it is listed").try_into().expect("a few");
    Migrator::up(db, Some(before)).await?;
    run(db, "INSERT INTO organization (name, created_at) VALUES ('one', '2026-01-01T00:00:00Z')")
        .await?;
    run(
        db,
        "INSERT INTO project (organization_id, name, api_token, created_at)
         VALUES (1, 'web', 'phc_1', '2026-01-01T00:00:00Z')",
    )
    .await?;
    for (key, encrypted) in [("encrypted", "TRUE"), ("plain", "FALSE"), ("former", "FALSE")] {
        run(
            db,
            &format!(
                "INSERT INTO feature_flag (project_id, key, name, filters, deleted, active, \
                 has_encrypted_payloads, created_at, has_variants, fully_rolled_out, search_text) \
                 VALUES (1, '{key}', '', '{{}}', FALSE, TRUE, {encrypted}, \
                 '2026-01-01T00:00:00Z', FALSE, FALSE, '')"
            ),
        )
        .await?;
    }
    let clear = r#"{"changes":[{"field":"filters","before":{"groups":[1.50],"payloads":{"true":"\"clear\""}},"after":null}]}"#;
    let off = r#"{"changes":[{"field":"has_encrypted_payloads","before":true,"after":false}]}"#;
    let mut number = 0;
    for (flag, day, detail) in [
        (1, 1, clear),
        (2, 1, clear),
        (3, 1, clear),
        (3, 2, off),
        // After that the flag's payload is plain again.
        (3, 3, clear),
        (1, 4, "{damaged \"payloads\""),
    ] {
        number += 1;
        let id = match db.get_database_backend() {
            sea_orm::DbBackend::Sqlite => format!("X'{number:032}'"),
            _ => format!("'00000000-0000-0000-0000-{number:012}'"),
        };
        run(
            db,
            &format!(
                "INSERT INTO activity_log (id, project_id, activity, scope, item_id, detail, \
                 created_at) VALUES ({id}, 1, 'updated', 'FeatureFlag', '{flag}', '{detail}', \
                 '2026-01-0{day}T00:00:00Z')"
            ),
        )
        .await?;
    }
    // More rows than are read at a time.
    for number in 100..200 {
        let id = match db.get_database_backend() {
            sea_orm::DbBackend::Sqlite => format!("X'{number:032}'"),
            _ => format!("'00000000-0000-0000-0000-{number:012}'"),
        };
        run(
            db,
            &format!(
                "INSERT INTO activity_log (id, project_id, activity, scope, item_id, detail, \
                 created_at) VALUES ({id}, 1, 'updated', 'FeatureFlag', '1', '{clear}', \
                 '2026-01-05T00:00:00Z')"
            ),
        )
        .await?;
    }
    Migrator::up(db, Some(1)).await?;
    let left = "detail LIKE '%clear%'";
    assert_eq!(count(db, "activity_log", &format!("{left} AND item_id = '1'")).await?, 0);
    assert_eq!(count(db, "activity_log", &format!("{left} AND item_id = '2'")).await?, 1);
    assert_eq!(count(db, "activity_log", &format!("{left} AND item_id = '3'")).await?, 1);
    let whole = "detail LIKE '%[1.50],\"payloads\":{\"true\":\"\\\"********* (encrypted)\\\"\"}%'";
    let whole = match db.get_database_backend() {
        sea_orm::DbBackend::Sqlite => whole.to_owned(),
        _ => whole.replace("\\\"", "\\\\\""),
    };
    assert_eq!(count(db, "activity_log", &format!("{whole} AND item_id = '1'")).await?, 101);
    assert_eq!(count(db, "activity_log", "detail LIKE '{damaged%'").await?, 1, "left as it is");
    Migrator::down(db, None).await
}
