//! gRPC through the generated clients.

use flagstaff::wire::v1::{
    FeatureFlagInput, directory_service_client::DirectoryServiceClient,
    evaluation_service_client::EvaluationServiceClient,
    feature_flag_service_client::FeatureFlagServiceClient,
    ingest_service_client::IngestServiceClient, project_service_client::ProjectServiceClient,
};
use prost_types::FieldMask;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tonic_types::StatusExt;

use super::Service;

/// A channel that shows a credential.
pub(crate) type Authorized = InterceptedService<Channel, Bearer>;

/// The credential of a client; `None` shows none.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Service {
    pub(crate) fn channel(&self, key: Option<&str>) -> Authorized {
        let value = key.map(|key| format!("Bearer {key}").parse().unwrap());
        InterceptedService::new(self.channel.clone(), Bearer(value))
    }

    /// Flags, as the admin.
    pub(crate) fn flags(&self) -> FeatureFlagServiceClient<Authorized> {
        self.flags_as(Some(&self.key))
    }

    pub(crate) fn flags_as(&self, key: Option<&str>) -> FeatureFlagServiceClient<Authorized> {
        FeatureFlagServiceClient::new(self.channel(key))
    }

    pub(crate) fn evaluation_as(&self, key: Option<&str>) -> EvaluationServiceClient<Authorized> {
        EvaluationServiceClient::new(self.channel(key))
    }

    pub(crate) fn ingestion_as(&self, key: Option<&str>) -> IngestServiceClient<Authorized> {
        IngestServiceClient::new(self.channel(key))
    }

    pub(crate) fn directory_as(&self, key: Option<&str>) -> DirectoryServiceClient<Authorized> {
        DirectoryServiceClient::new(self.channel(key))
    }

    /// Persons, groups and cohorts, as the admin.
    pub(crate) fn directory(&self) -> DirectoryServiceClient<Authorized> {
        self.directory_as(Some(&self.key))
    }

    pub(crate) fn projects_as(&self, key: Option<&str>) -> ProjectServiceClient<Authorized> {
        ProjectServiceClient::new(self.channel(key))
    }
}

/// Evaluation over any connection.
pub(crate) fn bearing(channel: Channel, key: &str) -> EvaluationServiceClient<Authorized> {
    let value = format!("Bearer {key}").parse().unwrap();
    EvaluationServiceClient::new(InterceptedService::new(channel, Bearer(Some(value))))
}

pub(crate) fn keyed(key: &str) -> FeatureFlagInput {
    FeatureFlagInput { key: Some(key.into()), ..Default::default() }
}

pub(crate) fn named(name: &str) -> FeatureFlagInput {
    FeatureFlagInput { name: Some(name.into()), ..Default::default() }
}

pub(crate) fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}

/// The machine code of a failure, from its `ErrorInfo`.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// What the `ErrorInfo` of a failure says under a name.
pub(crate) fn said(status: &Status, name: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.remove(name)
}
