//! Dashboards on their way out to gRPC.

use super::values::to_struct;
use crate::{
    model::dashboard::{Chart, Series, ShownDashboard, Tile},
    wire::v1::{Dashboard, DashboardTile, Insight, InsightResult, InsightSeries},
};

/// A dashboard with its numbers as a message.
#[must_use]
pub fn dashboard(shown: ShownDashboard) -> Dashboard {
    let stored = shown.dashboard;
    let tiles = stored.tiles.into_iter().zip(shown.charts);
    Dashboard {
        id: stored.id,
        name: stored.name,
        description: stored.description,
        tags: stored.tags,
        tiles: tiles.map(|(tile, chart)| self::tile(tile, chart)).collect(),
    }
}

fn tile(tile: Tile, chart: Chart) -> DashboardTile {
    let insight = Insight {
        name: tile.name,
        description: tile.description,
        query: tile.query.as_object().map(to_struct),
        result: Some(InsightResult {
            labels: chart.labels,
            series: chart.series.into_iter().map(series).collect(),
        }),
    };
    DashboardTile { id: tile.id, insight: Some(insight) }
}

fn series(line: Series) -> InsightSeries {
    #[expect(clippy::cast_precision_loss, reason = "no flag is called 2^53 times a day")]
    let data = line.data.into_iter().map(|number| number as f64).collect();
    InsightSeries { label: line.label, data }
}
