//! The texts and queries of generated tiles (management-api 3.10).

use serde_json::{Value, json};

use crate::{
    model::dashboard::{CALLED, INTERACTED, Tile, VIEWED},
    store::dashboards::NewTile,
};

const TOTAL_VOLUME: &str = "Feature Flag Called Total Volume";
const UNIQUE_USERS: &str = "Feature Flag calls made by unique users per variant";
/// A dashboard is enriched when a tile's name contains it (management-api 4.1).
pub(super) const ENRICHED_MARK: &str = "Feature Viewed";

/// The tiles that a dashboard begins with.
pub(super) fn of_calls(key: &str) -> Vec<NewTile> {
    let tile = |name, math, display, color| NewTile {
        name,
        description: generated_text(name, key).unwrap_or_default(),
        query: calls(key, math, display),
        color: Some(color),
    };
    vec![
        tile(TOTAL_VOLUME, "total", "ActionsLineGraph", "blue"),
        tile(UNIQUE_USERS, "dau", "ActionsTable", "green"),
    ]
}

/// The tiles that views and interactions add.
pub(super) fn of_views(key: &str) -> Vec<NewTile> {
    let tile = |name, event, what| NewTile {
        name,
        description: "Shows the total number of times this feature was viewed and interacted with"
            .into(),
        query: views(key, event, what),
        color: None,
    };
    vec![
        tile("Feature Viewed Total Volume", VIEWED, "Feature View"),
        tile("Feature Interaction Total Volume", INTERACTED, "Feature Interaction"),
    ]
}

/// The tile as it is for another key; `None` where hands have changed its text or its filters.
pub(super) fn retitled(tile: &Tile, old_key: &str, key: &str) -> Option<Tile> {
    if tile.description != generated_text(&tile.name, old_key)?
        || tile.query["properties"] != json!([called_filter(old_key)])
    {
        return None;
    }
    let mut retitled = tile.clone();
    retitled.description = generated_text(&tile.name, key)?;
    retitled.query["properties"] = json!([called_filter(key)]);
    Some(retitled)
}

/// The description of a tile over calls; `None` for other tiles.
fn generated_text(name: &str, key: &str) -> Option<String> {
    match name {
        TOTAL_VOLUME => {
            Some(format!("Shows the number of total calls made on feature flag with key: {key}"))
        }
        UNIQUE_USERS => Some(format!(
            "Shows the number of unique user calls made on feature flag per variant with key: {key}"
        )),
        _ => None,
    }
}

/// A daily trend over 30 days, by variant.
fn calls(key: &str, math: &str, display: &str) -> Value {
    json!({
        "kind": "TrendsQuery",
        "interval": "day",
        "dateRange": {"date_from": "-30d"},
        "series": [{"kind": "EventsNode", "event": CALLED, "math": math}],
        "properties": [called_filter(key)],
        "breakdownFilter": {"breakdown": "$feature_flag_response", "breakdown_type": "event"},
        "trendsFilter": {"display": display},
    })
}

fn called_filter(key: &str) -> Value {
    json!({"key": "$feature_flag", "type": "event", "operator": "exact", "value": key})
}

/// A daily trend over 30 days of all events and of those who caused them.
fn views(key: &str, event: &str, what: &str) -> Value {
    let series = |math: &str, name: &str| {
        let name = format!("{what} - {name}");
        json!({"kind": "EventsNode", "event": event, "math": math, "custom_name": name})
    };
    json!({
        "kind": "TrendsQuery",
        "interval": "day",
        "dateRange": {"date_from": "-30d"},
        "series": [series("total", "Total"), series("dau", "Unique users")],
        "properties": [{"key": "feature_flag", "type": "event", "operator": "exact", "value": key}],
        "trendsFilter": {"display": "ActionsLineGraph"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dashboard::Trend;

    fn stored(new: NewTile) -> Tile {
        Tile { id: 1, name: new.name.into(), description: new.description, query: new.query }
    }

    #[test]
    fn every_generated_tile_can_be_answered() {
        for key in ["plain", "a \"quoted\" <key>", "naïve 🚀"] {
            for (tile, by_variant, lines) in [
                (&of_calls(key)[0], true, 1),
                (&of_calls(key)[1], true, 1),
                (&of_views(key)[0], false, 2),
                (&of_views(key)[1], false, 2),
            ] {
                let trend = Trend::parse(&tile.query).unwrap();
                let seen = (trend.flag_key.as_str(), trend.by_variant, trend.measures.len());
                assert_eq!(seen, (key, by_variant, lines), "{}", tile.name);
            }
        }
    }

    #[test]
    fn queries_that_hands_have_changed_are_not_guessed_at() {
        let changed = |change: fn(&mut Value)| {
            let mut query = of_calls("k")[0].query.clone();
            change(&mut query);
            Trend::parse(&query)
        };
        assert!(changed(|_| ()).is_some());
        assert_eq!(changed(|query| query["properties"] = json!([])), None);
        assert_eq!(changed(|query| query["properties"][0]["operator"] = json!("is_not")), None);
        assert_eq!(changed(|query| query["properties"][0]["key"] = json!("$browser")), None);
        let doubled = |query: &mut Value| query["properties"] = json!([called_filter("k"), {}]);
        assert_eq!(changed(doubled), None);
        assert_eq!(changed(|query| query["breakdownFilter"]["breakdown"] = json!("$os")), None);
        assert_eq!(changed(|query| query["series"][0]["math"] = json!("p95")), None);
        assert_eq!(changed(|query| *query = json!("SELECT 1")), None);
    }

    #[test]
    fn generated_tiles_follow_the_key_and_edited_ones_stay() {
        for tile in of_calls("old").into_iter().map(stored) {
            let new = retitled(&tile, "old", "new").unwrap();
            assert!(new.description.ends_with("with key: new"), "{new:?}");
            assert_eq!(new.query["properties"][0]["value"], "new");
            assert_eq!(retitled(&new, "new", "old"), Some(tile.clone()));
            assert_eq!(retitled(&tile, "another", "new"), None);
            let mut described = tile.clone();
            described.description = "What our checkout is doing".into();
            assert_eq!(retitled(&described, "old", "new"), None);
            let mut filtered = tile.clone();
            filtered.query["properties"] = json!([called_filter("old"), {"key": "$os"}]);
            assert_eq!(retitled(&filtered, "old", "new"), None);
            let mut displayed = tile;
            displayed.query["trendsFilter"]["display"] = json!("ActionsBar");
            let new = retitled(&displayed, "old", "new").unwrap();
            assert_eq!(new.query["trendsFilter"]["display"], "ActionsBar", "the rest is kept");
        }
        for tile in of_views("old").into_iter().map(stored) {
            assert_eq!(retitled(&tile, "old", "new"), None, "the document names the other two");
        }
    }
}
