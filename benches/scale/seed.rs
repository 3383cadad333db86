//! Fills a project with flags, faster than its API would.

use sea_orm::{ConnectionTrait, Database};

/// Ten tags, each on one flag in ten; one multivariate flag in five, one stale in three, one off in
/// ten. So a list of 1,000 flags fills its page under each filter, as one of 100,000 does.
const FLAGS: &str = r#"
INSERT INTO feature_flag (
    project_id, key, name, filters, deleted, active, archived, version, created_by_id,
    last_modified_by_id, created_at, updated_at, ensure_experience_continuity,
    has_enriched_analytics, is_remote_configuration, has_encrypted_payloads, evaluation_runtime,
    bucketing_identifier, last_called_at, internal, activity_count, has_variants,
    fully_rolled_out, search_text)
SELECT 1, 'seed-' || i || '-x', 'Seeded flag ' || i,
    CASE WHEN i % 5 = 0
    THEN '{"groups":[{"properties":[],"rollout_percentage":50,"aggregation_group_type_index":null}],"multivariate":{"variants":[{"key":"a","rollout_percentage":50},{"key":"b","rollout_percentage":50}]},"aggregation_group_type_index":null}'
    ELSE '{"groups":[{"properties":[{"key":"email","type":"person","operator":"icontains","value":"@example.com"}],"rollout_percentage":50,"aggregation_group_type_index":null}],"aggregation_group_type_index":null}'
    END,
    false, i % 10 <> 0, false, 1, 1, 1, now() - i * interval '1 second', now(), false, false,
    false, false, CASE WHEN i % 4 = 0 THEN 'server' ELSE 'all' END, 'distinct_id',
    CASE WHEN i % 3 = 0 THEN now() - interval '40 days' ELSE now() END, false, 0, i % 5 = 0, false,
    lower('seed-' || i || E'-x\nSeeded flag ' || i || E'\nseed ' || i || E' x\nseeded flag ' || i)
FROM generate_series(1, {size}) AS i
"#;

const REST: [&str; 4] = [
    "INSERT INTO tag (project_id, name) SELECT 1, 'tag-' || n FROM generate_series(0, 9) AS n",
    "INSERT INTO feature_flag_tag (flag_id, tag_id, project_id) \
     SELECT f.id, t.id, 1 FROM feature_flag f JOIN tag t ON t.name = 'tag-' || (f.id % 10)",
    "UPDATE project SET flag_count = (SELECT count(*) FROM feature_flag), feature_flag_limit = 1000000",
    // As the database does by itself before long: totals then come from the index alone.
    "VACUUM (ANALYZE)",
];

/// Puts `size` flags into project 1, and lets the planner know.
pub(crate) async fn flags(url: &str, size: i64) {
    let database = Database::connect(url).await.expect("the database");
    let flags = FLAGS.replace("{size}", &size.to_string());
    for statement in std::iter::once(flags.as_str()).chain(REST) {
        database.execute_unprepared(statement).await.expect(statement);
    }
    database.close().await.expect("closed");
}
