//! Lets people keep their result when they log in (evaluation 10).
//!
//! A request with an anonymous id fixes that id as what is hashed for the
//! people it names, for every active flag with experience continuity at once.
//! What was fixed first stays. A failure here fails those flags alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Services,
    known::{self, Keys, Known},
};
use crate::{
    engine::{Flag, Subject},
    model::{
        error::{Error, Result},
        stored_id::stored_id,
    },
    snapshot::{ProjectSnapshot, people::Person},
    store::stored_facts::PersonFacts,
};

/// How long a request waits for its hash keys to be written; it does so once a person.
const PATIENCE: Duration = Duration::from_millis(500);

impl Services {
    /// Adds the hash keys of the subjects who need them, after fixing those not fixed yet.
    pub(super) async fn add_hash_keys(
        &self,
        snapshot: &ProjectSnapshot,
        subjects: &[Subject<'_>],
        known: &mut [Known],
    ) {
        let flag_keys = continued(snapshot);
        let new = |(at, subject): (usize, &Subject<'_>)| {
            is_new(subject, &known[at], &flag_keys).then_some(at)
        };
        let new: Vec<usize> = subjects.iter().enumerate().filter_map(new).collect();
        let failed = match self.fix(snapshot, subjects, known, &new, &flag_keys).await {
            Ok(()) => &[][..],
            Err(error) => {
                tracing::debug!(error = error.causes(), "hash keys were not written");
                &new
            }
        };
        for (at, (subject, known)) in subjects.iter().zip(known).enumerate() {
            if known.needs.hash_keys {
                known.hash_keys = match failed.contains(&at) {
                    true => Keys::Unavailable,
                    false => joined(subject, known),
                };
            }
        }
    }

    /// Writes the hash keys of those who are new, and reads anew who they are.
    async fn fix(
        &self,
        snapshot: &ProjectSnapshot,
        subjects: &[Subject<'_>],
        known: &mut [Known],
        new: &[usize],
        flag_keys: &[&str],
    ) -> Result<()> {
        let mut hash_keys = BTreeMap::new();
        for &at in new {
            for person in [&known[at].person, &known[at].anonymous].into_iter().filter_map(stored) {
                if let Some(anonymous) = subjects[at].anon_distinct_id() {
                    hash_keys.entry(person.id).or_insert_with(|| anonymous.to_owned());
                }
            }
        }
        if hash_keys.is_empty() {
            return Ok(());
        }
        let project_id = snapshot.project.id;
        let hash_keys: Vec<(i64, String)> = hash_keys.into_iter().collect();
        let write = self.write_hash_keys(project_id, &hash_keys, flag_keys);
        timeout(PATIENCE, write).await.map_err(Error::unavailable).flatten()?;
        let wanted = known::wanted(new.iter().map(|&at| (&subjects[at], &known[at].needs)));
        let read = self.snapshots.people().read(project_id, wanted).await;
        for &at in new {
            known[at].take_people(&subjects[at], &read);
        }
        Ok(())
    }

    async fn write_hash_keys(
        &self,
        project_id: i64,
        hash_keys: &[(i64, String)],
        flag_keys: &[&str],
    ) -> Result<()> {
        let txn = self.store.begin_persons(project_id).await?;
        let now = self.clock.now();
        let changed = self.store.fix_hash_keys(&txn, project_id, hash_keys, flag_keys, now).await?;
        self.commit_people(txn, [(project_id, &changed)]).await
    }
}

/// The keys of all flags that hash keys are kept for, sorted.
fn continued(snapshot: &ProjectSnapshot) -> Vec<&str> {
    let is_continued =
        |flag: &&Arc<Flag>| flag.is_active() && !flag.is_deleted() && flag.has_continuity();
    let flags = snapshot.flags.flags().iter().filter(is_continued);
    let mut keys: Vec<&str> = flags.map(|flag| flag.key()).collect();
    keys.sort_unstable();
    keys
}

/// True if somebody stored comes with an anonymous id, and some flag has no hash key yet.
fn is_new(subject: &Subject<'_>, known: &Known, flag_keys: &[&str]) -> bool {
    if !known.needs.hash_keys || !subject.anon_distinct_id().is_some_and(is_storable) {
        return false;
    }
    // Whoever was not read is not known to be new.
    let (Some(own), Some(other)) = (&known.person, &known.anonymous) else { return false };
    let people: Vec<&PersonFacts> = [&own.facts, &other.facts].into_iter().flatten().collect();
    let has = |key: &&str| people.iter().any(|person| person.hash_keys.contains_key(*key));
    !people.is_empty() && !flag_keys.iter().all(has)
}

/// False for what is hashed and not remembered: a NUL, which no database keeps, and what is longer
/// than an id can be.
fn is_storable(id: &str) -> bool {
    matches!(stored_id(id), Some(Cow::Borrowed(_)))
}

/// What both people have; where both have it, the one with the distinct id goes first.
fn joined(subject: &Subject<'_>, known: &Known) -> Keys {
    let Some(own) = &known.person else { return Keys::Unavailable };
    let other = match (subject.anon_distinct_id(), &known.anonymous) {
        (Some(_), None) => return Keys::Unavailable,
        (_, other) => other.as_ref(),
    };
    match (&own.facts, other.and_then(|other| Some((other, other.facts.as_ref()?)))) {
        (Some(first), Some((_, second))) if first.id != second.id => {
            let mut keys: HashMap<_, _> = second.hash_keys.clone();
            keys.extend(first.hash_keys.clone());
            Keys::Joined(keys)
        }
        (Some(_), _) => Keys::Of(Arc::clone(own)),
        (None, Some((other, _))) => Keys::Of(Arc::clone(other)),
        (None, None) => Keys::Absent,
    }
}

fn stored(person: &Option<Arc<Person>>) -> Option<&PersonFacts> {
    person.as_ref()?.facts.as_ref()
}
