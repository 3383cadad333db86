//! The id of each request, by which its caller finds it in the log: the caller's own
//! `x-request-id`, or a new one.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};
use uuid::Builder;

/// The header, of requests and of answers.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over, in bytes.
const MAX_BYTES: usize = 128;

/// Returns the id of a request, which its headers hold afterwards. One that is too long, or holds
/// what has no place in a log, is replaced.
pub(super) fn ensure(headers: &mut HeaderMap) -> HeaderValue {
    match headers.entry(NAME) {
        Entry::Occupied(sent) if is_valid(sent.get().as_bytes()) => sent.get().clone(),
        Entry::Occupied(mut sent) => {
            let id = fresh();
            sent.insert(id.clone());
            id
        }
        Entry::Vacant(none) => none.insert(fresh()).clone(),
    }
}

fn is_valid(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(is_plain)
}

/// From the thread's own generator: one from the system would cost a call of it each time.
fn fresh() -> HeaderValue {
    let uuid = Builder::from_random_bytes(rand::random()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    uuid.hyphenated().encode_lower(&mut text);
    // Owned by all clones together, which so take no memory of their own.
    HeaderValue::from_maybe_shared(Bytes::from_owner(text)).expect("a uuid is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_kept_and_any_other_is_replaced() {
        let long = "a".repeat(MAX_BYTES + 1);
        let cases = [
            ("abc-123", true),
            ("01890a5d-ac96-774b-bcce-b302099a8057", true),
            ("req_1:2/3+4=5@6.7", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("two words", false),
            ("<script>", false),
            ("quote\"", false),
            ("tab\there", false),
        ];
        for (sent, is_kept) in cases {
            let mut headers = HeaderMap::from_iter([(NAME, HeaderValue::from_str(sent).unwrap())]);
            let id = ensure(&mut headers);
            assert_eq!(id == sent, is_kept, "{sent:?}");
            assert_eq!(headers[NAME], id, "{sent:?}");
        }
        let mut none = HeaderMap::new();
        let id = ensure(&mut none);
        assert!(id.to_str().unwrap().parse::<uuid::Uuid>().is_ok(), "{id:?}");
        assert_ne!(ensure(&mut HeaderMap::new()), id);
    }
}
