//! The size of values as JSON, without writing them anywhere.

use std::io;

use serde::Serialize;
use serde_json::Value;

/// Counts what is written to it.
#[derive(Default)]
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the bytes that an entry takes in an object, with its colon and comma.
pub(super) fn entry_bytes(name: &str, value: &Value) -> usize {
    json_bytes(name) + json_bytes(value) + 2
}

/// Returns the bytes of a value as JSON.
fn json_bytes(value: &(impl Serialize + ?Sized)) -> usize {
    let mut counter = Counter::default();
    // Counting never fails, and neither does writing what was read as JSON.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_as_long_as_it_is_written() {
        for (name, value) in [("a", json!(1)), ("\"q\"", json!({"x": [null, "\n", "é"]}))] {
            let alone = json!({ name: value }).to_string().len();
            assert_eq!(entry_bytes(name, &value), alone - "{}".len() + ",".len(), "{name}");
        }
    }
}
