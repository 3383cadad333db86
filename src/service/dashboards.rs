//! A dashboard with its numbers (architecture 2): each tile's query answered
//! from usage, for one range of time.

use std::collections::HashMap;

use super::Services;
use crate::{
    model::{
        caller::{Caller, Scope},
        dashboard::{Chart, Dashboard, Measure, Series, ShownDashboard, Trend},
        error::{Error, Result},
        project::{Project, ProjectRef},
        sketch::UniqueSketch,
        usage_range::{Dates, UsageRange},
    },
    store::usage_series::{HourCount, HourUsers, UsageOf},
};
use chrono_tz::Tz;

/// Variants with a line of their own; the rest share one.
const MOST_VARIANTS: usize = 25;
const OTHERS: &str = "(other)";
/// The line of events that named no variant.
const NO_VARIANT: &str = "(none)";

impl Services {
    /// A dashboard, with its numbers for the days asked for.
    ///
    /// # Errors
    ///
    /// `NotFound` for one that is not there or softly deleted; `Invalid` for dates that are none.
    pub(crate) async fn dashboard(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        dates: &Dates,
    ) -> Result<ShownDashboard> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let found = self.store.dashboard(project.id, id).await?;
        let dashboard = found.ok_or_else(Error::not_found)?;
        let range = self.range(&project, &dashboard, dates)?;
        let mut charts = Vec::new();
        for tile in &dashboard.tiles {
            let series = match Trend::parse(&tile.query) {
                Some(trend) => self.series(project.id, &trend, &range).await?,
                None => Vec::new(),
            };
            charts.push(Chart { labels: range.labels.clone(), series });
        }
        Ok(ShownDashboard { dashboard, charts, timezone: project.timezone, hourly: range.hourly })
    }

    fn range(&self, project: &Project, dashboard: &Dashboard, dates: &Dates) -> Result<UsageRange> {
        let default = dashboard.filters["date_from"].as_str().unwrap_or("-30d");
        // Project settings take known zones alone.
        let zone = project.timezone.parse::<Tz>().unwrap_or(Tz::UTC);
        UsageRange::parse(dates, default, zone, self.clock.now())
    }

    async fn series(
        &self,
        project_id: i64,
        trend: &Trend,
        range: &UsageRange,
    ) -> Result<Vec<Series>> {
        let mut series = Vec::new();
        for measure in &trend.measures {
            let (from, until) = (range.from(), range.until);
            let (flag_key, event) = (trend.flag_key.as_str(), measure.event.as_str());
            let of = UsageOf { project_id, flag_key, event, from, until };
            let lines = match trend.by_variant {
                true => Lines::by_variant(self.store.top_variants(of, most_variants()).await?),
                false => Lines::one(measure),
            };
            series.extend(self.counted(of, measure.unique_users, lines, range).await?);
        }
        Ok(series)
    }

    async fn counted(
        &self,
        of: UsageOf<'_>,
        unique_users: bool,
        lines: Lines,
        range: &UsageRange,
    ) -> Result<Vec<Series>> {
        let points = range.labels.len();
        if !unique_users {
            let mut counts = lines.empty(|| vec![0_u64; points]);
            let add = |row: HourCount| {
                if let (Some(line), Some(point)) = (lines.of(&row.variant), range.point(row.hour)) {
                    counts[line][point] += u64::try_from(row.count).unwrap_or(0);
                }
            };
            self.store.each_count(of, add).await?;
            return Ok(lines.named(counts, |data| (data.iter().sum(), data)));
        }
        let mut users = lines.empty(|| Users::over(points));
        let add = |row: HourUsers| {
            if let (Some(line), Some(point)) = (lines.of(&row.variant), range.point(row.hour)) {
                users[line].add(point, &row.users);
            }
        };
        self.store.each_users(of, add).await?;
        Ok(lines.named(users, Users::counted))
    }
}

fn most_variants() -> u64 {
    // One more tells whether there are others.
    u64::try_from(MOST_VARIANTS).map_or(u64::MAX, |most| most + 1)
}

/// The lines of a chart, and which events count for which.
#[derive(Debug)]
struct Lines {
    labels: Vec<String>,
    /// Lines by variant; empty when all events count for the first.
    by_variant: HashMap<String, usize>,
    /// The line of variants that have none of their own.
    rest: Option<usize>,
}

impl Lines {
    fn one(measure: &Measure) -> Self {
        Self { labels: vec![measure.name.clone()], by_variant: HashMap::new(), rest: Some(0) }
    }

    /// One for each of the most frequent variants, and one for the others if there are any.
    fn by_variant(mut variants: Vec<String>) -> Self {
        let rest = (variants.len() > MOST_VARIANTS).then_some(MOST_VARIANTS);
        variants.truncate(MOST_VARIANTS);
        let label = |variant: &String| match variant.as_str() {
            "" => NO_VARIANT.to_owned(),
            variant => variant.to_owned(),
        };
        let labels = variants.iter().map(label).chain(rest.map(|_| OTHERS.to_owned())).collect();
        let by_variant = variants.into_iter().enumerate().map(|(line, name)| (name, line));
        Self { labels, by_variant: by_variant.collect(), rest }
    }

    fn of(&self, variant: &str) -> Option<usize> {
        self.by_variant.get(variant).copied().or(self.rest)
    }

    fn empty<T>(&self, empty: impl Fn() -> T) -> Vec<T> {
        self.labels.iter().map(|_| empty()).collect()
    }

    fn named<T>(self, lines: Vec<T>, counted: impl Fn(T) -> (u64, Vec<u64>)) -> Vec<Series> {
        let series = |(label, line)| {
            let (total, data) = counted(line);
            Series { label, data, total }
        };
        self.labels.into_iter().zip(lines).map(series).collect()
    }
}

/// The users of one line: of each point, and of the whole range.
#[derive(Debug)]
struct Users {
    points: Vec<Option<UniqueSketch>>,
    all: UniqueSketch,
}

impl Users {
    fn over(points: usize) -> Self {
        Self { points: vec![None; points], all: UniqueSketch::default() }
    }

    fn add(&mut self, point: usize, users: &UniqueSketch) {
        self.points[point].get_or_insert_default().merge(users);
        self.all.merge(users);
    }

    fn counted(self) -> (u64, Vec<u64>) {
        let count = |users: &Option<UniqueSketch>| users.as_ref().map_or(0, UniqueSketch::count);
        (self.all.count(), self.points.iter().map(count).collect())
    }
}
