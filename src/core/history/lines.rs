//! Requests of ten seconds, added up by route, client and deployment, and by each alone, so that a question reads no more than it needs.
//!
//! The number of lines of a kind is bounded: what would be one too many is added to a line named `(other)`, while all the other kinds
//! stay exact. A request costs some two microseconds here; it is not on its way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::core::history::ask::{By, Filter, Latency};
use crate::core::history::sums::{OTHER, Sums};
use crate::core::history::times::Times;
use crate::core::ids::{DeploymentId, Region};
use crate::core::ledger::bill::RequestCost;
use crate::core::ledger::finished::Finished;

/// Lines of a kind in one interval.
pub const LINES_MAX: usize = 500;
/// The deployment of requests that none was asked for.
pub const NONE: &str = "(none)";

/// What lines are by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// All requests in one line.
    All,
    /// Each route.
    Route,
    /// Each client.
    Client,
    /// Each deployment.
    Deployment,
    /// Each route and deployment.
    Flow,
    /// Each route, client and deployment.
    Full,
}

impl Kind {
    /// All of them, those that need fewer lines first.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Route,
        Self::Client,
        Self::Deployment,
        Self::Flow,
        Self::Full,
    ];

    /// Whether its lines tell route, client and deployment apart.
    fn tells(self) -> [bool; 3] {
        match self {
            Self::All => [false, false, false],
            Self::Route => [true, false, false],
            Self::Client => [false, true, false],
            Self::Deployment => [false, false, true],
            Self::Flow => [true, false, true],
            Self::Full => [true, true, true],
        }
    }

    /// The kind with the fewest lines that tells all that is asked for.
    pub fn for_question(by: By, filter: &Filter) -> Self {
        let needs = [
            filter.route.is_some() || by == By::Route,
            filter.client.is_some() || by == By::Client,
            filter.deployment.is_some() || filter.region.is_some() || matches!(by, By::Deployment | By::Region),
        ];
        let tells_all = |kind: &&Self| kind.tells().iter().zip(needs).all(|(tells, needs)| *tells || !needs);
        Self::ALL.iter().find(tells_all).copied().unwrap_or(Self::Full)
    }

    /// By its number in the store.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// Whose a line is. Names that its kind does not tell are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is by.
    pub kind: Kind,
    /// The route.
    pub route: Arc<str>,
    /// The client.
    pub client: Arc<str>,
    /// The deployment.
    pub deployment: Arc<str>,
    /// Its region.
    pub region: Arc<str>,
}

impl Key {
    /// The line that what there is too much of goes to.
    fn other(&self, names: &Names) -> Self {
        let of = |name: &Arc<str>| Arc::clone(if name.is_empty() { name } else { &names.other });
        Self {
            kind: self.kind,
            route: of(&self.route),
            client: of(&self.client),
            deployment: of(&self.deployment),
            region: of(&self.region),
        }
    }

    /// The name that answers by this go under.
    pub fn name(&self, by: By) -> &Arc<str> {
        match by {
            // Only the line of all requests has no name at all; its route is empty.
            By::None | By::Route => &self.route,
            By::Client => &self.client,
            By::Deployment => &self.deployment,
            By::Region => &self.region,
        }
    }

    /// Whether a filter takes it, of the names that it tells.
    pub fn is_in(&self, filter: &Filter) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|want| want == name);
        is(&filter.route, &self.route)
            && is(&filter.client, &self.client)
            && is(&filter.deployment, &self.deployment)
            && is(&filter.region, &self.region)
    }
}

/// Requests that have something in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// Counts, words and money.
    pub sums: Sums,
    /// Times to the first token of streams.
    pub ttft: Times,
    /// Times to the end.
    pub total: Times,
    /// Times in the gateway itself.
    pub overhead: Times,
}

impl Line {
    /// Adds a request, and what it cost.
    fn add_request(&mut self, finished: &Finished, cost: &RequestCost) {
        self.sums.add_request(finished, cost);
        if let Some(us) = finished.record.first_token_us {
            self.ttft.record(us);
        }
        self.total.record(finished.record.total_us);
        self.overhead.record(finished.overhead_us);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        self.ttft.add(&other.ttft);
        self.total.add(&other.total);
        self.overhead.add(&other.overhead);
    }

    /// The times of one kind.
    pub fn times(&self, of: Latency) -> &Times {
        match of {
            Latency::Ttft => &self.ttft,
            Latency::Total => &self.total,
            Latency::Overhead => &self.overhead,
        }
    }
}

/// Names that stand for none, made once.
#[derive(Debug, Clone)]
struct Names {
    empty: Arc<str>,
    none: Arc<str>,
    other: Arc<str>,
}

/// The requests of one interval.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Its beginning, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    lines: HashMap<Key, Line>,
    /// Lines by kind, those for others apart.
    counts: [usize; Kind::ALL.len()],
    names: Names,
}

impl Interval {
    /// An interval without requests.
    pub fn new(start_ms: i64) -> Self {
        Self {
            start_ms,
            lines: HashMap::new(),
            counts: [0; Kind::ALL.len()],
            names: Names {
                empty: "".into(),
                none: NONE.into(),
                other: OTHER.into(),
            },
        }
    }

    /// Whether no request has ended in it.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many lines it has.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Its lines, in no order.
    pub fn lines(&self) -> impl Iterator<Item = (&Key, &Line)> {
        self.lines.iter()
    }

    /// Whether something was added to a line for others.
    pub fn has_others(&self) -> bool {
        self.counts.iter().sum::<usize>() < self.lines.len()
    }

    /// Adds a request that ended in it, and what it cost.
    pub fn add(&mut self, finished: &Finished, cost: &RequestCost) {
        let record = &finished.record;
        let decided = record.deployment.as_ref().zip(record.region.as_ref());
        for kind in Kind::ALL {
            self.line(kind, finished, decided).add_request(finished, cost);
        }
        for (index, attempt) in finished.attempts.iter().enumerate() {
            let next = finished.attempts.get(index + 1);
            let at = Some((&attempt.deployment, &attempt.region));
            for kind in Kind::ALL {
                self.line(kind, finished, at).sums.add_attempt(attempt, next);
            }
        }
    }

    fn line(&mut self, kind: Kind, finished: &Finished, at: Option<(&DeploymentId, &Region)>) -> &mut Line {
        let [route, client, deployment] = kind.tells();
        let names = &self.names;
        let name = |is_told: bool, name: &Arc<str>| Arc::clone(if is_told { name } else { &names.empty });
        let (of, region): (&Arc<str>, &Arc<str>) = at.map_or((&names.none, &names.none), |(of, region)| (of, region));
        let key = Key {
            kind,
            route: name(route, &finished.record.route),
            client: name(client, &finished.record.client),
            deployment: name(deployment, of),
            region: name(deployment, region),
        };
        let count = &mut self.counts[kind as usize];
        let key = if *count >= LINES_MAX && !self.lines.contains_key(&key) {
            key.other(&self.names)
        } else {
            key
        };
        match self.lines.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                *count += usize::from(*count < LINES_MAX);
                new.insert(Line::default())
            }
        }
    }
}

#[cfg(test)]
mod tests;
