//! Decides which flags a feed leaves out: those in a rules format that its readers do not know, and
//! those that read one of them, since a reader could not decide these either.

use std::collections::{HashMap, HashSet};

/// What the decision needs of a flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: i64,
    /// Whether its filters are in a supported format.
    pub(super) is_supported: bool,
    /// The flags that it reads, `None` for what is no id.
    pub(super) reads: &'a [Option<i64>],
}

/// Returns the ids of the flags that are left out.
pub(super) fn omitted<'a>(candidates: impl Iterator<Item = Candidate<'a>> + Clone) -> HashSet<i64> {
    let unsupported = candidates.clone().filter(|flag| !flag.is_supported).map(|flag| flag.id);
    let unsupported: Vec<i64> = unsupported.collect();
    match unsupported.is_empty() {
        true => HashSet::new(),
        false => with_readers(unsupported, candidates.map(|flag| (flag.id, flag.reads))),
    }
}

/// Returns these flags, and all that read them, directly or through others.
pub(super) fn with_readers<'a>(
    ids: Vec<i64>,
    flags: impl Iterator<Item = (i64, &'a [Option<i64>])>,
) -> HashSet<i64> {
    let mut readers: HashMap<i64, Vec<i64>> = HashMap::new();
    for (id, reads) in flags {
        for read in reads.iter().flatten() {
            readers.entry(*read).or_default().push(id);
        }
    }
    let (mut found, mut pending) = (HashSet::new(), ids);
    while let Some(id) = pending.pop() {
        if found.insert(id) {
            pending.extend(readers.get(&id).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_left_out_with_all_that_read_it_through_any_number_of_steps() {
        let reads: [&[Option<i64>]; 5] =
            [&[], &[Some(1)], &[None, Some(2)], &[Some(5)], &[Some(4)]];
        let left_out = |unsupported: &[i64]| {
            let flags = (1..).zip(reads).map(|(id, reads)| {
                let is_supported = !unsupported.contains(&id);
                Candidate { id, is_supported, reads }
            });
            let mut ids: Vec<i64> = omitted(flags).into_iter().collect();
            ids.sort_unstable();
            ids
        };
        let cases: [(&[i64], &[i64]); 5] =
            [(&[], &[]), (&[1], &[1, 2, 3]), (&[3], &[3]), (&[4], &[4, 5]), (&[9], &[])];
        for (unsupported, expected) in cases {
            assert_eq!(left_out(unsupported), expected, "{unsupported:?}");
        }
    }
}
