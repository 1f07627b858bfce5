//! What happens by itself, and when: operations end, deployments become known, sit idle too long, reach their day, and retire.

use crate::simulator::arm::bill::End;
use crate::simulator::arm::entry::{Entry, Phase};
use crate::simulator::arm::operation::{Kind, Status};
use crate::simulator::arm::plane::{Plane, State};
use crate::simulator::arm::time;
use crate::simulator::scenario::Sku;

/// Something that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at_ms: u64,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// An operation ends.
    Ends(String),
    /// Something happens to a deployment.
    To { account: usize, key: String, what: Fate },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The data plane learns of it.
    Serves,
    /// Nobody used it for too long.
    Idle,
    /// Its day is over.
    DayOver,
    /// Its model retires.
    Retires,
}

impl Plane {
    /// The first event that is due at any time; of several at once, operations first.
    pub(super) fn next_event(&self, state: &State) -> Option<Event> {
        let ends = state.operations.under_way().map(|operation| Event {
            at_ms: operation.ends_ms,
            what: What::Ends(operation.id.clone()),
        });
        let fates = state.entries.iter().enumerate().flat_map(|(account, entries)| {
            entries.iter().filter_map(move |(key, entry)| {
                let (at_ms, what) = self.fate(entry)?;
                let key = key.clone();
                Some(Event {
                    at_ms,
                    what: What::To { account, key, what },
                })
            })
        });
        ends.chain(fates).min_by_key(|event| event.at_ms)
    }

    /// When a deployment ends by itself if nobody does anything.
    pub(super) fn ends_ms(&self, entry: &Entry) -> Option<u64> {
        self.end(entry).map(|(at, _)| at)
    }

    /// How and when it does.
    fn end(&self, entry: &Entry) -> Option<(u64, Fate)> {
        let rules = &self.settings.rules;
        let is = &entry.in_force;
        if is.sku == Sku::DeveloperTier {
            let hours = rules.developer_hours * time::HOUR_MS as f64;
            Some((entry.created_ms + hours as u64, Fate::DayOver))
        } else if is.fine_tuned {
            let days = rules.inactivity_days * time::DAY_MS as f64;
            // More than so many days: on the dot it is still safe.
            Some((entry.last_use_ms() + days as u64 + 1, Fate::Idle))
        } else {
            None
        }
    }

    /// What happens to a deployment next if nobody does anything.
    fn fate(&self, entry: &Entry) -> Option<(u64, Fate)> {
        let serves = entry.serves_from_ms.filter(|_| entry.served.is_none());
        let serves = serves.map(|at| (at, Fate::Serves));
        if !matches!(entry.phase, Phase::Ready | Phase::Updating) {
            return serves;
        }
        let is = &entry.in_force;
        let ends = self.end(entry);
        let family = self.catalogue.family(&is.base).filter(|_| !entry.retired);
        let retires = family.and_then(|family| family.retires_ms(is.fine_tuned));
        // One that retired before this world began is found retired once it serves.
        let serves_from = entry.serves_from_ms.unwrap_or(entry.created_ms);
        let retires = retires.map(|at| (at.max(serves_from), Fate::Retires));
        [serves, ends, retires].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn happen(&self, state: &mut State, event: Event) {
        let at_ms = event.at_ms;
        match event.what {
            What::Ends(id) => self.end_operation(state, &id),
            What::To { account, key, what } => match what {
                Fate::Idle => {
                    self.remove(state, account, &key, at_ms, End::Inactivity);
                }
                Fate::DayOver => {
                    self.remove(state, account, &key, at_ms, End::DeveloperTier);
                }
                Fate::Serves | Fate::Retires => {
                    if let Some(entry) = state.entries[account].get_mut(&key) {
                        entry.retired |= what == Fate::Retires;
                        self.publish(account, entry, at_ms);
                    }
                }
            },
        }
    }

    fn end_operation(&self, state: &mut State, id: &str) {
        let Some(operation) = state.operations.end(id) else {
            return;
        };
        let (account, at_ms) = (operation.account, operation.ends_ms);
        let succeeded = operation.status == Status::Succeeded;
        if operation.kind == Kind::Delete && succeeded {
            self.remove(state, account, &operation.key, at_ms, End::Request);
            return;
        }
        // It may have gone by itself meanwhile.
        let Some(entry) = state.entries[account].get_mut(&operation.key) else {
            return;
        };
        entry.phase = match (operation.kind, succeeded) {
            (Kind::Create, false) => Phase::Failed,
            _ if !operation.is_exclusive => entry.phase,
            _ => Phase::Ready,
        };
        if succeeded {
            entry.in_force = entry.desired.clone();
        } else if operation.is_exclusive {
            entry.desired = entry.in_force.clone();
        }
        if operation.kind == Kind::Create && succeeded {
            entry.serves_from_ms = Some(at_ms + time::of_seconds(self.settings.durations.propagation_s));
        }
        self.publish(account, entry, at_ms);
    }
}
