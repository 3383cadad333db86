//! Halves of surrogate pairs that stand alone in JSON text.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::Value;

const ESCAPE_BYTES: usize = 6;
/// Characters that Unicode leaves to programs, and that no text is meant to hold.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';
/// How the UTF-8 of each of them begins.
const NONCHARACTER_PREFIX: [u8; 2] = [0xef, 0xb7];

/// Replaces each `\u` escape of a surrogate without its other half by that of U+FFFD.
pub(super) fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    replace_with(text, char::REPLACEMENT_CHARACTER)
}

/// Replaces each `\u` escape of a surrogate without its other half by that of a character that the
/// text does not hold otherwise, and returns both. `None` for a text without such escapes, and for
/// one that holds every character that could be used.
pub(super) fn mark_lone_surrogates(text: &str) -> Option<(String, char)> {
    let marker = unused_noncharacter(text)?;
    match replace_with(text, marker) {
        Cow::Owned(text) => Some((text, marker)),
        Cow::Borrowed(_) => None,
    }
}

/// Whether a character stands anywhere in a value, keys included.
#[must_use]
pub fn contains_char(value: &Value, wanted: char) -> bool {
    match value {
        Value::String(text) => text.contains(wanted),
        Value::Array(items) => items.iter().any(|item| contains_char(item, wanted)),
        Value::Object(fields) => {
            fields.iter().any(|(key, field)| key.contains(wanted) || contains_char(field, wanted))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A noncharacter that stands neither as itself nor as an escape in a text.
fn unused_noncharacter(text: &str) -> Option<char> {
    let (first, bytes) = (*NONCHARACTERS.start() as u32, text.as_bytes());
    let mut used = 0_u32;
    let mut note = |code: u32| match code.checked_sub(first) {
        Some(place) if code <= *NONCHARACTERS.end() as u32 => used |= 1 << place,
        _ => {}
    };
    for at in memmem::find_iter(bytes, &NONCHARACTER_PREFIX) {
        note(text[at..].chars().next().map_or(0, u32::from));
    }
    for at in memmem::find_iter(bytes, b"\\u") {
        note(code_unit(&bytes[at..]).map_or(0, u32::from));
    }
    NONCHARACTERS.zip(0..).find(|(_, place)| used & (1 << place) == 0).map(|(marker, _)| marker)
}

fn replace_with(text: &str, replacement: char) -> Cow<'_, str> {
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        let escape = at + found;
        let (length, is_lone) = escape_at(&text.as_bytes()[escape..]);
        if is_lone {
            out.push_str(&text[copied..escape]);
            out.push(replacement);
            copied = escape + length;
        }
        at = escape + length;
        // An escape may be of a character that is several bytes long.
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

/// The length of the escape at the start of a text, and whether it is half of a surrogate pair alone.
fn escape_at(text: &[u8]) -> (usize, bool) {
    const LEADING: std::ops::Range<u16> = 0xd800..0xdc00;
    const TRAILING: std::ops::Range<u16> = 0xdc00..0xe000;
    match code_unit(text) {
        None => (text.len().min(2), false),
        Some(unit) if LEADING.contains(&unit) => {
            match code_unit(&text[ESCAPE_BYTES..]).is_some_and(|next| TRAILING.contains(&next)) {
                true => (2 * ESCAPE_BYTES, false),
                false => (ESCAPE_BYTES, true),
            }
        }
        Some(unit) => (ESCAPE_BYTES, TRAILING.contains(&unit)),
    }
}

/// The UTF-16 code unit that a `\u` escape at the start of a text names.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + u16::try_from(char::from(*digit).to_digit(16)?).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_half_that_stands_alone_is_replaced() {
        let cases = [
            (r"cut \ud83e", r"cut �"),
            (r"\uD83E\udd14", r"\uD83E\udd14"),
            (r"\udd14\ud83e", r"��"),
            (r"\ud83e\ud83e\udd14x", r"�\ud83e\udd14x"),
            (r"\\ud83e", r"\\ud83e"),
            (r"\\\ud83e", r"\\�"),
            (r"\ud83e\n", r"�\n"),
            (r"\ud83e\u0041", r"�\u0041"),
            (r"\ud8", r"\ud8"),
            ("\\é\\ud800é", "\\é�é"),
            ("\\", "\\"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(replace_lone_surrogates(text), expected, "{text}");
        }
    }

    #[test]
    fn a_marker_is_a_character_that_the_text_does_not_hold() {
        let marked = |text: &str| mark_lone_surrogates(text).map(|(_, marker)| marker);
        assert_eq!(marked("no escape"), None);
        assert_eq!(marked(r"\ud83e\udd14"), None);
        assert_eq!(marked(r"\ud83e"), Some('\u{fdd0}'));
        assert_eq!(marked("\u{fdd0}\u{fdd1}\\ud83e"), Some('\u{fdd2}'));
        assert_eq!(marked(r"\uFdD0\ud83e"), Some('\u{fdd1}'));
        let all: String = NONCHARACTERS.collect();
        assert_eq!(marked(&format!("{all}\\ud83e")), None);
    }

    #[test]
    fn a_character_is_found_in_keys_and_values() {
        let value = serde_json::json!({"a": [{"bé": null}, "c"], "d": 1});
        for (wanted, is_there) in [('a', true), ('é', true), ('c', true), ('x', false)] {
            assert_eq!(contains_char(&value, wanted), is_there, "{wanted}");
        }
    }
}
