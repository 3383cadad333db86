//! A line chart as SVG. It needs no script: each point's numbers are a title
//! that browsers show on hovering, and the page has them in a table as well.

use maud::{Markup, html};

use super::axis::{self, Stamp};
use crate::model::{
    dashboard::{Chart, Series},
    numbers::{compact, grouped},
};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Colours of the page; later lines are dashed.
pub(super) const COLORS: usize = 8;
/// Beyond this, dots hide the lines.
const MOST_DOTS: usize = 280;
/// Lines named in a title or a description.
const MOST_NAMED: usize = 8;

/// Draws the lines of a chart. `name` keeps this chart's elements apart from another's.
pub(super) fn draw(name: &str, title: &str, chart: &Chart, stamps: &[Stamp]) -> Markup {
    let most = chart.series.iter().flat_map(|line| &line.data).max().copied().unwrap_or(0);
    let plot = Plot::new(stamps.len(), axis::scale(most));
    let (title_id, about_id) = (format!("{name}-title"), format!("{name}-about"));
    html! {
        svg class="chart" viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img"
            aria-labelledby={(title_id) " " (about_id)} {
            title id=(title_id) { (title) }
            desc id=(about_id) { (described(chart, stamps)) }
            (plot.grid())
            (plot.dates(stamps))
            @for (index, line) in chart.series.iter().enumerate().rev() {
                (plot.line(index, line, chart.series.len()))
            }
            @for (point, stamp) in stamps.iter().enumerate() { (plot.hover(point, *stamp, chart)) }
        }
    }
}

/// The look of a line and of its sample in the key.
pub(super) fn look(index: usize) -> String {
    format!("c{} d{}", index % COLORS, index / COLORS)
}

/// Where numbers and points lie.
struct Plot {
    points: usize,
    scale: Vec<u64>,
}

impl Plot {
    fn new(points: usize, scale: Vec<u64>) -> Self {
        Self { points, scale }
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
    fn x(&self, point: usize) -> f64 {
        let width = WIDTH - LEFT - RIGHT;
        match self.points {
            0 | 1 => LEFT + width / 2.0,
            points => LEFT + width * point as f64 / (points - 1) as f64,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
    fn y(&self, number: u64) -> f64 {
        let top = self.scale.last().copied().unwrap_or(1).max(1);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number as f64 / top as f64
    }

    fn grid(&self) -> Markup {
        html! {
            @for number in &self.scale {
                @let y = rounded(self.y(*number));
                line class=(if *number == 0 { "base" } else { "grid" })
                    x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text class="tick" text-anchor="end" x=(LEFT - 10.0) y=(rounded(self.y(*number) + 4.0)) {
                    (compact(*number))
                }
            }
        }
    }

    fn dates(&self, stamps: &[Stamp]) -> Markup {
        html! {
            @for (point, text) in axis::ticks(stamps) {
                @let x = rounded(self.x(point));
                line class="base" x1=(x) x2=(x) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM + 5.0) {}
                text class="tick" text-anchor=(self.anchor(point)) x=(x) y=(HEIGHT - 10.0) { (text) }
            }
        }
    }

    /// The last tick would reach beyond the picture.
    fn anchor(&self, point: usize) -> &'static str {
        if self.points > 1 && point + 1 == self.points { "end" } else { "middle" }
    }

    fn line(&self, index: usize, line: &Series, lines: usize) -> Markup {
        let at = |(point, number): (usize, &u64)| {
            format!("{},{}", rounded(self.x(point)), rounded(self.y(*number)))
        };
        let corners: Vec<_> = line.data.iter().enumerate().map(at).collect();
        let corners = corners.join(" ");
        let (floor, last) = (HEIGHT - BOTTOM, rounded(self.x(self.points.saturating_sub(1))));
        let dots = lines * self.points <= MOST_DOTS;
        html! {
            g class=(look(index)) {
                @if lines == 1 && self.points > 1 {
                    polygon class="area" points={(LEFT) "," (floor) " " (corners) " " (last) "," (floor)} {}
                }
                polyline class="line" points=(corners) {}
                @for (point, number) in line.data.iter().enumerate().filter(|_| dots) {
                    circle class="dot" cx=(rounded(self.x(point))) cy=(rounded(self.y(*number)))
                        r=(if self.points == 1 { 4 } else { 2 }) {}
                }
            }
        }
    }

    /// The whole height around a point, so that nobody has to aim.
    fn hover(&self, point: usize, stamp: Stamp, chart: &Chart) -> Markup {
        let width = (WIDTH - LEFT - RIGHT) / f64::from(u32::try_from(self.points).unwrap_or(1));
        let x = (self.x(point) - width / 2.0).max(LEFT);
        let number = |line: &Series| line.data.get(point).copied().unwrap_or(0);
        html! {
            rect class="hover" x=(rounded(x)) y=(TOP) width=(rounded(width)) height=(HEIGHT - TOP - BOTTOM) {
                title {
                    (stamp.in_full())
                    @for line in chart.series.iter().take(MOST_NAMED) {
                        "\n" (line.label) ": " (grouped(number(line)))
                    }
                    @if chart.series.len() > MOST_NAMED {
                        "\nand " (chart.series.len() - MOST_NAMED) " more"
                    }
                }
            }
        }
    }
}

/// The chart in words, for those who do not see it.
fn described(chart: &Chart, stamps: &[Stamp]) -> String {
    let peak = |line: &Series| {
        let most = line.data.iter().max().copied().unwrap_or(0);
        let point = line.data.iter().position(|number| *number == most && most > 0);
        match point.and_then(|point| stamps.get(point)) {
            Some(stamp) => format!("highest {} on {}", grouped(most), stamp.in_full()),
            None => "none".to_owned(),
        }
    };
    let lines = chart.series.iter().take(MOST_NAMED);
    let lines = lines
        .map(|line| format!("{}: {} in all, {}.", line.label, grouped(line.total), peak(line)));
    let lines: Vec<_> = lines.collect();
    format!("Line chart of {} points. {}", stamps.len(), lines.join(" "))
}

/// A tenth of a unit is finer than a screen.
fn rounded(coordinate: f64) -> f64 {
    (coordinate * 10.0).round() / 10.0
}
