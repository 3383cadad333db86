//! Keeps what watchers are told in step with the snapshots.
//!
//! A project's [`Ledger`] exists while somebody watches its definitions. It
//! is made from the database as of one moment, together with what the change log
//! knows of the time before, so that whoever comes from another replica can go
//! on where it was; then it follows the changes that the snapshot follows.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::watch;

use super::{Slot, Snapshots, told::Ledger};
use crate::{
    model::{
        error::{Error, Result},
        guards,
    },
    sdk::feed::{
        book::{Book, Changed},
        log::{Log, Step},
    },
    store::{Store, changes::Changes},
};

/// How far back the log goes when it is made.
const REVISIONS: i64 = 200;

/// Who follows a project.
#[derive(Debug)]
pub(super) struct Watchers {
    /// The newest revision; sent after snapshot and ledger have come to it.
    revision: watch::Sender<i64>,
    ledger: Mutex<Weak<Ledger>>,
    /// The right to make the ledger.
    opening: tokio::sync::Mutex<()>,
}

impl Watchers {
    pub(super) fn new(revision: i64) -> Self {
        let revision = watch::Sender::new(revision);
        Self { revision, ledger: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// What definitions are told from; `None` while nobody watches them.
    pub(super) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Wakes everybody.
    pub(super) fn tell(&self, revision: i64) {
        self.revision.send_replace(revision);
    }
}

impl Snapshots {
    /// A project's newest revision, now and from now on. It ends when the project does.
    ///
    /// # Errors
    ///
    /// `NotFound` for a project that is not there, `Unavailable` when only the database knows.
    pub(crate) async fn revisions_of(&self, project_id: i64) -> Result<watch::Receiver<i64>> {
        self.get(project_id).await?;
        Ok(self.slot(project_id)?.watchers.revision.subscribe())
    }

    /// What watchers of a project's definitions are told. It moves on before the revision does
    /// that [`Snapshots::revisions_of`] tells.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::revisions_of`].
    pub(crate) async fn ledger(&self, project_id: i64) -> Result<Arc<Ledger>> {
        self.get(project_id).await?;
        let slot = self.slot(project_id)?;
        if let Some(ledger) = slot.watchers.ledger() {
            return Ok(ledger);
        }
        let _opening = slot.watchers.opening.lock().await;
        if let Some(ledger) = slot.watchers.ledger() {
            return Ok(ledger);
        }
        // Changes go on meanwhile; what they did is caught up on.
        let ledger = Arc::new(Ledger::new(book(&self.store, project_id).await?));
        let _patching = slot.patching.lock().await;
        *slot.watchers.ledger.lock().unwrap_or_else(PoisonError::into_inner) =
            Arc::downgrade(&ledger);
        self.keep_ledger(&slot, None).await?;
        Ok(ledger)
    }

    /// Brings the ledger, if there is one, to the snapshot's revision. `patched` is what the
    /// snapshot just came by, and from which revision.
    pub(super) async fn keep_ledger(
        &self,
        slot: &Slot,
        patched: Option<(i64, Changes)>,
    ) -> Result<()> {
        let project = slot.state.load().project.clone();
        let Some(ledger) = slot.watchers.ledger() else { return Ok(()) };
        let at = ledger.revision();
        if at >= project.revision {
            return Ok(());
        }
        let changes = match patched {
            Some((from, changes)) if from == at => changes,
            _ => self.store.changes_since(project.id, at).await?,
        };
        if changes.other {
            let definitions = self.store.definitions_for_others(project.id).await?;
            return ledger.replace(definitions.ok_or_else(Error::not_found)?);
        }
        ledger.apply(Changed {
            revision: changes.revision.max(project.revision),
            flags: self.store.flags_for_others(project.id, &changes.flag_ids).await?,
            flag_ids: changes.flag_ids,
            trees: self.store.cohort_trees(project.id, &changes.cohort_ids).await?,
            cohort_ids: changes.cohort_ids,
        })
    }
}

async fn book(store: &Store, project_id: i64) -> Result<Book> {
    let definitions = store.definitions_for_others(project_id).await?;
    let definitions = definitions.ok_or_else(Error::not_found)?;
    let revision = definitions.project.revision;
    let recent = store.recent_changes(project_id, revision, REVISIONS).await?;
    let told: HashSet<i64> = definitions.flags.iter().map(|flag| flag.id).collect();
    let changed: HashSet<i64> = recent.iter().flat_map(|c| c.flag_ids.iter().copied()).collect();
    let gone: Vec<i64> = changed.difference(&told).copied().collect();
    let keys = match &gone[..] {
        [] => Default::default(),
        gone => store.all_flag_keys(project_id, gone).await?,
    };
    let mut log = Log::new((revision - REVISIONS).max(0));
    for changes in recent {
        let gone = changes.flag_ids.iter().filter(|id| !told.contains(id));
        let gone = gone.map(|id| {
            let key = guards::key_before_deletion(keys.get(id)?, *id);
            Some((*id, key.to_owned()))
        });
        let gone: Option<Vec<_>> = gone.collect();
        // A flag whose row is gone can only be left out of a snapshot.
        let whole = changes.other || !changes.cohort_ids.is_empty() || gone.is_none();
        log.push(Step {
            revision: changes.revision,
            whole,
            gone: gone.unwrap_or_default(),
            flag_ids: changes.flag_ids,
        });
    }
    Book::new(definitions, log)
}
