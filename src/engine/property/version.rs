//! `semver_*`: versions as people write them, compared as semver 2.0.

use semver::{Version, VersionReq};
use serde_json::Value;

use super::form;
use super::number::Comparison;

/// What a property's version is held against.
#[derive(Debug)]
pub(super) enum VersionTest {
    Compared(Comparison, Version),
    Required(VersionReq),
}

impl VersionTest {
    pub(super) fn compared(comparison: Comparison, filter: &Value) -> Option<Self> {
        Some(Self::Compared(comparison, parse(filter)?))
    }

    /// `~X` or `^X`, by the sign given.
    pub(super) fn ranged(sign: char, filter: &Value) -> Option<Self> {
        let version = parse(filter)?;
        VersionReq::parse(&format!("{sign}{version}")).ok().map(Self::Required)
    }

    /// `1.*`, `1.2.*` or `*`: stars only at the end, and at least one.
    pub(super) fn wildcard(filter: &Value) -> Option<Self> {
        let text = form::form(filter);
        let text = bare(&text);
        if !text.ends_with('*') {
            return None;
        }
        let components: Vec<&str> = text.split('.').map(without_zeros).collect();
        VersionReq::parse(&components.join(".")).ok().map(Self::Required)
    }

    /// None for a property that is no version, whatever the operator.
    pub(super) fn hits(&self, property: &Value) -> Option<bool> {
        let property = parse(property)?;
        Some(match self {
            // `cmp` and not `cmp_precedence`: build metadata takes part.
            Self::Compared(comparison, version) => comparison.accepts(property.cmp(version)),
            Self::Required(requirement) => requirement.matches(&property),
        })
    }
}

/// Whether a filter that holds the value can ever be compared with.
pub(in crate::engine) fn is_version(filter: &Value) -> bool {
    filter.is_string() && parse(filter).is_some()
}

/// Reads `v3.08-rc.1` as `3.8.0-rc.1`.
fn parse(value: &Value) -> Option<Version> {
    let text = form::form(value);
    let text = bare(&text);
    let (core, suffix) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let mut components: Vec<&str> = core.split('.').map(without_zeros).collect();
    while components.len() < 3 {
        components.push("0");
    }
    Version::parse(&(components.join(".") + suffix)).ok()
}

/// The text without one leading `v` and the white space around the rest.
fn bare(text: &str) -> &str {
    text.strip_prefix('v').unwrap_or(text).trim()
}

fn without_zeros(component: &str) -> &str {
    if component.is_empty() || !component.bytes().all(|byte| byte.is_ascii_digit()) {
        return component;
    }
    match component.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    }
}
