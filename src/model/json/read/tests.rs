use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The keys by which `serde_json` marks numbers and raw values among its own.
const MARKERS: [&str; 2] = ["$serde_json::private::Number", "$serde_json::private::RawValue"];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn private_markers_are_keys_like_others() {
    for marker in MARKERS {
        let escaped = format!("\\u0024{}", &marker[1..]);
        for key in [marker, &escaped] {
            for value in [r#""1""#, r#""x""#, r#""{""#, "5", "null", "[]", r#"{"a": 1}"#] {
                for text in [
                    format!(r#"{{"{key}": {value}}}"#),
                    format!(r#"{{"{key}": {value}, "b": 1.50}}"#),
                ] {
                    let read = parse(&text, Limits::REQUEST).unwrap();
                    assert_eq!(keys(&read)[0], marker, "{text}");
                    assert_eq!(parse_bytes(text.as_bytes(), Limits::REQUEST).unwrap(), read);
                    assert_eq!(parse_stored(&read.to_string()).unwrap(), read);
                    let json5 = parse_json5(&format!("{text} // JSON5"), Limits::REQUEST).unwrap();
                    assert_eq!(keys(&json5), keys(&read), "{text}");
                }
            }
        }
        let nested = format!(r#"{{"a": [{{"{marker}": {{"{marker}": "1"}}}}, 1], "n": 1}}"#);
        assert_eq!(
            parse(&nested, Limits::REQUEST).unwrap().to_string(),
            nested.replace(": ", ":").replace(", ", ",")
        );
    }
}

#[test]
fn a_typed_member_is_read_by_the_same_rules() {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(default, deserialize_with = "deserialize_value")]
        member: Value,
    }
    for marker in MARKERS {
        let text = format!(r#"{{"member": {{"{marker}": "x", "n": 1.50}}}}"#);
        let read: Typed = parse_typed(&text).unwrap();
        assert_eq!(keys(&read.member), [marker, "n"]);
        assert_eq!(read.member["n"].to_string(), "1.50");
    }
    assert_eq!(parse_typed::<Typed>("{}").unwrap().member, Value::Null);
}

#[test]
fn limits_hold_while_decoding() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let limits = Limits::REQUEST.with_depth(3).with_elements(4).with_bytes(40);
    for read in [parse, parse_lenient, parse_json5] {
        assert!(read(&nested(3), limits).is_ok());
        for deep in [nested(4), "[".repeat(40), r#"{"a":"#.repeat(8), "[[[{}]]]".into()] {
            assert_eq!(read(&deep, limits), Err(ReadError::TooDeep(3)), "{deep}");
        }
        assert!(read("[1, [2, 3]]", limits).is_ok());
        for many in ["[1,2,3,4,5", r#"{"a":1,"a":2,"a":3,"a":4,"a":5"#, "[[1,[2],3]"] {
            assert_eq!(read(many, limits), Err(ReadError::TooManyElements(4)), "{many}");
        }
        assert_eq!(read(&" ".repeat(41), limits), Err(ReadError::TooLong(40)));
    }
    assert!(parse(&nested(MAX_PARSER_DEPTH), Limits::STORED).is_ok());
    assert!(parse(&nested(1_000_000), Limits::STORED).is_err());
    assert_eq!(
        parse_json5(&"{a:".repeat(1_000_000), Limits::REQUEST),
        Err(ReadError::TooDeep(MAX_DEPTH))
    );
}

#[test]
fn a_lone_surrogate_is_replaced_where_asked_and_refused_elsewhere() {
    let text = r#"{"bio": "cut \ud83e", "\udd14": "\ud83e\udd14"}"#;
    let expected = json!({"bio": "cut \u{fffd}", "\u{fffd}": "\u{1f914}"});
    assert!(matches!(parse(text, Limits::REQUEST), Err(ReadError::Syntax(_))));
    assert!(matches!(parse(r#"{"\ud83e": 1}"#, Limits::REQUEST), Err(ReadError::Syntax(_))));
    assert_eq!(parse_lenient(text, Limits::REQUEST).unwrap(), expected);
    assert_eq!(parse_json5(text, Limits::REQUEST).unwrap(), expected);
    assert_eq!(parse_json5(&text.replace('"', "'"), Limits::REQUEST).unwrap(), expected);
}

#[test]
fn json5_ends_with_its_value() {
    let accepted = ["{a: [1,],} // end", "[+1, 'x', NaN, Infinity, .5] /* end */ "];
    for text in accepted {
        assert!(parse_json5(text, Limits::REQUEST).is_ok(), "{text}");
    }
    for text in ["", "{", "hello", "eyJhIjoxfQ==", "{a 1}", "[1] [2]", "{a:1} {", "[1] /*", "[1] x"]
    {
        assert!(matches!(parse_json5(text, Limits::REQUEST), Err(ReadError::Syntax(_))), "{text}");
    }
}

fn theirs(text: &str) -> Result<String, String> {
    let read = serde_json::from_str::<Value>(text);
    read.map(|value| value.to_string()).map_err(|error| error.to_string())
}

fn ours(text: &str) -> Result<String, String> {
    parse_stored(text).map(|value| value.to_string()).map_err(|error| error.to_string())
}

/// Any JSON value, with the numbers and texts that tell readers apart.
fn any_value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
    ];
    let text = any::<String>().prop_map(|text| Value::from(text).to_string());
    let leaf = prop_oneof![Just("null".into()), Just("true".into()), number, text.clone()];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let field =
            (text.clone(), inner.clone()).prop_map(|(key, value)| format!("{key} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(field, 0..6)
                .prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_read_as_serde_json_reads_them(text in any_value()) {
        prop_assert!(ours(&text).is_ok());
        prop_assert_eq!(ours(&text), theirs(&text));
        prop_assert_eq!(ours(&ours(&text).unwrap()), ours(&text));
    }

    /// Broken texts as well. A raw control character in a first key may be noticed later, in other words.
    #[test]
    fn scraps_are_judged_as_serde_json_judges_them(
        text in r#"[\[\]{}:,"\\u0-9dDeE.+ \-a-f$truefalsn\x00]{0,40}"#
    ) {
        match text.contains('\0') {
            true => prop_assert_eq!(ours(&text).ok(), theirs(&text).ok()),
            false => prop_assert_eq!(ours(&text), theirs(&text)),
        }
    }

    #[test]
    fn cut_texts_are_judged_as_serde_json_judges_them(text in any_value(), at in any::<prop::sample::Index>()) {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert_eq!(ours(&text[..at]), theirs(&text[..at]));
    }
}

#[test]
fn a_raw_control_character_is_refused_in_every_key() {
    for text in ["{\"a\n\": 1}", "{\"a\": 1, \"b\t\": 2}", "[{\"\u{1}\": 1}]", "{\"\0\": 1}"] {
        assert!(matches!(parse(text, Limits::REQUEST), Err(ReadError::Syntax(_))), "{text:?}");
        assert!(parse_bytes(text.as_bytes(), Limits::REQUEST).is_err(), "{text:?}");
    }
    let escaped = parse(r#"{"a\n": 1, "b\u0001": 2}"#, Limits::REQUEST).unwrap();
    assert_eq!(escaped, json!({"a\n": 1, "b\u{1}": 2}));
}

#[test]
fn a_truncating_reader_leaves_out_what_is_too_deep() {
    let limits = Limits::REQUEST.with_depth(2).truncating();
    let cases = [
        ("[[1]]", "[[1]]"),
        ("[[[1]], 2]", "[[null], 2]"),
        (r#"{"a": {"b": {"c": [1, {}], "d": 2}, "e": 3}}"#, r#"{"a": {"b": null, "e": 3}}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text, limits).unwrap(), parse(expected, limits).unwrap(), "{text}");
    }
    let limits = limits.with_depth(MAX_PARSER_DEPTH - 1);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&deep, limits).is_ok());
    assert!(matches!(parse(&deep[1..], limits), Err(ReadError::Syntax(_))));
    assert!(matches!(parse_json5(&deep[..100_000], limits), Err(ReadError::TooDeep(_))));
}
