use std::{collections::HashMap, env, error::Error};

use posthog_rs::{ClientOptionsBuilder, EvaluateFlagsOptions};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // With the secret, the SDK decides by itself, from definitions that it polls.
    let options = ClientOptionsBuilder::default()
        .api_key(env::var("TOKEN")?)
        .host("http://127.0.0.1:8080")
        .secret_key(env::var("SECRET")?)
        .enable_local_evaluation(true)
        .build()?;
    let client = posthog_rs::client(options).await;

    let ann = EvaluateFlagsOptions {
        person_properties: Some(HashMap::from([("country".into(), json!("NZ"))])),
        ..Default::default()
    };
    let flags = client.evaluate_flags("ann", ann).await?;
    if flags.is_enabled("checkout") {
        let payload = flags.get_flag_payload("checkout").unwrap_or_default();
        println!("on for ann, with a {} button", payload["button"].as_str().unwrap_or("plain"));
    }
    client.shutdown().await;
    Ok(())
}
