//! Group types over REST.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use crate::{
    model::{
        error::{Error, Result},
        group::GroupType,
    },
    service::Services,
};

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let types = services.list_group_types(&*call.caller()?, &call.project()?).await?;
    let results: Vec<Value> = types.iter().map(shown).collect();
    Reply::ok(json!({"count": types.len(), "next": null, "previous": null, "results": results}))
}

pub(super) async fn update(services: Services, call: Call) -> Result<Reply> {
    let (caller, index) = (call.caller()?, index(&call)?);
    let kind =
        services.update_group_type(&caller, &call.project()?, index, &call.object()?).await?;
    Reply::ok(shown(&kind))
}

pub(super) async fn delete(services: Services, call: Call) -> Result<Reply> {
    let (caller, index) = (call.caller()?, index(&call)?);
    services.delete_group_type(&caller, &call.project()?, index).await?;
    Reply::no_content()
}

/// A number that no index can have names nothing.
fn index(call: &Call) -> Result<i32> {
    i32::try_from(call.id("group_type_index")?).map_err(|_| Error::not_found())
}

fn shown(kind: &GroupType) -> Value {
    json!({
        "group_type": kind.name,
        "group_type_index": kind.index,
        "name_singular": kind.name_singular,
        "name_plural": kind.name_plural,
    })
}
