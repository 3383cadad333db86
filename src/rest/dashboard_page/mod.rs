//! A dashboard as a page for people: one file, without scripts and without
//! anything fetched, in the colours that the reader's system prefers.
//!
//! Names, keys and variants are other people's text. All of it is escaped by
//! the template, and the page's policy would let no script of theirs run.

mod axis;
mod chart;

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::axis::Stamp;
use crate::model::{
    dashboard::{Chart, Series, ShownDashboard, Tile, Trend},
    numbers::grouped,
};

const STYLE: &str = include_str!("style.css");

/// What may happen on the page: its own style, and nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("base64 is plain ASCII")
});

/// The ranges that are one click away.
const RANGES: [(&str, &str); 4] =
    [("-24h", "24 hours"), ("-7d", "7 days"), ("-30d", "30 days"), ("-90d", "90 days")];

/// How the reader came to the page.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// The `date_from` of a range up to now, such as `-30d`; empty for others.
    pub(super) range: String,
    /// Whether a click would be let in: a key in the address is not written into links.
    pub(super) has_links: bool,
}

/// The page as an answer.
pub(super) fn respond(page: Markup) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // The address may hold a key.
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (VARY, HeaderValue::from_static("accept, authorization")),
    ];
    (headers, Html(page.into_string())).into_response()
}

/// Draws the page.
pub(super) fn page(shown: &ShownDashboard, visit: &Visit) -> Markup {
    let dashboard = &shown.dashboard;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (dashboard.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (dashboard.name) }
                        p class="about" { (dashboard.description) }
                        (bar(shown, visit))
                    }
                    @for (index, (tile, chart)) in dashboard.tiles.iter().zip(&shown.charts).enumerate() {
                        (self::tile(index, tile, chart))
                    }
                    @if dashboard.tiles.is_empty() {
                        p class="empty" { "This dashboard has no tiles." }
                    }
                    footer { (footnote(shown)) }
                }
            }
        }
    }
}

fn bar(shown: &ShownDashboard, visit: &Visit) -> Markup {
    let labels = shown.charts.first().map(|chart| chart.labels.as_slice()).unwrap_or_default();
    let stamps = [labels.first(), labels.last()].map(|label| Stamp::read(label?));
    html! {
        div class="bar" {
            @if let [Some(first), Some(last)] = stamps {
                span class="range" {
                    (first.in_full())
                    @if first != last { " – " (last.in_full()) }
                }
            }
            @for tag in &shown.dashboard.tags { span class="chip" { (tag) } }
            @if visit.has_links {
                nav aria-label="Range" {
                    @for (from, text) in RANGES {
                        a href={"?format=html&date_from=" (from)}
                            aria-current=[(from == visit.range).then_some("true")] { (text) }
                    }
                }
            }
        }
    }
}

fn footnote(shown: &ShownDashboard) -> String {
    let points = if shown.hourly { "Hours" } else { "Days" };
    format!(
        "{points} in {}. Unique users are estimates (standard error 1.6%); a user who comes back \
         counts once in a range, so days do not add up to it.",
        shown.timezone
    )
}

fn tile(index: usize, tile: &Tile, chart: &Chart) -> Markup {
    let name = format!("tile-{}", index + 1);
    let stamps: Vec<_> = chart.labels.iter().filter_map(|label| Stamp::read(label)).collect();
    let trend = Trend::parse(&tile.query);
    let is_empty = chart.series.iter().all(|line| line.total == 0);
    html! {
        section class="tile" aria-labelledby=(name) {
            h2 id=(name) { (tile.name) }
            p class="about" { (tile.description) }
            @match trend {
                None => p class="empty" { "The query of this tile was changed, and usage cannot answer it." },
                Some(_) if is_empty => p class="empty" { "No events in this range." },
                Some(trend) => {
                    div class="scroll" { (chart::draw(&name, &tile.name, chart, &stamps)) }
                    (key(&trend, chart))
                    (values(&tile.name, chart, &stamps))
                }
            }
        }
    }
}

/// What the lines are, and what they come to over the range.
fn key(trend: &Trend, chart: &Chart) -> Markup {
    let users = trend.measures.iter().all(|measure| measure.unique_users);
    let calls = trend.measures.iter().all(|measure| !measure.unique_users);
    let counted = if users {
        "Unique users"
    } else if calls {
        "Calls"
    } else {
        "In range"
    };
    let all: u64 = chart.series.iter().map(|line| line.total).sum();
    html! {
        table class="key" {
            thead {
                tr {
                    td {}
                    th scope="col" { (if trend.by_variant { "Variant" } else { "Series" }) }
                    th scope="col" { (counted) }
                    @if calls { th scope="col" { "Share" } }
                }
            }
            tbody {
                @for (index, line) in chart.series.iter().enumerate() {
                    tr {
                        td { (sample(index)) }
                        th scope="row" { (line.label) }
                        td { (grouped(line.total)) }
                        @if calls { td { (share(line, all)) } }
                    }
                }
            }
        }
    }
}

fn sample(index: usize) -> Markup {
    html! {
        svg class="sample" viewBox="0 0 24 10" aria-hidden="true" {
            line class={"line " (chart::look(index))} x1="1" x2="23" y1="5" y2="5" {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn share(line: &Series, all: u64) -> String {
    format!("{:.1}%", 100.0 * line.total as f64 / all.max(1) as f64)
}

/// Every number of the chart, newest first.
fn values(title: &str, chart: &Chart, stamps: &[Stamp]) -> Markup {
    html! {
        details {
            summary { "All values" }
            div class="values scroll" tabindex="0" role="region" aria-label={"Values: " (title)} {
                table {
                    thead {
                        tr {
                            th scope="col" { "When" }
                            @for line in &chart.series { th scope="col" title=(line.label) { (line.label) } }
                        }
                    }
                    tbody {
                        @for (point, stamp) in stamps.iter().enumerate().rev() {
                            tr {
                                th scope="row" { (stamp.in_full()) }
                                @for line in &chart.series {
                                    td { (grouped(line.data.get(point).copied().unwrap_or(0))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
