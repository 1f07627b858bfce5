//! A resource's credential as requests carry it: a header whose value may be renewed while requests run.
//!
//! Keys and configured tokens stay as they are; a token of Microsoft Entra ID lives for an hour or so, and whoever renews it puts the
//! new one here. A request reads it without a lock, once for each attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::header::{HeaderName, HeaderValue};

/// A resource's credential, as the header that carries it. Its value may be renewed while requests run.
#[derive(Debug)]
pub struct Login {
    name: HeaderName,
    value: ArcSwap<HeaderValue>,
    is_refused: AtomicBool,
}

impl Login {
    /// By a header of this name; the value is never shown.
    pub fn new(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self {
            name,
            value: ArcSwap::from_pointee(value),
            is_refused: AtomicBool::new(false),
        }
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Its value now.
    pub fn value(&self) -> Guard<Arc<HeaderValue>> {
        self.value.load()
    }

    /// Gives it another value. Requests that are sent from now on have that one.
    pub fn renew(&self, mut value: HeaderValue) {
        value.set_sensitive(true);
        self.value.store(Arc::new(value));
        self.is_refused.store(false, Ordering::Relaxed);
    }

    /// Notes that a value which was sent has been refused. False where it has another one by now.
    pub fn refuse(&self, sent: &HeaderValue) -> bool {
        let is_in_use = **self.value() == *sent;
        if is_in_use {
            self.is_refused.store(true, Ordering::Relaxed);
        }
        is_in_use
    }

    /// Whether its value has been refused.
    pub fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    /// The same, which is forgotten with the answer.
    pub fn take_refused(&self) -> bool {
        self.is_refused.swap(false, Ordering::Relaxed)
    }

    /// Whether it says the same as another.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && *self.value() == *other.value()
    }
}
