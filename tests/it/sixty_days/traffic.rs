//! Who asks which deployment when, and what somebody who had known all of it would have sent.

use emberway::core::fleet::backoff::{seed_of, spread};

use crate::sixty_days::{DAY_MS, Gateway, MINUTE_MS, STEP_MS};

const HOUR_MS: i64 = 60 * MINUTE_MS;
const RULE_MS: i64 = 15 * DAY_MS;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Every three hours, by a pool: with [`Kind::Spare`].
    Busy,
    /// Of the same pool, which asks it only when it is told to.
    Spare,
    /// Some hours of requests, then nothing for up to so many days.
    Bursty(i64),
    Weekly,
    Dead,
}

/// Ten deployments, with their age in days when the sixty begin.
pub(super) const FLEET: [(Kind, i64); 10] = [
    (Kind::Busy, 0),
    (Kind::Spare, 4),
    (Kind::Bursty(9), 3),
    (Kind::Bursty(20), 8),
    (Kind::Bursty(25), 1),
    (Kind::Weekly, 5),
    (Kind::Dead, 12),
    (Kind::Dead, 7),
    (Kind::Dead, 2),
    (Kind::Dead, 10),
];

pub(super) struct Subject {
    kind: Kind,
    /// `resource/name`.
    id: String,
    created_at_ms: i64,
    next_burst_ms: i64,
    /// Successes of requests that clients sent.
    organic: Vec<i64>,
}

pub(super) fn id_of(at: usize) -> String {
    format!("{}/ft{at}", if at.is_multiple_of(2) { "east" } else { "west" })
}

pub(super) fn subjects(began_ms: i64) -> Vec<Subject> {
    let subject = |(at, (kind, age)): (usize, (Kind, i64))| Subject {
        kind,
        id: id_of(at),
        created_at_ms: began_ms - age * DAY_MS,
        next_burst_ms: DAY_MS,
        organic: Vec::new(),
    };
    FLEET.into_iter().enumerate().map(subject).collect()
}

impl Subject {
    /// Whether a client's request comes in the step that begins so long after the beginning.
    fn is_asked(&mut self, since_ms: i64) -> bool {
        match self.kind {
            Kind::Dead | Kind::Spare => false,
            Kind::Busy => since_ms % (3 * HOUR_MS) == 0,
            Kind::Weekly => since_ms % (7 * DAY_MS) == 3 * HOUR_MS,
            Kind::Bursty(most_days) => {
                if since_ms >= self.next_burst_ms + 3 * HOUR_MS {
                    let step = (since_ms / STEP_MS).unsigned_abs();
                    let gap = spread(seed_of(&[&self.id]) ^ step) * (most_days * DAY_MS) as f64;
                    self.next_burst_ms = since_ms + gap as i64;
                }
                since_ms >= self.next_burst_ms
            }
        }
    }

    /// Keepalives that somebody would have sent who knew all traffic: one for each whole 15 days of a gap that end before it does.
    pub(super) fn least(&self, end_ms: i64) -> i64 {
        let mut since = self.created_at_ms;
        let mut least = 0;
        for at in self.organic.iter().copied().chain([end_ms]) {
            least += ((at - since - 1) / RULE_MS).max(0);
            since = at;
        }
        least
    }
}

/// Clients' requests of one step, by whichever gateway is up. The pool's goes to the spare one where that is wanted.
pub(super) async fn pass(subjects: &mut [Subject], gateways: &[Option<Gateway>; 2], now_ms: i64, since_ms: i64) {
    for at in 0..subjects.len() {
        let is_asked = subjects[at].is_asked(since_ms);
        let Some(gateway) = gateways.iter().flatten().next().filter(|_| is_asked) else {
            continue;
        };
        let spare = subjects.iter().position(|subject| subject.kind == Kind::Spare);
        let is_wanted = |spare: &usize| {
            gateways
                .iter()
                .flatten()
                .any(|gateway| gateway.replica.takes_wish(&id_of(*spare)))
        };
        let target = spare
            .filter(|_| subjects[at].kind == Kind::Busy)
            .filter(is_wanted)
            .unwrap_or(at);
        if gateway.replica.ask(&subjects[target].id).await {
            subjects[target].organic.push(now_ms);
        }
    }
}
