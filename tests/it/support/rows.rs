//! Rows that no operation writes yet, and columns that none shows.

use http::Method;
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, Statement, TransactionTrait};
use serde_json::{Value, json};

use super::{Service, postgres};

/// Whether there are such rows, as in `person WHERE project_id = 1`.
pub(crate) async fn is_there(service: &Service, rows: &str) -> bool {
    service.count(rows).await > 0
}

impl Service {
    /// Runs statements on the service's own database.
    pub(crate) async fn execute(&self, statements: &str) {
        let connection = Database::connect(&self.database_url).await.unwrap();
        connection.execute_unprepared(statements).await.unwrap();
        connection.close().await.unwrap();
    }

    /// From the next connection on, announcements go into the table `suppressed` and to nobody.
    pub(crate) async fn suppress_announcements(&self) {
        self.execute(
            "CREATE TABLE suppressed (payload text);
             CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS
                 'INSERT INTO public.suppressed VALUES ($2)';
             DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog',
                     current_database());
             END $$",
        )
        .await;
    }

    /// Takes a lock that lasts until the transaction ends, as in `TABLE person IN EXCLUSIVE MODE`.
    pub(crate) async fn locked(&self, what: &str) -> DatabaseTransaction {
        let connection = Database::connect(&self.database_url).await.unwrap();
        let txn = connection.begin().await.unwrap();
        txn.execute_unprepared(&format!("LOCK {what}")).await.unwrap();
        txn
    }

    /// Reads, and holds on to what it read until the transaction ends.
    pub(crate) async fn locked_read(&self, query: &str) -> DatabaseTransaction {
        let connection = Database::connect(&self.database_url).await.unwrap();
        let txn = connection.begin().await.unwrap();
        let statement = Statement::from_string(txn.get_database_backend(), query);
        txn.query_one_raw(statement).await.unwrap().unwrap();
        txn
    }

    /// A transaction that has run statements and is still open.
    pub(crate) async fn begun(&self, statements: &str) -> DatabaseTransaction {
        let connection = Database::connect(&self.database_url).await.unwrap();
        let txn = connection.begin().await.unwrap();
        txn.execute_unprepared(statements).await.unwrap();
        txn
    }

    /// The first column of the first row, as text.
    pub(crate) async fn stored(&self, query: &str) -> Option<String> {
        let connection = Database::connect(&self.database_url).await.unwrap();
        let statement = Statement::from_string(connection.get_database_backend(), query);
        let row = connection.query_one_raw(statement).await.unwrap();
        connection.close().await.unwrap();
        row.map(|row| row.try_get_by_index(0).unwrap())
    }

    /// Something of another product that refers to a flag: `experiment`, `early_access`,
    /// `survey` or `replay`. `state` is `draft`, `running`, `stopped` or `deleted`.
    pub(crate) async fn link(&self, flag: i64, kind: &str, number: i64, state: &str) {
        let instant = "'2026-01-01T00:00:00+00:00'";
        let started = if state == "draft" { "NULL" } else { instant };
        let ended = if state == "stopped" { instant } else { "NULL" };
        let deleted = state == "deleted";
        self.execute(&format!(
            "INSERT INTO flag_link \
             (project_id, flag_id, kind, ref_id, name, started_at, ended_at, deleted) VALUES \
             (1, {flag}, '{kind}', {number}, 'Link {number}', {started}, {ended}, {deleted})"
        ))
        .await;
    }

    /// A person of project 1, known by these ids.
    pub(crate) async fn stored_person(&self, id: i64, distinct_ids: &[&str], properties: &Value) {
        let uuid = match self.is_on_postgres() {
            true => format!("'00000000-0000-4000-8000-{id:012}'"),
            false => format!("X'0000000000004000800000{id:010}'"),
        };
        let properties = properties.to_string().replace('\'', "''");
        let mut statements = format!(
            "INSERT INTO person (id, project_id, uuid, properties, created_at, updated_at) VALUES \
             ({id}, 1, {uuid}, '{properties}', '2026-01-02T03:04:05+00:00', \
             '2026-01-02T03:04:05+00:00');"
        );
        for distinct_id in distinct_ids {
            statements += &format!(
                "INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
                 VALUES (1, {id}, '{distinct_id}');"
            );
        }
        self.execute(&statements).await;
    }

    /// A type of groups of project 1; seen with the next change of the project.
    pub(crate) async fn group_type(&self, index: i32, name: &str) {
        self.execute(&format!(
            "INSERT INTO group_type (project_id, group_type_index, name) VALUES (1, {index}, '{name}')"
        ))
        .await;
    }

    /// A group of project 1.
    pub(crate) async fn stored_group(&self, group_type_index: i32, key: &str, properties: &Value) {
        self.execute(&format!(
            "INSERT INTO \"group\" \
             (project_id, group_type_index, group_key, properties, created_at, updated_at) VALUES \
             (1, {group_type_index}, '{key}', '{properties}', '2026-01-01T00:00:00+00:00', \
             '2026-01-01T00:00:00+00:00')"
        ))
        .await;
    }

    /// Lists a person in a static cohort of project 1.
    pub(crate) async fn member(&self, cohort: i64, person: i64) {
        self.execute(&format!(
            "INSERT INTO cohort_member (cohort_id, person_id, project_id) \
             VALUES ({cohort}, {person}, 1)"
        ))
        .await;
    }

    /// Makes the service read rows that no operation wrote: the project itself changes.
    pub(crate) async fn reload(&self) {
        let (status, _) =
            self.rest(Method::PATCH, "/api/projects/1/", json!({"name": "Reloaded"})).await;
        assert_eq!(status, 200);
    }

    pub(crate) fn is_on_postgres(&self) -> bool {
        self.database_url.starts_with("postgres")
    }

    /// A cohort of a project.
    pub(crate) async fn cohort(&self, project: i64, id: i64, is_static: bool, filters: &str) {
        self.execute(&format!(
            "INSERT INTO cohort \
             (id, project_id, name, description, is_static, filters, deleted, created_at) VALUES \
             ({id}, {project}, 'Cohort {id}', '', {is_static}, '{filters}', false, \
             '2026-01-01T00:00:00+00:00')"
        ))
        .await;
    }

    /// Flags `seed-1`, `seed-2`, … of project 1, faster than its API makes them, and their ids.
    pub(crate) async fn seed_flags(&self, count: i64) -> Vec<i64> {
        let before =
            self.stored("SELECT CAST(coalesce(max(id), 0) AS text) FROM feature_flag").await;
        let first: i64 = before.unwrap().parse::<i64>().unwrap() + 1;
        self.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             INSERT INTO feature_flag (project_id, key, name, filters, deleted, active, version, \
             created_at, has_variants, fully_rolled_out, search_text) \
             SELECT 1, 'seed-' || i, '', '{{\"groups\":[]}}', false, true, 1, \
             '2026-01-01T00:00:00+00:00', false, false, 'seed-' || i FROM n ORDER BY i"
        ))
        .await;
        self.execute(&format!("UPDATE project SET flag_count = flag_count + {count} WHERE id = 1"))
            .await;
        (first..first + count).collect()
    }

    /// An active flag as stored, whatever the write API would say to it.
    pub(crate) async fn stored_flag(&self, project: i64, key: &str, filters: &Value) {
        let filters = filters.to_string().replace('\'', "''");
        self.execute(&format!(
            "INSERT INTO feature_flag \
             (project_id, key, name, filters, deleted, active, archived, version, created_at, \
             internal, activity_count, has_variants, fully_rolled_out, search_text) VALUES \
             ({project}, '{key}', '', '{filters}', false, true, false, 1, \
             '2026-01-01T00:00:00+00:00', false, 0, false, false, '{key}')"
        ))
        .await;
    }

    /// Takes the database away from the service, as when its server is lost. PostgreSQL alone.
    pub(crate) async fn lose_database(&self) {
        let connection = Database::connect(postgres::server().unwrap()).await.unwrap();
        let name = self.database_url.rsplit('/').next().unwrap().split('?').next().unwrap();
        let statements = [
            format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        ];
        for statement in statements {
            connection.execute_unprepared(&statement).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// A person of a project, known by one id.
    pub(crate) async fn person(&self, project: i64, uuid: &str, id: &str, properties: &str) {
        let now = "'2026-01-01T00:00:00+00:00'";
        let uuid = match self.database_url.starts_with("postgres") {
            true => format!("'{uuid}'"),
            false => format!("x'{}'", uuid.replace('-', "")),
        };
        let parsed = serde_json::from_str(properties).unwrap();
        let search_text = flagstaff::model::person::search_text(&parsed);
        self.execute(&format!(
            "INSERT INTO person \
             (project_id, uuid, properties, search_text, created_at, updated_at) \
             VALUES ({project}, {uuid}, '{properties}', '{search_text}', {now}, {now})"
        ))
        .await;
        self.execute(&format!(
            "INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
             SELECT project_id, id, '{id}' FROM person WHERE project_id = {project} AND uuid = {uuid}"
        ))
        .await;
    }

    /// A group of a project.
    pub(crate) async fn group(&self, project: i64, index: i64, key: &str, properties: &str) {
        let now = "'2026-01-01T00:00:00+00:00'";
        self.execute(&format!(
            "INSERT INTO \"group\" \
             (project_id, group_type_index, group_key, properties, created_at, updated_at) \
             VALUES ({project}, {index}, '{key}', '{properties}', {now}, {now})"
        ))
        .await;
    }
}
