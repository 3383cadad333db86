//! What evaluation reads: each project's compiled flags, held in memory.
//!
//! A [`ProjectSnapshot`] is never changed, only replaced by a newer one, so a
//! reader holds a consistent state for as long as it likes and takes no lock.
//! Snapshots follow the database by revision and history token: after a change of
//! its own a process patches at once, of others' changes it hears through `changes`.
//! With the database gone they stay as they are, and evaluation goes on.

mod changes;
mod compile;
mod feeds;
pub(crate) mod flights;
mod followed;
pub(crate) mod lists;
pub(crate) mod people;
mod poll;
mod recent_points;
mod refresh;
mod stale;
pub(crate) mod told;
mod watched;
mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as Short, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

pub use changes::follow;
pub(crate) use compile::compiled;
pub(crate) use feeds::Feed;
use flights::Flights;
use people::People;
use recent_points::RecentPoints;
pub use stale::StaleProjects;

use crate::{
    auth::{Secret, TokenKind},
    engine::FlagSet,
    model::{
        error::{Code, Error, Result},
        history_point::HistoryPoint,
        project::Project,
    },
    store::Store,
};

/// One project as evaluation sees it, at one revision.
#[derive(Debug)]
pub struct ProjectSnapshot {
    /// The project, with the revision that this state belongs to.
    pub project: Project,
    /// Its compiled flags.
    pub flags: FlagSet,
}

/// Every project that was ever asked for, each at its newest known state.
#[derive(Clone, Debug)]
pub struct Snapshots {
    store: Store,
    held: Arc<ArcSwap<Held>>,
    /// Adding and removing projects copies the index, one at a time.
    index: Arc<Short<()>>,
    /// Projects that are being read for the first time.
    loads: Flights<i64, Result<Arc<ProjectSnapshot>>>,
    /// Projects whose revision somebody asks the database for.
    looks: Flights<i64, Result<()>>,
    people: People,
    stale: StaleProjects,
}

/// Filled with projects there are, and only looked into by callers: nobody chooses what collides.
#[derive(Clone, Debug, Default)]
struct Held {
    by_id: Index<i64, Arc<Slot>>,
    by_token: Index<Arc<str>, i64>,
    /// The oldest project of each organization that was asked for, loaded or not.
    oldest: Index<i64, i64>,
}

/// How many projects are read at a time at the start, and how many come into the index together:
/// each change of it copies the whole.
const READ_AT_ONCE: usize = 4;
const INDEXED_TOGETHER: usize = 500;

type Index<K, V> = HashMap<K, V, RandomState>;

impl Held {
    fn add(&mut self, slot: Arc<Slot>) {
        let project = &slot.state.load().project;
        self.by_token.insert(project.api_token.as_str().into(), project.id);
        self.by_id.insert(project.id, Arc::clone(&slot));
    }

    fn remove(&mut self, project_id: i64) {
        self.by_id.remove(&project_id);
        self.by_token.retain(|_, id| *id != project_id);
        self.oldest.retain(|_, id| *id != project_id);
    }

    /// Takes over what a project is found by, after that has changed.
    fn renew(&mut self, project_id: i64) {
        let Some(slot) = self.by_id.get(&project_id).map(Arc::clone) else { return };
        self.by_token.retain(|_, id| *id != project_id);
        self.oldest.clear();
        self.add(slot);
    }
}

/// A project's place: its newest state, the right to replace it, and what was written of it.
#[derive(Debug)]
struct Slot {
    state: ArcSwap<ProjectSnapshot>,
    /// The right to replace the state, with the states before it.
    patching: Mutex<RecentPoints>,
    /// How often the project was rebuilt because its history was another one.
    rebuilds: AtomicU64,
    feeds: feeds::Feeds,
    watchers: watched::Watchers,
}

impl Slot {
    fn new(snapshot: Arc<ProjectSnapshot>) -> Arc<Self> {
        Arc::new(Self {
            watchers: watched::Watchers::new(snapshot.project.point()),
            state: ArcSwap::new(snapshot),
            patching: Mutex::default(),
            rebuilds: AtomicU64::default(),
            feeds: feeds::Feeds::default(),
        })
    }

    /// Returns the state that all of it has come to: that of the ledger where this one is behind,
    /// or in another history.
    fn reached(&self) -> HistoryPoint {
        let snapshot = self.state.load().project.point();
        let ledger = self.watchers.ledger().map(|ledger| ledger.point());
        ledger.filter(|ledger| ledger.revision <= snapshot.revision).unwrap_or(snapshot)
    }
}

impl Snapshots {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let people = People::new(store.clone());
        Self {
            store,
            held: Arc::default(),
            index: Arc::default(),
            loads: Flights::default(),
            looks: Flights::default(),
            people,
            stale: StaleProjects::default(),
        }
    }

    /// The same, waiting this long for what is stored of people and groups.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { people: self.people.with_patience(patience), ..self }
    }

    /// How many queries for what is stored of people and groups were begun so far.
    #[must_use]
    pub fn facts_reads(&self) -> Arc<AtomicU64> {
        self.people.queries()
    }

    /// What is kept for a moment of people and groups.
    pub(crate) fn people(&self) -> &People {
        &self.people
    }

    /// Reads every project, so that evaluation outlives the database from the first moment. One
    /// that cannot be read is stale, and holds up no other.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub async fn warm(&self) -> Result<()> {
        let projects = self.store.projects().await?;
        let mut oldest: Index<i64, i64> = Index::default();
        for project in &projects {
            let id = oldest.entry(project.organization_id).or_insert(project.id);
            *id = project.id.min(*id);
        }
        self.reindex(|held| held.oldest = oldest);
        for projects in projects.chunks(INDEXED_TOGETHER) {
            let read = projects.iter().map(|project| self.warm_one(project));
            let read: Vec<_> =
                stream::iter(read).buffer_unordered(READ_AT_ONCE).try_collect().await?;
            self.reindex(|held| {
                let read = read.into_iter().flatten();
                read.for_each(|snapshot| held.add(Slot::new(Arc::new(snapshot))));
            });
        }
        Ok(())
    }

    async fn warm_one(&self, project: &Project) -> Result<Option<ProjectSnapshot>> {
        match compile::whole(&self.store, project.clone()).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) if error.code == Code::Unavailable => Err(error),
            Err(error) => {
                let cause = error.causes();
                tracing::warn!(project.id, error = cause, "project could not be read");
                self.stale.add(project.id);
                Ok(None)
            }
        }
    }

    /// The projects that could not be brought to the state that the database has.
    #[must_use]
    pub fn stale_projects(&self) -> StaleProjects {
        self.stale.clone()
    }

    /// The newest known state; `None` for a project that was never read. Never waits.
    #[must_use]
    pub fn current(&self, project_id: i64) -> Option<Arc<ProjectSnapshot>> {
        self.held.load().by_id.get(&project_id).map(|slot| slot.state.load_full())
    }

    /// The newest known state, read first if need be.
    ///
    /// # Errors
    ///
    /// `NotFound` for a project that is not there, `Unavailable` when only the database knows.
    pub async fn get(&self, project_id: i64) -> Result<Arc<ProjectSnapshot>> {
        match self.current(project_id) {
            Some(snapshot) => Ok(snapshot),
            // Apart, so that those who find it held do not take room along for it.
            None => Box::pin(self.first(project_id)).await,
        }
    }

    async fn first(&self, project_id: i64) -> Result<Arc<ProjectSnapshot>> {
        let read = self.store.reachability().unless_lost(self.store.project(project_id));
        let project = read.await?.ok_or_else(Error::not_found)?;
        self.load(project).await
    }

    /// The oldest project of an organization, whether it is held or not: what `@current` means to
    /// a key for all of them.
    ///
    /// # Errors
    ///
    /// `Unavailable` when only the database knows.
    pub async fn first_of(&self, organization_id: i64) -> Result<Option<i64>> {
        match self.held.load().oldest.get(&organization_id) {
            Some(id) => Ok(Some(*id)),
            None => Box::pin(self.read_first_of(organization_id)).await,
        }
    }

    async fn read_first_of(&self, organization_id: i64) -> Result<Option<i64>> {
        self.store.reachability().check()?;
        let first = self.store.first_project(organization_id).await?;
        if let Some(id) = first {
            self.reindex(|held| {
                held.oldest.insert(organization_id, id);
            });
        }
        Ok(first)
    }

    /// The project with this public token; read first if need be.
    ///
    /// # Errors
    ///
    /// `Unavailable` when only the database knows.
    pub async fn project_of_token(&self, token: &str) -> Result<Option<Project>> {
        Ok(self.of_token(token).await?.map(|snapshot| snapshot.project.clone()))
    }

    /// The newest known state of the project with this public token; read first if need be.
    ///
    /// # Errors
    ///
    /// `Unavailable` when only the database knows.
    pub async fn of_token(&self, token: &str) -> Result<Option<Arc<ProjectSnapshot>>> {
        let known = self.held.load().by_token.get(token).copied();
        // What cannot be a token is not worth a question to the database.
        if known.is_none() && Secret::chosen(TokenKind::Project, token).is_err() {
            return Ok(None);
        }
        match known.and_then(|id| self.current(id)) {
            Some(snapshot) => Ok(Some(snapshot)),
            None => Box::pin(self.first_of_token(token)).await,
        }
    }

    async fn first_of_token(&self, token: &str) -> Result<Option<Arc<ProjectSnapshot>>> {
        let read = self.store.reachability().unless_lost(self.store.project_by_token(token));
        match read.await? {
            Some(project) => self.load(project).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the state that all of a held project has come to.
    fn reached(&self, project_id: i64) -> Option<HistoryPoint> {
        self.held.load().by_id.get(&project_id).map(|slot| slot.reached())
    }

    /// Returns the numbers of the held projects, in order.
    fn held_ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.held.load().by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    fn slot(&self, project_id: i64) -> Result<Arc<Slot>> {
        self.held.load().by_id.get(&project_id).map(Arc::clone).ok_or_else(Error::not_found)
    }

    /// Reads a project together with whoever wants it just now.
    async fn load(&self, project: Project) -> Result<Arc<ProjectSnapshot>> {
        let (id, all) = (project.id, self.clone());
        self.loads.join(id, || async move { all.load_alone(project).await }).await
    }

    async fn load_alone(&self, project: Project) -> Result<Arc<ProjectSnapshot>> {
        if let Some(snapshot) = self.current(project.id) {
            return Ok(snapshot);
        }
        let snapshot = Arc::new(compile::whole(&self.store, project).await?);
        self.reindex(|held| held.add(Slot::new(Arc::clone(&snapshot))));
        Ok(snapshot)
    }

    /// Forgets which projects are the oldest: an older one may have been restored.
    fn forget_oldest(&self) {
        self.reindex(|held| held.oldest.clear());
    }

    /// Forgets a project that is gone.
    fn forget(&self, project_id: i64) {
        self.stale.remove(project_id);
        self.reindex(|held| held.remove(project_id));
    }

    fn reindex(&self, change: impl FnOnce(&mut Held)) {
        let _index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = Held::clone(&self.held.load());
        change(&mut held);
        self.held.store(Arc::new(held));
    }
}
