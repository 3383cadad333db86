//! Keeps the arrows of the layer map in `src/lib.rs`.

use std::{fs, path::Path};

/// Where a module may not look: its place under `src`, and the names it may not speak.
const REFUSED: [(&str, &[&str]); 16] = [
    ("model", &["crate::engine", "crate::service", "crate::store", "crate::snapshot"]),
    ("model", &["crate::wire", "crate::grpc", "crate::rest", "crate::auth", "crate::server"]),
    ("model", &["crate::cli", "crate::telemetry", "sea_orm", "tonic", "axum", "tokio", "hyper"]),
    (
        "engine",
        &["crate::service", "crate::store", "crate::snapshot", "crate::wire", "crate::grpc"],
    ),
    ("engine", &["crate::rest", "crate::auth", "crate::server", "crate::cli", "crate::model"]),
    ("engine", &["sea_orm", "tonic", "axum", "tokio", "hyper"]),
    ("sdk", &["crate::service", "crate::store", "crate::snapshot", "crate::wire", "crate::grpc"]),
    ("sdk", &["crate::rest", "crate::auth", "crate::server", "crate::cli", "crate::telemetry"]),
    ("sdk", &["sea_orm", "tonic", "axum", "tokio", "hyper", "http"]),
    ("store", &["crate::service", "crate::snapshot", "crate::grpc", "crate::rest", "crate::wire"]),
    ("snapshot", &["crate::service", "crate::grpc", "crate::rest", "crate::wire", "crate::server"]),
    ("service", &["crate::grpc", "crate::rest", "crate::wire", "crate::server", "crate::cli"]),
    ("wire", &["crate::service", "crate::store", "crate::snapshot", "crate::grpc", "crate::rest"]),
    ("grpc", &["crate::store", "crate::rest", "crate::server", "crate::cli"]),
    ("rest", &["crate::store", "crate::grpc", "crate::server", "crate::cli", "tonic"]),
    ("auth", &["crate::grpc", "crate::rest", "crate::server", "crate::cli"]),
];

/// Names that stop at a border: the name, and the only modules that may speak it.
const KEPT: [(&str, &[&str]); 3] =
    [("sea_orm", &["store"]), ("wire::v1", &["wire", "grpc"]), ("migrations::", &["store"])];

#[test]
fn no_module_names_what_lies_outside_it() {
    let (mut checked, mut broken) = (0, Vec::new());
    visit(Path::new("src"), &mut |place, line, text| {
        checked += 1;
        let module = place.split(['/', '.']).nth(1).unwrap_or_default();
        let refused = REFUSED.iter().filter(|(of, _)| *of == module).flat_map(|(_, names)| *names);
        let kept = KEPT.iter().filter(|(_, homes)| !homes.contains(&module)).map(|(name, _)| name);
        broken.extend(
            refused
                .chain(kept)
                .filter(|name| speaks(text, name))
                .map(|n| format!("{place}:{line}: {n}")),
        );
    });
    assert!(checked > 5000, "the sources are elsewhere: {checked} lines");
    assert_eq!(broken, [""; 0]);
}

/// `serde_json`'s own reading of a `Value` takes some keys for its private markers, so text is
/// parsed in one place, outside of tests. The engine parses none.
#[test]
fn json_is_parsed_in_one_place() {
    let (mut tests_begin, mut broken) = (String::new(), Vec::new());
    visit(Path::new("src"), &mut |place, line, text| {
        if text.contains("#[cfg(test)]") {
            place.clone_into(&mut tests_begin);
        }
        let exempt = place.starts_with("src/model/json")
            || place.starts_with("src/engine")
            || place.ends_with("tests.rs")
            || tests_begin == place;
        let reads = ["serde_json::from_", "from_value(", "Value::deserialize", "parse::<Value>"];
        if !exempt && reads.iter().any(|name| text.contains(name)) {
            broken.push(format!("{place}:{line}"));
        }
    });
    assert_eq!(broken, [""; 0]);
}

/// Whether code says a name; `use crate::{a, b::c}` is unfolded by [`visit`].
fn speaks(code: &str, name: &str) -> bool {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    code.match_indices(name).any(|(at, _)| {
        let after = &code[at + name.len()..];
        let before = &code[..at];
        (name.ends_with("::") || after.is_empty() || after.starts_with(ends))
            && (before.is_empty() || before.ends_with(ends))
    })
}

/// Shows each line of code, comments left out, with every name that an import brings spelled in full.
fn visit(folder: &Path, see: &mut impl FnMut(&str, usize, &str)) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            visit(&entry, see);
        } else if entry.extension().is_some_and(|kind| kind == "rs") {
            let (mut path, mut text) = (Vec::<String>::new(), String::new());
            for (number, line) in fs::read_to_string(&entry).unwrap().lines().enumerate() {
                text.clear();
                text.push_str(line.split("//").next().unwrap_or_default());
                let code = text.clone();
                for name in code.split_inclusive(['{', '}', ',', ';']) {
                    unfold(name, &mut path, &mut text);
                }
                see(&entry.display().to_string(), number + 1, &text);
            }
        }
    }
}

/// Follows the braces of a `use crate::{…}`, and adds the full names to `text`.
fn unfold(piece: &str, path: &mut Vec<String>, text: &mut String) {
    let end = piece.chars().last().unwrap_or_default();
    let name = piece.trim_end_matches(['{', '}', ',', ';']).trim();
    let start = name.strip_prefix("pub ").unwrap_or(name).strip_prefix("use ");
    match (start, path.is_empty()) {
        (Some(prefix), true) if end == '{' => path.push(prefix.to_owned()),
        (_, false) => {
            if !name.is_empty() {
                text.push_str(&format!(" {}{name}", path.concat()));
            }
            match end {
                '{' => path.push(name.to_owned()),
                '}' => drop(path.pop()),
                _ => {}
            }
        }
        _ => {}
    }
}
