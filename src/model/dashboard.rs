//! What a usage dashboard shows (architecture 2): tiles, and the numbers that
//! their queries ask for.

use serde_json::Value;

/// The event that says which answer a flag gave.
pub const CALLED: &str = "$feature_flag_called";
/// The event of a feature that came into view.
pub const VIEWED: &str = "$feature_view";
/// The event of a feature that was used.
pub const INTERACTED: &str = "$feature_interaction";

/// A dashboard as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// Its number, unique in the whole service.
    pub id: i64,
    /// Shown to people; not unique.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// What applies to every tile, such as `{"date_from": "-30d"}`.
    pub filters: Value,
    /// Labels for people, sorted.
    pub tags: Vec<String>,
    /// In display order.
    pub tiles: Vec<Tile>,
}

/// A tile as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// Its number, unique in the whole service.
    pub id: i64,
    /// The insight's title.
    pub name: String,
    /// The insight's text; the generated one marks a tile that nobody edited by hand.
    pub description: String,
    /// What it asks for.
    pub query: Value,
}

/// A dashboard with its numbers for one range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownDashboard {
    /// What is stored.
    pub dashboard: Dashboard,
    /// One for each tile, in the same order.
    pub charts: Vec<Chart>,
    /// The IANA zone whose days these are.
    pub timezone: String,
    /// Whether points are hours rather than days.
    pub hourly: bool,
}

/// Numbers over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// One date or instant a point, oldest first.
    pub labels: Vec<String>,
    /// The lines, largest first.
    pub series: Vec<Series>,
}

/// A named line of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// What is counted, such as a variant.
    pub label: String,
    /// One number a point.
    pub data: Vec<u64>,
    /// The whole range: not the sum where users are counted, as nobody counts twice.
    pub total: u64,
}

/// A query that usage can answer: events of one flag over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trend {
    /// The flag, by key.
    pub flag_key: String,
    /// Whether each variant has a line of its own.
    pub by_variant: bool,
    /// The lines, or what is broken down into lines.
    pub measures: Vec<Measure>,
}

/// One thing to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The event's name.
    pub event: String,
    /// Users, each once, rather than events.
    pub unique_users: bool,
    /// The line's name where there is no breakdown.
    pub name: String,
}

impl Trend {
    /// Reads a tile's query; `None` when hands made it into something that usage by flag, event
    /// and variant cannot answer.
    #[must_use]
    pub fn parse(query: &Value) -> Option<Self> {
        let [filter] = query["properties"].as_array()?.as_slice() else { return None };
        let is_generated = matches!(filter["key"].as_str()?, "$feature_flag" | "feature_flag")
            && filter["operator"] == "exact";
        let by_variant = match query.get("breakdownFilter") {
            None | Some(Value::Null) => false,
            Some(breakdown) if breakdown["breakdown"] == "$feature_flag_response" => true,
            Some(_) => return None,
        };
        let flag_key = filter["value"].as_str().filter(|_| is_generated)?.to_owned();
        let measures = query["series"].as_array()?.iter().map(Measure::parse);
        Some(Self { flag_key, by_variant, measures: measures.collect::<Option<_>>()? })
    }
}

impl Measure {
    fn parse(series: &Value) -> Option<Self> {
        let event = series["event"].as_str()?.to_owned();
        let unique_users = match series.get("math").map_or(Some("total"), Value::as_str)? {
            "total" => false,
            "dau" => true,
            _ => return None,
        };
        let name = series["custom_name"].as_str().unwrap_or(&event).to_owned();
        Some(Self { event, unique_users, name })
    }
}
