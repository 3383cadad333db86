//! Recreates flags that were read elsewhere, in one transaction.
//!
//! Everything is made by the use-cases that the API calls, under one lock of
//! the project, and committed once: evaluators see all of it or nothing, and a
//! rehearsal is the same walk with the commit left out. What this service
//! refuses is left out and told; what fails for another reason ends the whole
//! import, and nothing is written.

mod cohorts;
mod flags;
mod groups;

use chrono::{DateTime, Utc};

use super::Services;
use crate::model::{
    caller::{Caller, Scope},
    error::{Code, Error, Result},
    import::{
        Foreign, OnConflict,
        references::Numbers,
        report::{Entry, Kind, Outcome, Report},
    },
    project::ProjectRef,
};

/// How to import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What becomes of what is here already.
    pub(crate) on_conflict: OnConflict,
    /// Whether everything is taken back in the end.
    pub(crate) rehearses: bool,
}

/// An import under way.
struct Walk<'a> {
    services: &'a Services,
    caller: &'a Caller,
    foreign: &'a Foreign,
    on_conflict: OnConflict,
    now: DateTime<Utc>,
    numbers: Numbers,
    report: Report,
}

impl Services {
    /// Recreates the flags of a project elsewhere, with the cohorts and group types they go by.
    ///
    /// # Errors
    ///
    /// As [`Services::open`]; `Conflict`, naming it, for a flag or cohort that is here already
    /// and not to be touched. Then nothing is written.
    pub(crate) async fn import(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        foreign: &Foreign,
        manner: Manner,
    ) -> Result<Report> {
        caller.require(Scope::COHORT_WRITE)?;
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let mut write = self.begin(project.id).await?;
        let now = self.clock.now();
        let mut walk = Walk {
            services: self,
            caller,
            foreign,
            on_conflict: manner.on_conflict,
            now,
            numbers: Numbers::default(),
            report: Report::default(),
        };
        walk.group_types(&mut write).await?;
        walk.cohorts(&mut write).await?;
        walk.flags(&mut write).await?;
        let report = walk.report;
        if !manner.rehearses && report.has_changes() {
            self.commit(write, now).await?;
        }
        Ok(report)
    }
}

impl Walk<'_> {
    fn tell(
        &mut self,
        (kind, there, name): (Kind, i64, &str),
        here: Option<i64>,
        outcome: Outcome,
        notes: Vec<String>,
    ) {
        let name = name.to_owned();
        self.report.entries.push(Entry { kind, name, there, here, outcome, notes });
    }

    /// Refuses to go on over something that is here, where that is wanted.
    fn may_be_here(&self, kind: Kind, name: &str) -> Result<()> {
        if self.on_conflict == OnConflict::Fail {
            let kind = kind.word();
            return Err(Error::conflict(format!(
                "The {kind} `{name}` is here already; nothing was imported."
            )));
        }
        Ok(())
    }
}

/// What a rule of this service says against something, in words; any other failure goes on.
fn refusal<T>(outcome: Result<T>) -> Result<Result<T, String>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.code {
            Code::Invalid | Code::Blocked | Code::Unprocessable => {
                let on = error.attr.as_ref().map(|attr| format!("{attr}: ")).unwrap_or_default();
                Ok(Err(format!("{on}{}", error.detail)))
            }
            _ => Err(error),
        },
    }
}

/// The fields of a change, as notes name them.
fn fields(body: &crate::model::json::Object) -> String {
    body.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
