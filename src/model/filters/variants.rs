//! Checks 9, 16 and 17 of management-api 3.5: variants and their shares.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Origin, membership::first_unknown, objects, percentage, refuse};
use crate::model::{
    error::Result,
    json::{Object, type_name},
};

/// Check 9.
pub(super) fn check_percentages(filters: &Object) -> Result<()> {
    let variants = listed(filters)?;
    for (index, variant) in variants.iter().enumerate() {
        let path = format!("multivariate.variants[{index}].rollout_percentage");
        percentage(variant.get("rollout_percentage").unwrap_or(&Value::Null), &path, "")?;
        if !variant.get("key").is_some_and(Value::is_string) {
            return Err(refuse(format!("multivariate.variants[{index}].key must be a string")));
        }
    }
    Ok(())
}

/// Checks 16, which imports are exempt from, and 17.
pub(super) fn check_whole(filters: &Object, origin: Origin) -> Result<()> {
    let variants = listed(filters)?;
    if origin != Origin::Import {
        shares(&variants)?;
    }
    overrides(filters, &variants)
}

/// The variants of a flag, none for a boolean one.
pub(super) fn listed(filters: &Object) -> Result<Vec<&Object>> {
    match filters.get("multivariate") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(multivariate)) => {
            objects(multivariate.get("variants"), "multivariate.variants")
        }
        Some(other) => {
            let found = type_name(other);
            Err(refuse(format!("multivariate must be an object or null, got {found}")))
        }
    }
}

/// Shares are added as decimals: 70.1 + 15.3 + 14.6 is 100, whatever binary makes of it.
fn shares(variants: &[&Object]) -> Result<()> {
    let sum: Option<Decimal> = variants.iter().map(|variant| share(variant)).sum();
    if variants.is_empty() || sum == Some(Decimal::ONE_HUNDRED) {
        return Ok(());
    }
    Err(refuse("Invalid variant definitions: Variant rollout percentages must sum to 100."))
}

fn share(variant: &Object) -> Option<Decimal> {
    let text = variant.get("rollout_percentage")?.as_number()?.as_str();
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

fn overrides(filters: &Object, variants: &[&Object]) -> Result<()> {
    let groups = objects(filters.get("groups"), "groups")?;
    let chosen = groups.iter().filter_map(|group| group.get("variant")?.as_str());
    match first_unknown(chosen, keys(variants)) {
        None => Ok(()),
        Some(_) => Err(refuse("Filters are not valid (variant override does not exist)")),
    }
}

/// The keys of variants.
pub(super) fn keys<'a>(variants: &[&'a Object]) -> impl Iterator<Item = &'a str> {
    variants.iter().filter_map(|variant| variant.get("key")?.as_str())
}
