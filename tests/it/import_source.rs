//! What `flagstaff import` makes of the source: of one that is busy, refuses, is no PostHog, or
//! lists what cannot come along.
//!
//! The sources here are answered by hand, in the shapes of the public API, since no real one can
//! be made to misbehave.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    import::{done, entry},
    support::{FLAGS, Service, cli::Outcome},
};

/// What a source answers, by path and place in the order of its requests; the last one stays.
pub(crate) type Answers = Vec<(StatusCode, &'static str, String)>;

#[derive(Clone, Default)]
struct Script {
    answers: Arc<HashMap<&'static str, Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct Source {
    address: SocketAddr,
    script: Script,
}

impl Source {
    /// Answers below `/api/projects/7/`.
    pub(crate) async fn answering(answers: &[(&'static str, Answers)]) -> Self {
        let script =
            Script { answers: Arc::new(answers.iter().cloned().collect()), ..Script::default() };
        let app = Router::new().fallback(answer).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, script }
    }

    pub(crate) fn import(&self, target: &Service, words: &[&str]) -> Outcome {
        let url = format!("http://{}/", self.address);
        let arguments = ["import", "--from-url", &url, "--project", "7"];
        let command = target.flagstaff(&[&arguments, words].concat());
        done(command.env("FLAGSTAFF_IMPORT_KEY", "phx_somebody"))
    }

    fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let key = request.headers().get("authorization").cloned();
    assert_eq!(key.unwrap(), "Bearer phx_somebody");
    let place = {
        let mut asked = script.asked.lock().unwrap();
        let place = asked.iter().filter(|earlier| earlier.split('?').next() == Some(&path)).count();
        asked.push(request.uri().to_string());
        place
    };
    let below = path.strip_prefix("/api/projects/7/").unwrap_or("?");
    let Some(answers) = script.answers.get(below) else {
        return (StatusCode::NOT_FOUND, "").into_response();
    };
    let (status, wait, body) = &answers[place.min(answers.len() - 1)];
    (*status, [("retry-after", *wait)], body.clone()).into_response()
}

pub(crate) fn list(results: &[Value], next: bool) -> (StatusCode, &'static str, String) {
    let next = next.then_some("http://elsewhere.invalid/api/projects/7/feature_flags/?offset=1");
    let page = json!({"count": 2, "next": next, "previous": null, "results": results});
    (StatusCode::OK, "", page.to_string())
}

pub(crate) fn plain(id: i64, key: &str) -> Value {
    let filters = json!({"groups": [{"properties": [], "rollout_percentage": 100}]});
    json!({"id": id, "key": key, "name": key, "filters": filters, "active": true, "deleted": false})
}

fn refusal(status: u16, wait: &'static str) -> (StatusCode, &'static str, String) {
    let body = json!({"type": "x", "code": "x", "detail": "Not now.", "attr": null});
    (StatusCode::from_u16(status).unwrap(), wait, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_to_the_end_and_from_the_given_address_alone() {
    let target = Service::on_sqlite().await;
    let pages = vec![list(&[plain(1, "one")], true), list(&[plain(2, "two")], false)];
    let source = Source::answering(&[("feature_flags/", pages)]).await;
    let outcome = source.import(&target, &["--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(target.get(FLAGS).await.1["count"], 2);
    let path = "/api/projects/7/feature_flags/?limit=100&offset=";
    assert_eq!(source.asked(), [format!("{path}0"), format!("{path}1")]);
    assert!(outcome.stderr.contains("reading flags: 1 of 2"), "{outcome:?}");
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_source_is_asked_again_when_it_says() {
    let target = Service::on_sqlite().await;
    let flags = vec![refusal(429, "1"), refusal(503, "0"), list(&[plain(1, "one")], false)];
    let source = Source::answering(&[("feature_flags/", flags)]).await;
    let outcome = source.import(&target, &["--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(source.asked().len(), 3);
    assert!(outcome.stderr.contains("trying again in 1.0 s"), "{outcome:?}");
    assert!(outcome.stderr.contains("trying again in 0.0 s"), "{outcome:?}");

    let flags = vec![refusal(429, "3600")];
    let source = Source::answering(&[("feature_flags/", flags)]).await;
    let outcome = source.import(&target, &["--yes"]);
    assert_eq!((outcome.code, source.asked().len()), (Some(2), 1), "an hour is too long");
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_used_is_told_in_one_line_and_nothing_is_written() {
    let target = Service::on_sqlite().await;
    let page = || list(&[plain(1, "one")], false);
    let goes_by =
        json!({"groups": [{"properties": [{"type": "cohort", "key": "id", "value": 3}]}]});
    let flag = json!({"id": 1, "key": "one", "filters": goes_by});
    let cases = [
        (vec![("feature_flags/", vec![refusal(401, "")])], "--key (FLAGSTAFF_IMPORT_KEY)"),
        (vec![("feature_flags/", vec![refusal(403, "")])], "feature_flag:read"),
        (
            vec![
                ("feature_flags/", vec![list(&[flag], false)]),
                ("cohorts/", vec![refusal(403, "")]),
            ],
            "cohort:read",
        ),
        (vec![], "--project"),
        (vec![("feature_flags/", vec![refusal(500, "")])], "Not now."),
        (vec![("feature_flags/", vec![refusal(503, "")])], "busy"),
        (vec![("feature_flags/", vec![(StatusCode::OK, "", "<html>".to_owned())])], "not JSON"),
        (vec![("feature_flags/", vec![(StatusCode::OK, "", "{}".to_owned())])], "there is no list"),
        (
            vec![("feature_flags/", vec![list(&[json!({"id": 1})], false)])],
            "a flag without a `key`",
        ),
    ];
    for (answers, named) in cases {
        let source = Source::answering(&answers).await;
        let outcome = source.import(&target, &["--yes", "--retries", "0"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        let last = outcome.stderr.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(named), "{named}: {outcome:?}");
        assert!(!outcome.stderr.contains("phx_"), "{outcome:?}");
    }
    let source = Source::answering(&[("feature_flags/", vec![page()])]).await;
    for (words, named) in [
        (vec!["--into", "9"], "--into"),
        (vec!["--on-conflict", "merge"], "--on-conflict"),
        (vec!["--dry-run", "--yes"], "--dry-run"),
        (vec!["--timeout", "soon"], "--timeout"),
    ] {
        let outcome = source.import(&target, &words);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(named), "{named}: {outcome:?}");
    }
    assert_eq!(target.totals().await, (0, 0));
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_answers_is_named() {
    let target = Service::on_sqlite().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let cases = [
        ("http://127.0.0.1:1", "does not answer"),
        (silent.as_str(), "no answer in time"),
        ("ftp://127.0.0.1", "not an address"),
        ("127.0.0.1", "--from-url"),
    ];
    for (url, named) in cases {
        let arguments = [
            "import",
            "--from-url",
            url,
            "--project",
            "1",
            "--key",
            "phx_x",
            "--timeout",
            "200ms",
            "--retries",
            "0",
        ];
        let outcome = done(target.flagstaff(&arguments));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("--from-url"), "{outcome:?}");
        assert!(outcome.stderr.contains(named), "{named}: {outcome:?}");
    }
    drop(listener);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_come_along_is_told_flag_by_flag() {
    let target = Service::on_sqlite().await;
    let with = |id: i64, key: &str, filters: Value| json!({"id": id, "key": key, "filters": filters, "active": true});
    let on = |property: Value| json!({"groups": [{"properties": [property]}]});
    let hidden = json!({"groups": [{}], "payloads": {"true": "\"********* (encrypted)\""}});
    let mut secret = with(1, "secret", hidden);
    secret["has_encrypted_payloads"] = json!(true);
    secret["is_remote_configuration"] = json!(true);
    let mut tested = with(9, "tested", json!({"groups": [{"rollout_percentage": 5}]}));
    tested["experiment_set"] = json!([4]);
    let flag = |id: &str| {
        on(json!({"type": "flag", "key": id, "operator": "flag_evaluates_to", "value": true}))
    };
    let cohort =
        |id: i64| on(json!({"type": "cohort", "key": "id", "value": id, "operator": "in"}));
    let mut sleeper = with(10, "sleeper", json!({"groups": [{}]}));
    sleeper["active"] = json!(false);
    let by_group = json!({"groups": [{"aggregation_group_type_index": 2, "properties": []}]});
    let flags = [
        secret,
        with(2, "reads-the-secret", flag("1")),
        with(3, "reads-nobody", flag("99")),
        with(4, "goes-by-nobody", cohort(99)),
        with(5, "goes-by-events", cohort(3)),
        with(6, "odd", json!({"groups": [{"rollout_percentage": 500}]})),
        with(7, "bad key", json!({"groups": [{}]})),
        with(8, "by-group", by_group),
        tested,
        sleeper,
        with(11, "reads-the-sleeper", flag("10")),
        json!({"id": 12, "key": "deleted", "deleted": true}),
    ];
    let behaviour = json!({"properties": {"type": "AND", "values": [
        {"type": "behavioral", "key": "$pageview", "value": "performed_event"}]}});
    let cohorts = [
        json!({"id": 3, "name": "Did it", "filters": behaviour, "is_static": false}),
        json!({"id": 99, "name": "Gone", "deleted": true}),
    ];
    let source = Source::answering(&[
        ("feature_flags/", vec![list(&flags, false)]),
        ("cohorts/", vec![list(&cohorts, false)]),
        ("feature_flags/local_evaluation/", vec![refusal(402, "")]),
        ("groups_types/", vec![(StatusCode::OK, "", "[]".to_owned())]),
    ])
    .await;
    let outcome = source.import(&target, &["--yes", "--format", "json"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let came: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let refused = [
        ("secret", "its payload is encrypted"),
        ("reads-the-secret", "it reads flag `secret`, which was refused"),
        ("reads-nobody", "it reads flag 99, which the source does not list"),
        ("goes-by-nobody", "it goes by cohort 99, which the source does not list"),
        ("goes-by-events", "with filters on events cannot be used in feature flags"),
        ("odd", "must be between 0 and 100"),
        ("bad key", "Only letters, numbers, hyphens"),
        ("by-group", "it goes by group type 2, whose name could not be read"),
        ("reads-the-sleeper", "Cannot create dependency on disabled flag 'sleeper'"),
    ];
    for (key, why) in refused {
        let entry = entry(&came, key);
        assert_eq!((&entry["outcome"], &entry["id"]), (&json!("refused"), &Value::Null), "{entry}");
        assert!(entry["notes"][0].as_str().unwrap().contains(why), "{entry}");
    }
    let tested = entry(&came, "tested");
    assert_eq!(tested["notes"], json!(["its experiments stay behind"]));
    assert_eq!((&came["flags"]["created"], &came["flags"]["refused"]), (&json!(2), &json!(9)));
    assert_eq!(target.get(FLAGS).await.1["count"], 2);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table() {
    let target = Service::on_sqlite().await;
    let mut tested = plain(2, "tested");
    tested["surveys"] = json!([{"id": 1}]);
    let flags = [plain(1, "one"), tested, plain(3, "bad key")];
    let source = Source::answering(&[("feature_flags/", vec![list(&flags, false)])]).await;
    let outcome = source.import(&target, &[]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    for line in ["flags: 2 created, 1 refused", "A rehearsal: nothing was written to project 1"] {
        assert!(outcome.stdout.contains(line), "{line}: {}", outcome.stdout);
    }
    let row = outcome.stdout.lines().find(|line| line.contains("tested")).unwrap();
    assert!(row.contains("| created") && row.contains("its surveys stay behind"), "{row}");
    assert!(!outcome.stdout.lines().any(|line| line.contains("| one")), "it came along whole");
    target.stop().await;
}

/// A source that answers every request in one way.
async fn source_answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> String {
    let app = Router::new().fallback(move || {
        let answer = answer();
        async move { answer }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn import_from(target: &Service, url: &str, words: &[&str]) -> Outcome {
    let arguments = ["import", "--from-url", url, "--project", "7", "--retries", "0"];
    let command = target.flagstaff(&[&arguments, words].concat());
    done(command.env("FLAGSTAFF_IMPORT_KEY", "phx_somebody"))
}

fn refusal_naming(outcome: &Outcome, named: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    let last = outcome.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains(named), "{named}: {outcome:?}");
    assert!(!outcome.stderr.contains("phx_"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_followed() {
    let target = Service::on_sqlite().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let inside = source_answering({
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            StatusCode::OK.into_response()
        }
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        let place = format!("{inside}/\u{7f}latest/meta-data/");
        let url = source_answering(move || {
            let status = StatusCode::from_u16(status).unwrap();
            let place = http::HeaderValue::from_bytes(place.replace('\u{7f}', "").as_bytes());
            (status, [("location", place.unwrap())]).into_response()
        })
        .await;
        let outcome = import_from(&target, &url, &["--yes"]);
        refusal_naming(&outcome, "redirects to http://127.0.0.1");
        refusal_naming(&outcome, "--from-url");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the place was not asked");
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_given_up() {
    let target = Service::on_sqlite().await;
    for (status, limit, named) in [(200, 96, "too large"), (500, 24, "no reason is given")] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let url = source_answering(move || {
            let counted = Arc::clone(&counted);
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = futures::stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(chunk.clone())
            });
            (StatusCode::from_u16(status).unwrap(), Body::from_stream(chunks)).into_response()
        })
        .await;
        refusal_naming(&import_from(&target, &url, &["--yes"]), named);
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < limit, "{sent} MiB were taken in");
    }
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_more_than_any_project_has_are_refused() {
    let target = Service::on_sqlite().await;
    let cases = [
        (format!("[{}]", "{},".repeat(2_000_001)), "more values than any project"),
        (format!("{{\"results\": {}", "[".repeat(1 << 20)), "not JSON"),
        (format!("{{\"results\": [{}{}]}}", "[".repeat(500), "]".repeat(500)), "not JSON"),
    ];
    for (body, named) in cases {
        let url = source_answering(move || body.clone().into_response()).await;
        refusal_naming(&import_from(&target, &url, &["--yes"]), named);
    }
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_terminal_acts_on_is_printed() {
    let target = Service::on_sqlite().await;
    let active = |text: &str| {
        text.chars()
            .find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c))
    };
    let name = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let mut flag = plain(1, &format!("bad {name}"));
    flag["experiment_set"] = json!([4]);
    let source = Source::answering(&[("feature_flags/", vec![list(&[flag], false)])]).await;
    for format in ["text", "json"] {
        let outcome = source.import(&target, &["--format", format]);
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(outcome.stdout.contains("owned"), "{outcome:?}");
        assert_eq!(active(&outcome.stdout).or(active(&outcome.stderr)), None, "{outcome:?}");
    }
    // What a refusal says, whether it is final or tried again, without the key it repeats.
    let said = json!({"detail": format!("{name} {} phx_somebody", "x".repeat(5000))}).to_string();
    for status in [400, 401, 503] {
        let answers = vec![(StatusCode::from_u16(status).unwrap(), "0", said.clone())];
        let source = Source::answering(&[("feature_flags/", answers)]).await;
        let outcome = source.import(&target, &["--retries", "1"]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("owned") && !outcome.stderr.contains("phx_somebody"));
        assert_eq!(active(&outcome.stderr), None, "{outcome:?}");
        assert!(outcome.stderr.len() < 2000, "it is cut short");
    }
    target.stop().await;
}
