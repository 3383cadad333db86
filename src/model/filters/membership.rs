//! Names that must be among others.

use std::collections::HashSet;

/// Returns the first of `names` that is not in `allowed`. Each name of either is looked at once.
pub(super) fn first_unknown<'a>(
    names: impl IntoIterator<Item = &'a str>,
    allowed: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed: HashSet<&str> = allowed.into_iter().collect();
    names.into_iter().find(|name| !allowed.contains(name))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_first_name_outside_is_found() {
        assert_eq!(first_unknown(["a", "c", "d"], ["a", "b"]), Some("c"));
        assert_eq!(first_unknown(["a", "a"], ["a"]), None);
        assert_eq!(first_unknown([], []), None);
    }

    #[test]
    fn the_work_grows_with_the_sum_of_both_lists() {
        let work = |size: usize| {
            let visits = Cell::new(0);
            let visited = |name: &&str| {
                visits.set(visits.get() + name.len());
            };
            let names = vec!["n"; size];
            let found = first_unknown(
                names.iter().copied().inspect(visited),
                names.iter().copied().inspect(visited),
            );
            assert_eq!(found, None);
            visits.get()
        };
        assert_eq!(work(1_000), 2_000);
        assert_eq!(work(100_000), 200_000);
    }
}
