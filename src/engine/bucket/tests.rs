use serde_json::Value;

use super::*;
use crate::engine::fixtures::{items, vectors};

#[test]
fn known_identifiers_hash_to_known_places() {
    let cases = [
        ("a rollout", for_rollout("beta-search.", "user-17"), 0.009101217133290002),
        ("a rollout of the empty identifier", for_rollout("beta-search.", ""), 0.0),
        ("a variant of the empty identifier", for_variant("beta-search.", ""), 0.0),
        ("a variant", for_variant("checkout-layout.", "user-61"), 0.5698252224547713),
        ("a holdout", for_holdout("some_distinct_id"), 0.7270002403585725),
        ("another holdout", for_holdout("test-identifier"), 0.4493881716040236),
        ("a holdout of the empty identifier", for_holdout(""), 0.9268829483920294),
    ];
    for (name, hash, expected) in cases {
        assert_eq!(hash, expected, "{name}");
    }
}

#[test]
fn hash_vectors_come_out_to_the_last_bit() {
    let Some(file) = vectors("hash_sha1_60_v1.json") else { return };
    for vector in items(&file, "vectors") {
        let text = |key: &str| vector[key].as_str().expect("a text");
        let identifier =
            vector["identifier_before_truncation"].as_str().unwrap_or(text("identifier"));
        let hash = fraction([text("prefix"), cut(identifier), text("salt")]);
        assert_eq!(
            format!("{:016x}", hash.to_bits()),
            text("hash01_binary64_hex"),
            "{}",
            vector["id"]
        );
    }
}

#[test]
fn threshold_vectors_fall_on_their_side() {
    let Some(file) = vectors("hash_sha1_60_v1.json") else { return };
    for vector in items(&file, "threshold_vectors") {
        let rollout = Rollout::of(number(vector, "rollout_percentage"));
        let included = rollout.takes_all() || rollout.includes(number(vector, "hash01"));
        assert_eq!(Some(included), vector["included"].as_bool(), "{}", vector["id"]);
    }
}

#[test]
fn variant_vectors_pick_their_variant() {
    let Some(file) = vectors("hash_sha1_60_v1.json") else { return };
    for vector in items(&file, "variant_vectors") {
        let variants = items(vector, "variants");
        let ends = ends(variants.iter().map(|variant| number(variant, "rollout_percentage")));
        let picked = pick(ends, number(vector, "hash01")).map(|index| &variants[index]["key"]);
        assert_eq!(picked.unwrap_or(&Value::Null), &vector["selected"], "{}", vector["id"]);
    }
}

#[test]
fn shares_end_where_binary64_addition_puts_them() {
    let ends: Vec<f64> = ends([10.0, 20.0, 30.0, 40.0]).collect();
    assert_eq!(ends, [0.1, 0.30000000000000004, 0.6000000000000001, 1.0]);
}

#[test]
fn identifiers_are_cut_by_scalar_values() {
    let cases = [
        ("200 two-byte characters stay", "é".repeat(200), 200),
        ("205 letters are cut", "a".repeat(205), 200),
        ("201 four-byte characters are cut", "😀".repeat(201), 200),
        ("a short one stays", "user-17".to_owned(), 7),
    ];
    for (name, identifier, length) in cases {
        assert_eq!(cut(&identifier).chars().count(), length, "{name}");
    }
}

fn number(vector: &Value, key: &str) -> f64 {
    vector[key].as_f64().expect("a number")
}
