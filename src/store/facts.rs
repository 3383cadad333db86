//! What is looked up before filters are judged: the flags and cohorts they
//! refer to, directly and through others.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    ProjectWrite,
    among::among,
    damage,
    entity::{cohort, dashboard, feature_flag, flag_cohort, flag_dependency, flag_link},
    failure, flag_links,
    project_write::ROWS,
};
use crate::model::{
    cohort::{criteria::Criteria, others::behavioural},
    error::Result,
    filters::{Grammar, Known, KnownCohort, KnownFlag, References},
    flag::FeatureFlag,
    guards::Named,
    json,
    link::Link,
};
use crate::rules_format::RulesFormat;

impl ProjectWrite {
    /// Everything that filters with these references are judged by.
    pub(crate) async fn known(&self, references: &References, grammar: Grammar) -> Result<Known> {
        let dependencies = self.dependencies_of(&references.flags).await?;
        let through = dependencies.values().flatten().copied();
        let ids = references.flags.iter().copied().chain(through).collect();
        Ok(Known {
            flags: self.known_flags(ids).await?,
            dependencies,
            cohorts: self.known_cohorts(&references.cohorts).await?,
            grammar,
        })
    }

    /// Who reads whom, beginning with some flags and following what they read.
    async fn dependencies_of(&self, flags: &[i64]) -> Result<HashMap<i64, Vec<i64>>> {
        let mut found: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut frontier: HashSet<i64> = flags.iter().copied().collect();
        while !frontier.is_empty() {
            let ids = frontier.iter().copied();
            let edges = flag_dependency::Entity::find()
                .filter(flag_dependency::Column::ProjectId.eq(self.project.id))
                .filter(among(&self.txn, flag_dependency::Column::FlagId, ids))
                .order_by_asc(flag_dependency::Column::DependsOnId)
                .all(&self.txn)
                .await
                .map_err(failure)?;
            found.extend(frontier.drain().map(|id| (id, Vec::new())));
            for edge in edges {
                if !found.contains_key(&edge.depends_on_id) {
                    frontier.insert(edge.depends_on_id);
                }
                found.entry(edge.flag_id).or_default().push(edge.depends_on_id);
            }
        }
        Ok(found)
    }

    async fn known_flags(&self, ids: HashSet<i64>) -> Result<HashMap<i64, KnownFlag>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut formats = self.unusual_formats(&ids).await?;
        let rows: Vec<(i64, String, bool)> = feature_flag::Entity::find()
            .select_only()
            .columns([
                feature_flag::Column::Id,
                feature_flag::Column::Key,
                feature_flag::Column::Active,
            ])
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Deleted.eq(false))
            .filter(among(&self.txn, feature_flag::Column::Id, ids))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let known = |(id, key, active)| {
            let format = formats.remove(&id).unwrap_or(RulesFormat::Conditions);
            (id, KnownFlag { key, active, format })
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// The formats of those flags whose filters may name one. Filters can be large, so only texts
    /// that hold the word are read.
    async fn unusual_formats(&self, ids: &HashSet<i64>) -> Result<HashMap<i64, RulesFormat>> {
        let rows: Vec<(i64, String)> = feature_flag::Entity::find()
            .select_only()
            .columns([feature_flag::Column::Id, feature_flag::Column::Filters])
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Filters.contains("\"version\""))
            .filter(among(&self.txn, feature_flag::Column::Id, ids.iter().copied()))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let format = |text: String| match json::parse_stored(&text) {
            Ok(filters) => RulesFormat::of(&filters),
            Err(_) => RulesFormat::Unsupported,
        };
        Ok(rows.into_iter().map(|(id, text)| (id, format(text))).collect())
    }

    async fn known_cohorts(&self, ids: &[i64]) -> Result<HashMap<i64, KnownCohort>> {
        let mut found: HashMap<i64, (String, Criteria)> = HashMap::new();
        let mut frontier: HashSet<i64> = ids.iter().copied().collect();
        while !frontier.is_empty() {
            let rows = cohort::Entity::find()
                .filter(cohort::Column::ProjectId.eq(self.project.id))
                .filter(cohort::Column::Deleted.eq(false))
                .filter(among(&self.txn, cohort::Column::Id, frontier.drain()))
                .all(&self.txn)
                .await
                .map_err(failure)?;
            for row in rows {
                let criteria = criteria(&row);
                frontier.extend(&criteria.cohorts);
                found.insert(row.id, (row.name, criteria));
            }
            frontier.retain(|id| !found.contains_key(id));
        }
        let behavioural = behavioural(found.iter().map(|(id, (_, criteria))| (*id, criteria)));
        let known = |id: &i64| {
            let (name, _) = found.get(id)?;
            let is_behavioural = behavioural.contains(id);
            Some((*id, KnownCohort { name: name.clone(), is_behavioural }))
        };
        Ok(ids.iter().filter_map(known).collect())
    }

    /// Replaces what is noted of the flags and cohorts that a flag reads.
    pub(super) async fn replace_references(&self, flag: &FeatureFlag, id: i64) -> Result<()> {
        let references = References::of(&flag.filters);
        let project_id = self.project.id;
        flag_dependency::Entity::delete_many()
            .filter(flag_dependency::Column::FlagId.eq(id))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        flag_cohort::Entity::delete_many()
            .filter(flag_cohort::Column::FlagId.eq(id))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        let flags = references.flags.into_iter().map(|depends_on_id| {
            let row = flag_dependency::Model { flag_id: id, depends_on_id, project_id };
            flag_dependency::ActiveModel::from(row)
        });
        let flags: Vec<_> = flags.collect();
        for rows in flags.chunks(ROWS) {
            flag_dependency::Entity::insert_many(rows.to_vec())
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
        }
        let cohorts = references.cohorts.into_iter().map(|cohort_id| {
            let row = flag_cohort::Model { flag_id: id, cohort_id, project_id };
            flag_cohort::ActiveModel::from(row)
        });
        let cohorts: Vec<_> = cohorts.collect();
        for rows in cohorts.chunks(ROWS) {
            flag_cohort::Entity::insert_many(rows.to_vec())
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }

    /// Live, active flags that read this one, by key (management-api 3.7).
    pub(crate) async fn dependents(&self, id: i64) -> Result<Vec<Named>> {
        let readers: Vec<i64> = flag_dependency::Entity::find()
            .select_only()
            .column(flag_dependency::Column::FlagId)
            .filter(flag_dependency::Column::ProjectId.eq(self.project.id))
            .filter(flag_dependency::Column::DependsOnId.eq(id))
            .filter(flag_dependency::Column::FlagId.ne(id))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        self.named(readers, true).await
    }

    /// The flags among `ids` that are live but switched off, by key.
    pub(crate) async fn disabled(&self, ids: Vec<i64>) -> Result<Vec<Named>> {
        self.named(ids, false).await
    }

    async fn named(&self, ids: Vec<i64>, active: bool) -> Result<Vec<Named>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        feature_flag::Entity::find()
            .select_only()
            .columns([feature_flag::Column::Id, feature_flag::Column::Key])
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Deleted.eq(false))
            .filter(feature_flag::Column::Active.eq(active))
            .filter(feature_flag::Column::Id.is_in(ids))
            .order_by_asc(feature_flag::Column::Key)
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)
    }

    /// Which of these dashboards the project has.
    pub(crate) async fn known_dashboards(&self, ids: Vec<i64>) -> Result<HashSet<i64>> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let found: Vec<i64> = dashboard::Entity::find()
            .select_only()
            .column(dashboard::Column::Id)
            .filter(dashboard::Column::ProjectId.eq(self.project.id))
            .filter(dashboard::Column::Deleted.eq(false))
            .filter(dashboard::Column::Id.is_in(ids))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        Ok(found.into_iter().collect())
    }

    /// What other products hold on to a flag.
    pub(crate) async fn links_to(&self, flag_id: i64) -> Result<Vec<Link>> {
        let rows = flag_link::Entity::find()
            .filter(flag_link::Column::ProjectId.eq(self.project.id))
            .filter(flag_link::Column::FlagId.eq(flag_id))
            .order_by_asc(flag_link::Column::RefId)
            .all(&self.txn)
            .await
            .map_err(failure)?;
        Ok(rows.into_iter().filter_map(flag_links::link).collect())
    }
}

/// What a cohort's filters ask about; a list of members asks about nothing.
fn criteria(row: &cohort::Model) -> Criteria {
    let filters = row.filters.as_deref().filter(|_| !row.is_static);
    let filters = filters.and_then(|text| damage::json("cohort.filters", row.id, text));
    filters.map(|filters| Criteria::of(&filters)).unwrap_or_default()
}
