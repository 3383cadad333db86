//! Groups and their properties, by the same rule as those of persons.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Statement,
    sea_query::OnConflict,
};
use serde_json::{Value, json};

use super::{GroupTypes, Project, Written};
use crate::{
    model::{
        error::{Error, Result},
        event::{Event, GroupSet},
        people::PeopleChanged,
        persons::MAX_STORED_BYTES,
        property_history::{Properties, Verdict},
    },
    store::{entity::group, failure, persons_write::ROWS, stored_json},
};

/// Groups by the number of their type and their key.
type Groups = BTreeMap<(i32, String), Properties>;

impl Project<'_> {
    /// Takes in what the events say of groups.
    pub(super) async fn write_groups(
        &self,
        events: &[(usize, &Event)],
        group_types: &GroupTypes,
        written: &mut Written,
        changed: &mut PeopleChanged,
    ) -> Result<()> {
        let mut wanted = Vec::new();
        for (place, event) in events {
            let Some(group) = &event.group else { continue };
            match group_types.get(&(self.id, group.group_type.clone())) {
                Some(index) => wanted.push((*place, *index, group)),
                None => written.refused.push((*place, no_room(group))),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut groups = self.read_groups(&wanted).await?;
        for (place, index, group) in wanted {
            let properties = groups.entry((index, group.key.clone())).or_default();
            let before = properties.clone();
            // Only a late unset needs a history, and groups know none.
            let _: Verdict = properties.apply(&group.change);
            if properties.size() > MAX_STORED_BYTES {
                *properties = before;
                let reason = format!("its group would be larger than {MAX_STORED_BYTES} bytes");
                written.refused.push((place, reason));
            }
            changed.note_group(index, group.key.clone());
        }
        self.write_rows(groups).await
    }

    async fn read_groups(&self, wanted: &[(usize, i32, &GroupSet)]) -> Result<Groups> {
        let mut keys: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
        for (_, index, group) in wanted {
            keys.entry(*index).or_default().push(&group.key);
        }
        let backend = self.txn.get_database_backend();
        let each = match backend {
            DbBackend::Postgres => "json_array_elements_text($3::json)",
            _ => "value FROM json_each($3)",
        };
        let sql = format!(
            "SELECT * FROM \"group\" WHERE project_id = $1 AND group_type_index = $2 \
             AND group_key IN (SELECT {each})"
        );
        let mut groups = Groups::new();
        for (index, keys) in keys {
            let values = [self.id.into(), index.into(), json!(keys).to_string().into()];
            let statement = Statement::from_sql_and_values(backend, &sql, values);
            let rows = group::Model::find_by_statement(statement);
            for row in rows.all(self.txn).await.map_err(failure)? {
                let Value::Object(values) = stored_json(&row.properties)? else {
                    return Err(Error::internal("a group's properties are no object"));
                };
                let properties = Properties::stored(values, &stored_json(&row.property_times)?);
                groups.insert((row.group_type_index, row.group_key), properties);
            }
        }
        Ok(groups)
    }

    async fn write_rows(&self, groups: Groups) -> Result<()> {
        use group::Column;
        let row = |((index, key), properties): (&(i32, String), &Properties)| group::ActiveModel {
            project_id: Set(self.id),
            group_type_index: Set(*index),
            group_key: Set(key.clone()),
            properties: Set(text(properties)),
            property_times: Set(properties.times().to_string()),
            created_at: Set(self.now),
            updated_at: Set(self.now),
            ..Default::default()
        };
        let rows: Vec<_> = groups.iter().map(row).collect();
        for chunk in rows.chunks(ROWS) {
            let known = [Column::ProjectId, Column::GroupTypeIndex, Column::GroupKey];
            let anew = [Column::Properties, Column::PropertyTimes, Column::UpdatedAt];
            group::Entity::insert_many(chunk.to_vec())
                .on_conflict(OnConflict::columns(known).update_columns(anew).to_owned())
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }
}

fn no_room(group: &GroupSet) -> String {
    format!("`{}` would be the project's sixth group type, and five are the most", group.group_type)
}

fn text(properties: &Properties) -> String {
    Value::Object(properties.values().clone()).to_string()
}
