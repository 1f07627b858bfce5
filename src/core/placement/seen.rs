//! What was sent before of a prompt, as far as this gateway knows: what a cache could hold of it.
//!
//! Apart from a plan's own expectation, which is about the deployments that may be chosen now and begins at the key block, this
//! is for the judgement afterwards (`core::ledger::misses`): to the deployment that answers, to any, and however long ago.

use std::time::Duration;

use super::chain::Chain;
use super::heat;
use super::plan::Placement;

/// The longest beginning of a prompt that was sent before, in tokens as the chain estimates them. Each is at least the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// To the deployment in question, within its cache's life.
    pub here: u32,
    /// To any deployment, within the same time.
    pub lately: u32,
    /// To any deployment, however long ago.
    pub ever: u32,
}

impl Placement {
    /// What was sent of the prompt before, seen from a deployment by its [`rendezvous::seed`](super::rendezvous::seed) whose cache lives so
    /// long. Ask before [`Placement::sent`]. One pass over the blocks, up to the first that nobody was sent.
    pub fn seen(&self, chain: &Chain, seed: u64, cache_life: Duration, now: Duration) -> Seen {
        let tag = heat::tag(seed);
        let mut seen = Seen::default();
        let mut memory = self.memory.lock();
        for (at, &id) in chain.ids().iter().enumerate() {
            let Some(entry) = memory.heat.get(id) else { break };
            let tokens = chain.tokens(at + 1);
            let Some(last) = entry.last_sent() else { break };
            seen.ever = tokens;
            if last.is_within(now, cache_life) {
                seen.lately = tokens;
            }
            if entry.is_warm(tag, now, cache_life) {
                seen.here = tokens;
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::chain::BlockId;
    use crate::core::placement::rule::Rule;
    use crate::core::placement::view::{Ask, Member, Tier, View};
    use crate::core::topology::DeploymentIx;

    const LIFE: Duration = Duration::from_mins(10);

    fn chain(ids: &[u128]) -> Chain {
        Chain::of(ids.iter().zip(1..).map(|(&id, block)| (BlockId(id), 1_000 * block)))
    }

    /// Plans a prompt and sends it at a minute.
    fn send(placement: &Placement, ids: &[u128], seed: u64, minute: u64) {
        let members = [Member::named(DeploymentIx(0), "a", 1e9)].into_iter().collect();
        let view = View {
            tiers: [Tier { members }].into_iter().collect(),
            replicas: 1.0,
        };
        let ask = Ask {
            prompt_tokens: 2_000,
            total_tokens: 2_000,
            is_first_turn: true,
        };
        let now = Duration::from_mins(minute);
        placement.plan(&view, &chain(ids), &ask, now);
        placement.sent(&chain(ids), seed, now);
    }

    #[test]
    fn here_lately_and_ever_are_told_apart() {
        let placement = Placement::new(Rule::default());
        send(&placement, &[1, 2, 3, 4], 7, 0);
        send(&placement, &[1, 2, 3], 8, 9);
        send(&placement, &[1, 5], 7, 10);
        let seen = |ids: &[u128], seed, minute| {
            let seen = placement.seen(&chain(ids), seed, LIFE, Duration::from_mins(minute));
            (seen.here, seen.lately, seen.ever)
        };
        assert_eq!(seen(&[1, 2, 3, 4, 6], 7, 10), (4_000, 4_000, 4_000));
        assert_eq!(seen(&[1, 2, 3, 4, 6], 7, 11), (1_000, 3_000, 4_000));
        assert_eq!(seen(&[1, 2, 3, 4, 6], 8, 11), (3_000, 3_000, 4_000));
        assert_eq!(seen(&[1, 2, 3, 4, 6], 9, 11), (0, 3_000, 4_000));
        assert_eq!(seen(&[1, 2, 3, 4, 6], 7, 21), (0, 0, 4_000));
        assert_eq!(seen(&[9], 7, 10), (0, 0, 0));
    }

    #[test]
    fn what_was_planned_and_not_sent_was_not_seen() {
        let placement = Placement::new(Rule::default());
        send(&placement, &[1], 7, 0);
        let view = View::default();
        let ask = Ask {
            prompt_tokens: 2_000,
            total_tokens: 2_000,
            is_first_turn: true,
        };
        placement.plan(&view, &chain(&[1, 2]), &ask, Duration::ZERO);
        assert_eq!(placement.seen(&chain(&[1, 2]), 7, LIFE, Duration::ZERO).ever, 1_000);
    }
}
