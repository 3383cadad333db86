//! No statement of ingestion reads more of a table than what it asks for, whatever the planner
//! knows of the table's size.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{groups, merges, people, seen, sweep, usage};
use crate::store::{Access, Store};

/// The statements that look rows up, by what they are for.
fn statements(backend: DbBackend) -> Vec<(&'static str, String)> {
    vec![
        ("who has an id", people::lookup(backend).to_owned()),
        ("which persons have too much", people::unmergeable(backend)),
        ("whom to name", people::ids(backend)),
        ("what persons are now", people::update(backend)),
        ("which groups", groups::lookup(backend).to_owned()),
        ("which events are known", seen::lookup(backend).to_owned()),
        ("usage", usage::add_counts(backend)),
        ("users", usage::users_lookup(backend)),
        ("ids that move", merges::rows_along(backend, "person_distinct_id")),
        ("changes that move", merges::rows_along(backend, "person_change")),
        ("hash keys that move", merges::overrides(backend)),
        ("memberships that move", merges::of_absorbed(backend, "cohort_member")),
        ("events to forget", sweep::delete(backend)),
    ]
}

#[tokio::test]
async fn every_look_up_on_sqlite_goes_through_an_index() {
    let store = Store::connect("sqlite::memory:", Access::Create).await.unwrap();
    store.migrate_up().await.unwrap();
    for (name, sql) in statements(DbBackend::Sqlite) {
        let sql = match sql.contains("SELECT") || sql.contains("UPDATE") {
            true if sql.starts_with("(SELECT") => format!("SELECT x.t FROM {sql}"),
            _ => sql,
        };
        let values: Vec<sea_orm::Value> = vec!["[]".into(), 1.into(), 1.into()];
        let used = (1..=3).filter(|n| sql.contains(&format!("${n}"))).count();
        let explain = Statement::from_sql_and_values(
            DbBackend::Sqlite,
            format!("EXPLAIN QUERY PLAN {sql}"),
            values.into_iter().take(used),
        );
        let rows = store.reader().query_all_raw(explain).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get_by("detail").unwrap()).collect();
        for step in &steps {
            // Sets that a statement brings, and what is counted of a subquery.
            let is_own = ["SCAN json_each ", "SCAN x ", "SCAN l ", "SCAN part", "SCAN CONSTANT"];
            let is_own = is_own.iter().any(|own| step.starts_with(own));
            assert!(!step.starts_with("SCAN") || is_own, "{name}: {steps:?}");
            assert!(!step.ends_with("(project_id=?)"), "{name}: {steps:?}");
        }
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH")) || sql.starts_with("INSERT"),
            "{name}: {steps:?}"
        );
    }
}
