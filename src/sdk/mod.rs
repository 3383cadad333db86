//! What PostHog's SDKs and browsers speak: the bodies they send, the answers
//! they read, and the feed of definitions by which they evaluate themselves
//! (evaluation 13 to 15, client-wires 4.4).
//!
//! Only bytes and values are known here, no transport and no database. So the
//! same request gets the same answer over HTTP and from `flagstaff eval
//! --offline`, and what one part writes as a feed another reads.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod config;
pub(crate) mod definitions;
pub(crate) mod etag;
pub(crate) mod feed;
pub(crate) mod protocol;
mod records;
pub(crate) mod request;
