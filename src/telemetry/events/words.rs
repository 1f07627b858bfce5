//! The same events in sentences, for the journal: what happened, and what helps at three in the morning.

use crate::core::fleet::guard;
use crate::core::recovery::health::BreakerState;
use crate::telemetry::events::care::{
    DeletedByPolicy, EndNear, InactivityWarning, KeptAlive, LoginChanged, RebuildingGivenUp, Rebuilt, StandingChanged,
};
use crate::telemetry::events::process::{
    ConfigRefused, ConfigReloaded, DrainChange, DrainChanged, RequestsCutOff, UsageStoreFailing, UsageStoreRecovered,
};
use crate::telemetry::events::{AlarmRaised, BreakerChanged, BreakerOf, LimitChanged, RequestShed};
use crate::telemetry::journal::{EventKind, Note, Severity};

impl BreakerChanged<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let (what, name) = match self.of {
            BreakerOf::Deployment(id) => ("deployment", &***id),
            BreakerOf::Resource(id) => ("resource", &***id),
        };
        let cause = self.cause.replace('_', " ");
        match self.state {
            BreakerState::Open => {
                let text = format!(
                    "the {what} {name} gets no requests until a probe succeeds: too many attempts failed ({cause})"
                );
                Note::new(Severity::Warn, EventKind::Breaker, text)
                    .of(name)
                    .advise("requests go elsewhere and it is tried again by itself; if this repeats, look at Azure's status or drain it")
            }
            BreakerState::HalfOpen => {
                let text = format!("the {what} {name} is tried again with one request");
                Note::new(Severity::Info, EventKind::Breaker, text).of(name)
            }
            BreakerState::Closed => {
                let text = format!("the {what} {name} works and gets requests again");
                Note::new(Severity::Info, EventKind::Breaker, text).of(name)
            }
        }
    }
}

impl AlarmRaised<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let what = self.alarm.as_ref().replace('_', " ");
        let text = format!("{} cannot work until somebody mends this: {what}", self.deployment);
        Note::new(Severity::Error, EventKind::Alarm, text)
            .of(self.deployment)
            .advise(self.alarm.advice())
    }
}

impl LimitChanged<'_> {
    /// In words, where the limit is lower than configured.
    pub(super) fn note(&self, configured: f64) -> Note {
        let (deployment, after) = (self.deployment, self.after);
        let text = format!("{deployment} takes {after:.0} tokens a minute, configured are {configured:.0}");
        Note::new(Severity::Warn, EventKind::Throttle, text)
            .of(deployment)
            .advise("set `capacity` to what the deployment has in Azure, or give it its capacity back")
    }
}

impl RequestShed {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = format!(
            "requests are turned away with 503 for the gateway's own sake: `limits` ({}) is reached",
            self.reason.replace('_', " ")
        );
        Note::new(Severity::Error, EventKind::Overload, text)
            .advise("add a gateway or processors; while this lasts clients that try again after a moment are served")
    }
}

impl ConfigReloaded<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = format!("a changed configuration is in use, number {}", self.generation);
        Note::new(Severity::Info, EventKind::Reload, text)
    }
}

impl ConfigRefused<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = format!(
            "the configuration on disk is refused, the older one stays in use: {}",
            self.error
        );
        Note::new(Severity::Error, EventKind::Config, text)
            .advise("run `emberway check` on the file and mend what it names; the gateway takes it up by itself")
    }
}

impl UsageStoreFailing<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = format!("usage records cannot be written and wait in memory: {}", self.error);
        Note::new(Severity::Error, EventKind::Store, text).advise(
            "look at the disk of `usage.path`: is it full, read-only or slow? When the queue is full records are lost",
        )
    }
}

impl UsageStoreRecovered {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = match self.dropped {
            0 => "usage records are written again, and none was lost".to_owned(),
            dropped => format!("usage records are written again; {dropped} were lost"),
        };
        Note::new(Severity::Info, EventKind::Store, text)
    }
}

impl RequestsCutOff {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let (running, limit_s) = (self.running, self.limit.as_secs());
        let text = format!("{running} requests that still ran after {limit_s} s of draining are cut off");
        Note::new(Severity::Warn, EventKind::Process, text)
            .advise("raise `shutdown.drain` above the longest answer, and what stops the process above that")
    }
}

impl DrainChanged<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let (kind, name) = (self.kind, self.name);
        let text = match (self.change, self.lasting) {
            (DrainChange::Began, Some(lasting)) => {
                format!(
                    "the {kind} {name} is drained for {} s: it gets no new requests",
                    lasting.as_secs()
                )
            }
            (DrainChange::Began, None) => format!("the {kind} {name} is drained until it is put back"),
            (DrainChange::Undone, _) => format!("the {kind} {name} is put back and gets requests"),
            (DrainChange::Expired, _) => format!("the drain of the {kind} {name} is over, and it gets requests"),
            (DrainChange::Forgotten, _) => format!("the {kind} {name} was drained and is no longer configured"),
        };
        Note::new(Severity::Info, EventKind::Drain, text).of(name)
    }
}

impl StandingChanged<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let deployment = self.deployment;
        let note = if self.absence.is_some() {
            let text = format!("{deployment} gets no requests: it {}", self.why);
            Note::new(Severity::Warn, EventKind::Fleet, text)
                .advise("`emberway fleet plan` tells what would bring it back")
        } else {
            let text = format!("{deployment} gets requests: Azure shows it in order");
            Note::new(Severity::Info, EventKind::Fleet, text)
        };
        note.of(deployment)
    }
}

impl Rebuilt<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let deployment = self.deployment;
        let note = match self.error {
            None => Note::new(
                Severity::Info,
                EventKind::Fleet,
                format!("{deployment} was lost and is being made again"),
            ),
            Some(error) => Note::new(
                Severity::Warn,
                EventKind::Fleet,
                format!("{deployment} was lost and cannot be made again: {error}"),
            )
            .advise("it is tried again; look at the quota and the role of the gateway's identity"),
        };
        note.of(deployment)
    }
}

impl RebuildingGivenUp<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let text = format!("{} is lost and will not be made again by itself", self.deployment);
        let advice = if self.writes {
            "look at it with `emberway fleet plan`"
        } else {
            "`azure.writes` is false: allow writes, or make it again with `emberway fleet apply`"
        };
        Note::new(Severity::Error, EventKind::Fleet, text)
            .of(self.deployment)
            .advise(advice)
    }
}

impl EndNear<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let severity = if self.is_fading {
            Severity::Error
        } else {
            Severity::Warn
        };
        Note::new(
            severity,
            EventKind::Guard,
            format!("{}: {}", self.deployment, self.sentence),
        )
        .of(self.deployment)
    }
}

impl InactivityWarning<'_> {
    /// In words; nothing where nothing is near.
    pub(super) fn note(&self) -> Option<Note> {
        let severity = match self.alarm {
            guard::Alarm::None => return None,
            guard::Alarm::Soon => Severity::Warn,
            guard::Alarm::Urgent | guard::Alarm::Overdue => Severity::Error,
        };
        let text = format!("{}: {}", self.deployment, self.sentence);
        Some(Note::new(severity, EventKind::Guard, text).of(self.deployment))
    }
}

impl KeptAlive<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let deployment = self.deployment;
        let note = match self.error {
            None => Note::new(
                Severity::Info,
                EventKind::Guard,
                format!("{deployment} was called so that Azure does not delete it"),
            ),
            Some(error) => Note::new(
                Severity::Warn,
                EventKind::Guard,
                format!("a call to keep {deployment} alive failed and is tried again: {error}"),
            ),
        };
        note.of(deployment)
    }
}

impl DeletedByPolicy<'_> {
    /// In words.
    pub(super) fn note(&self) -> Note {
        let deployment = self.deployment;
        let note = match self.error {
            None => Note::new(
                Severity::Info,
                EventKind::Guard,
                format!("{deployment} was idle for as long as its policy says, and is deleted"),
            ),
            Some(error) => Note::new(
                Severity::Warn,
                EventKind::Guard,
                format!("{deployment} cannot be deleted, as its policy says: {error}"),
            ),
        };
        note.of(deployment)
    }
}

impl LoginChanged<'_> {
    /// In words, where there is no token.
    pub(super) fn note(&self, error: &dyn std::error::Error) -> Note {
        let text = format!("there is no token for requests to {}: {error}", self.resource);
        Note::new(Severity::Error, EventKind::Alarm, text)
            .of(self.resource)
            .advise("look at the gateway's identity and at Microsoft Entra ID; the token of before is used while it is valid")
    }
}
