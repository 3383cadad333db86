//! A database with projects and flags in it, and the service on it.
//!
//! A few flags are made by the API, so that they are stored as users' are;
//! thousands more are copies of their rows, since nobody wants to wait for so
//! many requests.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::Method;
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};
use serde_json::{Value, json};

use bench_support::folder::Folder;
use load_bench::{
    ask::{Ask, Protocol},
    flags::{FLAGS, kinds},
};

use crate::{client::Link, process::Process};

/// The service on its database.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) service: Process,
    pub(crate) folder: Folder,
}

impl Stage {
    /// So many projects with so many flags each: `flag-1`, a rollout to half of those with two
    /// properties; `flag-2`, four variants; `flag-3`, everyone; `flag-4`, three properties; and
    /// so on in turns.
    pub(crate) async fn new(projects: usize, flags: usize) -> Self {
        Self::with(&kinds(), projects, flags).await
    }

    /// The same with flags of these filters.
    pub(crate) async fn with(filters: &[Value], projects: usize, flags: usize) -> Self {
        let folder = Folder::new();
        let stage = Self { service: Process::service(&file(&folder), &[]), folder };
        for (at, filters) in (1..).zip(filters.iter().take(flags)) {
            stage.post(FLAGS, &json!({"key": format!("flag-{at}"), "filters": filters})).await;
        }
        let Self { service, folder } = stage;
        drop(service);
        copy(&file(&folder), filters.len().min(flags), projects, flags).await;
        Self { service: Process::service(&file(&folder), &[]), folder }
    }

    /// Sends JSON as the admin.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Bytes {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Bytes {
        let ask = Arc::new(Ask::admin(method, path, body));
        Link::open(Protocol::Rest, self.service.address).await.call(ask.request(0)).await
    }

    /// Another service on the same file, which hears of changes by polling.
    pub(crate) fn follower(&self) -> Process {
        Process::service(&file(&self.folder), &["--no-migrate"])
    }

    /// A file beside the database.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn file(folder: &Folder) -> PathBuf {
    folder.path().join("flagstaff.db")
}

/// Copies the first flags of project 1 until it has `flags`, then the project with them until
/// there are `projects`.
async fn copy(file: &std::path::Path, made: usize, projects: usize, flags: usize) {
    let database = Database::connect(format!("sqlite://{}", file.display())).await.expect("a file");
    let run = async |statement: String| {
        database.execute_unprepared(&statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"))
    };
    let columns = columns(&database, "feature_flag").await;
    let copied = |project: &str, key: &str, version: &str| {
        let value = |name: &String| match name.as_str() {
            "project_id" => project.to_owned(),
            "key" => key.to_owned(),
            "version" => version.to_owned(),
            name => format!("t.{name}"),
        };
        columns.iter().map(value).collect::<Vec<_>>().join(", ")
    };
    let names = columns.join(", ");
    run(format!(
        "WITH RECURSIVE n(i) AS (SELECT {made} + 1 UNION ALL SELECT i + 1 FROM n WHERE i < {flags}) \
         INSERT INTO feature_flag ({names}) SELECT {} FROM n JOIN feature_flag t \
         ON t.id = 1 + (i - 1) % {made} WHERE i <= {flags}",
        copied("1", "'flag-' || i", "1"),
    ))
    .await;
    let project = self::columns(&database, "project").await;
    let value = |name: &String| match name.as_str() {
        "api_token" => "'phc_project_number_' || i".to_owned(),
        name => format!("p.{name}"),
    };
    run(format!("UPDATE project SET feature_flag_limit = 1000000, flag_count = {flags}")).await;
    run(format!(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {projects}) \
         INSERT INTO project ({}) SELECT {} FROM n JOIN project p ON p.id = 1 WHERE i <= {projects}",
        project.join(", "),
        project.iter().map(value).collect::<Vec<_>>().join(", "),
    ))
    .await;
    run(format!(
        "INSERT INTO feature_flag ({names}) SELECT {} FROM project p JOIN feature_flag t \
         ON t.project_id = 1 WHERE p.id > 1",
        copied("p.id", "t.key", "t.version"),
    ))
    .await;
    database.close().await.expect("closed");
}

/// All columns of a table but its number.
async fn columns(database: &DatabaseConnection, table: &str) -> Vec<String> {
    let query = format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'");
    let query = Statement::from_string(DatabaseBackend::Sqlite, query);
    let rows = database.query_all_raw(query).await.expect("columns");
    rows.iter().map(|row| row.try_get("", "name").expect("a name")).collect()
}
