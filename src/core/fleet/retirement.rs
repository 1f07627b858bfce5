//! When a deployment ends whatever the traffic, and how it is left before: its weight goes to nothing early, and never the last member's.
//!
//! Two things end a deployment of a fine-tuned model by date: its model's retirement, after which it answers with errors, and
//! the Developer tier's fixed 24 hours from its creation (Microsoft Learn, Fine-tuning: test a deployment with the Developer tier).
//! Cutting its share at the end would send all of its prompts elsewhere at once, where nothing of them is cached; so its weight falls
//! along a ramp, and is nothing for a while before the end.

use strum::{AsRefStr, IntoStaticStr};

use crate::core::calendar::{DAY_MS, HOUR_MS, MINUTE_MS, shown_date, shown_span};
use crate::core::topology::Sku;

/// How long a deployment of the Developer tier lives.
pub const DEVELOPER_LIFE_MS: i64 = 24 * HOUR_MS;
/// How long before its retirement a deployment is reported.
pub const RETIRING_SOON_MS: i64 = 90 * DAY_MS;
/// How long before its end one of the Developer tier is.
pub const DEVELOPER_SOON_MS: i64 = 8 * HOUR_MS;

/// Ends so near to each other are one.
const TOGETHER_MS: i64 = MINUTE_MS;

/// What ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum EndCause {
    /// Its model retires.
    Retirement,
    /// It is of the Developer tier.
    DeveloperTier,
}

impl EndCause {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// How long before the end people are told.
    pub fn reported_ms(self) -> i64 {
        match self {
            Self::Retirement => RETIRING_SOON_MS,
            Self::DeveloperTier => DEVELOPER_SOON_MS,
        }
    }

    /// How long before the end its weight begins to fall, and how long before it is nothing.
    fn ramp_ms(self) -> (i64, i64) {
        match self {
            Self::Retirement => (14 * DAY_MS, DAY_MS),
            Self::DeveloperTier => (2 * HOUR_MS, 15 * MINUTE_MS),
        }
    }
}

/// A deployment's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What ends it.
    pub cause: EndCause,
}

/// When a deployment ends, by the sooner of its model's retirement and its tier's life; none where nothing is known to end it.
pub fn end_of(sku: Option<Sku>, created_at_ms: Option<i64>, retires_at_ms: Option<i64>) -> Option<End> {
    let retirement = retires_at_ms.map(|at_ms| End {
        at_ms,
        cause: EndCause::Retirement,
    });
    let developer = created_at_ms
        .filter(|_| sku == Some(Sku::DeveloperTier))
        .map(|created_at_ms| End {
            at_ms: created_at_ms.saturating_add(DEVELOPER_LIFE_MS),
            cause: EndCause::DeveloperTier,
        });
    [developer, retirement]
        .into_iter()
        .flatten()
        .min_by_key(|end| end.at_ms)
}

impl End {
    /// How long it is until then; below nothing once it has come.
    pub fn left_ms(&self, now_ms: i64) -> i64 {
        self.at_ms.saturating_sub(now_ms)
    }

    /// Whether its weight has begun to fall.
    pub fn is_fading(&self, now_ms: i64) -> bool {
        self.share(now_ms) < 1.0
    }

    /// For people.
    pub fn sentence(&self, now_ms: i64) -> String {
        let (date, left) = (shown_date(self.at_ms), self.left_ms(now_ms));
        let when = if left > 0 {
            format!("in {}, on {date}", shown_span(left))
        } else {
            format!("since {date}")
        };
        match self.cause {
            EndCause::Retirement => {
                format!("its model retires {when}: it answers with errors then; deploy a successor")
            }
            EndCause::DeveloperTier => {
                format!("the Developer tier removes it {when}, 24 hours after its creation, whatever the traffic")
            }
        }
    }

    /// What is left of its weight: 1 long before the end, falling to 0 before it.
    fn share(&self, now_ms: i64) -> f64 {
        let (begins, over) = self.cause.ramp_ms();
        let left = self.left_ms(now_ms);
        ((left - over) as f64 / (begins - over) as f64).clamp(0.0, 1.0)
    }
}

/// Why a member has the weight that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WeightReason {
    /// Its own: nothing ends it soon.
    Whole,
    /// It ends soon, so it has a part of it.
    Fading,
    /// It ends so soon that it gets nothing new.
    Ending,
    /// It ends, and there is nobody else.
    LastMember,
}

impl WeightReason {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A pool's member: when it ends, and whether it answers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FadingMember {
    /// Its end, if it is known to have one.
    pub end: Option<End>,
    /// Whether it is there and neither drained nor paused.
    pub is_serving: bool,
}

/// What part of its own weight each member should have, 0 to 1, in the order given. While nobody who answers has more than nothing,
/// who ends last of those has all of its weight, and so have those that end with it.
pub fn shares(members: &[FadingMember], now_ms: i64) -> Vec<(f64, WeightReason)> {
    let mut shares: Vec<(f64, WeightReason)> = members.iter().map(|member| share(member, now_ms)).collect();
    let serving = || (0..members.len()).filter(|&at| members[at].is_serving);
    if serving().all(|at| shares[at].0 <= 0.0)
        && let Some(last) = serving().map(|at| ends_at(&members[at])).max()
    {
        // Members of one model retire together.
        let stay: Vec<usize> = serving()
            .filter(|&at| ends_at(&members[at]) >= last - TOGETHER_MS)
            .collect();
        for at in stay {
            shares[at] = (1.0, WeightReason::LastMember);
        }
    }
    shares
}

fn ends_at(member: &FadingMember) -> i64 {
    member.end.map_or(i64::MAX, |end| end.at_ms)
}

fn share(member: &FadingMember, now_ms: i64) -> (f64, WeightReason) {
    let share = member.end.map_or(1.0, |end| end.share(now_ms));
    let reason = match share {
        _ if share >= 1.0 => WeightReason::Whole,
        _ if share > 0.0 => WeightReason::Fading,
        _ => WeightReason::Ending,
    };
    (share, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: i64 = 1_000 * DAY_MS;

    fn developer() -> End {
        end_of(Some(Sku::DeveloperTier), Some(CREATED), None).expect("an end")
    }

    #[test]
    fn the_sooner_end_counts() {
        assert_eq!(developer().at_ms, CREATED + DAY_MS);
        assert_eq!(end_of(Some(Sku::Standard), Some(CREATED), None), None);
        assert_eq!(end_of(Some(Sku::DeveloperTier), None, None), None);
        let sooner = end_of(Some(Sku::DeveloperTier), Some(CREATED), Some(CREATED + 5)).expect("an end");
        assert_eq!((sooner.at_ms, sooner.cause), (CREATED + 5, EndCause::Retirement));
        let later = end_of(Some(Sku::DeveloperTier), Some(CREATED), Some(CREATED + 9 * DAY_MS)).expect("an end");
        assert_eq!(later.cause, EndCause::DeveloperTier);
    }

    #[test]
    fn weight_is_gone_before_the_end() {
        let member = |end| FadingMember {
            end: Some(end),
            is_serving: true,
        };
        let other = FadingMember {
            end: None,
            is_serving: true,
        };
        let share_at = |end: End, left_ms: i64| {
            let (share, reason) = shares(&[member(end), other], end.at_ms - left_ms)[0];
            (share, reason.as_str())
        };
        let end = developer();
        assert_eq!(share_at(end, 3 * HOUR_MS), (1.0, "whole"));
        assert_eq!(share_at(end, 15 * MINUTE_MS), (0.0, "ending"));
        assert_eq!(share_at(end, 0), (0.0, "ending"));
        let (half, reason) = share_at(end, 67 * MINUTE_MS);
        assert!((0.45..0.55).contains(&half) && reason == "fading", "{half} {reason}");
        let retirement = end_of(None, None, Some(CREATED)).expect("an end");
        assert_eq!(share_at(retirement, 15 * DAY_MS), (1.0, "whole"));
        assert_eq!(share_at(retirement, DAY_MS), (0.0, "ending"));
    }

    #[test]
    fn the_last_member_stays() {
        let ending = |left_ms: i64, is_serving| FadingMember {
            end: Some(End {
                at_ms: CREATED + left_ms,
                cause: EndCause::Retirement,
            }),
            is_serving,
        };
        let words = |members: &[FadingMember]| {
            let shares = shares(members, CREATED);
            shares
                .iter()
                .map(|(_, reason)| reason.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words(&[ending(HOUR_MS, true)]), "last_member");
        assert_eq!(
            words(&[ending(HOUR_MS, true), ending(2 * HOUR_MS, true)]),
            "ending last_member"
        );
        assert_eq!(
            words(&[ending(HOUR_MS, true), ending(2 * HOUR_MS, false)]),
            "last_member ending"
        );
        assert_eq!(
            words(&[ending(HOUR_MS, true), ending(20 * DAY_MS, true)]),
            "ending whole"
        );
        // Somebody who would stay, and does not answer, is no reason to leave.
        assert_eq!(
            words(&[ending(HOUR_MS, true), ending(20 * DAY_MS, false)]),
            "last_member whole"
        );
        assert_eq!(words(&[]), "");
    }

    proptest! {
        #[test]
        fn somebody_who_answers_always_has_weight(
            members in prop::collection::vec((prop::option::of(-DAY_MS..30 * DAY_MS), any::<bool>(), any::<bool>()), 0..6),
        ) {
            let members: Vec<FadingMember> = members.into_iter().map(|(left, developer, is_serving)| FadingMember {
                end: left.map(|left| End {
                    at_ms: CREATED + left,
                    cause: if developer { EndCause::DeveloperTier } else { EndCause::Retirement },
                }),
                is_serving,
            }).collect();
            let shares = shares(&members, CREATED);
            let anybody = members.iter().any(|member| member.is_serving);
            let weighty = members.iter().zip(&shares).any(|(member, share)| member.is_serving && share.0 > 0.0);
            prop_assert_eq!(anybody, weighty);
            prop_assert!(shares.iter().all(|(share, _)| (0.0..=1.0).contains(share)));
        }
    }
}
