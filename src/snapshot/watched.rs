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
        history_point::{HistoryPoint, WatchPosition},
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
    /// The newest state; sent after snapshot and ledger have come to it.
    newest: watch::Sender<HistoryPoint>,
    ledger: Mutex<Weak<Ledger>>,
    /// The right to make the ledger.
    opening: tokio::sync::Mutex<()>,
}

impl Watchers {
    pub(super) fn new(point: HistoryPoint) -> Self {
        let newest = watch::Sender::new(point);
        Self { newest, ledger: Mutex::default(), opening: tokio::sync::Mutex::default() }
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
    pub(super) fn tell(&self, point: HistoryPoint) {
        let is_news = |told: &mut HistoryPoint| std::mem::replace(told, point) != point;
        self.newest.send_if_modified(is_news);
    }
}

impl Snapshots {
    /// A project's newest state, now and from now on. It ends when the project does.
    ///
    /// # Errors
    ///
    /// `NotFound` for a project that is not there, `Unavailable` when only the database knows.
    pub(crate) async fn revisions_of(
        &self,
        project_id: i64,
    ) -> Result<watch::Receiver<HistoryPoint>> {
        self.get(project_id).await?;
        Ok(self.slot(project_id)?.watchers.newest.subscribe())
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
        self.follow_snapshot(&ledger, slot, None).await?;
        slot.watchers.publish(&ledger);
        Ok(ledger)
    }

    /// Comes to a state that somebody knows from elsewhere, if the database has it.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::ledger`].
    pub(crate) async fn reach(&self, project_id: i64, position: WatchPosition) -> Result<()> {
        // A look that others began may be older than what is known here; the next is not.
        for _ in 0..2 {
            let reached = self.slot(project_id)?.reached();
            if position.is_at(reached) || position.revision < reached.revision {
                return Ok(());
            }
            self.store.reachability().check()?;
            let all = self.clone();
            let look = self.looks.join(project_id, || async move { all.look(project_id).await });
            timeout(PATIENCE, look).await.map_err(Error::unavailable).flatten()?;
        }
        Ok(())
    }

    /// Brings the ledger, if there is one, to the snapshot's state. `patched` is what the
    /// snapshot just came by, and from which state.
    pub(super) async fn keep_ledger(
        &self,
        slot: &Slot,
        patched: Option<(HistoryPoint, Changes)>,
    ) -> Result<()> {
        match slot.watchers.ledger() {
            Some(ledger) => self.follow_snapshot(&ledger, slot, patched).await,
            None => Ok(()),
        }
    }

    /// Makes the ledger, if there is one, anew from what the database has.
    pub(super) async fn renew_ledger(&self, slot: &Slot) -> Result<()> {
        if let Some(ledger) = slot.watchers.ledger() {
            let project_id = slot.state.load().project.id;
            ledger.replace(book(&self.store.following(), project_id).await?);
        }
        Ok(())
    }

    async fn follow_snapshot(
        &self,
        ledger: &Ledger,
        slot: &Slot,
        patched: Option<(HistoryPoint, Changes)>,
    ) -> Result<()> {
        let store = self.store.following();
        let project = slot.state.load().project.clone();
        let at = ledger.point();
        if at == project.point() || at.revision > project.revision {
            return Ok(());
        }
        let changes = match patched {
            Some((from, changes)) if from == at => Some(changes),
            _ => store.changes_since(project.id, at).await?,
        };
        let is_step = |changes: &Changes| {
            !changes.other && changes.newest().is_some_and(|it| it.revision >= project.revision)
        };
        let Some(changes) = changes.filter(is_step) else {
            ledger.replace(book(&store, project.id).await?);
            return Ok(());
        };
        let flags = store.flags_for_others(project.id, &changes.flag_ids).await?;
        let told: HashSet<i64> = flags.iter().map(|flag| flag.id).collect();
        let others = changes.flag_ids.iter().filter(|id| !told.contains(id)).copied();
        ledger.apply(Changed {
            keys: keys(&store, project.id, others.collect()).await?,
            flags,
            flag_ids: changes.flag_ids,
            trees: store.cohort_trees(project.id, &changes.cohort_ids).await?,
            cohort_ids: changes.cohort_ids,
            points: changes.points,
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
    let point = definitions.project.point();
    let recent = store.recent_changes(project_id, point, REVISIONS).await?;
    let told: HashSet<i64> = definitions.flags.iter().map(|flag| flag.id).collect();
    let changed: HashSet<i64> = recent.iter().flat_map(|c| c.flag_ids.iter().copied()).collect();
    let keys = keys(store, project_id, changed.difference(&told).copied().collect()).await?;
    // What led to the first of them is not known.
    let mut recent = recent.into_iter();
    let floor = recent.next().and_then(|first| first.newest()).unwrap_or(point);
    let mut log = Log::new(floor);
    for changes in recent {
        let gone = changes.flag_ids.iter().filter(|id| !told.contains(id));
        let gone = gone.map(|id| Some((*id, keys.get(id)?.clone())));
        let gone: Option<Vec<_>> = gone.collect();
        // A flag whose row is gone can only be left out of a snapshot.
        let whole = changes.other || !changes.cohort_ids.is_empty() || gone.is_none();
        log.push(Step {
            points: changes.points,
            whole,
            gone: gone.unwrap_or_default(),
            flag_ids: changes.flag_ids,
        });
    }
    let book = spawn_blocking(move || Book::new(definitions, log)).await;
    book.map_err(Error::internal).flatten()
}
