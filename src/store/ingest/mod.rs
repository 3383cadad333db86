//! Writes many requests' events in one transaction, by statements over sets.
//!
//! Projects are taken in the order of their numbers, each under the lock of its
//! persons ([`lock_persons`]), so replicas that ingest at once wait for each
//! other in one direction. The only other rows that others write too are those
//! of flags, and they are never waited for here (see `calls`).

mod calls;
mod groups;
mod history;
mod merges;
mod people;
mod rows;
mod seen;
mod usage;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend};

pub(crate) use calls::{Call, note_call};
use futures::future::BoxFuture;
pub(super) use history::change;

use super::{Transaction, persons_write::lock_persons};
use crate::model::{error::Result, event::Event, people::PeopleChanged};

/// One event on its way in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'e> {
    pub(crate) project_id: i64,
    pub(crate) event: &'e Event,
}

/// Numbers of group types by project and name.
pub(crate) type GroupTypes = HashMap<(i64, String), i32>;

/// What a transaction came to.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Places of events that were there before, in this or another transaction.
    pub(crate) repeated: HashSet<usize>,
    /// Places of events that could not be used, and why.
    pub(crate) refused: Vec<(usize, String)>,
    /// Whose stored facts changed.
    pub(crate) changed: BTreeMap<i64, PeopleChanged>,
    /// Calls of flags that somebody else was changing, still to be noted.
    pub(crate) calls: Vec<Call>,
}

/// Writes what the events say; nothing is announced or committed yet.
///
/// Boxed, since the compiler does not see through all of its borrows that it can be sent.
pub(crate) fn write<'t>(
    txn: &'t Transaction,
    items: &'t [Item<'t>],
    group_types: &'t GroupTypes,
    now: DateTime<Utc>,
) -> BoxFuture<'t, Result<Written>> {
    Box::pin(write_all(txn, items, group_types, now))
}

async fn write_all(
    txn: &Transaction,
    items: &[Item<'_>],
    group_types: &GroupTypes,
    now: DateTime<Utc>,
) -> Result<Written> {
    let mut by_project: BTreeMap<i64, Vec<(usize, &Event)>> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        by_project.entry(item.project_id).or_default().push((place, item.event));
    }
    let mut written = Written::default();
    for (project_id, events) in by_project {
        lock_persons(txn, project_id).await?;
        let project = Project { txn, id: project_id, now };
        let events = project.unseen(events, &mut written).await?;
        let mut changed = PeopleChanged::default();
        project.write_people(&events, &mut written, &mut changed).await?;
        project.write_groups(&events, group_types, &mut written, &mut changed).await?;
        project.write_usage(&events).await?;
        written.calls.extend(project.write_calls(&events).await?);
        project.forget_refused(&events, &written).await?;
        if !changed.is_empty() {
            written.changed.insert(project_id, changed);
        }
    }
    Ok(written)
}

/// One project's part of the transaction.
struct Project<'t> {
    txn: &'t Transaction,
    id: i64,
    now: DateTime<Utc>,
}

impl Project<'_> {
    fn backend(&self) -> DbBackend {
        self.txn.get_database_backend()
    }
}
