//! Small requests that would take a lot of memory: what they cost is bounded before it arises,
//! with a credential or without.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use futures::future::join_all;

use crate::support::{
    http_client,
    http2::grpc_frame,
    target::{KEY, PATIENCE, TOKEN, Target, tell},
};

/// The largest body of ingestion, unpacked.
const LIMIT: usize = 20 * 1024 * 1024;
/// More than the service takes at rest in a debug build, with the budget for bodies.
const MAX_MEMORY_MB: usize = 700;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A text of as many of these as fit into a body.
fn full_of(begin: &str, piece: &str, end: &str) -> Vec<u8> {
    let count = (LIMIT - begin.len() - end.len()) / piece.len() - 1;
    [begin, &piece.repeat(count), end].concat().into_bytes()
}

/// Bodies for the paths of clients: name, content type, whether gzip is said, and the bytes.
fn bombs() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let objects = gzip(&full_of("[", "{},", "{}]"));
    let in_form = |bytes: &[u8]| {
        let data = BASE64_STANDARD.encode(bytes);
        form_urlencoded::Serializer::new(String::new())
            .append_pair("data", &data)
            .finish()
            .into_bytes()
    };
    vec![
        ("numbers", json, gzip(&full_of("[", "1,", "1]"))),
        ("lists", json, gzip(&full_of("{\"batch\":[", "[],", "[]]}"))),
        ("nesting", json, gzip(&vec![b'['; LIMIT - 1])),
        ("keys", json, gzip(&full_of("{", "\"\":0,", "\"a\":0}"))),
        ("JSON5", json, gzip(&full_of("[", "{},", "{},]"))),
        ("beyond the limit", json, gzip(&vec![b' '; 8 * LIMIT])),
        ("members", json, gzip(&vec![b' '; 1024 * 1024]).repeat(100)),
        ("base64 in a form", form, in_form(&objects)),
        ("base64", "text/plain", BASE64_STANDARD.encode(&objects).into_bytes()),
        ("objects", json, objects),
    ]
}

/// Sends each bomb to each path. The statuses that came.
async fn thrown(
    target: &Target,
    query: &str,
    bombs: &[(&str, &str, Vec<u8>)],
) -> Vec<(String, u16)> {
    let paths = ["/e/", "/batch/", "/flags", "/decide"];
    let throws = paths.iter().flat_map(|path| bombs.iter().map(move |bomb| (path, bomb)));
    let throw = |(path, (name, kind, bytes)): (&&str, &(&str, &str, Vec<u8>))| {
        let what = format!("{name} to {path}");
        let url = target.url(&format!("{path}{query}"));
        let request = target.http.post(url).header("content-type", *kind).body(bytes.clone());
        async move { (what, request.send().await.unwrap().status().as_u16()) }
    };
    join_all(throws.map(throw)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_of_json_take_no_more_memory_than_there_is_for_bodies() {
    let target = Target::start(&[]);
    let bombs = bombs();
    for (caller, query) in [("nobody", String::new()), ("the token", format!("?token={TOKEN}"))] {
        let (statuses, witness) = target.under(thrown(&target, &query, &bombs)).await;
        for (what, status) in &statuses {
            assert!(matches!(status, 400 | 401 | 413 | 503), "{what} by {caller}: {status}");
        }
        let peak = target.peak_memory();
        tell(caller, &(peak, witness.figures(), &statuses));
        assert!(peak < MAX_MEMORY_MB, "{peak} MB");
    }
}

/// A message of a call, compressed, and how.
fn messages() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    // Field 2 of `IngestEventsRequest`: an event without content.
    let events = [0x12, 0x00].repeat(LIMIT / 2 - 1);
    let zstd = zstd::encode_all(&events[..], 1).unwrap();
    vec![
        ("zstd", "events", zstd.clone()),
        ("gzip", "events", gzip(&events)),
        ("zstd", "frames", zstd::encode_all(&vec![0; 1024][..], 1).unwrap().repeat(100_000)),
        ("zstd", "beyond the limit", zstd::encode_all(&vec![0; 8 * LIMIT][..], 1).unwrap()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_of_protobuf_take_no_more_memory_than_there_is_for_bodies() {
    let target = Target::start(&[]);
    let http2 = http_client().timeout(PATIENCE).http2_prior_knowledge().build().unwrap();
    let messages = messages();
    let url = target.url("/flagstaff.v1.IngestService/IngestEvents");
    for (key, expected) in
        [(None, &["16"][..]), (Some(TOKEN), &["3", "8"]), (Some(KEY), &["3", "8"])]
    {
        let throw = |(encoding, name, bytes): &(&'static str, &'static str, Vec<u8>)| {
            let request = http2.post(&url).header("content-type", "application/grpc");
            let request = request.header("te", "trailers").header("grpc-encoding", *encoding);
            let request = match key {
                Some(key) => request.bearer_auth(key),
                None => request,
            };
            let (name, request) = (*name, request.body(grpc_frame(true, bytes)));
            async move {
                let answer = request.send().await.unwrap();
                let status = answer.headers().get("grpc-status").cloned();
                (name, status.expect("a refusal stands in the headers"))
            }
        };
        let throws = [&messages[..]; 4].concat();
        let attack = join_all(throws.iter().map(throw));
        let (statuses, witness) = target.under(attack).await;
        for (name, status) in &statuses {
            assert!(expected.contains(&status.to_str().unwrap()), "{name} by {key:?}: {status:?}");
        }
        let peak = target.peak_memory();
        tell("protobuf", &(key, peak, witness.figures()));
        assert!(peak < MAX_MEMORY_MB, "{peak} MB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_read_if_the_token_stands_anywhere_in_it() {
    let target = Target::start(&[]);
    let events = |count: usize| {
        let event = r#"{"event":"x","distinct_id":"u","properties":{"text":"a longer text"}},"#;
        event.repeat(count).trim_end_matches(',').to_owned()
    };
    let send = async |body: String, query: &str| {
        let url = target.url(&format!("/batch/{query}"));
        let request = target.http.post(url).header("content-encoding", "gzip");
        let answer = request.body(gzip(body.as_bytes())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let large = events(2_000);
    for body in [
        format!(r#"{{"api_key":"{TOKEN}","batch":[{large}]}}"#),
        format!(r#"{{"batch":[{large}],"api_key":"{TOKEN}"}}"#),
        format!(
            r#"[{large},{{"event":"x","distinct_id":"u","properties":{{"token":"{TOKEN}"}}}}]"#
        ),
    ] {
        assert_eq!(send(body, "").await, (200, r#"{"status":1}"#.to_owned()));
    }
    let none = format!(r#"{{"batch":[{large}]}}"#);
    assert_eq!(send(none.clone(), &format!("?token={TOKEN}")).await.0, 200);
    assert_eq!(send(none, "").await.0, 401);
    let wrong = format!(r#"{{"api_key":"phc_of_nobody_at_all","batch":[{large}]}}"#);
    assert_eq!(send(wrong, "").await.0, 401);
}
