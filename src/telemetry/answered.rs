//! What is measured of each request that was answered.
//!
//! Programs ask for flags so often that finding an instrument by its labels
//! would be a good part of what an answer costs. So these are held by what
//! they are found by, in the registry that all others are exported to.

use std::sync::{Arc, OnceLock};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::TelemetryError;

/// What a request was spoken in, as far as numbers tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Rest,
    Grpc,
}

/// Seconds.
const BOUNDARIES: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// HTTP's statuses have three digits, the first of them 1 to 9.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 900;

/// The instruments. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(super) struct Answered(Arc<[OfDialect; 2]>);

#[derive(Debug)]
struct OfDialect {
    dialect: Dialect,
    all: IntCounterVec,
    durations: Histogram,
    /// Those that were counted already, by status.
    by_status: Box<[OnceLock<IntCounter>]>,
}

impl Dialect {
    /// The name in labels and in logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }
}

impl Answered {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Metrics`], when somebody else has their names.
    pub(super) fn new(registry: &Registry) -> Result<Self, TelemetryError> {
        Self::registered(registry).map_err(|error| TelemetryError::Metrics(error.to_string()))
    }

    fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let requests = "flagstaff_requests_total";
        let requests = Opts::new(requests, "Requests answered, by dialect and status");
        let requests = IntCounterVec::new(requests, &["dialect", "status"])?;
        let durations = "flagstaff_request_duration_seconds";
        let durations =
            HistogramOpts::new(durations, "Time from a request's head to its answer's head");
        let durations = HistogramVec::new(durations.buckets(BOUNDARIES.into()), &["dialect"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        let of = |dialect: Dialect| OfDialect {
            dialect,
            all: requests.clone(),
            durations: durations.with_label_values(&[dialect.name()]),
            by_status: (0..STATUSES).map(|_| OnceLock::new()).collect(),
        };
        Ok(Self(Arc::new([of(Dialect::Rest), of(Dialect::Grpc)])))
    }

    /// Notes one answered request.
    pub(super) fn note(&self, dialect: Dialect, status: u16, seconds: f64) {
        let of = &self.0[dialect as usize];
        of.durations.observe(seconds);
        let counter = || {
            let labels = [of.dialect.name(), &status.to_string()];
            of.all.with_label_values(&labels)
        };
        match of.by_status.get(usize::from(status.saturating_sub(FIRST_STATUS))) {
            Some(known) => known.get_or_init(counter).inc(),
            None => counter().inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn answers_are_counted_by_dialect_and_status_and_timed_by_dialect() {
        let registry = Registry::new();
        let answered = Answered::new(&registry).unwrap();
        for (dialect, status) in
            [(Dialect::Rest, 200), (Dialect::Rest, 200), (Dialect::Rest, 503), (Dialect::Grpc, 200)]
        {
            answered.clone().note(dialect, status, 0.002);
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "flagstaff_requests_total{dialect=\"rest\",status=\"200\"} 2",
            "flagstaff_requests_total{dialect=\"rest\",status=\"503\"} 1",
            "flagstaff_requests_total{dialect=\"grpc\",status=\"200\"} 1",
            "flagstaff_request_duration_seconds_bucket{dialect=\"rest\",le=\"0.001\"} 0",
            "flagstaff_request_duration_seconds_bucket{dialect=\"rest\",le=\"0.0025\"} 3",
            "flagstaff_request_duration_seconds_count{dialect=\"grpc\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(Answered::new(&registry).is_err(), "the names are taken");
    }
}
