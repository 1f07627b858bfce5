//! Lives: from when to when a deployment was there, and on which terms, by what was seen of it from time to time.
//!
//! Azure tells when a deployment was made, and nothing of one that is gone. So a life begins with its creation, to the millisecond,
//! and ends half-way between the last sight of it and the first without it. Looks are minutes apart, so that is minutes, except
//! after an outage or while the gateway was off. A change of SKU or capacity is dated likewise.

use crate::core::calendar::DAY_MS;
use crate::core::ids::DeploymentId;
use crate::core::ledger::hosting::Tenure;
use crate::core::topology::Sku;

/// A life that nobody has seen for so long, of a deployment that is not configured either, is reckoned to its last sight only.
const STALE_MS: i64 = DAY_MS;

/// A stretch of a deployment's existence on the same terms. Times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Whose.
    pub deployment: DeploymentId,
    /// Its creation or its change; its first sight where neither is known.
    pub from_ms: i64,
    /// When it was made, where that is known.
    pub created_at_ms: Option<i64>,
    /// Its SKU.
    pub sku: Sku,
    /// Its units, where it has any.
    pub capacity: Option<u32>,
    /// When it was last known to be there.
    pub seen_at_ms: i64,
    /// Its end; none while it goes on.
    pub ended_at_ms: Option<i64>,
}

/// What one look has shown of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub deployment: DeploymentId,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How it is there; none where it is not.
    pub there: Option<There>,
}

/// A deployment that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    /// When it was made, where that is known.
    pub created_at_ms: Option<i64>,
    /// Its SKU.
    pub sku: Sku,
    /// Its units, where it has any.
    pub capacity: Option<u32>,
}

/// What a sighting changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeChange {
    /// A life begins.
    Begins(Life),
    /// The life that began then goes on.
    GoesOn {
        /// When it began.
        from_ms: i64,
        /// When it was seen.
        seen_at_ms: i64,
    },
    /// The life that was believed to begin then began earlier.
    Dated {
        /// When it was believed to.
        from_ms: i64,
        /// When it was made.
        created_at_ms: i64,
    },
    /// The life that began then has ended.
    Ends {
        /// When it began.
        from_ms: i64,
        /// Its end.
        ended_at_ms: i64,
    },
}

/// What a sighting means for a deployment whose lives are these, in their order.
pub fn changes(lives: &[Life], sighting: &Sighting) -> Vec<LifeChange> {
    let (last, at_ms) = (lives.last(), sighting.at_ms);
    match (last.filter(|life| life.ended_at_ms.is_none()), sighting.there) {
        (None, None) => Vec::new(),
        (Some(life), None) => vec![ends(life, between(life.seen_at_ms, at_ms))],
        (None, Some(there)) => {
            // One that was missed for a moment was never gone.
            let ended = last.and_then(|life| life.ended_at_ms);
            let from_ms = there.created_at_ms.unwrap_or(at_ms).max(ended.unwrap_or(i64::MIN));
            vec![begins(sighting, there, from_ms)]
        }
        (Some(life), Some(there)) => goes_on(lives, life, sighting, there),
    }
}

fn goes_on(lives: &[Life], life: &Life, sighting: &Sighting, there: There) -> Vec<LifeChange> {
    let at_ms = sighting.at_ms;
    let is_anew = |created: i64| created > life.created_at_ms.unwrap_or(life.seen_at_ms);
    if let Some(created) = there.created_at_ms.filter(|created| is_anew(*created)) {
        let ended = between(life.seen_at_ms, created).min(created);
        return vec![ends(life, ended), begins(sighting, there, created)];
    }
    if (life.sku, life.capacity) != (there.sku, there.capacity) {
        let changed = between(life.seen_at_ms, at_ms).max(life.from_ms + 1);
        let there = There {
            created_at_ms: there.created_at_ms.or(life.created_at_ms),
            ..there
        };
        return vec![ends(life, changed), begins(sighting, there, changed)];
    }
    let mut changes = vec![LifeChange::GoesOn {
        from_ms: life.from_ms,
        seen_at_ms: at_ms.max(life.seen_at_ms),
    }];
    let before = lives.len().checked_sub(2).and_then(|nth| lives[nth].ended_at_ms);
    if life.created_at_ms.is_none()
        && let Some(created) = there.created_at_ms
        && created < life.from_ms
        && before.is_none_or(|before| before <= created)
    {
        changes.push(LifeChange::Dated {
            from_ms: life.from_ms,
            created_at_ms: created,
        });
    }
    changes
}

fn begins(sighting: &Sighting, there: There, from_ms: i64) -> LifeChange {
    LifeChange::Begins(Life {
        deployment: sighting.deployment.clone(),
        from_ms,
        created_at_ms: there.created_at_ms,
        sku: there.sku,
        capacity: there.capacity,
        seen_at_ms: sighting.at_ms.max(from_ms),
        ended_at_ms: None,
    })
}

fn ends(life: &Life, ended_at_ms: i64) -> LifeChange {
    LifeChange::Ends {
        from_ms: life.from_ms,
        ended_at_ms: ended_at_ms.max(life.from_ms),
    }
}

/// Half-way; never before the first.
fn between(one_ms: i64, other_ms: i64) -> i64 {
    one_ms + (other_ms - one_ms).max(0) / 2
}

/// Lives as hosting is reckoned by them, with what an hour of each costs.
pub fn tenures(
    lives: &[Life],
    is_configured: impl Fn(&DeploymentId) -> bool,
    hour_usd: impl Fn(&Life) -> Option<f64>,
    now_ms: i64,
) -> Vec<Tenure> {
    let tenure = |life: &Life| Tenure {
        deployment: life.deployment.clone(),
        sku: life.sku,
        from_ms: life.from_ms,
        to_ms: life.ended_at_ms.or_else(|| {
            let is_stale = now_ms - life.seen_at_ms > STALE_MS && !is_configured(&life.deployment);
            is_stale.then_some(life.seen_at_ms)
        }),
        hour_usd: hour_usd(life),
    };
    lives.iter().map(tenure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::HOUR_MS;

    const DAY: i64 = DAY_MS;

    #[expect(clippy::unnecessary_wraps, reason = "what is there and what is not are told alike")]
    fn there(created_days: Option<i64>, capacity: u32) -> Option<There> {
        Some(There {
            created_at_ms: created_days.map(|days| days * DAY),
            sku: Sku::Standard,
            capacity: Some(capacity),
        })
    }

    /// Applies changes as a store does.
    fn apply(lives: &mut Vec<Life>, changes: Vec<LifeChange>) {
        fn found(lives: &mut [Life], from_ms: i64) -> &mut Life {
            let mut lives = lives.iter_mut();
            lives.find(|life| life.from_ms == from_ms).expect("a life")
        }
        for change in changes {
            match change {
                LifeChange::Begins(life) => lives.push(life),
                LifeChange::GoesOn { from_ms, seen_at_ms } => found(lives, from_ms).seen_at_ms = seen_at_ms,
                LifeChange::Ends { from_ms, ended_at_ms } => found(lives, from_ms).ended_at_ms = Some(ended_at_ms),
                LifeChange::Dated { from_ms, created_at_ms } => {
                    let life = found(lives, from_ms);
                    (life.from_ms, life.created_at_ms) = (created_at_ms, Some(created_at_ms));
                }
            }
        }
    }

    /// Lives after these sights, as from, end and capacity, in hours.
    fn check(sights: &[(i64, Option<There>)], expected: &[(i64, Option<i64>, u32)]) {
        let mut lives = Vec::new();
        for (days, there) in sights {
            let sighting = Sighting {
                deployment: DeploymentId::from("x/a"),
                at_ms: days * DAY,
                there: *there,
            };
            let found = changes(&lives, &sighting);
            apply(&mut lives, found);
        }
        let shown: Vec<_> = lives
            .iter()
            .map(|life| {
                let end = life.ended_at_ms.map(|end| end / HOUR_MS);
                (life.from_ms / HOUR_MS, end, life.capacity.expect("units"))
            })
            .collect();
        assert_eq!(shown, expected, "{sights:?}");
    }

    #[test]
    fn lives_follow_what_was_seen() {
        let gone = None;
        check(&[(10, gone)], &[]);
        check(
            &[(10, there(Some(4), 50)), (11, there(Some(4), 50))],
            &[(4 * 24, None, 50)],
        );
        // Gone between two looks: half-way.
        check(
            &[(10, there(Some(4), 50)), (11, gone)],
            &[(4 * 24, Some(10 * 24 + 12), 50)],
        );
        check(
            &[(10, there(Some(4), 50)), (11, gone), (12, gone)],
            &[(4 * 24, Some(10 * 24 + 12), 50)],
        );
        // Made anew, seen missing or not.
        check(
            &[(10, there(Some(4), 50)), (12, gone), (14, there(Some(13), 50))],
            &[(4 * 24, Some(11 * 24), 50), (13 * 24, None, 50)],
        );
        check(
            &[(10, there(Some(4), 50)), (14, there(Some(12), 50))],
            &[(4 * 24, Some(11 * 24), 50), (12 * 24, None, 50)],
        );
        // Changed.
        check(
            &[
                (10, there(Some(4), 50)),
                (12, there(Some(4), 90)),
                (13, there(Some(4), 90)),
            ],
            &[(4 * 24, Some(11 * 24), 50), (11 * 24, None, 90)],
        );
        // Missed for a moment: it was there all along, but for that moment.
        check(
            &[(10, there(Some(4), 50)), (11, gone), (12, there(Some(4), 50))],
            &[(4 * 24, Some(10 * 24 + 12), 50), (10 * 24 + 12, None, 50)],
        );
    }

    #[test]
    fn a_creation_that_becomes_known_later_counts_unless_something_was_before() {
        check(
            &[(10, there(None, 50)), (11, there(Some(4), 50))],
            &[(4 * 24, None, 50)],
        );
        check(
            &[(10, there(None, 50)), (12, there(None, 90)), (13, there(Some(4), 90))],
            &[(10 * 24, Some(11 * 24), 50), (11 * 24, None, 90)],
        );
        // The configuration has another date than Azure: the later one is a new deployment.
        check(
            &[(10, there(Some(4), 50)), (11, there(Some(9), 50))],
            &[(4 * 24, Some(9 * 24), 50), (9 * 24, None, 50)],
        );
    }

    #[test]
    fn what_is_neither_seen_nor_configured_is_not_reckoned_further() {
        let life = Life {
            deployment: DeploymentId::from("x/a"),
            from_ms: 0,
            created_at_ms: None,
            sku: Sku::Standard,
            capacity: None,
            seen_at_ms: 5 * DAY,
            ended_at_ms: None,
        };
        let end = |is_configured: bool, now_days: i64| {
            tenures(
                std::slice::from_ref(&life),
                |_| is_configured,
                |_| Some(1.0),
                now_days * DAY,
            )[0]
            .to_ms
        };
        assert_eq!(end(false, 7), Some(5 * DAY));
        assert_eq!(end(false, 6), None, "a day is no long time");
        assert_eq!(end(true, 90), None);
    }
}
