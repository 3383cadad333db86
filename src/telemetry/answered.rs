//! What is measured of each request that was answered.
//!
//! Programs ask for flags so often that finding an instrument by its labels
//! would be a good part of what an answer costs. So these are held by what
//! they are found by, in the registry that all others are exported to.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use foldhash::fast::RandomState;
use http::Method;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use prost_reflect::DescriptorPool;

use super::{TelemetryError, grpc_status};
use crate::wire;

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

/// What programs ask for all day over REST: the verb and the route.
const DELIVERY: [(Method, &str); 3] =
    [(Method::POST, "/flags"), (Method::POST, "/decide"), (Method::GET, "/flags/definitions")];

/// The method of what no RPC and no route answers.
pub(super) const UNKNOWN: &str = "unknown";

/// The instruments. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(super) struct Answered(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    requests: IntCounterVec,
    durations: [Histogram; 2],
    /// By their paths.
    rpcs: HashMap<String, Arc<Counters>, RandomState>,
    unknown_rpc: Arc<Counters>,
    delivery: [Counters; DELIVERY.len()],
}

/// The counters of one operation.
#[derive(Debug)]
pub(super) struct Counters {
    dialect: Dialect,
    /// The operation as labels and traces name it.
    pub(super) method: String,
    requests: IntCounterVec,
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

impl Counters {
    fn new(dialect: Dialect, method: &str, requests: &IntCounterVec) -> Self {
        let statuses = match dialect {
            Dialect::Rest => STATUSES,
            Dialect::Grpc => grpc_status::NAMES.len(),
        };
        Self {
            dialect,
            method: method.to_owned(),
            requests: requests.clone(),
            by_status: (0..statuses).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts an answered call with the code of its status.
    pub(super) fn count_rpc(&self, code: tonic::Code) {
        let at = code as usize;
        self.counter(at, grpc_status::NAMES[at]).inc();
    }

    fn counter(&self, at: usize, status: &str) -> &IntCounter {
        let labels = || [self.dialect.name(), &self.method, status];
        self.by_status[at].get_or_init(|| self.requests.with_label_values(&labels()))
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
        let requests = Opts::new(
            requests,
            "Requests answered, by dialect, RPC or route, and status; a call of gRPC when it has ended",
        );
        let requests = IntCounterVec::new(requests, &["dialect", "method", "status"])?;
        let durations = "flagstaff_request_duration_seconds";
        let durations =
            HistogramOpts::new(durations, "Time from a request's head to its answer's head");
        let durations = HistogramVec::new(durations.buckets(BOUNDARIES.into()), &["dialect"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        let rpc = |name: &str| Arc::new(Counters::new(Dialect::Grpc, name, &requests));
        Ok(Self(Arc::new(Instruments {
            durations: [Dialect::Rest, Dialect::Grpc]
                .map(|dialect| durations.with_label_values(&[dialect.name()])),
            rpcs: rpcs().map(|name| (format!("/{name}"), rpc(&name))).collect(),
            unknown_rpc: rpc(UNKNOWN),
            delivery: DELIVERY.map(|(verb, route)| {
                Counters::new(Dialect::Rest, &format!("{verb} {route}"), &requests)
            }),
            requests,
        })))
    }

    /// The counters of an RPC, by its path.
    pub(super) fn rpc(&self, path: &str) -> Arc<Counters> {
        Arc::clone(self.0.rpcs.get(path).unwrap_or(&self.0.unknown_rpc))
    }

    /// Counts an answered request of REST.
    pub(super) fn count_rest(&self, verb: &Method, route: &str, status: u16) {
        let at = DELIVERY.iter().position(|known| known.0 == verb && known.1 == route);
        match (at, usize::from(status.saturating_sub(FIRST_STATUS))) {
            (Some(at), index) if index < STATUSES => {
                let counters = &self.0.delivery[at];
                match counters.by_status[index].get() {
                    Some(counter) => counter.inc(),
                    None => counters.counter(index, &status.to_string()).inc(),
                }
            }
            _ => {
                let labels = [Dialect::Rest.name(), &rest_method(verb, route), &status.to_string()];
                self.0.requests.with_label_values(&labels).inc();
            }
        }
    }

    /// Notes how long it took until an answer's head.
    pub(super) fn time(&self, dialect: Dialect, seconds: f64) {
        self.0.durations[dialect as usize].observe(seconds);
    }
}

/// The name of an operation of REST. What is no verb of HTTP has no name of its own, as anybody may
/// make one up.
pub(super) fn rest_method(verb: &Method, route: &str) -> String {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    match known.contains(verb) {
        true => format!("{verb} {route}"),
        false => format!("OTHER {route}"),
    }
}

/// All RPCs that are served: the contract's, and those of health and reflection.
fn rpcs() -> impl Iterator<Item = String> {
    let described = |descriptors: &[u8]| {
        let pool = DescriptorPool::decode(descriptors).expect("embedded descriptors are whole");
        let services: Vec<_> = pool.services().collect();
        let methods = services.into_iter().flat_map(|service| {
            let name = service.full_name().to_owned();
            service
                .methods()
                .map(move |method| format!("{name}/{}", method.name()))
                .collect::<Vec<_>>()
        });
        methods.collect::<Vec<_>>()
    };
    [
        wire::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ]
    .into_iter()
    .flat_map(described)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use tonic::Code;

    use super::*;

    #[test]
    fn answers_are_counted_by_operation_and_status_and_timed_by_dialect() {
        let registry = Registry::new();
        let answered = Answered::new(&registry).unwrap();
        for (verb, route, status) in [
            (Method::POST, "/flags", 200),
            (Method::POST, "/flags", 200),
            (Method::POST, "/flags", 503),
            (Method::GET, "/flags", 200),
            (Method::from_bytes(b"BREW").unwrap(), UNKNOWN, 404),
        ] {
            answered.count_rest(&verb, route, status);
            answered.time(Dialect::Rest, 0.002);
        }
        let path = "/flagstaff.v1.EvaluationService/EvaluateFlag";
        answered.rpc(path).count_rpc(Code::Ok);
        answered.rpc(path).count_rpc(Code::NotFound);
        answered.rpc("/grpc.health.v1.Health/Check").count_rpc(Code::Ok);
        answered.rpc("/made.Up/Method").count_rpc(Code::Unimplemented);
        answered.time(Dialect::Grpc, 0.002);
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let evaluated = "dialect=\"grpc\",method=\"flagstaff.v1.EvaluationService/EvaluateFlag\"";
        for line in [
            "flagstaff_requests_total{dialect=\"rest\",method=\"POST /flags\",status=\"200\"} 2",
            "flagstaff_requests_total{dialect=\"rest\",method=\"POST /flags\",status=\"503\"} 1",
            "flagstaff_requests_total{dialect=\"rest\",method=\"GET /flags\",status=\"200\"} 1",
            "flagstaff_requests_total{dialect=\"rest\",method=\"OTHER unknown\",status=\"404\"} 1",
            &format!("flagstaff_requests_total{{{evaluated},status=\"OK\"}} 1"),
            &format!("flagstaff_requests_total{{{evaluated},status=\"NOT_FOUND\"}} 1"),
            "flagstaff_requests_total{dialect=\"grpc\",method=\"grpc.health.v1.Health/Check\",status=\"OK\"} 1",
            "flagstaff_requests_total{dialect=\"grpc\",method=\"unknown\",status=\"UNIMPLEMENTED\"} 1",
            "flagstaff_request_duration_seconds_bucket{dialect=\"rest\",le=\"0.001\"} 0",
            "flagstaff_request_duration_seconds_bucket{dialect=\"rest\",le=\"0.0025\"} 5",
            "flagstaff_request_duration_seconds_count{dialect=\"grpc\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(Answered::new(&registry).is_err(), "the names are taken");
    }
}
