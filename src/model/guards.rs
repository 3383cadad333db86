//! Decides whether a flag may be deleted, restored, switched off or on, for
//! the sake of what depends on it (management-api 3.7).

use super::{
    error::{Error, Result},
    flag::FeatureFlag,
    link::{Link, LinkKind},
};

/// How many flags a refusal names.
const NAMED: usize = 5;

/// The refusal to delete what session replay reads.
pub const USED_IN_REPLAY: &str = "This feature flag is used in session replay settings. \
    Please remove it from replay settings before deleting.";

/// A flag in a refusal: its number and key.
pub type Named = (i64, String);

/// Whether a flag may be softly deleted.
///
/// # Errors
///
/// `Blocked`, naming what is in the way: early access, a running experiment, dependents, replay.
pub fn deletion(links: &[Link], dependents: &[Named]) -> Result<()> {
    if links.iter().any(|link| link.is_live(LinkKind::EarlyAccess)) {
        return Err(Error::blocked(
            "Cannot delete a feature flag that is in use with early access features. \
             Please delete the early access feature before deleting the flag.",
        ));
    }
    if let Some(running) = running(links) {
        return Err(Error::blocked(format!(
            "Cannot delete a feature flag that is linked to running experiment(s): {running}. \
             Please stop the experiment(s) before deleting the flag."
        )));
    }
    no_dependents("delete", dependents)?;
    if links.iter().any(|link| link.is_live(LinkKind::Replay)) {
        return Err(Error::blocked(USED_IN_REPLAY));
    }
    Ok(())
}

/// The experiments that run on a flag, named for a refusal; `None` when there are none.
#[must_use]
pub fn running(links: &[Link]) -> Option<String> {
    let running = links.iter().filter(|link| link.is_running());
    let names: Vec<_> =
        running.map(|link| format!("\"{}\" (ID: {})", link.name, link.ref_id)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The refusal to archive a flag that is on.
#[must_use]
pub fn archiving_enabled() -> Error {
    Error::blocked("Cannot archive an enabled feature flag. Disable it first.")
}

/// The refusal to switch on a flag that is archived.
#[must_use]
pub fn enabling_archived() -> Error {
    Error::blocked("Cannot enable an archived feature flag. Unarchive it first.")
}

/// Whether an active flag may be switched off.
///
/// # Errors
///
/// `Blocked`, naming the active flags that read it.
pub fn disabling(dependents: &[Named]) -> Result<()> {
    no_dependents("disable", dependents)
}

fn no_dependents(verb: &str, dependents: &[Named]) -> Result<()> {
    if dependents.is_empty() {
        return Ok(());
    }
    let dependents = listed(dependents, NAMED);
    Err(Error::blocked(format!(
        "Cannot {verb} this feature flag because other flags depend on it: {dependents}. \
         Please update or disable the dependent flags first."
    )))
}

/// Whether an inactive flag may be switched on.
///
/// # Errors
///
/// `Blocked`, naming the flags it reads that are off.
pub fn enabling(disabled: &[Named]) -> Result<()> {
    if disabled.is_empty() {
        return Ok(());
    }
    let disabled = listed(disabled, NAMED);
    Err(Error::blocked(format!(
        "Cannot enable this feature flag because it depends on disabled flags: {disabled}. \
         Please enable the dependency flags first."
    )))
}

/// `a (ID: 1), b (ID: 2), and 3 more`.
#[must_use]
pub fn listed(flags: &[Named], most: usize) -> String {
    let mut names: Vec<_> =
        flags.iter().take(most).map(|(id, key)| format!("{key} (ID: {id})")).collect();
    if flags.len() > most {
        names.push(format!("and {} more", flags.len() - most));
    }
    names.join(", ")
}

/// Whether a softly deleted flag gives up its key by being renamed rather than removed, and
/// whether it refuses to: an active experiment or early access still needs the key.
///
/// # Errors
///
/// `Blocked`, naming what is active.
pub fn key_reuse(key: &str, links: &[Link]) -> Result<()> {
    let experiments: Vec<_> = links
        .iter()
        .filter(|link| link.is_live(LinkKind::Experiment))
        .map(|link| link.ref_id.to_string())
        .collect();
    let early = links.iter().filter(|link| link.is_live(LinkKind::EarlyAccess)).count();
    let mut held_by = Vec::new();
    if !experiments.is_empty() {
        held_by.push(format!("active experiment(s) with ID(s): {}", experiments.join(", ")));
    }
    if early > 0 {
        held_by.push(format!("{early} early access feature(s)"));
    }
    if held_by.is_empty() {
        return Ok(());
    }
    let held_by = held_by.join(" and ");
    Err(Error::blocked(format!(
        "Cannot reuse key '{key}': a soft-deleted flag with this key is still referenced by \
         {held_by}. Please contact support."
    )))
}

/// The key under which a deleted flag makes way for another.
#[must_use]
pub fn deleted_key(key: &str, id: i64) -> String {
    format!("{key}:deleted:{id}")
}

/// The key that a flag had before it may have made way for another.
#[must_use]
pub fn key_before_deletion(key: &str, id: i64) -> &str {
    key.strip_suffix(&format!(":deleted:{id}")).unwrap_or(key)
}

/// The key that a renamed flag had before; `None` when it was not renamed.
#[must_use]
pub fn original_key(flag: &FeatureFlag) -> Option<&str> {
    flag.key.strip_suffix(&format!(":deleted:{}", flag.id))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn link(kind: LinkKind) -> Link {
        Link {
            kind,
            ref_id: 9,
            name: "Big test".into(),
            started_at: None,
            ended_at: None,
            deleted: false,
        }
    }

    fn flags(count: i64) -> Vec<Named> {
        (1..=count).map(|id| (id, format!("f{id}"))).collect()
    }

    #[test]
    fn what_is_in_the_way_of_a_deletion_is_named_in_order() {
        let started = Some(DateTime::UNIX_EPOCH);
        let running = Link { started_at: started, ..link(LinkKind::Experiment) };
        let ended = Link { ended_at: started, ..running.clone() };
        let gone = Link { deleted: true, ..running.clone() };
        let cases = [
            ("nothing", vec![], flags(0), None),
            ("a draft experiment", vec![link(LinkKind::Experiment)], flags(0), None),
            ("a stopped experiment", vec![ended], flags(0), None),
            ("a deleted experiment", vec![gone], flags(0), None),
            ("a survey", vec![link(LinkKind::Survey)], flags(0), None),
            (
                "early access first",
                vec![running.clone(), link(LinkKind::EarlyAccess)],
                flags(1),
                Some("early access"),
            ),
            ("then the experiment", vec![running], flags(1), Some("\"Big test\" (ID: 9)")),
            (
                "then dependents",
                vec![link(LinkKind::Replay)],
                flags(1),
                Some("f1 (ID: 1). Please update"),
            ),
            ("then replay", vec![link(LinkKind::Replay)], flags(0), Some("session replay")),
        ];
        for (name, links, dependents, expected) in cases {
            match (deletion(&links, &dependents), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(part)) => assert!(error.detail.contains(part), "{name}: {error}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }

    #[test]
    fn at_most_five_flags_are_named() {
        let error = disabling(&flags(8)).unwrap_err();
        let names =
            "f1 (ID: 1), f2 (ID: 2), f3 (ID: 3), f4 (ID: 4), f5 (ID: 5), and 3 more. Please";
        assert!(error.detail.contains(names), "{error}");
        assert!(enabling(&flags(1)).unwrap_err().detail.contains("f1 (ID: 1). Please enable"));
    }

    #[test]
    fn a_key_is_not_taken_from_active_experiments() {
        let links = [
            Link { ref_id: 1, ..link(LinkKind::Experiment) },
            Link { ref_id: 2, ..link(LinkKind::Experiment) },
            link(LinkKind::EarlyAccess),
        ];
        let error = key_reuse("k", &links).unwrap_err();
        let part = "active experiment(s) with ID(s): 1, 2 and 1 early access feature(s). Please";
        assert!(error.detail.contains(part), "{error}");
        assert!(key_reuse("k", &[Link { deleted: true, ..link(LinkKind::Experiment) }]).is_ok());
    }
}
