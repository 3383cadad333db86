//! What is made first: what others refer to.

use std::collections::{BTreeSet, HashMap};

/// Something with a number, and the numbers that it refers to.
pub type Referring = (i64, Vec<i64>);

/// The places of `items`, each after those it refers to, and otherwise as they come.
///
/// What refers to itself in a circle has no such place, and comes last. Numbers that no item has
/// do not count.
#[must_use]
pub fn referred_first(items: &[Referring]) -> Vec<usize> {
    let place: HashMap<i64, usize> =
        items.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let mut awaited: Vec<BTreeSet<usize>> = items
        .iter()
        .map(|(_, reads)| reads.iter().filter_map(|id| place.get(id).copied()).collect())
        .collect();
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (reader, read) in awaited.iter().enumerate() {
        for read in read {
            readers.entry(*read).or_default().push(reader);
        }
    }
    let is_ready = |place: &usize| awaited[*place].is_empty();
    let mut ready: BTreeSet<usize> = (0..items.len()).filter(is_ready).collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for reader in readers.remove(&next).unwrap_or_default() {
            awaited[reader].remove(&next);
            if awaited[reader].is_empty() {
                ready.insert(reader);
            }
        }
    }
    let circular = (0..items.len()).filter(|place| !awaited[*place].is_empty());
    order.extend(circular);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_comes_first_and_the_rest_stays_in_order() {
        let cases: [(&str, &[Referring], &[usize]); 5] = [
            ("nothing", &[], &[]),
            ("no references", &[(5, vec![]), (3, vec![])], &[0, 1]),
            ("a chain", &[(1, vec![2]), (2, vec![3]), (3, vec![])], &[2, 1, 0]),
            ("numbers of nobody", &[(1, vec![9, 2]), (2, vec![8])], &[1, 0]),
            ("a circle", &[(1, vec![2]), (2, vec![1]), (3, vec![]), (4, vec![1])], &[2, 0, 1, 3]),
        ];
        for (name, items, order) in cases {
            assert_eq!(referred_first(items), order, "{name}");
        }
    }

    #[test]
    fn a_long_chain_is_no_deep_one() {
        let items: Vec<Referring> = (0..50_000).map(|id| (id, vec![id + 1])).collect();
        assert_eq!(referred_first(&items).first(), Some(&49_999));
    }
}
