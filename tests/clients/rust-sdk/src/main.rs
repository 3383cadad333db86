//! Observes the service through PostHog's Rust SDK; ../support/observed.py says what, and judges it.

use std::{collections::HashMap, env, io};

use posthog_rs::{Client, ClientOptionsBuilder, EvaluateFlagsOptions, FlagValue};
use serde_json::{Value, json};

#[tokio::main]
async fn main() {
    let [url, recorded, token, secret] =
        ["FLAGSTAFF_URL", "FLAGSTAFF_RECORDED_URL", "FLAGSTAFF_TOKEN", "FLAGSTAFF_SECRET"]
            .map(|name| env::var(name).expect(name));
    let mut options = ClientOptionsBuilder::default();
    options.api_key(token);
    let remote = options.clone().host(url).build().expect("options");
    let local = options
        .host(recorded)
        .secret_key(secret)
        .enable_local_evaluation(true)
        .poll_interval_seconds(1)
        .build()
        .expect("options");
    let (remote, local) = (posthog_rs::client(remote).await, posthog_rs::client(local).await);
    for _ in io::stdin().lines() {
        let said =
            json!({"remote": values(&remote, false).await, "local": values(&local, true).await});
        println!("{said}");
    }
    remote.shutdown().await;
    local.shutdown().await;
}

async fn values(client: &Client, locally: bool) -> Value {
    let options = EvaluateFlagsOptions {
        groups: Some(HashMap::from([("company".to_owned(), "acme".to_owned())])),
        person_properties: Some(HashMap::from([("plan".to_owned(), json!("pro"))])),
        group_properties: Some(HashMap::from([(
            "company".to_owned(),
            HashMap::from([("tier".to_owned(), json!("gold"))]),
        )])),
        only_evaluate_locally: locally,
        ..Default::default()
    };
    let flags = client.evaluate_flags("somebody", options).await.expect("an answer");
    let value = |key| match flags.get_flag(key) {
        Some(FlagValue::Boolean(on)) => json!(on),
        Some(FlagValue::String(variant)) => json!(variant),
        None => Value::Null,
    };
    json!({
        "plain": value("plain"),
        "variant": value("variant"),
        "group": value("group"),
        "payload": flags.get_flag_payload("variant"),
    })
}
