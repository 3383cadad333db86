//! Asks the engine what flags are for a subject.
//!
//! Definitions are in memory. What is stored of people and groups is read
//! where it can change an answer (`known`), and the database is waited for
//! only so long: answers go on when it is gone.

use std::sync::Arc;

use uuid::{Builder, Uuid};

use super::{Services, known::Known};
use crate::{
    engine::{
        self, Audience, Evaluation, Facts, Outcome, Properties, RequestRuntime, Selection, Subject,
    },
    model::{
        caller::{Caller, CredentialKind, Reach, Scope},
        error::{Error, Result},
        project::ProjectRef,
    },
    snapshot::ProjectSnapshot,
};

/// Whom a request asks about, and what it says of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) distinct_id: String,
    pub(crate) anon_distinct_id: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) person_properties: Properties,
    /// Group keys by group type name.
    pub(crate) groups: Properties,
    /// Objects by group type name.
    pub(crate) group_properties: Properties,
}

/// Which flags a request asks for, and as whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// These flags and what they depend on; `None` is all.
    pub(crate) flag_keys: Option<Vec<String>>,
    pub(crate) evaluation_contexts: Vec<String>,
    pub(crate) runtime: RequestRuntime,
    pub(crate) survey_only: bool,
    /// Stored properties of the person are left alone; only those sent count.
    pub(crate) only_sent_properties: bool,
    /// Flags with encrypted payloads as well: never for programs.
    pub(crate) encrypted_too: bool,
    /// Flags that are switched off are answered as such where they are asked for by key.
    pub(crate) switched_off_by_key: bool,
}

impl Scene {
    pub(super) fn selection(&self) -> Selection<'_> {
        Selection { flag_keys: self.flag_keys.as_deref(), audience: self.audience() }
    }

    fn audience(&self) -> Audience<'_> {
        Audience {
            runtime: self.runtime,
            evaluation_contexts: &self.evaluation_contexts,
            survey_only: self.survey_only,
            encrypted_too: self.encrypted_too,
            switched_off_by_key: self.switched_off_by_key,
        }
    }
}

impl Asked {
    /// The subject, as far as the request tells.
    pub(super) fn subject(&self) -> Subject<'_> {
        let facts = Facts {
            device_id: self.device_id.as_deref(),
            anon_distinct_id: self.anon_distinct_id.as_deref(),
            sent: Some(&self.person_properties),
            groups: Some(&self.groups),
            sent_groups: Some(&self.group_properties),
            ..Facts::default()
        };
        Subject::new(&self.distinct_id, facts)
    }
}

/// The caller's own id for a request, where it is a UUID; else a fresh one.
pub(crate) fn request_id(sent: Option<&str>) -> Uuid {
    // From the thread's own generator: one from the system would cost a call of it each time.
    let fresh = || Builder::from_random_bytes(rand::random()).into_uuid();
    sent.and_then(|id| id.parse().ok()).unwrap_or_else(fresh)
}

impl Services {
    /// The project that a caller evaluates in.
    ///
    /// # Errors
    ///
    /// `Forbidden` without `feature_flag:read` (the public token needs no scope) or for
    /// another project; `NotFound` where there is none.
    pub(crate) async fn evaluated(
        &self,
        caller: &Caller,
        project: &ProjectRef,
    ) -> Result<Arc<ProjectSnapshot>> {
        if caller.kind != CredentialKind::ProjectToken {
            caller.granted(Scope::FLAG_READ)?;
        }
        let id = match (project, &caller.reach) {
            (ProjectRef::Id(id), _) => Some(*id),
            (ProjectRef::Current { token: Some(_) }, _) => {
                Some(Box::pin(self.reach(caller, project)).await?.id)
            }
            (ProjectRef::Current { token: None }, Reach::Projects(ids)) => ids.first().copied(),
            (ProjectRef::Current { token: None }, Reach::Organization) => {
                self.snapshots.first_of(caller.organization_id).await?
            }
        };
        let id = id.ok_or_else(Error::not_found)?;
        if !caller.opens(id) {
            return Err(super::access::elsewhere(id));
        }
        let snapshot = self.snapshots.get(id).await?;
        if snapshot.project.organization_id != caller.organization_id {
            return Err(Error::not_found());
        }
        self.limits.count_evaluation((caller.kind, caller.credential_id))?;
        Ok(snapshot)
    }

    /// The project that a public token opens, for the wires that carry it in the body.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for an unknown token; `Throttled` when it was used too often.
    pub(crate) async fn evaluated_by_token(&self, token: &str) -> Result<Arc<ProjectSnapshot>> {
        let unknown = || Error::authentication_failed("Invalid project token.");
        let snapshot = self.snapshots.of_token(token).await?.ok_or_else(unknown)?;
        self.limits.count_evaluation((CredentialKind::ProjectToken, snapshot.project.id))?;
        Ok(snapshot)
    }

    /// Every selected flag for one subject. Does not fail: what could not be read in time
    /// costs the flags that go by it their answer, and sets `errors_while_computing`.
    pub(crate) async fn evaluate<'f>(
        &self,
        snapshot: &'f ProjectSnapshot,
        asked: &Asked,
        scene: &Scene,
    ) -> Evaluation<'f> {
        let (subject, selection) = (asked.subject(), scene.selection());
        let only_sent = scene.only_sent_properties;
        let known = self.known_of(snapshot, &subject, &selection, only_sent).await;
        self.evaluate_known(snapshot, subject, &known, &selection)
    }

    /// As [`Services::evaluate`], once everything about the subject is at hand.
    pub(super) fn evaluate_known<'f>(
        &self,
        snapshot: &'f ProjectSnapshot,
        subject: Subject<'_>,
        known: &Known,
        selection: &Selection<'_>,
    ) -> Evaluation<'f> {
        let facts = known.facts(subject.facts());
        let subject = subject.with_facts(facts);
        let mut evaluation =
            engine::evaluate(&snapshot.flags, &subject, selection, self.clock.now());
        evaluation.errors_while_computing |= known.is_unavailable();
        evaluation
    }

    /// One flag for one subject; `None` where [`Services::evaluate`], asked for its key, would leave
    /// it out.
    pub(crate) async fn evaluate_one<'f>(
        &self,
        snapshot: &'f ProjectSnapshot,
        key: String,
        asked: &Asked,
        scene: &Scene,
    ) -> Option<Outcome<'f>> {
        let (subject, keys) = (asked.subject(), [key]);
        let selection = Selection { flag_keys: Some(&keys), ..scene.selection() };
        let only_sent = scene.only_sent_properties;
        let known = self.known_of(snapshot, &subject, &selection, only_sent).await;
        let facts = known.facts(subject.facts());
        let (subject, audience) = (subject.with_facts(facts), selection.audience);
        engine::evaluate_one(&snapshot.flags, &subject, &keys[0], &audience, self.clock.now())
    }
}
