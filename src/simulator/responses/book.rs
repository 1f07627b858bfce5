//! The responses that an account keeps: what was said, by the response's id.
//!
//! An account knows its own only, which is why what continues a response must come back to it. The oldest go when there are too many; the
//! service's thirty days are not simulated. A response is kept from its beginning, not only once it is complete.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

/// Responses that an account keeps.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// What an account keeps.
#[derive(Debug)]
pub struct Book(LruCache<String, Arc<[u8]>>);

impl Default for Book {
    fn default() -> Self {
        // Unbounded and trimmed by hand: `LruCache::new` would allocate its whole capacity now.
        let mut kept = LruCache::unbounded();
        kept.resize(KEPT_MAX);
        Self(kept)
    }
}

impl Book {
    /// Keeps a conversation.
    pub fn keep(&mut self, id: &str, conversation: Vec<u8>) {
        self.0.put(id.to_owned(), conversation.into());
    }

    /// The conversation that a response ends.
    pub fn conversation(&mut self, id: &str) -> Option<Arc<[u8]>> {
        self.0.get(id).cloned()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
