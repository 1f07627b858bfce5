//! What an operator has taken out: a deployment, all of a resource's, or all of a region's, until told otherwise or for a time.
//!
//! Drains are kept by name, so they outlive a reload for every name that stays. [`DrainMark`] is what one deployment has of them: a request
//! reads it without a lock. A drained deployment gets no new requests, whatever else happens; those that run there go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use crate::core::topology::{DeploymentIx, Snapshot};

/// What a drain's name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DrainKind {
    /// One deployment, `resource/name`.
    Deployment,
    /// Every deployment of a resource.
    Resource,
    /// Every deployment of every resource in a region.
    Region,
}

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DrainTarget {
    /// What the name is of.
    pub kind: DrainKind,
    /// The name.
    pub name: String,
}

impl DrainTarget {
    /// Whether it takes this deployment out.
    pub fn takes(&self, snapshot: &Snapshot, deployment: DeploymentIx) -> bool {
        let deployment = &snapshot.deployments[deployment.0];
        let resource = &snapshot.resources[deployment.resource.0];
        let name: &str = match self.kind {
            DrainKind::Deployment => &deployment.id,
            DrainKind::Resource => &resource.id,
            DrainKind::Region => &resource.region,
        };
        self.name == name
    }

    /// Whether the configuration knows the name.
    pub fn is_known(&self, snapshot: &Snapshot) -> bool {
        (0..snapshot.deployments.len()).any(|at| self.takes(snapshot, DeploymentIx(at)))
    }

    /// The names of its kind that the configuration knows and that have a deployment, sorted.
    pub fn known_names(kind: DrainKind, snapshot: &Snapshot) -> Vec<String> {
        let name_of = |deployment: &crate::core::topology::Deployment| {
            let resource = &snapshot.resources[deployment.resource.0];
            match kind {
                DrainKind::Deployment => deployment.id.to_string(),
                DrainKind::Resource => resource.id.to_string(),
                DrainKind::Region => resource.region.to_string(),
            }
        };
        let mut names: Vec<String> = snapshot.deployments.iter().map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// How long a deployment is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainEnd {
    /// Until then.
    At(Instant),
    /// Until it is put back.
    WhenUndone,
}

impl DrainEnd {
    /// Whether it has come.
    pub fn is_over(self, now: Instant) -> bool {
        matches!(self, Self::At(until) if until <= now)
    }

    /// When that is; none until it is put back.
    pub fn time(self) -> Option<Instant> {
        match self {
            Self::At(until) => Some(until),
            Self::WhenUndone => None,
        }
    }

    /// The sooner of two.
    pub fn sooner(self, other: Self) -> Self {
        match (self.time(), other.time()) {
            (Some(one), Some(two)) => Self::At(one.min(two)),
            (Some(_), None) => self,
            (None, _) => other,
        }
    }

    /// The later of two.
    fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(one), Self::At(two)) => Self::At(one.max(two)),
            _ => Self::WhenUndone,
        }
    }
}

/// One drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// What is taken out.
    pub target: DrainTarget,
    /// For how long.
    pub end: DrainEnd,
}

/// All drains, in the order in which they began. There is at most one of a target, so there are no more than names.
#[derive(Debug, Default)]
pub struct Drains {
    all: Vec<Drain>,
}

impl Drains {
    /// All of them.
    pub fn all(&self) -> &[Drain] {
        &self.all
    }

    /// Begins a drain; one of the same target gets the new end.
    pub fn begin(&mut self, drain: Drain) {
        match self.all.iter_mut().find(|known| known.target == drain.target) {
            Some(known) => known.end = drain.end,
            None => self.all.push(drain),
        }
    }

    /// Undoes the drain of this target. False where there is none.
    pub fn undo(&mut self, target: &DrainTarget) -> bool {
        let before = self.all.len();
        self.all.retain(|drain| drain.target != *target);
        self.all.len() < before
    }

    /// Drops what is over, and returns it.
    pub fn expire(&mut self, now: Instant) -> Vec<Drain> {
        self.all.extract_if(.., |drain| drain.end.is_over(now)).collect()
    }

    /// Drops what the configuration does not know any more, and returns it.
    pub fn forget_unknown(&mut self, snapshot: &Snapshot) -> Vec<Drain> {
        self.all
            .extract_if(.., |drain| !drain.target.is_known(snapshot))
            .collect()
    }

    /// How long a deployment is taken out; none if it is not. Of several drains the one that ends last counts.
    pub fn of(&self, snapshot: &Snapshot, deployment: DeploymentIx) -> Option<DrainEnd> {
        let takes = |drain: &&Drain| drain.target.takes(snapshot, deployment);
        self.all
            .iter()
            .filter(takes)
            .map(|drain| drain.end)
            .reduce(DrainEnd::later)
    }
}

/// Whether a deployment is taken out, to be read by every request. Times are kept to the millisecond.
#[derive(Debug)]
pub struct DrainMark {
    since: Instant,
    /// In milliseconds since `since`; [`NOT_DRAINED`] and [`WITHOUT_END`] apart.
    until_ms: AtomicU64,
}

const NOT_DRAINED: u64 = 0;
const WITHOUT_END: u64 = u64::MAX;

impl DrainMark {
    /// Not taken out. Ends before `since` cannot be told.
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            until_ms: AtomicU64::new(NOT_DRAINED),
        }
    }

    /// Takes it out or puts it back.
    pub fn set(&self, end: Option<DrainEnd>) {
        let until_ms = match end {
            None => NOT_DRAINED,
            Some(DrainEnd::WhenUndone) => WITHOUT_END,
            Some(DrainEnd::At(until)) => {
                let after = until.saturating_duration_since(self.since);
                u64::try_from(after.as_millis()).map_or(WITHOUT_END, |ms| ms.saturating_add(1))
            }
        };
        self.until_ms.store(until_ms, Ordering::Relaxed);
    }

    /// How long it is taken out; none if it is not.
    pub fn get(&self, now: Instant) -> Option<DrainEnd> {
        let end = match self.until_ms.load(Ordering::Relaxed) {
            NOT_DRAINED => return None,
            WITHOUT_END => DrainEnd::WhenUndone,
            ms => DrainEnd::At(self.since + Duration::from_millis(ms)),
        };
        (!end.is_over(now)).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::topology::testing::fleet;

    fn target(kind: DrainKind, name: &str) -> DrainTarget {
        DrainTarget {
            kind,
            name: name.to_owned(),
        }
    }

    fn drain(kind: DrainKind, name: &str, end: DrainEnd) -> Drain {
        Drain {
            target: target(kind, name),
            end,
        }
    }

    #[test]
    fn a_name_takes_all_that_is_below_it_and_the_last_end_counts() {
        let snapshot = fleet(&[
            ("a", "north", &["x", "y"]),
            ("b", "north", &["x"]),
            ("c", "south", &["x"]),
        ]);
        let now = Instant::now();
        let (soon, later) = (now + Duration::from_secs(5), now + Duration::from_secs(9));
        let mut drains = Drains::default();
        drains.begin(drain(DrainKind::Deployment, "a/x", DrainEnd::At(later)));
        drains.begin(drain(DrainKind::Region, "north", DrainEnd::At(soon)));
        let ends = |drains: &Drains| [0, 1, 2, 3].map(|at| drains.of(&snapshot, DeploymentIx(at)));
        let (at_soon, at_later) = (Some(DrainEnd::At(soon)), Some(DrainEnd::At(later)));
        assert_eq!(ends(&drains), [at_later, at_soon, at_soon, None]);
        drains.begin(drain(DrainKind::Resource, "a", DrainEnd::WhenUndone));
        let for_good = Some(DrainEnd::WhenUndone);
        assert_eq!(ends(&drains), [for_good, for_good, at_soon, None]);
        assert!(drains.undo(&target(DrainKind::Resource, "a")));
        assert!(!drains.undo(&target(DrainKind::Resource, "a")));
        assert_eq!(drains.expire(soon).len(), 1);
        assert_eq!(ends(&drains), [at_later, None, None, None]);
        // The same again has the new end, earlier or not.
        drains.begin(drain(DrainKind::Deployment, "a/x", DrainEnd::At(soon)));
        assert_eq!((ends(&drains)[0], drains.all().len()), (at_soon, 1));
    }

    #[test]
    fn what_is_not_configured_any_more_is_forgotten() {
        let mut drains = Drains::default();
        for name in ["north", "south"] {
            drains.begin(drain(DrainKind::Region, name, DrainEnd::WhenUndone));
        }
        let gone = drains.forget_unknown(&fleet(&[("c", "south", &["x"])]));
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].target.name, "north");
        assert_eq!(drains.all()[0].target.name, "south");
    }

    #[test]
    fn known_names_are_told_once_each() {
        let snapshot = fleet(&[("b", "north", &["x"]), ("a", "north", &["x", "y"])]);
        let names = |kind| DrainTarget::known_names(kind, &snapshot).join(" ");
        assert_eq!(names(DrainKind::Deployment), "a/x a/y b/x");
        assert_eq!(names(DrainKind::Resource), "a b");
        assert_eq!(names(DrainKind::Region), "north");
    }

    #[test]
    fn a_mark_ends_by_itself() {
        let since = Instant::now();
        let mark = DrainMark::new(since);
        assert_eq!(mark.get(since), None);
        mark.set(Some(DrainEnd::At(since + Duration::from_secs(5))));
        assert!(mark.get(since + Duration::from_millis(4_999)).is_some());
        assert_eq!(mark.get(since + Duration::from_millis(5_001)), None);
        mark.set(Some(DrainEnd::WhenUndone));
        assert_eq!(
            mark.get(since + Duration::from_secs(1 << 40)),
            Some(DrainEnd::WhenUndone)
        );
        mark.set(None);
        assert_eq!(mark.get(since), None);
    }
}
