//! Who is signed in: sessions in memory, known by the hash of a random id. They end with the process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::admin::access::{Caller, Carried};
use crate::admin::page::hex;

/// Longest life of a session: a working day.
const LIFE_MAX: Duration = Duration::from_hours(12);

/// Longest time between two requests of a session. A page that is open asks all the time.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// Sessions at one time; one more ends the one that was idle longest.
const SESSIONS_MAX: usize = 1_000;

/// Those that are signed in.
#[derive(Default)]
pub(super) struct Sessions {
    kept: Mutex<HashMap<[u8; 32], Session>>,
}

struct Session {
    caller: Caller,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= LIFE_MAX || now.saturating_duration_since(self.used) >= IDLE_MAX
    }
}

impl Sessions {
    /// Begins a session and gives its id: 256 random bits in hexadecimal.
    pub(super) fn begin(&self, caller: Caller, now: Instant) -> String {
        let id = hex(&rand::random::<[u8; 32]>());
        let mut kept = self.kept.lock();
        if kept.len() >= SESSIONS_MAX {
            kept.retain(|_, session| !session.is_over(now));
        }
        if kept.len() >= SESSIONS_MAX {
            let longest_idle = kept.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            kept.remove(&longest_idle.unwrap_or_default());
        }
        let session = Session {
            caller: Caller {
                carried: Carried::Cookie,
                ..caller
            },
            began: now,
            used: now,
        };
        kept.insert(key(&id), session);
        id
    }

    /// Whose session this is, which is used by that.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Caller> {
        let key = key(id);
        let mut kept = self.kept.lock();
        let session = kept.get_mut(&key)?;
        if session.is_over(now) {
            kept.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.caller.clone())
    }

    /// Ends a session, if there is one.
    pub(super) fn end(&self, id: &str) {
        self.kept.lock().remove(&key(id));
    }
}

/// What is kept of an id: whoever reads memory cannot use it, and looking it up tells nothing by its time.
pub(super) fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::access::Voucher;
    use crate::config::checked::admin::Role;

    fn caller(name: &str) -> Caller {
        Caller {
            name: name.into(),
            role: Role::Operator,
            by: Voucher::Token,
            carried: Carried::Header,
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_old_or_ended() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let almost = |time: Duration| time.saturating_sub(Duration::from_secs(1));
        let id = sessions.begin(caller("ada"), now);
        assert_eq!(id.len(), 64);
        let found = sessions.find(&id, now + almost(IDLE_MAX)).expect("signed in");
        assert_eq!((&*found.name, found.carried), ("ada", Carried::Cookie));
        assert_eq!(sessions.find(&id, now + almost(IDLE_MAX) + IDLE_MAX), None);

        let id = sessions.begin(caller("ada"), now);
        let mut at = now;
        while at < now + almost(LIFE_MAX) {
            assert!(sessions.find(&id, at).is_some(), "{:?}", at - now);
            at += IDLE_MAX / 2;
        }
        assert_eq!(sessions.find(&id, now + LIFE_MAX), None);

        let id = sessions.begin(caller("ada"), now);
        sessions.end(&id);
        assert_eq!(sessions.find(&id, now), None);
        assert_eq!(sessions.find("", now), None);
    }

    #[test]
    fn beyond_the_room_the_one_idle_longest_ends() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let later = |seconds: usize| now + Duration::from_millis(seconds as u64);
        let ids: Vec<String> = (0..SESSIONS_MAX)
            .map(|number| sessions.begin(caller("ada"), later(number)))
            .collect();
        assert!(sessions.find(&ids[0], later(SESSIONS_MAX)).is_some());
        let last = sessions.begin(caller("ada"), later(SESSIONS_MAX));
        assert!(sessions.find(&ids[1], later(SESSIONS_MAX)).is_none());
        for id in [&ids[0], &ids[2], &last] {
            assert!(sessions.find(id, later(SESSIONS_MAX)).is_some());
        }
        assert_eq!(sessions.kept.lock().len(), SESSIONS_MAX);
    }
}
