//! The sizes of request bodies that are measured, under the names they have in the table.

use std::fmt;

/// A size in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) usize);

/// A short question, a long conversation, a document with its question.
pub(crate) const SIZES: [Size; 3] = [Size(2 << 10), Size(64 << 10), Size(1 << 20)];

/// Calls timed together: a call timed alone also pays for the clock and for whatever the processor forgot meanwhile.
pub(crate) const CALLS: u32 = 16;

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KB", self.0 >> 10)
    }
}
