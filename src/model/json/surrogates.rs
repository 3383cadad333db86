//! Halves of surrogate pairs that stand alone in JSON text.

use std::borrow::Cow;

const ESCAPE_BYTES: usize = 6;

/// Replaces each `\u` escape of a surrogate without its other half by that of U+FFFD.
pub(super) fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        let escape = at + found;
        let (length, is_lone) = escape_at(&text.as_bytes()[escape..]);
        if is_lone {
            out.push_str(&text[copied..escape]);
            out.push_str("\\ufffd");
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
            (r"cut \ud83e", r"cut \ufffd"),
            (r"\uD83E\udd14", r"\uD83E\udd14"),
            (r"\udd14\ud83e", r"\ufffd\ufffd"),
            (r"\ud83e\ud83e\udd14x", r"\ufffd\ud83e\udd14x"),
            (r"\\ud83e", r"\\ud83e"),
            (r"\\\ud83e", r"\\\ufffd"),
            (r"\ud83e\n", r"\ufffd\n"),
            (r"\ud83e\u0041", r"\ufffd\u0041"),
            (r"\ud8", r"\ud8"),
            ("\\é\\ud800é", "\\é\\ufffdé"),
            ("\\", "\\"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(replace_lone_surrogates(text), expected, "{text}");
        }
    }
}
