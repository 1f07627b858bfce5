//! What Azure's control plane says against a deployment: it is gone, paused, not there yet, or about to end, and what part of its
//! weight it has until then.
//!
//! Whoever watches the control plane sets the mark; a request reads it without a lock. An absent deployment gets no new requests,
//! whatever else is known of it; those that run there go on. Before the watcher has spoken nobody is absent: requests find out by
//! themselves, and what they learn is health ([`health`](super::health)), which ends by itself. This does not.

use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use serde::Serialize;
use strum::{AsRefStr, FromRepr, IntoStaticStr, VariantArray};

/// Why a deployment gets no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, FromRepr, AsRefStr, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Absence {
    /// Azure has no such deployment: it was deleted, or never created.
    Missing = 1,
    /// It is being made, or was a moment ago and the data plane does not know it yet.
    Provisioning,
    /// It was to be made, and Azure failed.
    Failed,
    /// It is being deleted.
    Deleting,
    /// Somebody has paused it.
    Paused,
    /// Azure has disabled it.
    Disabled,
    /// It ends soon, by its type's own clock or its model's retirement, and others carry its load.
    Ending,
    /// Its model is retired.
    Retired,
    /// It has another model than the others of a pool.
    Unlike,
}

impl Absence {
    /// What is said of such a deployment, after its name.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "does not exist",
            Self::Provisioning => "is being made and will be ready in some minutes",
            Self::Failed => "could not be made; the gateway's operator must look at it",
            Self::Deleting => "is being deleted",
            Self::Paused => "is paused; the gateway's operator can resume it",
            Self::Disabled => "is disabled by Azure; the gateway's operator must look at it",
            Self::Ending => "is about to end",
            Self::Retired => "has a model that is retired; the gateway's operator must deploy a newer one",
            Self::Unlike => "has another model than this route's; the gateway's operator must look at it",
        }
    }
}

/// Whether a deployment is absent, and how much of its weight it has else.
#[derive(Debug)]
pub struct AbsenceMark {
    why: AtomicU8,
    /// Thousandths of its own weight.
    share: AtomicU16,
}

impl Default for AbsenceMark {
    /// There, with all of its weight.
    fn default() -> Self {
        Self {
            why: AtomicU8::new(0),
            share: AtomicU16::new(1_000),
        }
    }
}

impl AbsenceMark {
    /// Why it is absent, if it is.
    pub fn get(&self) -> Option<Absence> {
        Absence::from_repr(self.why.load(Ordering::Relaxed))
    }

    /// What part of its own weight it has: more than 0, at most 1.
    pub fn share(&self) -> f64 {
        f64::from(self.share.load(Ordering::Relaxed)) / 1_000.0
    }

    /// Sets that part. Who is to get nothing is absent instead.
    pub fn set_share(&self, share: f64) {
        let thousandths = (share * 1_000.0).clamp(1.0, 1_000.0);
        self.share.store(thousandths as u16, Ordering::Relaxed);
    }

    /// Marks it. Returns what it was before.
    pub fn set(&self, absence: Option<Absence>) -> Option<Absence> {
        let before = self
            .why
            .swap(absence.map_or(0, |absence| absence as u8), Ordering::Relaxed);
        Absence::from_repr(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_what_it_was_given() {
        let mark = AbsenceMark::default();
        assert_eq!(mark.get(), None);
        let mut before = None;
        for absence in Absence::VARIANTS {
            assert_eq!(mark.set(Some(*absence)), before);
            assert_eq!(mark.get(), Some(*absence));
            before = Some(*absence);
        }
        assert_eq!(mark.set(None), before);
        assert_eq!(mark.get(), None);
        let thousandths = |mark: &AbsenceMark| (mark.share() * 1_000.0).round() as u32;
        assert_eq!(thousandths(&mark), 1_000);
        for (set, got) in [(0.25, 250), (0.0, 1), (7.0, 1_000)] {
            mark.set_share(set);
            assert_eq!(thousandths(&mark), got);
        }
    }
}
