//! The numbers of the placement rule, each with why it is what it is. How they were found is in docs/placement.md.

use std::time::Duration;

use crate::core::provider::CACHEABLE_TOKENS;

/// The rule's numbers. The defaults are what was measured best; replay may try others.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Half-life of the counters: long enough for gateways that each see a part of the traffic to agree, short enough to follow a working
    /// day.
    pub half_life: Duration,
    /// Shortest time that counters are taken to stand for, so that the first requests do not look like a flood. Longer ones let
    /// gateways begin to divide hot heads later, and so at moments further apart.
    pub window_min: Duration,
    /// Share of a deployment's limit that one home of a block may take before another is added.
    pub home_share: f64,
    /// Homes are lowered only below this part of what they are.
    pub lower: f64,
    /// Standard errors by which a load must surely need more or fewer homes.
    pub certainty: f64,
    /// How full deployments are filled by the only gateway, which knows where it spilled a conversation to.
    pub alone: Fill,
    /// The same by one of several: a spilled conversation's next turn may reach one that does not know, so spilling anything
    /// costs hits, and nothing leaves early.
    pub among_others: Fill,
    /// The provider caches nothing below so many tokens; shorter prompts are placed by load.
    pub cacheable_tokens: u32,
    /// Blocks that are remembered, all pools together.
    pub blocks: usize,
}

/// Part of a limit up to which a deployment is filled where nothing is known of the prompt: what was reported is a little old.
pub const FILL: f64 = 0.95;

/// Parts of a limit up to which deployments are filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fill {
    /// By requests that have nothing to lose: these leave a filling deployment first.
    pub new: f64,
    /// By conversations that are warm there.
    pub warm: f64,
    /// By all others, and by new ones where all deployments are that full.
    pub other: f64,
}

impl Rule {
    /// How full deployments are filled by one of so many gateways.
    pub fn fill(&self, replicas: f64) -> Fill {
        if replicas > 1.0 { self.among_others } else { self.alone }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            half_life: Duration::from_mins(7),
            window_min: Duration::from_secs(10),
            home_share: 0.13,
            lower: 0.4,
            certainty: 1.25,
            alone: Fill {
                new: 0.7,
                warm: 1.0,
                other: FILL,
            },
            among_others: Fill {
                new: FILL,
                warm: 1.0,
                other: FILL,
            },
            cacheable_tokens: CACHEABLE_TOKENS,
            blocks: 262_144,
        }
    }
}
