//! Bulk operations: which flags a body names, and which of them may go
//! (management-api 4.7, 4.8).

use std::collections::HashSet;

use serde_json::Value;

use super::{
    error::{BodyKind, Error, Result},
    fields,
    flag_filter::FlagFilter,
    flag_selection,
    guards::{self, Named},
    json::{Object, is_integer, python},
    link::{Link, LinkKind},
};

/// How many dependents a refusal names.
const NAMED: usize = 3;

/// An id as a body gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenId {
    /// As it came, to be told back.
    pub raw: Value,
    /// The number, for an integer or a text of digits; one that is too large names no flag.
    pub id: Option<i64>,
}

impl GivenId {
    fn read(raw: &Value) -> Self {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let id = match raw {
            Value::Number(number) if is_integer(number) => number.as_i64().or(Some(i64::MAX)),
            Value::String(text) if digits(text) => Some(text.parse().unwrap_or(i64::MAX)),
            _ => None,
        };
        Self { raw: raw.clone(), id }
    }

    /// Each id once, in the order given.
    fn each(items: &[Value]) -> Vec<Self> {
        let (mut ids, mut others) = (HashSet::new(), HashSet::new());
        let mut given: Vec<_> = items.iter().map(Self::read).collect();
        given.retain(|given| match given.id {
            Some(id) => ids.insert(id),
            None => others.insert(given.raw.to_string()),
        });
        given
    }
}

/// A list of ids; none where it is absent or null.
fn listed(body: &Object) -> Result<&[Value]> {
    match body.get("ids") {
        None | Some(Value::Null) => Ok(&[]),
        Some(ids) => fields::list("ids", ids),
    }
}

/// The ids that keys are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedKeys {
    /// Each once, in the order given.
    pub ids: Vec<i64>,
    /// Names those that cannot be ids.
    pub warning: Option<String>,
}

impl WantedKeys {
    /// Reads `ids`.
    ///
    /// # Errors
    ///
    /// `not_a_list`; `Invalid` when ids were given and none can be one.
    pub fn parse(body: &Object) -> Result<Self> {
        let given = listed(body)?;
        let unusable: Vec<_> =
            given.iter().filter(|raw| GivenId::read(raw).id.is_none()).cloned().collect();
        if !given.is_empty() && unusable.len() == given.len() {
            return Err(Error::rule("Invalid flag IDs provided").with_body(BodyKind::Error));
        }
        let warning = (!unusable.is_empty())
            .then(|| format!("Invalid flag IDs ignored: {}", python(&Value::Array(unusable))));
        Ok(Self {
            ids: GivenId::each(given).iter().filter_map(|given| given.id).collect(),
            warning,
        })
    }
}

/// Which flags are to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Doomed {
    /// These, each once.
    Ids(Vec<GivenId>),
    /// Those that match.
    Filter(Box<FlagFilter>),
}

impl Doomed {
    /// Reads `ids` or `filters`; what is empty counts as not given.
    ///
    /// # Errors
    ///
    /// `Invalid`: both, neither, and what [`flag_selection::parse`] refuses.
    pub fn parse(body: &Object) -> Result<Self> {
        let refused = |detail: &str| Err(Error::rule(detail).with_body(BodyKind::Error));
        let none = Object::new();
        let filters = match body.get("filters") {
            None | Some(Value::Null) => &none,
            Some(filters) => fields::object("filters", filters)?,
        };
        let ids = listed(body)?;
        match (filters.is_empty(), ids.is_empty()) {
            (false, false) => refused("Provide either filters or ids, not both"),
            (true, true) => refused("Must provide either filters or ids"),
            (true, false) => Ok(Self::Ids(GivenId::each(ids))),
            (false, true) => Ok(Self::Filter(Box::new(flag_selection::parse(filters)?))),
        }
    }
}

/// Why a flag stays when its batch is deleted; `None` when it goes.
///
/// `dependents` are the live, active flags that read it. Those of the same batch are not in the
/// way, so that flags can be deleted together with everything that depends on them.
#[must_use]
pub fn refusal(links: &[Link], dependents: &[Named], batch: &HashSet<i64>) -> Option<String> {
    if links.iter().any(|link| link.is_live(LinkKind::EarlyAccess)) {
        let reason = "Cannot delete a feature flag that is in use with early access features";
        return Some(reason.to_owned());
    }
    if let Some(running) = guards::running(links) {
        return Some(format!(
            "Cannot delete a feature flag linked to running experiment(s): {running}"
        ));
    }
    let outside: Vec<_> =
        dependents.iter().filter(|(id, _)| !batch.contains(id)).cloned().collect();
    if !outside.is_empty() {
        let outside = guards::listed(&outside, NAMED);
        return Some(format!("Cannot delete because other flags depend on it: {outside}"));
    }
    links
        .iter()
        .any(|link| link.is_live(LinkKind::Replay))
        .then(|| guards::USED_IN_REPLAY.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(body: Value) -> Object {
        body.as_object().unwrap().clone()
    }

    #[test]
    fn an_id_is_an_integer_or_digits() {
        let cases = [
            (json!(1), Some(1)),
            (json!("2"), Some(2)),
            (json!(-1), Some(-1)),
            (json!("99999999999999999999"), Some(i64::MAX)),
            (json!("-1"), None),
            (json!("x"), None),
            (json!(""), None),
            (json!(1.0), None),
            (json!(true), None),
            (json!(null), None),
            (json!([1]), None),
        ];
        for (raw, id) in cases {
            assert_eq!(GivenId::read(&raw).id, id, "{raw}");
        }
    }

    #[test]
    fn keys_are_wanted_once_and_what_is_no_id_is_named_as_python_would() {
        let wanted = WantedKeys::parse(&object(json!({"ids": [1, "2", "x", "1", null, true]})));
        let warning = "Invalid flag IDs ignored: ['x', None, True]".to_owned();
        assert_eq!(wanted.unwrap(), WantedKeys { ids: vec![1, 2], warning: Some(warning) });
        for nothing in [json!({}), json!({"ids": []}), json!({"ids": null})] {
            let wanted = WantedKeys::parse(&object(nothing)).unwrap();
            assert_eq!(wanted, WantedKeys { ids: vec![], warning: None });
        }
        let error = WantedKeys::parse(&object(json!({"ids": ["x", 1.5]}))).unwrap_err();
        assert_eq!(
            (error.detail.as_str(), error.body),
            ("Invalid flag IDs provided", BodyKind::Error)
        );
        let error = WantedKeys::parse(&object(json!({"ids": "1"}))).unwrap_err();
        assert_eq!((error.reason.as_ref(), error.attr.as_deref()), ("not_a_list", Some("ids")));
    }

    #[test]
    fn the_doomed_are_named_in_one_way_and_by_known_filters() {
        let refused = [
            (json!({}), "Must provide either filters or ids"),
            (json!({"ids": [], "filters": {}}), "Must provide either filters or ids"),
            (json!({"ids": null, "filters": null}), "Must provide either filters or ids"),
            (
                json!({"ids": [1], "filters": {"order": "id"}}),
                "Provide either filters or ids, not both",
            ),
            (
                json!({"filters": {"type": "x", "order": "id", "limit": 1}}),
                "Unknown filter keys: limit, order",
            ),
        ];
        for (body, detail) in refused {
            let error = Doomed::parse(&object(body)).unwrap_err();
            assert_eq!((error.detail.as_str(), error.body), (detail, BodyKind::Error));
        }
        let twice = Doomed::parse(&object(json!({"ids": ["7", 7, "x", "x"]}))).unwrap();
        let once = [GivenId::read(&json!("7")), GivenId::read(&json!("x"))];
        assert_eq!(twice, Doomed::Ids(once.to_vec()));
        let filter = Doomed::parse(&object(json!({"filters": {"active": false}}))).unwrap();
        assert!(matches!(filter, Doomed::Filter(filter) if filter.activity.is_some()));
    }

    #[test]
    fn what_is_in_the_way_is_told_in_order_and_the_batch_is_not() {
        let link = |kind| Link {
            kind,
            ref_id: 9,
            name: "Big test".into(),
            started_at: Some(chrono::DateTime::UNIX_EPOCH),
            ended_at: None,
            deleted: false,
        };
        let [experiment, early, replay] =
            [LinkKind::Experiment, LinkKind::EarlyAccess, LinkKind::Replay].map(link);
        let five: Vec<Named> = (1..=5).map(|id| (id, format!("f{id}"))).collect();
        let batch: HashSet<i64> = [1, 2].into();
        let cases = [
            ("nothing", vec![], vec![], None),
            ("the batch itself", vec![], five[..2].to_vec(), None),
            (
                "early access first",
                vec![experiment.clone(), early],
                five.clone(),
                Some("early access features"),
            ),
            (
                "then the experiment",
                vec![experiment, replay.clone()],
                five.clone(),
                Some(
                    "Cannot delete a feature flag linked to running experiment(s): \"Big test\" (ID: 9)",
                ),
            ),
            (
                "then others that depend on it",
                vec![replay.clone()],
                five.clone(),
                Some("other flags depend on it: f3 (ID: 3), f4 (ID: 4), f5 (ID: 5)"),
            ),
            ("then replay", vec![replay], vec![], Some(guards::USED_IN_REPLAY)),
        ];
        for (name, links, dependents, expected) in cases {
            match (refusal(&links, &dependents, &batch), expected) {
                (None, None) => {}
                (Some(reason), Some(end)) => assert!(reason.ends_with(end), "{name}: {reason}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
        let reason = refusal(&[], &five, &HashSet::new()).unwrap();
        assert!(reason.ends_with("f3 (ID: 3), and 2 more"), "{reason}");
    }
}
