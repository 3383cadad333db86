//! The summary of an import: a table for people, an object for programs.

use comfy_table::{ContentArrangement, Table, presets::ASCII_MARKDOWN};
use serde_json::{Value, json};

use super::{super::terminal::escaped, Import};
use crate::model::import::report::{Entry, Kind, Outcome, Report};

/// What no import brings, whatever the flags.
const NEVER: [&str; 5] = [
    "history: versions and activity begin here",
    "people, groups and their properties: send them with each call, or by events",
    "members of static cohorts",
    "experiments, surveys, early access features, and who last saw which variant",
    "usage: dashboards begin empty",
];

/// For people: everything that is not as it was there, and how much of each.
pub(super) fn text(report: &Report, import: &Import, into: i64) -> String {
    let mut lines = vec![String::new()];
    if report.entries.is_empty() {
        lines.push("The source lists no flags.".into());
    }
    let told: Vec<_> = report.entries.iter().filter(|entry| is_told(entry)).collect();
    if !told.is_empty() {
        lines.push(table(&told).to_string());
        lines.push(String::new());
    }
    for kind in Kind::ALL {
        let counted = Outcome::ALL.into_iter().filter_map(|outcome| {
            let count = report.count(kind, outcome);
            (count > 0).then(|| format!("{count} {}", outcome.word()))
        });
        let counted: Vec<_> = counted.collect();
        if !counted.is_empty() {
            lines.push(format!("{}s: {}", kind.word(), counted.join(", ")));
        }
    }
    lines.push(String::new());
    lines.push("Never imported:".into());
    lines.extend(NEVER.iter().map(|what| format!("- {what}")));
    lines.push(String::new());
    lines.push(match import.yes {
        true => format!("Imported into project {into}."),
        false => {
            format!("A rehearsal: nothing was written to project {into}. Add --yes to import.")
        }
    });
    lines.join("\n")
}

/// What came along whole needs no line.
fn is_told(entry: &Entry) -> bool {
    !entry.notes.is_empty() || matches!(entry.outcome, Outcome::Kept | Outcome::Refused)
}

fn table(entries: &[&Entry]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["what", "name", "outcome", "notes"]);
    for entry in entries {
        // Names and notes are the source's words.
        let notes = entry.notes.join("; ");
        let (name, notes) = (escaped(&entry.name), escaped(&notes));
        table.add_row([entry.kind.word(), &name, entry.outcome.word(), &notes]);
    }
    table
}

/// For programs: every entry.
pub(super) fn json(report: &Report, import: &Import, into: i64) -> Value {
    let entry = |entry: &Entry| {
        json!({
            "kind": entry.kind.word(),
            "name": entry.name,
            "source_id": entry.there,
            // A rehearsal's numbers are given to nobody.
            "id": entry.here.filter(|_| import.yes || entry.outcome != Outcome::Created),
            "outcome": entry.outcome.word(),
            "notes": entry.notes,
        })
    };
    let counts = |kind: Kind| {
        let counted = Outcome::ALL.into_iter();
        counted.map(move |outcome| (outcome.word().to_owned(), json!(report.count(kind, outcome))))
    };
    json!({
        "dry_run": !import.yes,
        "project_id": into,
        "group_types": Value::Object(counts(Kind::GroupType).collect()),
        "cohorts": Value::Object(counts(Kind::Cohort).collect()),
        "flags": Value::Object(counts(Kind::Flag).collect()),
        "entries": report.entries.iter().map(entry).collect::<Vec<_>>(),
        "never_imported": NEVER,
    })
}
