//! What is measured of ingestion.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, UpDownCounter},
};

/// The instruments of ingestion. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    events: Counter<u64>,
    repeated: Counter<u64>,
    rejected: Counter<u64>,
    uncounted: Counter<u64>,
    waiting: UpDownCounter<i64>,
    commits: Histogram<f64>,
}

impl IngestMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            events: meter
                .u64_counter("flagstaff.ingest.events")
                .with_description("Events committed, by kind")
                .build(),
            repeated: meter
                .u64_counter("flagstaff.ingest.repeated")
                .with_description("Events sent again, and not counted again")
                .build(),
            rejected: meter
                .u64_counter("flagstaff.ingest.rejected")
                .with_description("Events refused")
                .build(),
            uncounted: meter
                .u64_counter("flagstaff.ingest.usage.uncounted")
                .with_description("Events about the use of flags that were not counted, by reason")
                .build(),
            waiting: meter
                .i64_up_down_counter("flagstaff.ingest.waiting")
                .with_description("Requests that wait to be written")
                .build(),
            commits: meter
                .f64_histogram("flagstaff.ingest.commit.duration")
                .with_unit("s")
                .with_description("Time to write and commit a group of requests")
                .with_boundaries(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0])
                .build(),
        }
    }

    pub(crate) fn record_event(&self, kind: &'static str) {
        self.events.add(1, &[KeyValue::new("kind", kind)]);
    }

    pub(crate) fn record_rejected(&self, events: usize) {
        self.rejected.add(events as u64, &[]);
    }

    pub(crate) fn record_waiting(&self, change: i64) {
        self.waiting.add(change, &[]);
    }

    pub(crate) fn record_commit(&self, took: Duration) {
        self.commits.record(took.as_secs_f64(), &[]);
    }

    pub(crate) fn record_repeated(&self, events: usize) {
        self.repeated.add(events as u64, &[]);
    }

    pub(crate) fn record_uncounted(&self, reason: &'static str, events: usize) {
        if events > 0 {
            self.uncounted.add(events as u64, &[KeyValue::new("reason", reason)]);
        }
    }
}
