use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sdk::feed::{
    Form,
    tests::{at, definitions, flag, member, on, plan, reads},
    write,
};

/// What one step may do to flag `id` of six: which key it has, which flags it reads, which cohort
/// it goes by; `None` takes it out of the feed, and so does key 3, of an unsupported format.
type Shape = Option<(u8, Vec<i64>, Option<i64>)>;

fn shape() -> impl Strategy<Value = Shape> {
    let reads = proptest::collection::vec(0..6i64, 0..3);
    proptest::option::weighted(0.8, (0..4u8, reads, proptest::option::of(0..3i64)))
}

fn made(id: i64, shape: &Shape) -> Option<FeatureFlag> {
    let (key, read, cohort) = shape.as_ref()?;
    let read: Vec<String> = read.iter().map(ToString::to_string).collect();
    let mut filters = reads(&read.iter().map(String::as_str).collect::<Vec<_>>());
    if let (Some(id), Some(properties)) =
        (cohort, filters["groups"][0]["properties"].as_array_mut())
    {
        properties.push(member(*id));
    }
    if *key == 3 {
        filters["version"] = json!(2);
    }
    Some(flag(id, &format!("{key}-{id}"), filters))
}

/// The feed that a book's parts come to.
fn assembled(book: &Book) -> Value {
    let Event::Snapshot { head, flags } = book.whole().unwrap() else { panic!("not the whole") };
    let mut feed: Value = serde_json::from_str(&head).unwrap();
    feed["flags"] = flags.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()).collect();
    feed
}

fn of(flags: &BTreeMap<i64, FeatureFlag>, cohorts: &BTreeMap<i64, Value>) -> Definitions {
    let mut flags: Vec<_> = flags.values().cloned().collect();
    flags.sort_by(|a, b| a.key.cmp(&b.key));
    let cohorts: Vec<_> = cohorts.iter().map(|(id, tree)| (*id, tree.clone())).collect();
    definitions(flags, &cohorts)
}

/// What a watcher holds: flags by id, and the cohorts it was told of.
#[derive(Clone, Default)]
struct Copy {
    flags: BTreeMap<i64, Value>,
    cohorts: BTreeMap<String, Value>,
}

impl Copy {
    fn take(&mut self, event: Event) {
        let parsed = |text: Arc<str>| -> (i64, Value) {
            let flag: Value = serde_json::from_str(&text).unwrap();
            (flag["id"].as_i64().unwrap(), flag)
        };
        match event {
            Event::Snapshot { head, flags } => {
                let head: Value = serde_json::from_str(&head).unwrap();
                let cohorts = head["cohorts"].as_object().unwrap();
                self.cohorts = cohorts.iter().map(|(id, t)| (id.clone(), t.clone())).collect();
                self.flags = flags.into_iter().map(parsed).collect();
            }
            Event::Delta { upserted, removed, cohorts, .. } => {
                removed.iter().for_each(|(id, _)| drop(self.flags.remove(id)));
                self.flags.extend(upserted.into_iter().map(parsed));
                self.cohorts.extend(cohorts.into_iter().map(|(id, t)| (id.to_string(), t)));
            }
        }
    }

    fn holds(&self, feed: &Value) {
        let flags: Vec<_> = feed["flags"].as_array().unwrap().iter().collect();
        let mut held: Vec<_> = self.flags.values().collect();
        held.sort_by_key(|flag| flag["key"].as_str().map(str::to_owned));
        assert_eq!(held, flags);
        for (id, tree) in feed["cohorts"].as_object().unwrap() {
            assert_eq!(self.cohorts.get(id), Some(tree), "cohort {id}");
        }
    }
}

proptest! {
    #[test]
    fn kept_up_change_by_change_it_is_the_feed_as_written_at_once(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0..6i64, shape()), 0..3), proptest::option::of((0..3i64, 0..4u8))),
            1..12,
        )
    ) {
        let (mut flags, mut cohorts) = (BTreeMap::new(), BTreeMap::new());
        let mut book = Book::new(of(&flags, &cohorts), Log::new(at(3))).unwrap();
        let mut copies = vec![(3, Copy::default())];
        for (revision, (shapes, cohort)) in (4..).zip(steps) {
            let ids: BTreeSet<i64> = shapes.iter().map(|(id, _)| *id).collect();
            for (id, shape) in &shapes {
                flags.remove(id);
                flags.extend(made(*id, shape).map(|flag| (*id, flag)));
            }
            if let Some((id, kind)) = cohort {
                cohorts.remove(&id);
                // The last kind is deleted; the others refer to one another at times.
                let tree = [plan("a"), plan("b"), member((id + 1) % 3)].get(usize::from(kind)).cloned();
                cohorts.extend(tree.map(|leaf| (id, json!({"type": "AND", "values": [leaf]}))));
            }
            let changed = Changed {
                points: vec![at(revision)],
                flags: ids.iter().filter_map(|id| flags.get(id).cloned()).collect(),
                keys: ids.iter().map(|id| (*id, "gone".to_owned())).collect(),
                flag_ids: ids.into_iter().collect(),
                cohort_ids: cohort.iter().map(|(id, _)| *id).collect(),
                trees: cohort.iter().filter_map(|(id, _)| Some((*id, cohorts.get(id)?.clone()))).collect(),
            };
            book.apply(changed).unwrap();
            let at_once = write(&of(&flags, &cohorts), Form::WithCohorts).unwrap();
            let feed: Value = serde_json::from_slice(&at_once).unwrap();
            prop_assert_eq!(&assembled(&book), &feed);
            // Whoever was at any revision before comes to the same.
            for (from, copy) in &copies {
                let mut copy = copy.clone();
                copy.take(book.since(*from).unwrap_or_else(|| book.whole().unwrap()));
                copy.holds(&feed);
            }
            let mut copy = Copy::default();
            copy.take(book.whole().unwrap());
            copies.push((revision, copy));
        }
    }
}

/// Flags and cohort trees as they are at one moment.
type Moment = (BTreeMap<i64, FeatureFlag>, BTreeMap<i64, Value>);

/// The feed of a moment as a snapshot.
fn whole(moment: &Moment) -> Event {
    Book::new(of(&moment.0, &moment.1), Log::new(at(3))).unwrap().whole().unwrap()
}

proptest! {
    /// What is read for a step may be of a later one. Whoever comes from another replica has what
    /// was there at its revision, and comes to the same in the end.
    #[test]
    fn what_is_read_may_be_newer_than_what_it_is_read_for(
        steps in proptest::collection::vec(
            (
                proptest::collection::vec((0..6i64, shape()), 0..3),
                proptest::option::of((0..3i64, 0..4u8)),
                (0..3usize, 0..3usize),
            ),
            1..10,
        )
    ) {
        let mut moments = vec![Moment::default()];
        for (shapes, cohort, _) in &steps {
            let (mut flags, mut cohorts) = moments.last().cloned().unwrap_or_default();
            for (id, shape) in shapes {
                flags.remove(id);
                flags.extend(made(*id, shape).map(|flag| (*id, flag)));
            }
            if let Some((id, kind)) = cohort {
                cohorts.remove(id);
                let tree = [plan("a"), plan("b"), member((id + 1) % 3)].get(usize::from(*kind)).cloned();
                cohorts.extend(tree.map(|leaf| (*id, json!({"type": "AND", "values": [leaf]}))));
            }
            moments.push((flags, cohorts));
        }
        let last = moments.len() - 1;
        let (mut read, mut revision) = (0, 3);
        let mut books = vec![Book::new(of(&moments[0].0, &moments[0].1), Log::new(at(3))).unwrap()];
        for (moment, (shapes, cohort, (ahead, further))) in (1..).zip(&steps) {
            // Flags are read before trees, and both before those of the next step.
            let flags_at = (moment + ahead).max(read).min(last);
            read = (flags_at + further).min(last);
            revision += 1;
            let flags = &moments[flags_at].0;
            let ids: BTreeSet<i64> = shapes.iter().map(|(id, _)| *id).collect();
            let tree = |id: &i64| Some((*id, moments[read].1.get(id)?.clone()));
            let mut book = books[books.len() - 1].clone();
            book.apply(Changed {
                points: vec![at(revision)],
                flags: ids.iter().filter_map(|id| flags.get(id).cloned()).collect(),
                keys: ids.iter().map(|id| (*id, "gone".to_owned())).collect(),
                flag_ids: ids.into_iter().collect(),
                cohort_ids: cohort.iter().map(|(id, _)| *id).collect(),
                trees: cohort.iter().filter_map(|(id, _)| tree(id)).collect(),
            }).unwrap();
            books.push(book);
        }
        let written = write(&of(&moments[last].0, &moments[last].1), Form::WithCohorts).unwrap();
        let feed: Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(&assembled(&books[last]), &feed);
        for (from, moment) in (3..).zip(&moments) {
            for book in books.iter().filter(|book| book.point().revision >= from) {
                let mut copy = Copy::default();
                copy.take(whole(moment));
                // At its revision already, it is told nothing.
                if book.point().revision > from {
                    copy.take(book.since(from).unwrap_or_else(|| book.whole().unwrap()));
                }
                let end = &books[last];
                if end.point().revision > book.point().revision {
                    let missed = end.since(book.point().revision);
                    copy.take(missed.unwrap_or_else(|| end.whole().unwrap()));
                }
                copy.holds(&feed);
            }
        }
    }
}

#[test]
fn a_flag_found_gone_too_early_is_told_again_with_its_own_step() {
    let one = || vec![flag(1, "a", on(json!([])))];
    let mut book = Book::new(definitions(one(), &[]), Log::new(at(3))).unwrap();
    for revision in [4, 5] {
        let keys = HashMap::from([(1, "later".to_owned())]);
        let changed =
            Changed { points: vec![at(revision)], flag_ids: vec![1], keys, ..Changed::default() };
        book.apply(changed).unwrap();
    }
    let removed = |from| match book.since(from) {
        Some(Event::Delta { removed, .. }) => removed,
        other => panic!("not known: {other:?}"),
    };
    assert_eq!(removed(4), [(1, "later".to_owned())]);
    book.apply(Changed { points: vec![at(6)], flag_ids: vec![2], ..Changed::default() }).unwrap();
    assert_eq!(book.since(5), None, "nobody knows what it was called");
}

#[test]
fn nothing_is_known_of_the_future_nor_of_what_was_forgotten() {
    let book =
        Book::new(definitions(vec![flag(1, "a", on(json!([])))], &[]), Log::new(at(2))).unwrap();
    assert_eq!(book.point().revision, 3);
    for (from, known) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(book.since(from).is_some(), known, "{from}");
    }
}
