//! `IngestService`: events.

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Grpc, caller, project};
use crate::{
    model::event::Sent,
    service::ingest::Batch,
    wire::{
        convert,
        v1::{
            IngestEventsRequest, IngestEventsResponse, RejectedEvent,
            ingest_service_server::IngestService,
        },
    },
};

#[tonic::async_trait]
impl IngestService for Grpc {
    async fn ingest_events(
        &self,
        request: Request<IngestEventsRequest>,
    ) -> Result<Response<IngestEventsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project_id = self.0.ingested(&caller, &project(&request.project_id)?).await?;
        let batch = Batch {
            bytes: request.encoded_len(),
            events: request.events.into_iter().map(convert::event).collect(),
            sent: Sent { at: None, arrived_at: self.0.clock.now() },
            unnamed: None,
        };
        let credential = (caller.kind, caller.credential_id);
        self.0.throttle_events(credential, batch.events.len())?;
        let receipt = self.0.ingest(project_id, batch).await?;
        let rejected = |(index, reason): (usize, String)| RejectedEvent {
            index: i32::try_from(index).unwrap_or(i32::MAX),
            reason,
        };
        Ok(Response::new(IngestEventsResponse {
            accepted: i64::try_from(receipt.accepted).unwrap_or(i64::MAX),
            rejected: receipt.rejected.into_iter().map(rejected).collect(),
        }))
    }
}
