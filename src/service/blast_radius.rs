//! How many persons or groups a condition would reach (management-api 5).
//!
//! Everyone stored is asked the very question that evaluation asks, a page at
//! a time and off the threads that serve others, so the count says what flags
//! will do, and a million persons take no more memory than a thousand.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Services;
use crate::{
    engine::{self, Facts, Flag, FlagSource, Subject},
    model::{
        blast_radius::{self, Reach, WantedReach},
        caller::{Caller, Scope},
        error::{Error, Result},
        json::Object,
        person::PersonFilter,
        project::ProjectRef,
    },
    snapshot::ProjectSnapshot,
    store::audience::{A_PAGE, Candidate},
};

/// A condition, ready to be held against anyone.
#[derive(Clone)]
struct Question {
    snapshot: Arc<ProjectSnapshot>,
    flag: Arc<Flag>,
    now: DateTime<Utc>,
    /// The name of the groups' type; `None` for persons.
    group_type: Option<String>,
}

impl Services {
    /// How many persons or groups a condition reaches, whatever its rollout.
    ///
    /// # Errors
    ///
    /// `Invalid` without a condition, and for one that cannot be evaluated.
    pub(crate) async fn blast_radius(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
    ) -> Result<Reach> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let wanted = WantedReach::parse(body)?;
        if wanted.is_everyone {
            let total = self.everyone(project.id, wanted.group_type_index).await?;
            return Ok(Reach { affected: total, total });
        }
        let flag = condition(&wanted.filters)?;
        let snapshot = self.snapshots.get(project.id).await?;
        let set = &snapshot.flags;
        let subject = Subject::new("", Facts::default());
        let needs = engine::needs_of(set, &flag, &subject);
        let cohort_ids: Vec<i64> = needs.static_cohorts.into_iter().collect();
        let group_type = wanted
            .group_type_index
            .map(|index| set.group_type(index.into()).map(str::to_owned).unwrap_or_default());
        let (flag, now) = (Arc::new(flag), self.clock.now());
        let question = Question { snapshot, flag, now, group_type };
        let index = wanted.group_type_index;
        let (mut reach, mut after) = (Reach::default(), 0);
        loop {
            let page = match index {
                Some(index) => self.store.groups_after(project.id, index, after).await?,
                None => self.store.persons_after(project.id, after, &cohort_ids).await?,
            };
            let (count, last) = (page.len(), page.last().map(|candidate| candidate.id));
            reach.affected += question.clone().count(page).await?;
            reach.total += i64::try_from(count).unwrap_or(i64::MAX);
            match last {
                Some(last) if count == A_PAGE => after = last,
                _ => return Ok(reach),
            }
        }
    }

    async fn everyone(&self, project_id: i64, group_type_index: Option<i32>) -> Result<i64> {
        match group_type_index {
            Some(index) => Ok(self.store.groups(project_id, index, None, (0, 0)).await?.1),
            None => self.store.count_persons(project_id, &PersonFilter::default()).await,
        }
    }
}

/// A flag of this one condition.
fn condition(filters: &Value) -> Result<Flag> {
    let flag = Flag::compile(&FlagSource::new(0, "", filters));
    match flag.problem() {
        Some(problem) => Err(blast_radius::unusable(problem)),
        None => Ok(flag),
    }
}

impl Question {
    /// How many of a page it reaches.
    async fn count(self, page: Vec<Candidate>) -> Result<i64> {
        let counting = move || {
            page.iter()
                .try_fold(0, |count, candidate| Ok(count + i64::from(self.reaches(candidate)?)))
        };
        tokio::task::spawn_blocking(counting).await.map_err(Error::internal)?
    }

    fn reaches(&self, candidate: &Candidate) -> Result<bool> {
        let properties = candidate.properties();
        let Some(group_type) = &self.group_type else {
            let facts = Facts {
                stored: Some(&properties),
                static_cohorts: Some(&candidate.static_cohorts),
                ..Facts::default()
            };
            return self.holds(&Subject::new(&candidate.name, facts));
        };
        let key = Value::from(candidate.name.as_str());
        let keys = Object::from_iter([(group_type.clone(), key)]);
        let groups = [(group_type.clone(), Arc::new(properties))];
        let facts = Facts { groups: Some(&keys), stored_groups: &groups, ..Facts::default() };
        self.holds(&Subject::new("", facts))
    }

    fn holds(&self, subject: &Subject<'_>) -> Result<bool> {
        let set = &self.snapshot.flags;
        let outcome = engine::evaluate_other(set, &self.flag, subject, self.now);
        match outcome.failed {
            true => Err(blast_radius::unusable(&outcome.description())),
            false => Ok(outcome.enabled),
        }
    }
}
