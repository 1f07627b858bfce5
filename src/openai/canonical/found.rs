//! Members of an object by name, wherever in it they are.

use crate::openai::json::{Cursor, Written};

/// A member of an object in which some come first.
#[derive(Clone, Copy)]
pub(super) enum Member<'a> {
    /// One of those, by its place among them.
    First(usize),
    /// Any other, not null, by its key, which is not yet written.
    Other(Written<'a>),
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// Where its value begins.
    pub(super) at: usize,
    /// Its value; behind it, once it is written.
    pub(super) value: Cursor<'a>,
    /// Whether it comes first of those that were looked at.
    is_first: bool,
}

impl<'a> Found<'a> {
    /// It is written: a cursor that stands right before it goes on.
    pub(super) fn passed_by(self, cursor: &mut Cursor<'a>) -> Self {
        if self.is_first {
            *cursor = self.value;
        }
        self
    }
}

/// The first member of this name from here on.
#[inline]
pub(super) fn find<'a>(mut cursor: Cursor<'a>, name: &str) -> Option<Found<'a>> {
    let mut is_first = true;
    while let Some(key) = cursor.member() {
        if key.means(name) {
            return Some(Found {
                at: cursor.at(),
                value: cursor,
                is_first,
            });
        }
        cursor.skip();
        is_first = false;
    }
    None
}
