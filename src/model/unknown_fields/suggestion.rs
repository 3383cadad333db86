//! The known name that an unknown one was probably meant to be.

/// The longest name for which a near one is looked for, in bytes: the work grows with its length.
const MAX_LENGTH: usize = 64;

/// Other words for known names, which no distance finds.
const SYNONYMS: [(&str, &str); 6] = [
    ("enabled", "active"),
    ("is_enabled", "active"),
    ("is_active", "active"),
    ("conditions", "groups"),
    ("percentage", "rollout_percentage"),
    ("rollout", "rollout_percentage"),
];

/// Returns the nearest of `known`: a synonym, or else the name with the least number of typing errors
/// between them, if these are at most a third of its letters.
pub(in crate::model) fn nearest(
    name: &str,
    known: &'static [&'static str],
) -> Option<&'static str> {
    if name.len() > MAX_LENGTH {
        return None;
    }
    let name = name.to_lowercase();
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant);
    if let Some(synonym) = synonym.filter(|synonym| known.contains(synonym)) {
        return Some(synonym);
    }
    let distances =
        known.iter().map(|candidate| (strsim::osa_distance(&name, candidate), *candidate));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] =
        &["active", "deleted", "groups", "id", "rollout_percentage", "variant", "description"];

    #[test]
    fn the_nearest_name_is_suggested_and_none_that_is_far() {
        let cases = [
            ("actve", Some("active")),
            ("Active", Some("active")),
            ("avtice", Some("active")),
            ("enabled", Some("active")),
            ("rolout_percentage", Some("rollout_percentage")),
            ("rolloutPercentage", Some("rollout_percentage")),
            ("rollout", Some("rollout_percentage")),
            ("conditions", Some("groups")),
            ("grups", Some("groups")),
            ("varient", Some("variant")),
            ("x", None),
            ("owner_of_it", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, KNOWN), expected, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), KNOWN), None);
        assert_eq!(nearest("enabled", &["key"]), None, "a synonym of what is not known here");
    }
}
