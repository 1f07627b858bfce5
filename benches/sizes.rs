//! The sizes of request bodies that are measured, under the names they have in the table.

use std::fmt;

/// A size in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) usize);

/// A short question, a long conversation, a document with its question.
pub(crate) const SIZES: [Size; 3] = [Size(2 << 10), Size(64 << 10), Size(1 << 20)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MB", bytes >> 20),
            bytes => write!(f, "{} KB", bytes >> 10),
        }
    }
}
