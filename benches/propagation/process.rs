//! A replica as a process of its own, seen from outside.

use std::{fs, time::Duration};

use flagstaff::wire::v1::{
    EvaluateFlagRequest, EvaluationSubject, evaluation_service_client::EvaluationServiceClient,
};
use tonic::{Request, transport::Channel};

use crate::cli::{Flagstaff, Running};

pub(crate) const KEY: &str = "phx_0123456789012345678901234567890123456789";

pub(crate) struct Replica {
    process: Running,
}

impl Replica {
    pub(crate) fn start(database_url: &str) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let process = Flagstaff::new(&arguments)
            .env("FLAGSTAFF_DATABASE_URL", database_url)
            .env("FLAGSTAFF_BOOTSTRAP_PERSONAL_API_KEY", KEY)
            .start();
        Self { process }
    }

    pub(crate) async fn connection(&self) -> Channel {
        let address = format!("http://{}", self.process.address("address"));
        Channel::from_shared(address).unwrap().connect().await.expect("it answers")
    }

    pub(crate) async fn evaluation(&self) -> Evaluation {
        Evaluation(EvaluationServiceClient::new(self.connection().await))
    }

    /// Resident memory, in kB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Open file descriptors.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Waits until the connections of clients are closed.
    pub(crate) async fn until_quiet(&self, most_files: usize) {
        for _ in 0..1_000 {
            if self.files() <= most_files.max(50) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Somebody who asks for the flag.
pub(crate) struct Evaluation(EvaluationServiceClient<Channel>);

impl Evaluation {
    /// The version of the flag that decides now.
    pub(crate) async fn version(&mut self) -> i64 {
        let subject = EvaluationSubject { distinct_id: "x".into(), ..Default::default() };
        let mut request = Request::new(EvaluateFlagRequest {
            flag_key: "seed-1-x".into(),
            subject: Some(subject),
            only_use_override_person_properties: true,
            ..Default::default()
        });
        request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
        let answer = self.0.evaluate_flag(request).await.expect("an answer").into_inner();
        answer.flag.unwrap().metadata.unwrap().version
    }
}
