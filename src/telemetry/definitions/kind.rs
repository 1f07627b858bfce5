//! What a metric can be, how one is written down, and the buckets that histograms have.

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name as exposed.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, one sentence or two.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only ever grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// OpenTelemetry's bounds for `gen_ai.client.operation.duration`, doubled on to reach the ten minutes that SDKs wait.
pub const ANSWER_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
];

/// From a good gateway's 10 µs to one that is noticed.
pub const OVERHEAD_SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
];

/// From a timer's own coarseness to an overload that everybody has noticed.
pub const DELAY_SECONDS: &[f64] = &[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

pub(super) const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

pub(super) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

pub(super) const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition {
        name,
        kind: Kind::Histogram(buckets),
        labels,
        help,
    }
}
