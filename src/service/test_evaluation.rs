//! A flag tried out on one person, now or at a moment of the past
//! (management-api 4.4).
//!
//! For the past, the flag is rebuilt from its activity, and the person's
//! properties from their history; nothing of the present stands in for them.
//! Relative dates count from then as well. Groups, cohorts, kept hash keys and
//! the flags that are read are those of now. Everything is read anew, nothing
//! is written, and nothing counts as use.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Services, rate_limits::Limited};
use crate::{
    engine::{
        self, ConditionReport, Explanation, Facts, Flag, FlagSet, HashKeys, Needs, PropertyReport,
        Subject,
    },
    model::{
        caller::{Caller, CredentialKind, Scope},
        encrypted,
        error::{Code, Error, Result},
        flag::FeatureFlag,
        history::{self, Target},
        json::Object,
        person::{Person, PersonFilter},
        project::ProjectRef,
        stored_id::looked_up_id,
        test_evaluation::{
            self as model, Tested, TestedCondition, TestedProperty, WantedTest, Who,
        },
    },
    snapshot,
    store::stored_facts::{FactsFound, FactsWanted, PersonFacts},
};

/// What of the past a test goes by.
struct Past {
    at: DateTime<Utc>,
    flag: FeatureFlag,
    properties: Object,
}

impl Services {
    /// What a flag, inactive or deleted ones included, is for a stored person, and why.
    ///
    /// An encrypted payload is in clear for personal keys alone.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown flag or person; `Throttled` beyond 240 calls a minute; `Invalid`
    /// for a bad request, and for a moment at which there was no such flag; `Blocked` where the
    /// flag's activity does not reach back that far.
    pub(crate) async fn test_evaluation(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        body: &Object,
    ) -> Result<Tested> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        self.throttle(caller, Limited::TestEvaluation)?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        let wanted = WantedTest::parse(body)?;
        let person = self.tested_person(project.id, &wanted.who).await?;
        let past = match wanted.at {
            Some(at) => Some(self.past(&flag, person.id, at).await?),
            None if flag.deleted => return Ok(not_found(&flag, &wanted.who)),
            None => None,
        };
        self.tried(caller, &flag, &wanted, &person, past).await
    }

    async fn tested_person(&self, project_id: i64, who: &Who) -> Result<Person> {
        let found = match who {
            Who::DistinctId(id) => {
                let filter = PersonFilter::new(Some(id.clone()), None);
                self.store.first_person(project_id, &filter).await
            }
            Who::PersonId(uuid) => self.store.person(project_id, *uuid).await,
        };
        found.map_err(model::lookup_failed)?.ok_or_else(|| who.unknown())
    }

    async fn past(&self, flag: &FeatureFlag, person_id: i64, at: DateTime<Utc>) -> Result<Past> {
        let properties = self.store.properties_at(flag.project_id, person_id, at).await;
        let properties = properties.map_err(|error| {
            model::failed(error, "Failed to build person properties at specified timestamp.")
        })?;
        let flag = self.flag_at(flag, at).await.map_err(|error| {
            model::failed(error, "Failed to reconstruct flag at specified timestamp.")
        })?;
        Ok(Past { at, flag, properties })
    }

    async fn flag_at(&self, flag: &FeatureFlag, at: DateTime<Utc>) -> Result<FeatureFlag> {
        let standing = self.store.standing_at(flag.project_id, flag.id, at).await?;
        let then = match model::in_force(flag, at, standing)? {
            Target::Current => history::current(flag),
            Target::Past(version) => {
                let steps = self.store.steps(flag.project_id, flag.id, version).await?;
                history::past(flag, version, &steps).map_err(|error| match error.code {
                    Code::Unprocessable => model::gap(),
                    _ => error,
                })?
            }
        };
        Ok(model::as_it_was(flag, then))
    }

    async fn tried(
        &self,
        caller: &Caller,
        flag: &FeatureFlag,
        wanted: &WantedTest,
        person: &Person,
        past: Option<Past>,
    ) -> Result<Tested> {
        let snapshot = self.snapshots.get(flag.project_id).await?;
        let set = &snapshot.flags;
        let (now, then) = match &past {
            Some(past) => (past.at, &past.flag),
            None => (self.clock.now(), flag),
        };
        let compiled = snapshot::compiled(&self.readable(caller, then));
        let (name, told) = match &wanted.who {
            Who::DistinctId(id) => (id.as_str(), Some(id.clone())),
            Who::PersonId(_) => (smallest(person), None),
        };
        let sent = Facts { groups: Some(&wanted.groups), ..Facts::default() };
        let needs = engine::needs_of(set, &compiled, &Subject::new(name, sent));
        let stored = looked_up_id(name);
        let found = self.found(flag.project_id, &stored, &needs).await?;
        let known = Known::of(set, found, &stored, past.map(|past| past.properties));
        let subject = Subject::new(name, known.facts(sent));
        let explained = engine::explain(set, &compiled, &subject, now);
        Ok(told_of(&compiled, &explained, &known.properties, told))
    }

    /// The flag with payloads as this caller may read them.
    fn readable(&self, caller: &Caller, flag: &FeatureFlag) -> FeatureFlag {
        let reader = (caller.kind == CredentialKind::Personal).then_some(&self.encryptor);
        FeatureFlag { filters: encrypted::shown(flag, reader), ..flag.clone() }
    }

    async fn found(&self, project_id: i64, name: &str, needs: &Needs) -> Result<FactsFound> {
        let place =
            |(index, key): &(i64, String)| Some((i32::try_from(*index).ok()?, looked_up_id(key)));
        let wanted = FactsWanted {
            distinct_ids: vec![name.to_owned()],
            cohort_ids: needs.static_cohorts.iter().copied().collect(),
            groups: needs.groups.iter().filter_map(place).collect(),
        };
        let found = self.store.stored_facts(project_id, &wanted).await;
        found.map_err(|error| model::failed(error, "Failed to evaluate flag"))
    }
}

/// What a test knows of its subject beside the request.
struct Known {
    person: PersonFacts,
    /// Those that count: of now or of then, with the columns of the person's row.
    properties: Object,
    groups: Vec<(String, Arc<Object>)>,
}

impl Known {
    fn of(set: &FlagSet, found: FactsFound, name: &str, past: Option<Object>) -> Self {
        let FactsFound { mut people, groups, .. } = found;
        let mut person = people.remove(name).unwrap_or_default();
        let present = std::mem::take(&mut person.properties);
        let properties = match past {
            None => present,
            Some(mut past) => {
                let columns =
                    present.into_iter().filter(|(name, _)| engine::is_person_column(name));
                past.extend(columns);
                past
            }
        };
        let named = |((index, _), facts): ((i32, String), _)| {
            let facts: crate::store::stored_facts::GroupFacts = facts;
            Some((set.group_type(index.into())?.to_owned(), facts.properties))
        };
        Self { person, properties, groups: groups.into_iter().filter_map(named).collect() }
    }

    fn facts<'a>(&'a self, sent: Facts<'a>) -> Facts<'a> {
        let hash_keys: &HashMap<_, _> = &self.person.hash_keys;
        Facts {
            stored: Some(&self.properties),
            stored_groups: &self.groups,
            hash_keys: HashKeys::Read(hash_keys),
            static_cohorts: Some(&self.person.static_cohorts),
            ..sent
        }
    }
}

/// Whom people are bucketed by who are named by UUID.
fn smallest(person: &Person) -> &str {
    person.distinct_ids.first().map(String::as_str).unwrap_or_default()
}

/// A deleted flag is nobody's.
fn not_found(flag: &FeatureFlag, who: &Who) -> Tested {
    let evaluation_distinct_id = match who {
        Who::DistinctId(id) => Some(id.clone()),
        Who::PersonId(_) => None,
    };
    Tested {
        flag_key: flag.key.clone(),
        result: Value::Bool(false),
        reason: "flag_not_found",
        reason_description: "Feature flag is deleted".to_owned(),
        condition_index: None,
        payload: None,
        person_properties: Object::new(),
        evaluation_distinct_id,
        conditions: Vec::new(),
    }
}

fn told_of(
    flag: &Flag,
    explained: &Explanation<'_>,
    properties: &Object,
    distinct_id: Option<String>,
) -> Tested {
    let outcome = &explained.outcome;
    let named = flag.person_properties().filter(|name| !engine::is_person_column(name));
    let shown = named.filter_map(|name| Some((name.to_owned(), properties.get(name)?.clone())));
    let may_tell_ids = distinct_id.is_some();
    let condition = |report| told_condition(report, may_tell_ids);
    Tested {
        flag_key: flag.key().to_owned(),
        result: outcome.variant.map_or_else(|| json!(outcome.enabled), |variant| json!(variant)),
        // What went wrong with a definition has no code here, only words.
        reason: if outcome.failed { "unknown" } else { outcome.reason.code() },
        reason_description: outcome.description().into_owned(),
        condition_index: outcome.condition_index,
        payload: outcome.payload.map(str::to_owned),
        person_properties: shown.collect(),
        evaluation_distinct_id: distinct_id,
        conditions: explained.conditions.iter().map(condition).collect(),
    }
}

fn told_condition(report: &ConditionReport<'_>, may_tell_ids: bool) -> TestedCondition {
    let property = |report| told_property(report, may_tell_ids);
    TestedCondition {
        index: report.index,
        matched: report.matched,
        properties_matched: report.properties_matched,
        explanation: report.explanation.to_owned(),
        rollout_percentage: report.rollout_percentage,
        rollout_excluded: report.rollout_excluded,
        variant: report.variant.map(str::to_owned),
        properties: report.properties.iter().map(property).collect(),
    }
}

/// A filter may name the distinct id, which evaluation knows as a property: it is not told to
/// those who did not bring it.
fn told_property(report: &PropertyReport<'_>, may_tell_ids: bool) -> TestedProperty {
    let is_id = report.kind == "person" && report.key == "distinct_id";
    let found = report.actual_value.clone();
    TestedProperty {
        key: report.key.to_owned(),
        operator: report.operator.to_owned(),
        value: report.value.clone(),
        kind: report.kind,
        actual_value: found.filter(|_| may_tell_ids || !is_id),
        matched: report.matched,
        explanation: report.explanation.clone().into_owned(),
    }
}
