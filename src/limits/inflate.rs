//! Decompresses bodies within a bound: the size is counted while the bytes
//! come out, and what they take is charged before it is allocated.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::Reservation;
use crate::model::error::Error;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// One or more gzip members.
    Gzip,
    /// A zlib stream.
    Deflate,
    /// One or more zstd frames.
    Zstd,
}

/// Why a body was not decompressed.
#[derive(Debug)]
pub enum InflateError {
    /// It is not what it says it is, or broken.
    Malformed,
    /// It is larger than the limit.
    TooLarge,
    /// The budget does not allow it.
    Refused(Error),
}

/// Bytes that come out at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// The smallest bound on the window of zstd, as a power of two: every decoder is to support 8 MiB.
const MIN_ZSTD_WINDOW_LOG: u32 = 23;
/// The largest: what the library allows by default.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

/// Returns what is compressed in `bytes`, of at most `limit` bytes, charged to `memory`.
///
/// # Errors
///
/// [`InflateError`]; what was charged stays charged until the reservation is dropped.
pub fn inflate(
    compression: Compression,
    bytes: &[u8],
    limit: usize,
    memory: &mut Reservation,
) -> Result<Vec<u8>, InflateError> {
    let malformed = |_: io::Error| InflateError::Malformed;
    match compression {
        Compression::Gzip => collect(MultiGzDecoder::new(bytes), limit, memory),
        Compression::Deflate => collect(ZlibDecoder::new(bytes), limit, memory),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(malformed)?;
            decoder.window_log_max(window_log(limit)).map_err(malformed)?;
            collect(decoder, limit, memory)
        }
    }
}

/// The largest window that content of `limit` bytes can use.
fn window_log(limit: usize) -> u32 {
    let log = usize::BITS - limit.saturating_sub(1).leading_zeros();
    log.clamp(MIN_ZSTD_WINDOW_LOG, MAX_ZSTD_WINDOW_LOG)
}

fn collect(
    mut reader: impl Read,
    limit: usize,
    memory: &mut Reservation,
) -> Result<Vec<u8>, InflateError> {
    let (mut content, mut charged, mut chunk) = (Vec::new(), 0, [0; CHUNK_BYTES]);
    loop {
        let length = match reader.read(&mut chunk) {
            Ok(0) => return Ok(content),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(InflateError::Malformed),
        };
        let total = content.len() + length;
        if total > limit {
            return Err(InflateError::TooLarge);
        }
        if total > content.capacity() {
            let capacity = total.saturating_mul(2).min(limit);
            memory.charge(capacity - charged).map_err(InflateError::Refused)?;
            charged = capacity;
            content.reserve_exact(capacity - content.len());
        }
        content.extend_from_slice(&chunk[..length]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;
    use crate::limits::MemoryBudget;

    const LIMIT: usize = 100_000;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => gzip(bytes),
            Compression::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 19).unwrap(),
        }
    }

    const ALL: [Compression; 3] = [Compression::Gzip, Compression::Deflate, Compression::Zstd];

    #[test]
    fn what_fits_comes_out_and_what_does_not_stops_at_the_limit() {
        for compression in ALL {
            let inflated = |length: usize, budget: usize| {
                let content = vec![b'a'; length];
                let mut memory = MemoryBudget::new(budget).reservation();
                let packed = packed(compression, &content);
                inflate(compression, &packed, LIMIT, &mut memory).map(|out| assert!(out == content))
            };
            for length in [0, 1, CHUNK_BYTES, LIMIT] {
                assert!(inflated(length, LIMIT * 4).is_ok(), "{compression:?} {length}");
            }
            for length in [LIMIT + 1, LIMIT * 100] {
                let outcome = inflated(length, LIMIT * 4);
                assert!(matches!(outcome, Err(InflateError::TooLarge)), "{compression:?} {length}");
            }
            let outcome = inflated(LIMIT, LIMIT);
            assert!(matches!(outcome, Err(InflateError::Refused(_))), "{compression:?}");
        }
    }

    #[test]
    fn many_members_count_as_one_body() {
        let members = gzip(&[b'a'; 1000]).repeat(LIMIT / 1000 + 1);
        let mut memory = MemoryBudget::new(LIMIT * 4).reservation();
        let outcome = inflate(Compression::Gzip, &members, LIMIT, &mut memory);
        assert!(matches!(outcome, Err(InflateError::TooLarge)));
        // A member may be empty; hundreds of thousands of them end all the same.
        let empty = gzip(b"").repeat(100_000);
        let outcome = inflate(Compression::Gzip, &empty, LIMIT, &mut memory);
        assert!(outcome.unwrap().is_empty());
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused_before_it_is_allocated() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"small").unwrap();
        let packed = encoder.finish().unwrap();
        let mut memory = MemoryBudget::new(LIMIT * 4).reservation();
        let outcome = inflate(Compression::Zstd, &packed, LIMIT, &mut memory);
        assert!(matches!(outcome, Err(InflateError::Malformed)), "{outcome:?}");
    }

    #[test]
    fn what_is_broken_is_malformed() {
        for compression in ALL {
            let packed = packed(compression, &[b'a'; 1000]);
            for broken in [&packed[..packed.len() / 2], b"plain text", b""] {
                let mut memory = MemoryBudget::new(LIMIT * 4).reservation();
                match inflate(compression, broken, LIMIT, &mut memory) {
                    Err(InflateError::Malformed) => {}
                    Ok(out) if broken.is_empty() => assert!(out.is_empty()),
                    other => panic!("{compression:?} {broken:?}: {other:?}"),
                }
            }
        }
    }
}
