//! The gRPC edge: one file a service, one short method an RPC.
//!
//! A method converts the message, calls the use-case, converts the answer.
//! Operations that are part of the contract and not built yet answer
//! `UNIMPLEMENTED`, from the generated default.

mod activity;
mod bulk;
mod deadline;
mod definitions;
mod direct;
mod directory;
mod evaluation;
mod feature_flags;
mod framed;
mod gate;
mod ingest;
mod malformed;
mod projects;
mod reasons;
mod status;
mod test_evaluation;
mod versions;
mod watch;

use std::sync::Arc;

use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    server::NamedService,
    service::{LayerExt, Routes},
};
use tonic_health::server::HealthReporter;

pub use deadline::DeadlineLayer;
use direct::Direct;
pub use direct::{Call, Calls};
pub use gate::{Gate, Held, holding};
pub use malformed::blame_caller;

use crate::{
    auth::Identity,
    model::{
        caller::Caller,
        error::{Error, Result},
        project::ProjectRef,
        unknown_fields::Strictness,
    },
    service::Services,
    wire::{
        self,
        v1::{
            directory_service_server::DirectoryServiceServer,
            evaluation_service_server::EvaluationServiceServer,
            feature_flag_service_server::FeatureFlagServiceServer,
            ingest_service_server::IngestServiceServer,
            project_service_server::ProjectServiceServer,
        },
    },
};

/// Bounds on messages.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request message, in bytes.
    pub message_bytes: usize,
    /// The largest message of ingestion, of batches and of cohort members, in bytes.
    pub ingestion_bytes: usize,
}

impl Limits {
    /// The largest message of a method, by its path.
    fn of(self, path: &str) -> usize {
        match path {
            INGEST_EVENTS | direct::BATCH | ADD_MEMBERS | REMOVE_MEMBERS => self.ingestion_bytes,
            _ => self.message_bytes,
        }
    }
}

const INGEST_EVENTS: &str = "/flagstaff.v1.IngestService/IngestEvents";
const ADD_MEMBERS: &str = "/flagstaff.v1.DirectoryService/AddCohortMembers";
const REMOVE_MEMBERS: &str = "/flagstaff.v1.DirectoryService/RemoveCohortMembers";
const WATCH_FLAGS: &str = "/flagstaff.v1.EvaluationService/WatchFlags";

/// Whether a path is that of an RPC which public tokens may call, so that pages of any site may.
#[must_use]
pub fn is_client_rpc(path: &str) -> bool {
    Call::of(path).is_some() || matches!(path, INGEST_EVENTS | WATCH_FLAGS)
}

/// Marks a request that came as gRPC-web; the layer that unwraps it hides that.
#[derive(Clone, Copy, Debug)]
pub struct OverWeb;

/// The services of the contract over the same use-cases that REST calls.
#[derive(Clone, Debug)]
struct Grpc(Services);

/// What a method comes to.
type Answer<T> = Result<Response<T>, Status>;

/// Every gRPC service, with reflection and health.
///
/// # Panics
///
/// When the embedded descriptors cannot be read, which the build has proved they can.
pub async fn routes(services: Services, limits: Limits, health: &HealthReporter) -> Routes {
    let calls = Calls::new(services.clone(), limits);
    let grpc = Grpc(services);
    macro_rules! served {
        ($server:ident, $bytes:expr) => {{
            health.set_serving::<$server<Grpc>>().await;
            $server::new(grpc.clone())
                .max_decoding_message_size($bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .send_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Zstd)
        }};
    }
    let evaluation = served!(EvaluationServiceServer, limits.message_bytes);
    let (v1, v1alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    Routes::new(served!(FeatureFlagServiceServer, limits.message_bytes))
        .add_service(Direct::new(calls, framed::FramedLayer.named_layer(evaluation)))
        // The gate bounds each method by its own limit; the largest of them holds here.
        .add_service(served!(DirectoryServiceServer, limits.ingestion_bytes))
        .add_service(served!(IngestServiceServer, limits.ingestion_bytes))
        .add_service(served!(ProjectServiceServer, limits.message_bytes))
        .add_service(v1.expect("the embedded descriptors are whole"))
        .add_service(v1alpha.expect("the embedded descriptors are whole"))
}

/// What health checks may ask about: the whole, and each service.
const HEALTH_NAMES: [&str; 6] = [
    "",
    FeatureFlagServiceServer::<Grpc>::NAME,
    EvaluationServiceServer::<Grpc>::NAME,
    DirectoryServiceServer::<Grpc>::NAME,
    IngestServiceServer::<Grpc>::NAME,
    ProjectServiceServer::<Grpc>::NAME,
];

/// Tells health checks that calls should go elsewhere.
pub async fn not_serving(health: &HealthReporter) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
    }
}

/// Ends the streams that watch the health, each after its last status.
pub async fn end_health_watches(health: &mut HealthReporter) {
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl and its like can show the details of errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Who calls, as the auth layer found.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    let identity = request.extensions().get::<Identity>().cloned().unwrap_or_default();
    Ok(identity.caller()?)
}

/// What a write does about unknown fields, by the metadata of the request.
fn strictness<T>(request: &Request<T>) -> Result<Strictness> {
    let value = request.metadata().get(Strictness::HEADER);
    // What is no text is neither true nor false.
    Strictness::parse(value.map(|value| value.to_str().unwrap_or_default()))
}

fn project(id: &str) -> Result<ProjectRef> {
    ProjectRef::parse(id, None)
}

/// A message of one field that has to be there.
fn required<T>(value: Option<T>, attr: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::field(attr, "required", "This field is required."))
}
