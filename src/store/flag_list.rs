//! Lists of flags as the database chooses them: the filters of management-api
//! 3.7 as conditions on columns that the flag's own transaction keeps.
//!
//! Most lists are chosen in memory (`model::listed`, by the same rules), and
//! only their pages read here.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Func, LikeExpr, NullOrdering, SelectStatement, SimpleExpr},
};

use super::{
    Store,
    entity::{
        feature_flag::{Column, Entity},
        feature_flag_evaluation_context, feature_flag_tag, flag_dependency, flag_link, tag,
    },
    failure, flags,
    sizes::sizes,
};
use crate::model::{
    error::Result,
    flag::FeatureFlag,
    flag_filter::{Activity, FlagFilter, FlagType, Order, loosened},
    status::STALE_AFTER,
};

/// The most experiments whose names a search finds; databases bound the number of values in a
/// statement.
pub(super) const MOST_LINKED: u64 = 10_000;

/// Which flags of a project are wanted, and which part of them.
#[derive(Clone, Debug)]
pub(crate) struct FlagPage {
    pub(crate) filter: FlagFilter,
    pub(crate) order: Order,
    /// How many to leave out.
    pub(crate) offset: u64,
    /// How many at most.
    pub(crate) limit: u64,
    /// What "a month ago" is counted from.
    pub(crate) now: DateTime<Utc>,
}

impl Store {
    /// The numbers of the flags of one page, and how many there are in all.
    pub(crate) async fn flags(&self, project_id: i64, page: &FlagPage) -> Result<(Vec<i64>, i64)> {
        let linked = linked_to(self.reader(), project_id, &page.filter).await?;
        let base = base(project_id, &page.filter, linked);
        let alternatives = activity(&page.filter, page.now);
        futures::try_join!(
            self.page(ordered(either(base.clone(), alternatives.clone()), &page.order), page),
            self.total(base, alternatives),
        )
    }

    async fn page(&self, query: Select<Entity>, page: &FlagPage) -> Result<Vec<i64>> {
        query
            .select_only()
            .column(Column::Id)
            .offset(page.offset)
            .limit(page.limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }

    /// The sizes of what callers gave of these flags, in this order.
    pub(crate) async fn flag_sizes(
        &self,
        project_id: i64,
        ids: Vec<i64>,
    ) -> Result<Vec<(i64, i64)>> {
        let texts = [Column::Filters, Column::RollbackConditions];
        let project = (Column::ProjectId, project_id);
        sizes::<Entity>(self.reader(), project, Column::Id, &texts, ids).await
    }

    /// No flag meets two of the alternatives. Asked for one by one, each is a range of an index.
    async fn total(&self, base: Select<Entity>, alternatives: Vec<Condition>) -> Result<i64> {
        let mut total = 0;
        for alternative in alternatives {
            let query = base.clone().filter(alternative);
            total += query.count(self.reader()).await.map_err(failure)?;
        }
        Ok(i64::try_from(total).unwrap_or(i64::MAX))
    }

    /// These flags, in this order; those that were deleted meanwhile are left out.
    pub(crate) async fn flags_among(
        &self,
        project_id: i64,
        ids: &[i64],
    ) -> Result<Vec<FeatureFlag>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = flags::live(project_id).filter(Column::Id.is_in(ids.iter().copied()));
        let mut rows = wanted.all(self.reader()).await.map_err(failure)?;
        let places: HashMap<i64, usize> = ids.iter().copied().zip(0..).collect();
        rows.sort_unstable_by_key(|row| places.get(&row.id).copied());
        flags::whole(self.reader(), rows).await
    }

    /// Live, active flags that read this one, by key.
    pub(crate) async fn dependent_flags(
        &self,
        project_id: i64,
        id: i64,
    ) -> Result<Vec<FeatureFlag>> {
        let readers = flag_dependency::Entity::find()
            .select_only()
            .column(flag_dependency::Column::FlagId)
            .filter(flag_dependency::Column::ProjectId.eq(project_id))
            .filter(flag_dependency::Column::DependsOnId.eq(id));
        let rows = flags::live(project_id)
            .filter(Column::Active.eq(true))
            .filter(Column::Id.ne(id))
            .filter(Column::Id.in_subquery(readers.into_query()))
            .order_by_asc(Column::Key)
            .all(self.reader())
            .await
            .map_err(failure)?;
        flags::whole(self.reader(), rows).await
    }

    /// The numbers of all matching flags, newest first.
    pub(crate) async fn matching_ids(
        &self,
        project_id: i64,
        filter: &FlagFilter,
        now: DateTime<Utc>,
    ) -> Result<Vec<i64>> {
        all_matching(self.reader(), project_id, filter, now)
            .await?
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }
}

/// All matching flags, newest first.
pub(super) async fn all_matching(
    connection: &impl ConnectionTrait,
    project_id: i64,
    filter: &FlagFilter,
    now: DateTime<Utc>,
) -> Result<Select<Entity>> {
    let linked = linked_to(connection, project_id, filter).await?;
    let wanted = either(base(project_id, filter, linked), activity(filter, now));
    Ok(ordered(wanted, &Order::default()))
}

/// The flags of experiments whose name a search finds. Looked up first, so that the search
/// itself asks for one column, and its index serves.
pub(super) async fn linked_to(
    connection: &impl ConnectionTrait,
    project_id: i64,
    filter: &FlagFilter,
) -> Result<Vec<i64>> {
    let Some(term) = &filter.search else { return Ok(Vec::new()) };
    flag_link::Entity::find()
        .select_only()
        .column(flag_link::Column::FlagId)
        .filter(flag_link::Column::ProjectId.eq(project_id))
        .filter(flag_link::Column::Kind.eq("experiment"))
        .filter(flag_link::Column::Deleted.eq(false))
        .filter(named(term))
        .limit(MOST_LINKED)
        .into_tuple()
        .all(connection)
        .await
        .map_err(failure)
}

fn ordered(query: Select<Entity>, order: &Order) -> Select<Entity> {
    let column = match order.field {
        "id" => Column::Id,
        "key" => Column::Key,
        "name" => Column::Name,
        "filters" => Column::Filters,
        "deleted" => Column::Deleted,
        "active" => Column::Active,
        "version" => Column::Version,
        "updated_at" => Column::UpdatedAt,
        "created_by" => Column::CreatedById,
        "last_modified_by" => Column::LastModifiedById,
        "ensure_experience_continuity" => Column::EnsureExperienceContinuity,
        "rollback_conditions" => Column::RollbackConditions,
        "performed_rollback" => Column::PerformedRollback,
        "usage_dashboard" => Column::UsageDashboardId,
        "has_enriched_analytics" => Column::HasEnrichedAnalytics,
        "is_remote_configuration" => Column::IsRemoteConfiguration,
        "has_encrypted_payloads" => Column::HasEncryptedPayloads,
        "evaluation_runtime" => Column::EvaluationRuntime,
        "bucketing_identifier" => Column::BucketingIdentifier,
        "last_called_at" => Column::LastCalledAt,
        "archived" => Column::Archived,
        _ => Column::CreatedAt,
    };
    let direction = if order.descending { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
    let query = match column {
        // These are never null, so that an index serves the order as it stands.
        Column::CreatedAt | Column::Key | Column::Id => query.order_by(column, direction.clone()),
        // The two databases disagree about where nulls go; last is what people expect.
        nullable => query.order_by_with_nulls(nullable, direction.clone(), NullOrdering::Last),
    };
    query.order_by(Column::Id, direction)
}

fn either(query: Select<Entity>, alternatives: Vec<Condition>) -> Select<Entity> {
    query.filter(alternatives.into_iter().fold(Condition::any(), Condition::add))
}

/// What a filter asks for, but for when flags were called and whether they are on.
fn base(project_id: i64, filter: &FlagFilter, linked: Vec<i64>) -> Select<Entity> {
    let mut query = flags::live(project_id).filter(Column::Internal.eq(false));
    query = query.filter(Column::Archived.eq(filter.archived.unwrap_or(false)));
    if let Some(users) = &filter.created_by {
        query = query.filter(Column::CreatedById.is_in(users.iter().copied()));
    }
    if let Some(term) = &filter.search {
        query = query.filter(found(term, linked));
    }
    if let Some(key) = &filter.key {
        query = query.filter(Func::lower(Expr::col(Column::Key)).eq(key.as_str()));
    }
    if let Some(kind) = filter.flag_type {
        query = query.filter(of_type(project_id, kind));
    }
    if let Some(runtime) = &filter.evaluation_runtime {
        query = query.filter(Column::EvaluationRuntime.eq(runtime.as_str()));
    }
    if !filter.excluded_keys.is_empty() {
        query =
            query.filter(Column::Key.is_not_in(filter.excluded_keys.iter().map(String::as_str)));
    }
    if let Some(tags) = &filter.tags {
        query = query.filter(Column::Id.in_subquery(tagged(project_id, tags)));
    }
    if !filter.excluded_tags.is_empty() {
        query = query.filter(Column::Id.not_in_subquery(tagged(project_id, &filter.excluded_tags)));
    }
    match filter.has_contexts {
        Some(true) => query.filter(Column::Id.in_subquery(with_contexts(project_id))),
        Some(false) => query.filter(Column::Id.not_in_subquery(with_contexts(project_id))),
        None => query,
    }
}

/// The ways to be on, off or stale as the filter asks; a flag goes at most one of them.
fn activity(filter: &FlagFilter, now: DateTime<Utc>) -> Vec<Condition> {
    let threshold = now - STALE_AFTER;
    let all = Condition::all;
    let is_active = |active: bool| all().add(Column::Active.eq(active));
    match filter.activity {
        None => vec![all()],
        Some(Activity::Active) => vec![is_active(true)],
        Some(Activity::Inactive) => vec![is_active(false)],
        Some(Activity::Stale) => vec![
            is_active(true).add(Column::LastCalledAt.lt(threshold)),
            is_active(true)
                .add(Column::LastCalledAt.is_null())
                .add(Column::FullyRolledOut.eq(true))
                .add(Column::CreatedAt.lt(threshold)),
        ],
    }
}

/// Text anywhere in the key or name (both lower-cased in one column) or in a linked experiment's name.
fn found(term: &str, linked: Vec<i64>) -> Condition {
    let mut in_flag = Condition::all();
    if term.contains(char::is_whitespace) {
        in_flag = in_flag.add(Expr::col(Column::SearchText).like(anywhere(&loosened(term))));
        // What is not a space must stand there as typed, other separators included.
        for word in term.split_whitespace() {
            in_flag = in_flag.add(Expr::col(Column::SearchText).like(anywhere(word)));
        }
    } else {
        in_flag = in_flag.add(Expr::col(Column::SearchText).like(anywhere(term)));
    }
    match linked.is_empty() {
        true => in_flag,
        false => Condition::any().add(in_flag).add(Column::Id.is_in(linked)),
    }
}

/// An experiment by its name, whose separators a space in the term matches too.
fn named(term: &str) -> Condition {
    let name = || SimpleExpr::from(Func::lower(Expr::col(flag_link::Column::Name)));
    if !term.contains(char::is_whitespace) {
        return Condition::all().add(name().like(anywhere(term)));
    }
    let replaced = |text: SimpleExpr, from: &str, to: &str| {
        SimpleExpr::from(Func::cust("replace").args([text, from.into(), to.into()]))
    };
    let spaced = ["-", "_", "\t", "\n"].iter().fold(name(), |name, from| replaced(name, from, " "));
    // Each doubles what it takes for one: runs of up to eight.
    let loose = (0..3).fold(spaced, |name, _| replaced(name, "  ", " "));
    let words = term.split_whitespace().map(|word| name().like(anywhere(word)));
    words.fold(Condition::all().add(loose.like(anywhere(&loosened(term)))), Condition::add)
}

/// The text itself, anywhere: what LIKE takes for a pattern is taken as it stands.
pub(super) fn anywhere(text: &str) -> LikeExpr {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    LikeExpr::new(format!("%{escaped}%")).escape('\\')
}

fn of_type(project_id: i64, kind: FlagType) -> Condition {
    match kind {
        FlagType::Boolean => Condition::all().add(Column::HasVariants.eq(false)),
        FlagType::Multivariant => Condition::all().add(Column::HasVariants.eq(true)),
        FlagType::RemoteConfig => Condition::all().add(Column::IsRemoteConfiguration.eq(true)),
        FlagType::Experiment => {
            let linked = flag_link::Entity::find()
                .select_only()
                .column(flag_link::Column::FlagId)
                .filter(flag_link::Column::ProjectId.eq(project_id))
                .filter(flag_link::Column::Kind.eq("experiment"));
            Condition::all().add(Column::Id.in_subquery(linked.into_query()))
        }
    }
}

fn tagged(project_id: i64, tags: &[String]) -> SelectStatement {
    let names = tag::Entity::find()
        .select_only()
        .column(tag::Column::Id)
        .filter(tag::Column::ProjectId.eq(project_id))
        .filter(tag::Column::Name.is_in(tags.iter().map(String::as_str)));
    feature_flag_tag::Entity::find()
        .select_only()
        .column(feature_flag_tag::Column::FlagId)
        .filter(feature_flag_tag::Column::ProjectId.eq(project_id))
        .filter(feature_flag_tag::Column::TagId.in_subquery(names.into_query()))
        .into_query()
}

fn with_contexts(project_id: i64) -> SelectStatement {
    feature_flag_evaluation_context::Entity::find()
        .select_only()
        .column(feature_flag_evaluation_context::Column::FlagId)
        .filter(feature_flag_evaluation_context::Column::ProjectId.eq(project_id))
        .into_query()
}
