//! How ids of persons and groups are spelled in store.
//!
//! Ingestion writes them so, and everything that looks for what is stored of
//! somebody looks by the same spelling. Hashing is another matter: it goes by
//! the id as it was sent (evaluation 2).

use std::borrow::Cow;

/// The longest distinct id, group key or group type, in characters.
pub const MAX_ID_CHARS: usize = 400;

/// Returns an id as it is stored: without NUL characters, which PostgreSQL cannot store.
///
/// `None` for an id under which nothing is ever stored: an empty one, and one longer than
/// [`MAX_ID_CHARS`].
#[must_use]
pub fn stored_id(id: &str) -> Option<Cow<'_, str>> {
    let id = match id.contains('\0') {
        true => Cow::Owned(id.replace('\0', "")),
        false => Cow::Borrowed(id),
    };
    // As many bytes as the most characters have at the least.
    let is_short = id.len() <= MAX_ID_CHARS || id.chars().nth(MAX_ID_CHARS).is_none();
    (is_short && !id.is_empty()).then_some(id)
}

/// Returns the id to look for where nothing but a text can be asked for: as [`stored_id`], and a
/// text under which nothing is stored where that has none.
#[must_use]
pub fn looked_up_id(id: &str) -> String {
    id.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_stored_without_nul_and_up_to_400_characters() {
        let long = |count: usize| "é".repeat(count);
        let cases = [
            ("as it is", "Ann", Some("Ann".to_owned())),
            ("blanks are kept", " a ", Some(" a ".to_owned())),
            ("NUL is removed", "a\0b\0", Some("ab".to_owned())),
            ("nothing is left", "\0", None),
            ("nothing", "", None),
            ("400 characters", &long(400), Some(long(400))),
            ("401 characters", &long(401), None),
            ("400 and a NUL", &format!("\0{}", long(400)), Some(long(400))),
        ];
        for (name, id, expected) in cases {
            assert_eq!(stored_id(id).map(Cow::into_owned), expected, "{name}");
        }
    }
}
