//! Evaluates flags for many subjects, one after the other.
//!
//! What is stored of them is read by the hundreds; each is evaluated only
//! when its answer is asked for, so a slow reader holds back the work, and one
//! who leaves ends it. All subjects see one state of the definitions.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    Services,
    evaluation::{Asked, Scene},
    known::Known,
};
use crate::{
    engine::{Evaluation, Subject},
    model::error::{Error, Result},
    snapshot::ProjectSnapshot,
};

/// The most subjects of one call.
const MOST_SUBJECTS: usize = 10_000;
/// Subjects that are read together: 20 statements serve the largest call, and no more than this
/// many people are held at once.
const CHUNK: usize = 500;

/// Outcomes in one turn: some tenths of a millisecond.
const MOST_UNBROKEN: usize = 1_000;

/// Subjects, and how far they are evaluated.
#[derive(Debug)]
pub(crate) struct Batch {
    services: Services,
    snapshot: Arc<ProjectSnapshot>,
    scene: Scene,
    subjects: Vec<Asked>,
    /// The position of the next subject.
    next: usize,
    /// What is known of the next ones.
    known: VecDeque<Known>,
    /// Outcomes since others last had a turn.
    unbroken: usize,
}

impl Services {
    /// Prepares to evaluate these subjects.
    ///
    /// # Errors
    ///
    /// `Invalid` for no subject, or for more than 10,000.
    pub(crate) fn batch(
        &self,
        snapshot: Arc<ProjectSnapshot>,
        subjects: Vec<Asked>,
        scene: Scene,
    ) -> Result<Batch> {
        if subjects.is_empty() {
            return Err(Error::field("subjects", "required", "This field is required."));
        }
        if subjects.len() > MOST_SUBJECTS {
            let detail = format!("Ensure this field has no more than {MOST_SUBJECTS} elements.");
            return Err(Error::field("subjects", "max_length", detail));
        }
        let services = self.clone();
        Ok(Batch {
            services,
            snapshot,
            scene,
            subjects,
            next: 0,
            known: VecDeque::new(),
            unbroken: 0,
        })
    }
}

impl Batch {
    /// The next subject's answer, as `render` tells it from the subject's position, the subject
    /// and the evaluation; `None` after the last.
    pub(crate) async fn next<R>(
        &mut self,
        render: impl FnOnce(usize, &Asked, Evaluation<'_>) -> R,
    ) -> Option<R> {
        let (at, asked) = (self.next, self.subjects.get(self.next)?);
        let known = match self.known.pop_front() {
            Some(known) => known,
            None => {
                self.known = self.read().await;
                self.known.pop_front().unwrap_or_default()
            }
        };
        self.next += 1;
        let selection = self.scene.selection();
        let evaluation =
            self.services.evaluate_known(&self.snapshot, asked.subject(), &known, &selection);
        self.unbroken += evaluation.outcomes.len() + 1;
        let answer = render(at, asked, evaluation);
        // Answers may be taken as fast as they are made; others want the processor too. Not
        // after each, since what is made in one turn is sent together.
        if self.unbroken > MOST_UNBROKEN {
            self.unbroken = 0;
            tokio::task::yield_now().await;
        }
        Some(answer)
    }

    /// The time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.services.clock.now()
    }

    /// What is stored of the next subjects.
    async fn read(&self) -> VecDeque<Known> {
        let asked = &self.subjects[self.next..];
        let subjects: Vec<Subject<'_>> = asked.iter().take(CHUNK).map(Asked::subject).collect();
        let selection = self.scene.selection();
        let only_sent = self.scene.only_sent_properties;
        let known = self.services.known_of_all(&self.snapshot, &subjects, &selection, only_sent);
        known.await.into()
    }
}
