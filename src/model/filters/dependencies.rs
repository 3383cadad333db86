//! Check 15 of management-api 3.5: which flags a flag may read.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;

use super::{
    known::{Known, Own, number},
    properties::{Group, kind},
    refuse,
};
use crate::model::{
    error::{Error, Result},
    json::Object,
};

/// Judged only where some condition set is about persons: groups read no flags.
pub(super) fn check(groups: &[Group<'_>], own: &Own, known: &Known) -> Result<()> {
    if groups.iter().all(|group| group.aggregation.is_some()) {
        return Ok(());
    }
    let mut read = Vec::new();
    for property in groups.iter().flat_map(|group| &group.properties) {
        if kind(property) == "flag" {
            read.push(reference(property)?);
        }
    }
    for id in &read {
        check_one(*id, own, known)?;
    }
    match own.id.and_then(|own_id| cycle(own_id, &read, known)) {
        Some(path) => {
            Err(refuse(format!("Circular dependency detected: {}", spelled(&path, own, known))))
        }
        None => Ok(()),
    }
}

fn reference(property: &Object) -> Result<i64> {
    let key = property.get("key").unwrap_or(&Value::Null);
    number(key).ok_or_else(|| {
        let shown = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        refuse(format!(
            "Flag dependencies must reference flag IDs (integers), not flag keys. \
             Invalid reference: '{shown}'"
        ))
    })
}

fn check_one(id: i64, own: &Own, known: &Known) -> Result<()> {
    if own.id == Some(id) {
        return Err(refuse(format!("Feature flag '{}' cannot depend on itself", own.key)));
    }
    match known.flags.get(&id) {
        None => Err(refuse(format!("Flag dependency references non-existent flag with ID {id}"))),
        Some(flag) if !flag.active => Err(refuse(format!(
            "Cannot create dependency on disabled flag '{}' (ID: {id}). \
             Flag dependencies must reference active flags only.",
            flag.key
        ))),
        Some(flag) if !flag.format.is_supported() => Err(Error::field(
            "filters",
            "unsupported_dependency_config_version",
            format!(
                "Cannot create dependency on flag '{}' (ID: {id}), which is stored in a rules \
                 format that is not supported.",
                flag.key
            ),
        )),
        Some(_) => Ok(()),
    }
}

/// The way from the flag back to itself, if what it would read leads there.
fn cycle(own_id: i64, read: &[i64], known: &Known) -> Option<Vec<i64>> {
    let mut reader_of = HashMap::new();
    let mut unseen: Vec<i64> = Vec::new();
    let none = Vec::new();
    let mut visit = |from: i64, read: &[i64], unseen: &mut Vec<i64>| {
        for id in read.iter().rev() {
            if let Entry::Vacant(vacant) = reader_of.entry(*id) {
                vacant.insert(from);
                unseen.push(*id);
            }
        }
    };
    visit(own_id, read, &mut unseen);
    while let Some(at) = unseen.pop() {
        if at != own_id {
            visit(at, known.dependencies.get(&at).unwrap_or(&none), &mut unseen);
        }
    }
    let mut way = vec![own_id, *reader_of.get(&own_id)?];
    while let Some(at) = way.last().copied().filter(|at| *at != own_id) {
        way.push(*reader_of.get(&at)?);
    }
    way.reverse();
    Some(way)
}

fn spelled(path: &[i64], own: &Own, known: &Known) -> String {
    let key = |id: &i64| match known.flags.get(id) {
        Some(flag) if own.id != Some(*id) => flag.key.clone(),
        _ if own.id == Some(*id) => own.key.clone(),
        _ => id.to_string(),
    };
    path.iter().map(key).collect::<Vec<_>>().join(" → ")
}
