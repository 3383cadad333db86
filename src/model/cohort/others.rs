//! Judges a cohort among the others of its project: whether those it refers
//! to are there, whether it would contain itself, and who is affected by it.

use std::collections::{HashMap, HashSet};

use super::{Cohort, criteria::Criteria};
use crate::model::{
    error::{Error, Result},
    filters::cohort_does_not_exist,
    guards::{Named, listed},
};

/// How many flags a refusal names.
const NAMED: usize = 5;

/// The cohorts of a project that are not deleted.
#[derive(Clone, Debug, Default)]
pub struct Others {
    by_id: HashMap<i64, Other>,
}

#[derive(Clone, Debug)]
struct Other {
    name: String,
    criteria: Criteria,
}

impl Others {
    /// Those among `cohorts` that are not deleted.
    #[must_use]
    pub fn of(cohorts: &[Cohort]) -> Self {
        let live = cohorts.iter().filter(|cohort| !cohort.deleted);
        let other = |cohort: &Cohort| Other { name: cohort.name.clone(), criteria: own(cohort) };
        Self { by_id: live.map(|cohort| (cohort.id, other(cohort))).collect() }
    }

    /// Whether a cohort may refer to what it refers to.
    ///
    /// # Errors
    ///
    /// `attr: filters` for a cohort that is not there, and for one that leads back to `cohort`.
    pub fn check(&self, cohort: &Cohort) -> Result<()> {
        let criteria = own(cohort);
        if criteria.cohorts.contains(&cohort.id) {
            let name = &cohort.name;
            return Err(refuse(format!("Cohort '{name}' cannot depend on itself")));
        }
        if let Some(id) = criteria.cohorts.iter().find(|id| !self.by_id.contains_key(id)) {
            return Err(cohort_does_not_exist(id));
        }
        match self.way_back(cohort.id, &criteria) {
            None => Ok(()),
            Some(way) => {
                let names = way.iter().map(|id| self.by_id[id].name.as_str());
                let ends = [cohort.name.as_str()];
                let names: Vec<&str> = ends.into_iter().chain(names).chain(ends).collect();
                Err(refuse(format!("Circular dependency detected: {}", names.join(" → "))))
            }
        }
    }

    /// Whether a cohort, or one it refers to, is decided by events. Static cohorts never are.
    #[must_use]
    pub fn is_behavioural(&self, cohort: &Cohort) -> bool {
        let criteria = own(cohort);
        criteria.has_events
            || self.reached(&criteria).iter().any(|id| self.by_id[id].criteria.has_events)
    }

    /// A cohort and all that refer to it, directly or through others.
    #[must_use]
    pub fn affected_by(&self, id: i64) -> Vec<i64> {
        let others = self.by_id.iter().map(|(id, other)| (*id, &other.criteria));
        reached_by(&readers(others), vec![id])
    }

    /// What is referred to, directly or through others, and is there.
    fn reached(&self, criteria: &Criteria) -> HashSet<i64> {
        let mut reached = HashSet::new();
        let mut pending = criteria.cohorts.clone();
        while let Some(id) = pending.pop() {
            if let Some(other) = self.by_id.get(&id).filter(|_| reached.insert(id)) {
                pending.extend(&other.criteria.cohorts);
            }
        }
        reached
    }

    /// The cohorts on a way from `criteria` to the cohort `id`; none where no way leads there.
    fn way_back(&self, id: i64, criteria: &Criteria) -> Option<Vec<i64>> {
        let mut came_from: HashMap<i64, Option<i64>> = HashMap::new();
        let mut pending: Vec<(i64, Option<i64>)> =
            criteria.cohorts.iter().rev().map(|id| (*id, None)).collect();
        while let Some((at, from)) = pending.pop() {
            let Some(other) = self.by_id.get(&at).filter(|_| !came_from.contains_key(&at)) else {
                continue;
            };
            came_from.insert(at, from);
            if other.criteria.cohorts.contains(&id) {
                let step = |at: &i64| came_from.get(at).copied().flatten();
                let mut way: Vec<i64> = std::iter::successors(Some(at), step).collect();
                way.reverse();
                return Some(way);
            }
            pending.extend(other.criteria.cohorts.iter().rev().map(|next| (*next, Some(at))));
        }
        None
    }
}

/// The cohorts that are decided by events, directly or through one that they refer to. Each
/// reference is followed once.
pub fn behavioural<'a>(cohorts: impl Iterator<Item = (i64, &'a Criteria)> + Clone) -> HashSet<i64> {
    let own = cohorts.clone().filter(|(_, criteria)| criteria.has_events).map(|(id, _)| id);
    reached_by(&readers(cohorts), own.collect()).into_iter().collect()
}

/// For each cohort, those that refer to it.
fn readers<'a>(cohorts: impl Iterator<Item = (i64, &'a Criteria)>) -> HashMap<i64, Vec<i64>> {
    let mut readers: HashMap<i64, Vec<i64>> = HashMap::new();
    for (id, criteria) in cohorts {
        for read in &criteria.cohorts {
            readers.entry(*read).or_default().push(id);
        }
    }
    readers
}

/// `start`, and all that refer to any of it, directly or through others.
fn reached_by(readers: &HashMap<i64, Vec<i64>>, start: Vec<i64>) -> Vec<i64> {
    let mut seen: HashSet<i64> = start.iter().copied().collect();
    let mut reached = start;
    let mut next = 0;
    while let Some(read) = reached.get(next) {
        next += 1;
        let more = readers.get(read).into_iter().flatten().copied();
        let more: Vec<i64> = more.filter(|id| seen.insert(*id)).collect();
        reached.extend(more);
    }
    reached
}

/// Nothing in a list of members refers to anything.
fn own(cohort: &Cohort) -> Criteria {
    if cohort.is_static { Criteria::default() } else { Criteria::of(&cohort.filters) }
}

/// Whether a cohort that these live flags use may be deleted.
///
/// # Errors
///
/// `Blocked`, naming them.
pub fn deletion(users: &[Named]) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let users = listed(users, NAMED);
    Err(Error::blocked(format!(
        "Cannot delete this cohort because feature flags use it: {users}. \
         Please remove it from the flags first."
    )))
}

fn refuse(detail: String) -> Error {
    Error::field("filters", "invalid_input", detail)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;

    fn cohort(id: i64, reads: &[i64]) -> Cohort {
        let leaves: Vec<Value> =
            reads.iter().map(|id| json!({"type": "cohort", "value": id})).collect();
        Cohort {
            id,
            project_id: 1,
            name: format!("c{id}"),
            description: String::new(),
            is_static: false,
            filters: json!({"properties": {"type": "OR", "values": leaves}}),
            count: None,
            deleted: false,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_cohort_refers_to_those_that_are_there_and_never_back_to_itself() {
        let deleted = Cohort { deleted: true, ..cohort(9, &[]) };
        let others = Others::of(&[cohort(1, &[2]), cohort(2, &[3, 4]), cohort(4, &[]), deleted]);
        let cases = [
            ("nothing", cohort(3, &[]), None),
            ("one that is there", cohort(5, &[1, 4]), None),
            ("itself", cohort(3, &[3]), Some("Cohort 'c3' cannot depend on itself")),
            ("one that is not there", cohort(3, &[4, 8]), Some("Cohort with id 8 does not exist")),
            ("one that is deleted", cohort(3, &[9]), Some("Cohort with id 9 does not exist")),
            (
                "one that leads back",
                cohort(3, &[4, 1]),
                Some("Circular dependency detected: c3 → c1 → c2 → c3"),
            ),
        ];
        for (name, cohort, refused) in cases {
            let outcome = others.check(&cohort).err().map(|error| error.detail.clone());
            assert_eq!(outcome.as_deref(), refused, "{name}");
        }
    }

    #[test]
    fn what_refers_to_a_cohort_is_affected_by_it_and_shares_its_events() {
        let leaf = json!({"properties": {"type": "AND", "values": [{"type": "behavioral"}]}});
        let behavioural = Cohort { filters: leaf, ..cohort(3, &[]) };
        let others = Others::of(&[cohort(1, &[2]), cohort(2, &[3]), behavioural, cohort(4, &[1])]);
        let mut affected = others.affected_by(2);
        affected.sort_unstable();
        assert_eq!(affected, [1, 2, 4]);
        assert!(others.is_behavioural(&cohort(5, &[1])));
        assert!(!others.is_behavioural(&cohort(5, &[])));
        assert!(!others.is_behavioural(&Cohort { is_static: true, ..cohort(5, &[1]) }));
    }

    #[test]
    fn events_are_found_through_any_number_of_references() {
        let criteria = |cohorts: Vec<i64>, has_events| Criteria { cohorts, has_events };
        let cohorts = [
            (1, criteria(vec![2], false)),
            (2, criteria(vec![3, 1], false)),
            (3, criteria(vec![], true)),
            (4, criteria(vec![5], false)),
        ];
        let found = behavioural(cohorts.iter().map(|(id, criteria)| (*id, criteria)));
        assert_eq!(found, HashSet::from([1, 2, 3]));
        // A chain as long as this is neither followed anew from each link nor by recursion.
        let chain: Vec<_> =
            (0..200_000).map(|id| (id, criteria(vec![id + 1], id == 199_999))).collect();
        assert_eq!(behavioural(chain.iter().map(|(id, c)| (*id, c))).len(), 200_000);
    }

    #[test]
    fn at_most_five_flags_are_named_in_a_refusal() {
        assert!(deletion(&[]).is_ok());
        let users: Vec<Named> = (1..=7).map(|id| (id, format!("f{id}"))).collect();
        let error = deletion(&users).unwrap_err();
        assert!(error.detail.contains("f5 (ID: 5), and 2 more. Please"), "{error}");
    }
}
