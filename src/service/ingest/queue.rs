//! The queue between those who bring events and the one task that writes them.
//!
//! It is bounded by what it may hold in memory, in all and of one project, and
//! who comes when it is full is told so at once, before their events are even
//! read. Each project waits in a line of its own, and the lines take turns: a
//! turn takes a bounded share of a line, so that a flood of one project's events
//! delays those of another by no more than that share.

mod request;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore, oneshot};

pub(super) use request::{Entry, Request};

use super::Placed;
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
    },
    telemetry::IngestMetrics,
};

/// What one unit of room stands for: bytes, or one event.
const UNIT_BYTES: usize = 256;
/// 128 MiB of bodies as they were sent; in memory, events take a few times that.
const ROOM: usize = 128 * 1024 * 1024 / UNIT_BYTES;
/// What of it one project may take.
const PROJECT_ROOM: usize = ROOM / 4;

/// A bound of what is taken at once: weight, where an event weighs 1 and more with a merge, and
/// bytes of what events say.
#[derive(Clone, Copy, Debug)]
struct Bound {
    weight: usize,
    bytes: usize,
}

/// One project's share of a transaction.
const SHARE: Bound = Bound { weight: 1_000, bytes: 4 * 1024 * 1024 };
/// All shares of a transaction, but for the last.
const GROUP: Bound = Bound { weight: 10_000, bytes: 16 * 1024 * 1024 };

/// How many projects whose writes met a trouble are written beside the others.
const LONE_WRITERS: usize = 4;

/// One project's share of a turn, until it is given back as done.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) project_id: i64,
    pub(super) entries: Vec<Entry>,
}

/// Where events go. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(crate) struct Ingestion {
    lines: Arc<Mutex<Lines>>,
    arrived: Arc<Notify>,
    is_served: Arc<AtomicBool>,
    lone: Arc<Semaphore>,
    metrics: Arc<OnceLock<IngestMetrics>>,
}

/// The line of each project, and whose turn it is.
#[derive(Debug, Default)]
struct Lines {
    lines: HashMap<i64, VecDeque<Entry>>,
    /// Projects with a line that nobody is writing, in the order of their turns.
    turns: VecDeque<i64>,
    /// Projects of which a share is being written.
    busy: HashSet<i64>,
    /// Units of room that are taken, by project.
    taken: HashMap<i64, usize>,
    taken_in_all: usize,
}

/// The right to wait in the queue.
#[derive(Debug)]
pub(super) struct Room {
    lines: Arc<Mutex<Lines>>,
    project_id: i64,
    units: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut lines = locked(&self.lines);
        lines.taken_in_all -= self.units;
        if let Some(taken) = lines.taken.get_mut(&self.project_id) {
            *taken -= self.units;
            if *taken == 0 {
                lines.taken.remove(&self.project_id);
            }
        }
    }
}

impl Default for Ingestion {
    /// An empty queue that nobody serves yet.
    fn default() -> Self {
        Self {
            lines: Arc::default(),
            arrived: Arc::default(),
            is_served: Arc::default(),
            lone: Arc::new(Semaphore::new(LONE_WRITERS)),
            metrics: Arc::default(),
        }
    }
}

impl Ingestion {
    /// Takes a place in the queue, if there is one.
    pub(super) fn reserve(&self, project_id: i64, events: usize, bytes: usize) -> Result<Room> {
        // What is larger than all of a project's room may have all of it.
        let units = (events + bytes / UNIT_BYTES).min(PROJECT_ROOM);
        let mut lines = locked(&self.lines);
        let taken = lines.taken.get(&project_id).copied().unwrap_or_default();
        if taken + units > PROJECT_ROOM || lines.taken_in_all + units > ROOM {
            return Err(Error::overloaded());
        }
        lines.taken_in_all += units;
        *lines.taken.entry(project_id).or_default() += units;
        Ok(Room { lines: Arc::clone(&self.lines), project_id, units })
    }

    /// Has events written, and answers what was refused once the rest is committed.
    pub(super) async fn write(
        &self,
        project_id: i64,
        events: Placed<Event>,
        room: Room,
    ) -> Result<Placed<String>> {
        let (answer, answered) = oneshot::channel();
        let request = Request::new(events.len(), answer, room, self.metrics());
        let entry = |(place, event)| Entry::new(Arc::clone(&request), place, event);
        let entries: Vec<Entry> = events.into_iter().map(entry).collect();
        locked(&self.lines).add(project_id, entries);
        self.arrived.notify_one();
        let stopped = |_| Error::unavailable("nobody writes events any more");
        answered.await.map_err(stopped)?
    }

    /// Makes the caller the one who serves the queue; false if somebody does already.
    pub(super) fn serve(&self) -> bool {
        !self.is_served.swap(true, Ordering::Relaxed)
    }

    /// Waits for events, and returns a share of each project that has some, as far as one
    /// transaction goes. Each project has to be given back as [done](Self::done).
    pub(super) async fn next_group(&self) -> Vec<Share> {
        loop {
            let group = locked(&self.lines).next_group();
            if !group.is_empty() {
                return group;
            }
            self.arrived.notified().await;
        }
    }

    /// Lets a project's next share be taken, those events first that are still to be written.
    pub(super) fn done(&self, project_id: i64, left: Vec<Entry>) {
        locked(&self.lines).done(project_id, left);
        self.arrived.notify_one();
    }

    /// Those who write the events of one project beside the others.
    pub(super) fn lone_writers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.lone)
    }

    /// Says where to count.
    pub(super) fn measure(&self, metrics: IngestMetrics) {
        // A second start finds the first one's.
        let _ = self.metrics.set(metrics);
    }

    pub(super) fn metrics(&self) -> Option<&IngestMetrics> {
        self.metrics.get()
    }

    pub(super) fn count_rejected(&self, events: usize) {
        if let Some(metrics) = self.metrics() {
            metrics.record_rejected(events);
        }
    }
}

impl Lines {
    fn add(&mut self, project_id: i64, entries: Vec<Entry>) {
        let line = self.lines.entry(project_id).or_default();
        let was_empty = line.is_empty();
        line.extend(entries);
        if was_empty && !line.is_empty() && !self.busy.contains(&project_id) {
            self.turns.push_back(project_id);
        }
    }

    fn next_group(&mut self) -> Vec<Share> {
        let (mut group, mut left) = (Vec::new(), GROUP);
        for _ in 0..self.turns.len() {
            if left.weight == 0 || left.bytes == 0 {
                break;
            }
            let Some(project_id) = self.turns.pop_front() else { break };
            let entries = self.share(project_id, &mut left);
            if !entries.is_empty() {
                self.busy.insert(project_id);
                group.push(Share { project_id, entries });
            }
        }
        group
    }

    /// Takes a project's share. Events of requests that have failed already are let go.
    fn share(&mut self, project_id: i64, group: &mut Bound) -> Vec<Entry> {
        let (mut entries, mut share) = (Vec::new(), SHARE);
        let Some(line) = self.lines.get_mut(&project_id) else { return entries };
        while share.weight > 0 && share.bytes > 0 {
            let Some(entry) = line.pop_front() else { break };
            if entry.request.is_answered() {
                continue;
            }
            for bound in [&mut share, &mut *group] {
                bound.weight = bound.weight.saturating_sub(entry.weight());
                bound.bytes = bound.bytes.saturating_sub(entry.event.bytes);
            }
            entries.push(entry);
        }
        if line.is_empty() {
            self.lines.remove(&project_id);
        }
        entries
    }

    fn done(&mut self, project_id: i64, left: Vec<Entry>) {
        self.busy.remove(&project_id);
        let line = self.lines.entry(project_id).or_default();
        left.into_iter().rev().for_each(|entry| line.push_front(entry));
        match line.is_empty() {
            true => drop(self.lines.remove(&project_id)),
            false => self.turns.push_back(project_id),
        }
    }
}

/// Nothing panics while it holds the lock; what a panic left is used as it is.
fn locked(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
