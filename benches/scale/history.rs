//! Fills a project's activity log, and gives one flag a long history.

use sea_orm::{ConnectionTrait, Database};

use super::whole::{EDITED, EDITS};

/// Rows about all flags alike.
const ACTIVITY: &str = r#"
INSERT INTO activity_log (
    id, project_id, user_id, activity, scope, item_id, version, detail, is_system, created_at)
SELECT gen_random_uuid(), 1, 1, 'updated', 'FeatureFlag', (1 + i % {flags})::text, NULL,
    '{"changes":[{"type":"FeatureFlag","action":"changed","field":"active","before":false,"after":true}],"trigger":null,"name":"seed","short_id":null,"type":null}',
    false, now() - interval '1 day' - i * interval '1 second'
FROM generate_series(1, {size}) AS i
"#;

/// A flag that was edited again and again, its filters every time.
const EDITS_OF_ONE: &str = r#"
INSERT INTO activity_log (
    id, project_id, user_id, activity, scope, item_id, version, detail, is_system, created_at)
SELECT gen_random_uuid(), 1, 1, 'updated', 'FeatureFlag', '{flag}', i + 1,
    '{"changes":[{"type":"FeatureFlag","action":"changed","field":"name","before":"Edit ' || i || '","after":"Edit ' || i + 1
    || '"},{"type":"FeatureFlag","action":"changed","field":"filters","before":' || f.filters || ',"after":' || f.filters
    || '},{"type":"FeatureFlag","action":"changed","field":"version","before":' || i || ',"after":' || i + 1
    || '}],"trigger":null,"name":"seed","short_id":null,"type":null}',
    false, now() - interval '1 hour' + i * interval '1 second'
FROM generate_series(1, {edits}) AS i, feature_flag f WHERE f.id = {flag}
"#;

const TOTALS: [&str; 3] = [
    "UPDATE project SET activity_count = (SELECT count(*) FROM activity_log)",
    "UPDATE feature_flag f SET activity_count = \
     (SELECT count(*) FROM activity_log WHERE item_id = f.id::text) WHERE f.id = {flag}",
    "UPDATE feature_flag SET version = {edits} + 1 WHERE id = {flag}",
];

/// Puts `size` activity rows into project 1, and one flag's many edits.
pub(crate) async fn activity(url: &str, size: i64) {
    let database = Database::connect(url).await.expect("the database");
    let statements = [ACTIVITY, EDITS_OF_ONE].into_iter().chain(TOTALS).chain(["VACUUM (ANALYZE)"]);
    for statement in statements {
        let statement = statement
            .replace("{size}", &size.to_string())
            .replace("{flags}", &(size / 10).to_string())
            .replace("{flag}", &EDITED.to_string())
            .replace("{edits}", &EDITS.to_string());
        database.execute_unprepared(&statement).await.expect(&statement);
    }
    database.close().await.expect("closed");
}
