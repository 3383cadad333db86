//! The dashboard as a page for people (architecture 2): charts without scripts, in light and dark,
//! with nobody's text taken for markup.

use http::Method;
use serde_json::json;

use crate::support::{
    Service,
    rest::{Answer, send},
    usage::{Usage, VIEWED},
};

both_databases! {
    the_page_is_whole_in_itself_and_runs_nothing,
    the_page_shows_what_the_numbers_say,
    other_peoples_text_is_never_markup,
    a_range_without_events_says_so,
}

const RANGE: &str = "date_from=2026-03-01&date_to=2026-03-03";

async fn page(service: &Service, id: i64, query: &str) -> Answer {
    let path = format!("/api/projects/1/dashboards/{id}/?format=html&{query}");
    let answer = service.call(Method::GET, &path, Some(&service.key), None).await;
    assert_eq!((answer.status, header(&answer, "content-type")), (200, "text/html; charset=utf-8"));
    answer
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// Every attribute of this name, in the order of the page.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    page.split(&opening).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

async fn the_page_is_whole_in_itself_and_runs_nothing(service: &Service) {
    let (_, id) = service.create_with_dashboard("checkout").await;
    service.used(&[Usage { count: 3, users: &["a"], ..Usage::default() }]).await;
    let answer = page(service, id, RANGE).await;
    let html = &answer.text;
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    for absent in ["<script", "<link", "<img", "<iframe", "javascript:", "@import", "url("] {
        assert!(!html.contains(absent), "{absent}");
    }
    for name in ["src", "style", "onload", "onclick", "onerror"] {
        assert!(attributes(html, name).is_empty(), "{name}");
    }
    assert!(attributes(html, "href").iter().all(|link| link.starts_with("?format=html&amp;")));

    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(
        style.contains("prefers-color-scheme:dark") && style.contains("color-scheme:light dark")
    );
    let policy = header(&answer, "content-security-policy");
    let hash = sha256(style);
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(policy, expected, "the browser will take this very style, and nothing else");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "private, no-store"),
        ("vary", "accept, authorization"),
    ] {
        assert_eq!(header(&answer, name), value, "{name}");
    }
}

fn sha256(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use sha2::{Digest, Sha256};
    BASE64_STANDARD.encode(Sha256::digest(text))
}

async fn the_page_shows_what_the_numbers_say(service: &Service) {
    let (_, id) = service.create_with_dashboard("checkout").await;
    let at =
        |variant, hour, count, users| Usage { variant, hour, count, users, ..Usage::default() };
    service
        .used(&[
            at("control", "2026-03-01T10:00:00Z", 1_500_000, &["a", "b"]),
            at("control", "2026-03-02T10:00:00Z", 500_000, &["b"]),
            at("test", "2026-03-03T10:00:00Z", 250_000, &["c"]),
        ])
        .await;
    let html = page(service, id, RANGE).await.text;
    assert_eq!(html.matches("<svg class=\"chart\"").count(), 2);
    assert_eq!(html.matches("<polyline").count(), 4, "two charts of two lines");
    for said in [
        "<title>Generated Dashboard: checkout Usage</title>",
        "Sun 1 Mar 2026 – Tue 3 Mar 2026",
        "<th scope=\"row\">control</th><td>2,000,000</td><td>88.9%</td>",
        "<th scope=\"row\">test</th><td>250,000</td><td>11.1%</td>",
        // Two users in two days, of whom one came twice.
        "<th scope=\"row\">control</th><td>2</td></tr>",
        ">500K</text>",
        ">1.5M</text>",
        "control: 2,000,000 in all, highest 1,500,000 on Sun 1 Mar 2026.",
        "<title>Mon 2 Mar 2026\ncontrol: 500,000\ntest: 0</title>",
        "<th scope=\"row\">Mon 2 Mar 2026</th><td>500,000</td><td>0</td>",
        "Days in UTC.",
        "<span class=\"chip\">feature flags</span>",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
    // Every chart has a name and a description, which are there.
    let ids = attributes(&html, "id");
    for label in attributes(&html, "aria-labelledby") {
        assert!(label.split(' ').all(|id| ids.iter().filter(|known| **known == id).count() == 1));
    }
    let hours = page(service, id, "date_from=2026-03-01T09:00&date_to=2026-03-01T11:00").await.text;
    assert!(hours.contains("Sun 1 Mar 2026, 09:00 – Sun 1 Mar 2026, 11:00"), "{hours}");
    assert!(hours.contains(">10:00</text>") && hours.contains("Hours in UTC."));
}

async fn other_peoples_text_is_never_markup(service: &Service) {
    let (_, id) = service.create_with_dashboard("checkout").await;
    let evil = "</title></svg><script>alert('1')</script>\"&<img src=x onerror=1>";
    service.used(&[Usage { variant: evil, count: 3, users: &["a"], ..Usage::default() }]).await;
    let quoted = evil.replace('\'', "''");
    service
        .execute(&format!(
            "UPDATE dashboard SET name = '{quoted}', description = '{quoted}', tags = '[\"<b>\"]'; \
             UPDATE tile SET name = '{quoted}', description = '{quoted}'"
        ))
        .await;
    let html = page(service, id, RANGE).await.text;
    for absent in ["<script", "<img", "<b>", "alert('1')</script"] {
        assert!(!html.contains(absent), "{absent}");
    }
    let escaped = "&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;alert('1')&lt;/script&gt;&quot;&amp;\
                   &lt;img src=x onerror=1&gt;";
    // Title, heading, text; in each tile its heading, text, chart, key and values.
    assert!(html.matches(escaped).count() > 12, "{html}");
    assert!(html.contains("<span class=\"chip\">&lt;b&gt;</span>"));
}

async fn a_range_without_events_says_so(service: &Service) {
    let (id, flag) =
        service.create(json!({"key": "checkout", "has_enriched_analytics": true})).await;
    let path = format!("{}{id}/enrich_usage_dashboard/", crate::support::FLAGS);
    assert_eq!(service.rest(Method::POST, &path, json!({})).await.0, 200);
    let dashboard = flag["usage_dashboard"].as_i64().unwrap();
    let html = page(service, dashboard, RANGE).await.text;
    assert_eq!(html.matches("No events in this range.").count(), 4);
    assert!(!html.contains("<svg"), "nothing is drawn of nothing");
    service.used(&[Usage { event: VIEWED, count: 3, users: &["a"], ..Usage::default() }]).await;
    service.execute("UPDATE tile SET query = '{}' WHERE color = 'blue'").await;
    let html = page(service, dashboard, RANGE).await.text;
    assert_eq!(html.matches("No events in this range.").count(), 2);
    assert_eq!(html.matches("query of this tile was changed").count(), 1);
    assert!(html.contains("<th scope=\"row\">Feature View - Unique users</th><td>1</td>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_those_who_ask_for_it() {
    let service = Service::on_sqlite().await;
    let (_, id) = service.create_with_dashboard("checkout").await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let cases = [
        ("", None, "application/json"),
        ("", Some("*/*"), "application/json"),
        ("", Some("application/json"), "application/json"),
        ("", Some("application/json, text/html;q=0.9"), "application/json"),
        ("", Some("text/html;q=0, */*"), "application/json"),
        ("", Some("text/html"), "text/html; charset=utf-8"),
        ("", Some("TEXT/HTML ; q=0.5"), "text/html; charset=utf-8"),
        ("", Some(browser), "text/html; charset=utf-8"),
        ("?format=json", Some(browser), "application/json"),
        ("?format=html", Some("application/json"), "text/html; charset=utf-8"),
        ("?format=", Some("*/*"), "application/json"),
    ];
    for (query, accept, expected) in cases {
        let path = format!("/api/projects/1/dashboards/{id}/{query}");
        let mut request = service.request(Method::GET, &path).bearer_auth(&service.key);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = send(request).await;
        assert_eq!(
            (answer.status, header(&answer, "content-type")),
            (200, expected),
            "{path} {accept:?}"
        );
    }
    let (status, error) =
        service.get(&format!("/api/projects/1/dashboards/{id}/?format=pdf")).await;
    assert_eq!((status, &error["attr"]), (400, &json!("format")));
    assert_eq!(error["detail"], "\"pdf\" is not a valid choice.");
    let badly = format!("/api/projects/1/dashboards/{id}/?format=html&date_from=soon");
    let (status, error) = service.get(&badly).await;
    assert_eq!((status, &error["attr"]), (400, &json!("date_from")), "errors stay what they are");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_address_is_not_written_into_the_page() {
    let service = Service::on_sqlite().await;
    let (_, id) = service.create_with_dashboard("checkout").await;
    let path =
        format!("/api/projects/1/dashboards/{id}/?format=html&personal_api_key={}", service.key);
    let answer = service.call(Method::GET, &path, None, None).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("phx_") && !answer.text.contains("<nav"), "{}", answer.text);
    let linked = page(&service, id, "date_from=-7d").await.text;
    assert!(linked.contains("date_from=-7d\" aria-current=\"true\">7 days"), "{linked}");
    assert_eq!(linked.matches("aria-current=").count(), 1);
    service.stop().await;
}

/// Writes pages to look at, for `tests/browser/dashboards`: into the folder that `FLAGSTAFF_PAGES`
/// names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "for eyes; run by tests/browser/dashboards"]
async fn pages_to_look_at() {
    let folder = crate::support::postgres::setting("FLAGSTAFF_PAGES").expect("a folder");
    let service = Service::on_sqlite().await;
    let long = "a-key-that-goes-on-and-on_".repeat(12);
    let six = ["control", "blue-button", "green-button-with-icon", "large-headline", "", "false"];
    let many: Vec<_> = (0..30).map(|variant| format!("variant-{variant:02}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let pages: [(&str, &str, &[&str], u64, &str); 8] = [
        ("empty", "brand-new", &[], 0, ""),
        ("one-variant", "onboarding", &["true"], 40, "date_from=-7d"),
        ("two-variants", "checkout", &["control", "test"], 90, ""),
        ("six-variants", "six-way", &six, 300, ""),
        ("six-variants-by-hour", "six-way", &[], 0, "date_from=-24h"),
        ("many-variants", "thirty", &many, 100, ""),
        ("big-numbers", "search", &["true", "false"], 40_000_000, "date_from=-90d"),
        ("long-key", &long, &["a-variant-with-a-very-long-name-that-somebody-chose", "b"], 9, ""),
    ];
    for (name, key, variants, scale, query) in pages {
        let id = dashboard_for(&service, key).await;
        seed(&service, key, variants, scale).await;
        let html = page(&service, id, query).await.text;
        std::fs::write(format!("{folder}/{name}.html"), html).unwrap();
    }
    service.stop().await;
}

/// The dashboard of a flag with this key, made if need be, with all its tiles.
async fn dashboard_for(service: &Service, key: &str) -> i64 {
    let (_, found) = service.get(&format!("{}?key={key}", crate::support::FLAGS)).await;
    if let Some(id) = found["results"][0]["usage_dashboard"].as_i64() {
        return id;
    }
    let (id, flag) = service.create(json!({"key": key, "has_enriched_analytics": true})).await;
    let path = format!("{}{id}/enrich_usage_dashboard/", crate::support::FLAGS);
    assert_eq!(service.rest(Method::POST, &path, json!({})).await.0, 200);
    flag["usage_dashboard"].as_i64().unwrap()
}

/// Forty days of calls that rise and fall with the day and the week.
async fn seed(service: &Service, key: &str, variants: &[&str], scale: u64) {
    use crate::support::usage::{hour_of, now};
    use chrono::{Datelike, TimeDelta, Timelike};

    let people: Vec<_> = (0..500).map(|person| format!("person-{person}")).collect();
    let people: Vec<_> = people.iter().map(String::as_str).collect();
    let instants: Vec<_> = (0..40 * 24).map(|back| now() - TimeDelta::hours(back)).collect();
    let hours: Vec<_> = instants.iter().map(|instant| hour_of(*instant)).collect();
    let mut rows = Vec::new();
    for (back, (instant, hour)) in instants.iter().zip(&hours).enumerate() {
        let of_day = 4 + u64::from(12_u32.abs_diff(instant.hour().abs_diff(3)));
        let of_week = if instant.weekday().number_from_monday() > 5 { 4 } else { 9 };
        for (rank, variant) in variants.iter().enumerate() {
            let noise = 90 + (instant.hour() * 7 + instant.day() * 13) as usize % 20 + rank % 3;
            let parts = of_day * of_week * noise as u64;
            let count = scale * parts / (9_000 * (rank as u64 + 2));
            let first = (back * 17 + rank * 31) % 420;
            let users = &people[first..first + usize::try_from(count).unwrap().min(80)];
            rows.push(Usage { key, variant, hour, count, users, ..Usage::default() });
            if rank == 0 {
                let (event, variant) = (VIEWED, "");
                rows.push(Usage { key, event, variant, hour, count, users, project: 1 });
            }
        }
    }
    service.used(&rows).await;
}
