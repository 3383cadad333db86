use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sdk::feed::{
    Form,
    tests::{definitions, flag, member, on, plan, reads},
    write,
};

/// What one step may do to flag `id` of six: which key it has, which flags it reads, which cohort
/// it goes by; `None` takes it out of the feed.
type Shape = Option<(u8, Vec<i64>, Option<i64>)>;

fn shape() -> impl Strategy<Value = Shape> {
    let reads = proptest::collection::vec(0..6i64, 0..3);
    proptest::option::weighted(0.8, (0..3u8, reads, proptest::option::of(0..3i64)))
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
        let mut book = Book::new(of(&flags, &cohorts), Log::new(3)).unwrap();
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
                revision,
                flags: ids.iter().filter_map(|id| flags.get(id).cloned()).collect(),
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

#[test]
fn nothing_is_known_of_the_future_nor_of_what_was_forgotten() {
    let book = Book::new(definitions(vec![flag(1, "a", on(json!([])))], &[]), Log::new(2)).unwrap();
    assert_eq!(book.revision(), 3);
    for (from, known) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(book.since(from).is_some(), known, "{from}");
    }
}

#[test]
fn after_another_setting_only_the_whole_will_do() {
    let flags = || vec![flag(1, "a", on(json!([])))];
    let mut book = Book::new(definitions(flags(), &[]), Log::new(3)).unwrap();
    let mut strict = definitions(flags(), &[]);
    (strict.project.property_matching_version, strict.project.revision) = (2, 4);
    book.replace(strict).unwrap();
    assert_eq!((book.revision(), book.since(3)), (4, None));
    assert_eq!(assembled(&book)["property_matching_version"], 2);
}
