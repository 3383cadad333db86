//! What a project's watchers are told, made once and shared by all of them.
//!
//! A watcher holds the revision it is at and, while it is being told
//! something, that. So what a slow one costs does not grow with the changes it
//! misses: when it reads again, it is told all of them in one. A snapshot that
//! was overtaken is kept for those who are in the middle of it, within bounds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::{
    model::{
        error::{Error, Result},
        history_point::{HistoryPoint, WatchPosition},
    },
    sdk::feed::book::{Book, Changed, Event},
};

/// How many different pasts are told apart; whoever missed anything else gets a snapshot.
const MOST_PASTS: usize = 256;
/// What pasts are told may take as much memory as a snapshot, and this much in any case, in bytes.
const SMALL: usize = 1 << 20;
/// The most overtaken events that are kept for those in the middle of one.
const MOST_OVERTAKEN: usize = 16;

/// How an edge writes an event that leads to a state, in pieces.
pub(crate) type Write = fn(HistoryPoint, &Event) -> Result<Vec<Bytes>>;

/// One event, as its readers share it.
#[derive(Debug)]
pub(crate) struct Told {
    /// The project's state after it.
    pub(crate) point: HistoryPoint,
    /// As the edge wrote it; gone when too many others came after it.
    pieces: ArcSwapOption<Vec<Bytes>>,
    /// Until it is written.
    event: tokio::sync::Mutex<Option<Arc<Event>>>,
}

impl Told {
    fn new(point: HistoryPoint, event: Event) -> Self {
        let event = tokio::sync::Mutex::new(Some(Arc::new(event)));
        Self { point, pieces: ArcSwapOption::empty(), event }
    }

    /// A piece of it, `None` after the last; written when first asked for, elsewhere than in the
    /// caller's task, as it may be large.
    ///
    /// # Errors
    ///
    /// `Overloaded` for a reader so slow that it was not kept any longer.
    pub(crate) async fn piece(&self, at: usize, write: Write) -> Result<Option<Bytes>> {
        if let Some(pieces) = &*self.pieces.load() {
            return Ok(pieces.get(at).cloned());
        }
        let mut unwritten = self.event.lock().await;
        // It stays where it is until then: a reader may leave at any time, and others come after.
        if let Some(event) = unwritten.clone() {
            let point = self.point;
            let written = spawn_blocking(move || write(point, &event)).await;
            let pieces = written.map_err(Error::internal).flatten()?;
            self.pieces.store(Some(Arc::new(pieces)));
            *unwritten = None;
        }
        match &*self.pieces.load() {
            Some(pieces) => Ok(pieces.get(at).cloned()),
            None => Err(Error::overloaded().saying(TOO_SLOW)),
        }
    }

    fn let_go(&self) {
        self.pieces.store(None);
        // Locked only while it is being written, which is for a reader who is not slow.
        if let Ok(mut event) = self.event.try_lock() {
            *event = None;
        }
    }
}

const TOO_SLOW: &str = "This reader fell too far behind. Please watch again.";

/// A project's definitions and what was told of them. Held by those who watch them.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Pages>);

#[derive(Debug)]
struct Pages {
    book: Arc<Book>,
    /// What leads to the book's revision: from a revision, or from nothing.
    told: HashMap<Option<i64>, Arc<Told>>,
    /// How large what was told of changes is, in bytes.
    bytes: usize,
    overtaken: VecDeque<Weak<Told>>,
}

impl Ledger {
    pub(super) fn new(book: Book) -> Self {
        Self(Mutex::new(Pages {
            book: Arc::new(book),
            told: HashMap::new(),
            bytes: 0,
            overtaken: VecDeque::new(),
        }))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state it is at.
    pub(crate) fn point(&self) -> HistoryPoint {
        self.pages().book.point()
    }

    /// Returns the event for a watcher at a position: what it missed, or a snapshot where that is
    /// not known, or where the position is of another history.
    pub(crate) fn told(&self, from: Option<WatchPosition>) -> Result<Arc<Told>> {
        let mut pages = self.pages();
        let from = from.filter(|position| pages.book.is_past(*position));
        pages.told(from.map(|position| position.revision))
    }

    /// Takes over what changed. Whoever calls this sees to it that nobody else does meanwhile.
    pub(super) fn apply(&self, changed: Changed) -> Result<()> {
        let mut next = Book::clone(&self.book());
        next.apply(changed)?;
        self.pages().turn_to(next);
        Ok(())
    }

    /// Takes over a book that was made anew, as [`Ledger::apply`] does.
    pub(super) fn replace(&self, book: Book) {
        self.pages().turn_to(book);
    }

    /// As it is now: the next one is written while this is read.
    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.pages().book)
    }
}

impl Pages {
    fn told(&mut self, from: Option<i64>) -> Result<Arc<Told>> {
        if let Some(told) = self.told.get(&from) {
            return Ok(Arc::clone(told));
        }
        let event = match (from.and_then(|from| self.since(from)), from) {
            (Some(event), _) => event,
            (None, Some(_)) => return self.told(None),
            (None, None) => self.book.whole()?,
        };
        let told = Arc::new(Told::new(self.book.point(), event));
        self.told.insert(from, Arc::clone(&told));
        Ok(told)
    }

    /// What changed after a revision; `None` where that is not known, or where all those who
    /// missed that much share a snapshot.
    fn since(&mut self, from: i64) -> Option<Event> {
        if self.told.len() >= MOST_PASTS {
            return None;
        }
        let event = self.book.since(from)?;
        let bytes = self.bytes + event.bytes();
        if bytes > self.book.bytes().max(SMALL) {
            return None;
        }
        self.bytes = bytes;
        Some(event)
    }

    /// The book moves on: what was told leads to its revision no more.
    fn turn_to(&mut self, book: Book) {
        (self.book, self.bytes) = (Arc::new(book), 0);
        let told = self.told.drain().map(|(_, told)| told);
        self.overtaken.extend(told.map(|told| Arc::downgrade(&told)));
        self.overtaken.retain(|told| told.strong_count() > 0);
        while self.overtaken.len() > MOST_OVERTAKEN {
            let oldest = self.overtaken.pop_front().and_then(|told| told.upgrade());
            oldest.inspect(|told| told.let_go());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::{
        model::{error::Code, flag::FeatureFlag, history_point::HistoryToken},
        sdk::feed::{
            log::Log,
            tests::{at, definitions, flag, on},
        },
    };

    /// At revision 3.
    fn ledger() -> Ledger {
        Ledger::new(Book::new(definitions(Vec::new(), &[]), Log::new(at(3))).unwrap())
    }

    /// Takes a ledger to a revision, from wherever it is.
    fn step(ledger: &Ledger, revision: i64) {
        let points = (ledger.point().revision + 1..=revision).map(at).collect();
        ledger.apply(Changed { points, ..Changed::default() }).unwrap();
    }

    /// A watcher that says its revision alone.
    fn from(revision: i64) -> Option<WatchPosition> {
        Some(WatchPosition { revision, token: None })
    }

    /// Two pieces for every event.
    fn write(point: HistoryPoint, _: &Event) -> Result<Vec<Bytes>> {
        Ok([0, 1].map(|at| Bytes::from(format!("{}.{at}", point.revision))).into())
    }

    #[tokio::test]
    async fn everybody_at_a_revision_is_told_the_same_event() {
        let ledger = ledger();
        step(&ledger, 4);
        let told = |from| ledger.told(from).unwrap();
        assert!(Arc::ptr_eq(&told(from(3)), &told(from(3))));
        assert!(Arc::ptr_eq(&told(None), &told(from(99))), "the future is told the whole");
        assert!(!Arc::ptr_eq(&told(from(3)), &told(None)));
        assert!(Arc::ptr_eq(&told(from(3)), &told(Some(at(3).into()))), "the token is right");
        let other = HistoryPoint::new(3, HistoryToken::from_stored(-3));
        assert!(Arc::ptr_eq(&told(None), &told(Some(other.into()))), "another history");
        let told = told(from(3));
        let pieces = futures::future::join_all((0..4).map(|at| told.piece(at, write))).await;
        let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
        assert_eq!(pieces, [Some("4.0".into()), Some("4.1".into()), None, None]);
    }

    #[tokio::test]
    async fn a_reader_who_leaves_before_it_is_written_takes_it_from_nobody() {
        let ledger = ledger();
        let told = ledger.told(None).unwrap();
        assert!(told.piece(0, write).now_or_never().is_none(), "it is being written");
        assert_eq!(told.piece(0, write).await.unwrap(), Some("3.0".into()));

        step(&ledger, 4);
        let told = ledger.told(None).unwrap();
        let failed = told.piece(0, |_, _| Err(Error::internal("no JSON"))).await;
        assert_eq!(failed.unwrap_err().code, Code::Internal);
        assert_eq!(told.piece(0, write).await.unwrap(), Some("4.0".into()));
    }

    #[tokio::test]
    async fn what_was_overtaken_too_often_is_told_no_further() {
        let ledger = ledger();
        let mut held = Vec::new();
        for revision in 4..40 {
            let told = ledger.told(None).unwrap();
            told.piece(0, write).await.unwrap();
            held.push(told);
            step(&ledger, revision);
        }
        let (gone, kept) = held.split_at(held.len() - MOST_OVERTAKEN);
        for told in gone {
            assert_eq!(told.piece(1, write).await.unwrap_err().code, Code::Overloaded);
        }
        for told in kept {
            assert!(told.piece(1, write).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn pasts_after_a_large_change_share_a_snapshot() {
        let large = |id: i64| FeatureFlag {
            name: "x".repeat(100_000),
            ..flag(id, &format!("flag-{id}"), on(json!([])))
        };
        let flags: Vec<_> = (0..20).map(large).collect();
        let all = definitions(flags.clone(), &[]);
        let ledger = Ledger::new(Book::new(all, Log::new(at(3))).unwrap());
        step(&ledger, 4);
        let flag_ids = flags.iter().map(|flag| flag.id).collect();
        let changed = Changed { points: vec![at(5)], flags, flag_ids, ..Changed::default() };
        ledger.apply(changed).unwrap();
        let told = |from| ledger.told(from).unwrap();
        assert!(!Arc::ptr_eq(&told(from(4)), &told(None)), "most are here");
        for past in 0..4 {
            assert!(Arc::ptr_eq(&told(from(past)), &told(None)), "{past}");
        }
        assert!(!Arc::ptr_eq(&told(from(5)), &told(None)), "missed nothing, which is small");
        step(&ledger, 6);
        assert!(!Arc::ptr_eq(&ledger.told(from(5)).unwrap(), &ledger.told(None).unwrap()));
    }

    #[tokio::test]
    async fn an_earlier_state_comes_as_a_snapshot() {
        let ledger = ledger();
        step(&ledger, 9);
        ledger.replace(Book::new(definitions(Vec::new(), &[]), Log::new(at(3))).unwrap());
        assert_eq!(ledger.point(), at(3));
        for revision in [1, 2, 9] {
            let told = ledger.told(from(revision)).unwrap();
            assert!(Arc::ptr_eq(&told, &ledger.told(None).unwrap()));
        }
    }

    #[tokio::test]
    async fn strangers_cannot_have_pasts_told_apart_without_end() {
        let ledger = ledger();
        for revision in 4..1_000 {
            step(&ledger, revision);
        }
        for revision in 0..999 {
            ledger.told(from(revision)).unwrap();
        }
        assert!(ledger.pages().told.len() <= MOST_PASTS + 1);
    }
}
