//! Where generated types end: the messages of `proto/flagstaff/v1`, and their
//! conversion to and from the nouns of `model`.

pub mod codec;
pub mod convert;
pub mod weight;
pub mod written;

/// The generated messages and services.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::doc_markdown,
    clippy::allow_attributes_without_reason,
    reason = "generated; documented in proto/"
)]
pub mod v1 {
    tonic::include_proto!("flagstaff.v1");
}

/// The contract itself, with comments and options, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/flagstaff.bin"));
