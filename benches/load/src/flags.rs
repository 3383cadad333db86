//! The flags that are asked for, and the credentials that open them.

use serde_json::{Value, json};

/// The public token of the first project.
pub const TOKEN: &str = "phc_the_token_of_the_first_project_of_a_bench";
/// Its secret.
pub const SECRET: &str = "phs_the_secret_of_the_first_project_of_a_bench";
/// A personal key of its first user.
pub const KEY: &str = "phx_the_key_of_the_first_user_of_a_bench_here";
/// Where its flags are.
pub const FLAGS: &str = "/api/projects/1/feature_flags/";

/// Four kinds of flags, of which projects have equal numbers: half of those with two properties,
/// four variants, everyone, those with three properties.
#[must_use]
pub fn kinds() -> [Value; 4] {
    let filter = |key: &str, operator: &str, value: Value| json!({"key": key, "type": "person", "operator": operator, "value": value});
    let variant = |key: &str| json!({"key": key, "rollout_percentage": 25});
    let variants = ["a", "b", "c", "d"].map(variant);
    let on = |properties: Value, share: u8| json!({"groups": [{"properties": properties, "rollout_percentage": share}]});
    let email = filter("email", "icontains", json!("@example.com"));
    let plan = filter("plan", "exact", json!(["pro", "enterprise"]));
    let age = filter("age", "gt", json!("18"));
    [
        on(json!([email, plan]), 50),
        json!({"groups": [{"properties": [], "rollout_percentage": 100}],
            "multivariate": {"variants": variants},
            "payloads": {"a": "{\"color\": \"red\"}"}}),
        on(json!([]), 100),
        on(json!([email, plan, age]), 100),
    ]
}
