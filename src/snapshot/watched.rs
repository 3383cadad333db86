//! Keeps what watchers are told in step with the snapshots.
//!
//! A project's [`Ledger`] exists while somebody watches its definitions. It
//! is made from the database as of one moment, together with what the change log
//! knows of the time before, so that whoever comes from another replica can go
//! on where it was; then it follows the changes that the snapshot follows.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, task::spawn_blocking, time::timeout};

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
/// How long whoever begins to watch waits for a database that is slow.
const PATIENCE: Duration = Duration::from_secs(5);

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

    /// Lets others find the ledger.
    fn publish(&self, ledger: &Arc<Ledger>) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(ledger);
    }

    /// Wakes everybody, unless they know.
    pub(super) fn tell(&self, revision: i64) {
        let is_news = |told: &mut i64| std::mem::replace(told, revision) != revision;
        self.revision.send_if_modified(is_news);
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
    /// As [`Snapshots::revisions_of`]; `Unavailable` as well when the database is too slow.
    pub(crate) async fn ledger(&self, project_id: i64) -> Result<Arc<Ledger>> {
        self.get(project_id).await?;
        let slot = self.slot(project_id)?;
        if let Some(ledger) = slot.watchers.ledger() {
            return Ok(ledger);
        }
        self.store.reachability().check()?;
        // Those who wait for one another wait no longer together than one alone.
        let opened = timeout(PATIENCE, self.opened(project_id, &slot)).await;
        opened.map_err(Error::unavailable).flatten()
    }

    async fn opened(&self, project_id: i64, slot: &Slot) -> Result<Arc<Ledger>> {
        let _opening = slot.watchers.opening.lock().await;
        if let Some(ledger) = slot.watchers.ledger() {
            return Ok(ledger);
        }
        self.store.reachability().check()?;
        // Changes go on meanwhile; what they did is caught up on.
        let ledger = Arc::new(Ledger::new(book(&self.store, project_id).await?));
        let _patching = slot.patching.lock().await;
        // Whoever finds it waits for what comes after the snapshot, so it is found no earlier.
        self.bring(&ledger, slot, None).await?;
        slot.watchers.publish(&ledger);
        Ok(ledger)
    }

    /// Comes to a revision that somebody knows from elsewhere, if the database is there.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::ledger`].
    pub(crate) async fn reach(&self, project_id: i64, revision: i64) -> Result<()> {
        // A look that others began may be older than what is known here; the next is not.
        for _ in 0..2 {
            if self.slot(project_id)?.revision() >= revision {
                return Ok(());
            }
            self.store.reachability().check()?;
            let all = self.clone();
            let look = self.looks.join(project_id, || async move { all.look(project_id).await });
            timeout(PATIENCE, look).await.map_err(Error::unavailable).flatten()?;
        }
        Ok(())
    }

    /// Comes to the revision that the database has.
    async fn look(&self, project_id: i64) -> Result<()> {
        let project = self.store.project(project_id).await?.ok_or_else(Error::not_found)?;
        self.refresh(project_id, project.revision).await
    }

    /// Brings the ledger, if there is one, to the snapshot's revision. `patched` is what the
    /// snapshot just came by, and from which revision.
    pub(super) async fn keep_ledger(
        &self,
        slot: &Slot,
        patched: Option<(i64, Changes)>,
    ) -> Result<()> {
        match slot.watchers.ledger() {
            Some(ledger) => self.bring(&ledger, slot, patched).await,
            None => Ok(()),
        }
    }

    async fn bring(
        &self,
        ledger: &Ledger,
        slot: &Slot,
        patched: Option<(i64, Changes)>,
    ) -> Result<()> {
        let store = self.store.following();
        let project = slot.state.load().project.clone();
        let at = ledger.revision();
        if at >= project.revision {
            return Ok(());
        }
        let changes = match patched {
            Some((from, changes)) if from == at => changes,
            _ => store.changes_since(project.id, at).await?,
        };
        if changes.other {
            let definitions = store.definitions_for_others(project.id).await?;
            return ledger.replace(definitions.ok_or_else(Error::not_found)?).await;
        }
        let flags = store.flags_for_others(project.id, &changes.flag_ids).await?;
        let told: HashSet<i64> = flags.iter().map(|flag| flag.id).collect();
        let others = changes.flag_ids.iter().filter(|id| !told.contains(id)).copied();
        ledger.apply(Changed {
            revision: changes.revision.max(project.revision),
            keys: keys(&store, project.id, others.collect()).await?,
            flags,
            flag_ids: changes.flag_ids,
            trees: store.cohort_trees(project.id, &changes.cohort_ids).await?,
            cohort_ids: changes.cohort_ids,
        })
    }
}

/// The keys that flags had which belong in the feed no more; without those whose rows are gone.
async fn keys(store: &Store, project_id: i64, ids: Vec<i64>) -> Result<HashMap<i64, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let keys = store.all_flag_keys(project_id, &ids).await?.into_iter();
    Ok(keys.map(|(id, key)| (id, guards::key_before_deletion(&key, id).to_owned())).collect())
}

async fn book(store: &Store, project_id: i64) -> Result<Book> {
    let definitions = store.definitions_for_others(project_id).await?;
    let definitions = definitions.ok_or_else(Error::not_found)?;
    let revision = definitions.project.revision;
    let recent = store.recent_changes(project_id, revision, REVISIONS).await?;
    let told: HashSet<i64> = definitions.flags.iter().map(|flag| flag.id).collect();
    let changed: HashSet<i64> = recent.iter().flat_map(|c| c.flag_ids.iter().copied()).collect();
    let keys = keys(store, project_id, changed.difference(&told).copied().collect()).await?;
    let mut log = Log::new((revision - REVISIONS).max(0));
    for changes in recent {
        let gone = changes.flag_ids.iter().filter(|id| !told.contains(id));
        let gone = gone.map(|id| Some((*id, keys.get(id)?.clone())));
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
    let book = spawn_blocking(move || Book::new(definitions, log)).await;
    book.map_err(Error::internal).flatten()
}
