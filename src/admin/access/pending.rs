//! Sign-ins that have begun here and are at the provider: each is bound to the browser that began it, and ends once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openidconnect::{Nonce, PkceCodeVerifier};
use parking_lot::Mutex;

use crate::admin::access::sessions::key;

/// Longest time that somebody may take at the provider.
const LOGIN_MAX: Duration = Duration::from_mins(10);

/// Sign-ins that may have begun at one time; one more ends the oldest.
const LOGINS_MAX: usize = 1_000;

/// What must be known when the provider sends the browser back.
pub(super) struct Begun {
    /// The cookie of the browser that began it.
    pub(super) cookie: String,
    /// What the token must repeat.
    pub(super) nonce: Nonce,
    /// What proves that the code was asked for here.
    pub(super) verifier: PkceCodeVerifier,
    /// Where the browser goes in the end.
    pub(super) to: String,
    /// Where the provider sends it back.
    pub(super) redirect: String,
}

/// Sign-ins that have begun.
#[derive(Default)]
pub(super) struct Pending {
    begun: Mutex<HashMap<[u8; 32], (Instant, Begun)>>,
}

impl Pending {
    /// Keeps one under its `state`.
    pub(super) fn add(&self, state: &str, begun: Begun, now: Instant) {
        let mut all = self.begun.lock();
        if all.len() >= LOGINS_MAX {
            all.retain(|_, (began, _)| now.saturating_duration_since(*began) < LOGIN_MAX);
        }
        if all.len() >= LOGINS_MAX {
            let oldest = all.iter().min_by_key(|(_, (began, _))| *began).map(|(key, _)| *key);
            all.remove(&oldest.unwrap_or_default());
        }
        all.insert(key(state), (now, begun));
    }

    /// Takes one out, if this browser began it lately.
    pub(super) fn take(&self, state: &str, cookie: &str, now: Instant) -> Option<Begun> {
        let (since, begun) = self.begun.lock().remove(&key(state))?;
        let is_here = key(cookie) == key(&begun.cookie);
        (is_here && now.saturating_duration_since(since) < LOGIN_MAX).then_some(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(to: &str) -> Begun {
        Begun {
            cookie: "cookie".to_owned(),
            nonce: Nonce::new("n".to_owned()),
            verifier: PkceCodeVerifier::new("v".repeat(43)),
            to: to.to_owned(),
            redirect: String::new(),
        }
    }

    #[test]
    fn a_sign_in_ends_once_in_its_browser_and_in_time() {
        let pending = Pending::default();
        let now = Instant::now();
        let taken = |cookie: &str, at| pending.take("state", cookie, at).map(|begun| begun.to);
        pending.add("state", begun("/"), now);
        assert_eq!(taken("cookie", now).as_deref(), Some("/"));
        assert_eq!(taken("cookie", now), None);
        pending.add("state", begun("/"), now);
        assert_eq!(taken("another", now), None);
        assert_eq!(taken("cookie", now), None, "a state that was tried is spent");
        pending.add("state", begun("/"), now);
        assert_eq!(taken("cookie", now + LOGIN_MAX), None);
    }

    #[test]
    fn beyond_the_room_the_oldest_ends() {
        let pending = Pending::default();
        let now = Instant::now();
        for number in 0..=LOGINS_MAX {
            pending.add(
                &number.to_string(),
                begun("/"),
                now + Duration::from_millis(number as u64),
            );
        }
        assert_eq!(pending.begun.lock().len(), LOGINS_MAX);
        assert!(pending.take("0", "cookie", now).is_none());
        assert!(pending.take("1", "cookie", now).is_some());
    }
}
