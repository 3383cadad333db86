//! What lists in memory are made of: a few columns of every live flag.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, DerivePartialModel, EntityTrait, QueryFilter, QuerySelect};

use super::{
    Store,
    entity::{
        feature_flag::{Column, Entity},
        feature_flag_evaluation_context as context, feature_flag_tag as tagging,
    },
    failure, flags,
};
use crate::model::{error::Result, listed::ListedFlag};

#[derive(DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Row {
    id: i64,
    created_at: chrono::DateTime<chrono::Utc>,
    created_by_id: Option<i64>,
    active: bool,
    archived: bool,
    has_variants: bool,
    is_remote_configuration: Option<bool>,
    evaluation_runtime: Option<String>,
    search_text: String,
}

impl Store {
    /// What lists look at, of the flags among `ids` or of all; without those that are softly
    /// deleted or the service's own.
    ///
    /// A change that lands between the queries is seen in part. It has a revision of its own, by
    /// which it is read again.
    pub(crate) async fn listed(
        &self,
        project_id: i64,
        ids: Option<&[i64]>,
    ) -> Result<Vec<ListedFlag>> {
        if ids.is_some_and(<[i64]>::is_empty) {
            return Ok(Vec::new());
        }
        let mut rows = flags::live(project_id).filter(Column::Internal.eq(false));
        let mut tags =
            tagging::Entity::find().filter(tagging::Column::ProjectId.eq(project_id)).select_only();
        let mut contexts =
            context::Entity::find().filter(context::Column::ProjectId.eq(project_id)).select_only();
        if let Some(ids) = ids {
            let ids = || ids.iter().copied();
            rows = rows.filter(Column::Id.is_in(ids()));
            tags = tags.filter(tagging::Column::FlagId.is_in(ids()));
            contexts = contexts.filter(context::Column::FlagId.is_in(ids()));
        }
        let rows: Vec<Row> = rows.into_partial_model().all(self.reader()).await.map_err(failure)?;
        let tags: Vec<(i64, i64)> = tags
            .columns([tagging::Column::FlagId, tagging::Column::TagId])
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let contexts: Vec<i64> = contexts
            .column(context::Column::FlagId)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let contexts: HashSet<i64> = contexts.into_iter().collect();
        let mut tags_of: HashMap<i64, Vec<i64>> = HashMap::new();
        for (flag_id, tag_id) in tags {
            tags_of.entry(flag_id).or_default().push(tag_id);
        }
        let noun = |row: Row| {
            let tags = tags_of.remove(&row.id).unwrap_or_default();
            noun(tags, contexts.contains(&row.id), row)
        };
        Ok(rows.into_iter().map(noun).collect())
    }
}

fn noun(tags: Vec<i64>, has_contexts: bool, row: Row) -> ListedFlag {
    let (typed, loose) = texts(&row.search_text);
    ListedFlag {
        id: row.id,
        created_at: row.created_at,
        created_by: row.created_by_id,
        active: row.active,
        archived: row.archived,
        has_variants: row.has_variants,
        is_remote_configuration: row.is_remote_configuration == Some(true),
        has_contexts,
        evaluation_runtime: row.evaluation_runtime,
        tags,
        typed,
        loose,
    }
}

/// Takes the stored text apart: key and name as typed, which may go over any number of lines,
/// and on the last two lines with their separators loosened.
fn texts(stored: &str) -> (String, String) {
    let mut breaks = stored.rmatch_indices('\n').map(|(at, _)| at);
    match (breaks.next(), breaks.next()) {
        (Some(_), Some(at)) => (stored[..at].to_owned(), stored[at + 1..].to_owned()),
        _ => (stored.to_owned(), stored.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_text_comes_apart_where_it_was_joined() {
        let cases = [
            ("a-b\nname\na b\nname", ("a-b\nname", "a b\nname")),
            ("a-b\nx\ny\n\na b\nx y ", ("a-b\nx\ny\n", "a b\nx y ")),
            ("a\n\na\n", ("a\n", "a\n")),
            ("", ("", "")),
        ];
        for (stored, (typed, loose)) in cases {
            assert_eq!(texts(stored), (typed.to_owned(), loose.to_owned()), "{stored:?}");
        }
    }
}
