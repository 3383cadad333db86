//! What is known of those a request asks about: what it says, and what is
//! stored.
//!
//! Nothing is read where nothing stored can change an answer. Otherwise the
//! store is asked once for all subjects together; it is asked again only to
//! fix the hash keys of people who come with an anonymous id for the first
//! time (`continuity`).

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::Services;
use crate::{
    engine::{self, Facts, HashKeys, Needs, Properties, Selection, Subject},
    model::stored_id::{looked_up_id, stored_id},
    snapshot::{
        ProjectSnapshot,
        people::{Person, Read},
    },
    store::stored_facts::FactsWanted,
};

/// Flags times subjects that are looked through before others have a turn.
const MOST_LOOKED_THROUGH: usize = 5_000;

/// What was found stored of one subject.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) needs: Needs,
    /// The person with the distinct id; `None` if not needed, or not read in time.
    pub(super) person: Option<Arc<Person>>,
    /// The person with the anonymous id, where hash keys are needed.
    pub(super) anonymous: Option<Arc<Person>>,
    pub(super) hash_keys: Keys,
    /// Properties of the groups that are stored, by the name of their type.
    groups: Vec<(String, Arc<Properties>)>,
    groups_unavailable: bool,
}

/// The hash keys of one subject.
#[derive(Debug, Default)]
pub(super) enum Keys {
    /// Not needed, or nobody is stored to have any.
    #[default]
    Absent,
    /// Those of the one person there is.
    Of(Arc<Person>),
    /// Those of two, joined.
    Joined(HashMap<String, String>),
    /// Not read, or not written.
    Unavailable,
}

impl Known {
    /// Everything that evaluation goes by.
    pub(super) fn facts<'a>(&'a self, sent: &Facts<'a>) -> Facts<'a> {
        let person = self.person.as_ref().and_then(|person| person.facts.as_ref());
        Facts {
            stored: person.filter(|_| self.needs.properties).map(|person| &person.properties),
            stored_unavailable: self.is_person_unavailable(),
            stored_groups: &self.groups,
            stored_groups_unavailable: self.groups_unavailable,
            hash_keys: self.hash_keys.read(),
            static_cohorts: person.map(|person| &person.static_cohorts),
            ..*sent
        }
    }

    /// True if something that may decide could not be read in time.
    pub(super) fn is_unavailable(&self) -> bool {
        self.is_person_unavailable() || self.groups_unavailable
    }

    fn is_person_unavailable(&self) -> bool {
        self.needs.is_about_person() && self.person.is_none()
    }

    /// What was read of a subject with these needs.
    fn of(needs: Needs, subject: &Subject<'_>, snapshot: &ProjectSnapshot, read: &Read) -> Self {
        let mut known = Self { needs, ..Self::default() };
        known.take_people(subject, read);
        for (index, key) in &known.needs.groups {
            let Some(place) = place(*index, key) else { continue };
            match (read.groups.get(&place), snapshot.flags.group_type(*index)) {
                (Some(group), Some(name)) => {
                    let properties = group.properties().map(|found| (name.to_owned(), found));
                    known.groups.extend(properties);
                }
                _ => known.groups_unavailable = true,
            }
        }
        known
    }

    /// Takes what was read of the subject's people.
    pub(super) fn take_people(&mut self, subject: &Subject<'_>, read: &Read) {
        self.person = found(subject.sent_distinct_id(), read);
        self.anonymous = subject.anon_distinct_id().and_then(|id| found(id, read));
    }
}

impl Keys {
    fn read(&self) -> HashKeys<'_> {
        match self {
            Self::Absent => HashKeys::Absent,
            Self::Of(person) => match &person.facts {
                Some(facts) => HashKeys::Read(&facts.hash_keys),
                None => HashKeys::Absent,
            },
            Self::Joined(keys) => HashKeys::Read(keys),
            Self::Unavailable => HashKeys::Unavailable,
        }
    }
}

impl Services {
    /// What is stored of one subject, as far as the selected flags ask for it.
    pub(super) async fn known_of(
        &self,
        snapshot: &ProjectSnapshot,
        subject: &Subject<'_>,
        selection: &Selection<'_>,
        only_sent_properties: bool,
    ) -> Known {
        let needs = needs(snapshot, subject, selection, only_sent_properties);
        if needs.is_empty() {
            return Known::default();
        }
        let subjects = std::slice::from_ref(subject);
        // Apart, so that those who need nothing do not take room along for it.
        let mut known = Box::pin(self.read(snapshot, subjects, vec![needs])).await;
        known.pop().unwrap_or_default()
    }

    /// As [`Services::known_of`] for several subjects, in their order; asked together.
    pub(super) async fn known_of_all(
        &self,
        snapshot: &ProjectSnapshot,
        subjects: &[Subject<'_>],
        selection: &Selection<'_>,
        only_sent_properties: bool,
    ) -> Vec<Known> {
        let mut all = Vec::with_capacity(subjects.len());
        let flags = selection.flag_keys.map_or(snapshot.flags.flags().len(), <[String]>::len);
        let in_one_go = (MOST_LOOKED_THROUGH / flags.max(1)).max(1);
        for some in subjects.chunks(in_one_go) {
            let of = |subject| needs(snapshot, subject, selection, only_sent_properties);
            all.extend(some.iter().map(of));
            tokio::task::yield_now().await;
        }
        self.read(snapshot, subjects, all).await
    }

    async fn read(
        &self,
        snapshot: &ProjectSnapshot,
        subjects: &[Subject<'_>],
        needs: Vec<Needs>,
    ) -> Vec<Known> {
        let wanted = wanted(subjects.iter().zip(&needs));
        let read = self.snapshots.people().read(snapshot.project.id, wanted).await;
        let known = subjects.iter().zip(needs);
        let mut known: Vec<Known> =
            known.map(|(subject, needs)| Known::of(needs, subject, snapshot, &read)).collect();
        if known.iter().any(|known| known.needs.hash_keys) {
            self.add_hash_keys(snapshot, subjects, &mut known).await;
        }
        known
    }
}

fn needs(
    snapshot: &ProjectSnapshot,
    subject: &Subject<'_>,
    selection: &Selection<'_>,
    only_sent_properties: bool,
) -> Needs {
    let mut needs = engine::needs(&snapshot.flags, subject, selection);
    needs.properties &= !only_sent_properties;
    needs
}

/// What to ask for these subjects, each once.
pub(super) fn wanted<'s, 'f: 's>(
    subjects: impl Iterator<Item = (&'s Subject<'f>, &'s Needs)>,
) -> FactsWanted {
    let (mut ids, mut cohorts, mut groups) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (subject, needs) in subjects {
        if needs.is_about_person() {
            ids.extend(stored_id(subject.sent_distinct_id()));
        }
        if needs.hash_keys {
            ids.extend(subject.anon_distinct_id().and_then(stored_id));
        }
        cohorts.extend(&needs.static_cohorts);
        groups.extend(needs.groups.iter().filter_map(|(index, key)| place(*index, key)));
    }
    FactsWanted {
        distinct_ids: ids.into_iter().map(Cow::into_owned).collect(),
        cohort_ids: cohorts.into_iter().copied().collect(),
        groups: groups.into_iter().collect(),
    }
}

/// What was read of the person of an id; somebody unknown for an id that nobody has in store.
fn found(id: &str, read: &Read) -> Option<Arc<Person>> {
    match stored_id(id) {
        Some(id) => read.people.get(id.as_ref()).cloned(),
        None => Some(Arc::new(Person::unknown())),
    }
}

/// Where a group is stored.
fn place(index: i64, key: &str) -> Option<(i32, String)> {
    Some((i32::try_from(index).ok()?, looked_up_id(key)))
}
