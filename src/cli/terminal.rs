//! Text from elsewhere on its way to a terminal: names, errors and answers of others may hold escape
//! sequences, which would move the cursor, hide lines or type for the operator.

use std::{
    borrow::Cow,
    fmt::{Display, Write},
    io::{self, ErrorKind, Write as _},
};

use serde_json::Value;

use super::Failure;

/// Prints a value as one line of JSON. Characters that a terminal acts on are escaped as JSON does.
pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(json_line(&value.to_string()))
}

/// Prints a line, or lines, on stdout. A reader who has gone had enough of it, as in `keys list | head`.
///
/// # Errors
///
/// It could not be written: the disk is full.
pub(super) fn print(text: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Setting(format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line on stderr. There is nobody to tell if that cannot be done.
pub(super) fn print_note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Returns `text` on one line, with every character that a terminal acts on written as `\u{1b}`.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |character, out| out.extend(character.escape_default()))
}

/// Escapes in JSON text what its writer leaves as it is; outside of strings there is none of it.
pub(super) fn json_line(json: &str) -> Cow<'_, str> {
    replaced(json, |character, out| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn replaced(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_active(character) {
            true => escape(character, &mut out),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Returns whether a terminal acts on a character instead of showing it: controls of both sets, line
/// and paragraph separators, and marks that turn the direction of text or have no width.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let cases = [
            ("plain – naïve 日本 👍", "plain – naïve 日本 👍"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}txt.exe\u{2066}", "\\u{202e}txt.exe\\u{2066}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = json!({"\u{9b}": "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0041}", "n": 1.50});
        let line = value.to_string();
        let line = json_line(&line);
        assert!(!line.contains(is_active), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
