//! Headers that keep answers from being stored or reinterpreted on their way.
//!
//! Answers of the management API may hold keys, secrets and decrypted payloads, so none of them is
//! stored by a cache or a browser. An answer that says for itself how long it may be kept, such as
//! definitions with an entity tag, stays as it is.

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Tells browsers to take the content type as it is told.
pub(super) fn forbid_sniffing(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
}

/// Forbids storing, unless the answer says otherwise.
pub(super) fn forbid_storing(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
}
