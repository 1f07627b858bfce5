//! What requests added up to, beside their times: counts, words and money.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::ledger::bill::RequestCost;
use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::core::ledger::usage::{RequestOutcome, UsageRecord};

/// Pairs of deployments between which requests went on, of one line; what is beyond is counted as from and to others.
pub const MOVES_MAX: usize = 64;
/// The name of what there is too much of.
pub const OTHER: &str = "(other)";

/// The word for attempts that were answered with 429.
const THROTTLED: &str = "throttled";
/// The reason of an attempt that is made beside another: nobody went on.
const BESIDE: &str = "hedge";

/// Sums of requests that have something in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Requests that ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// Those that their client saw fail, by its own fault or limits excepted.
    #[serde(skip_serializing_if = "is_zero")]
    pub errors: u64,
    /// Requests by how they ended.
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub outcomes: Words,
    /// Requests by why their deployment was chosen.
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub reasons: Words,
    /// Attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u64,
    /// Those that were answered with 429.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Requests that went on, by from where, to where and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Prompt tokens, cached ones included.
    #[serde(skip_serializing_if = "is_zero")]
    pub prompt_tokens: u64,
    /// Cached ones of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// Those that could have been cached.
    #[serde(skip_serializing_if = "is_zero")]
    pub expected_tokens: u64,
    /// Completion tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub completion_tokens: u64,
    /// What tokens cost, in billionths of a US dollar: a small request costs less than a millionth.
    #[serde(skip_serializing_if = "is_zero")]
    pub nano_usd: u64,
    /// What cached ones cost less, in billionths of a US dollar.
    #[serde(skip_serializing_if = "is_zero")]
    pub saved_nano_usd: u64,
}

/// Requests that went on from one deployment to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Who did not answer.
    pub from: Cow<'static, str>,
    /// Who was asked next.
    pub to: Cow<'static, str>,
    /// What came of the first.
    pub outcome: Cow<'static, str>,
    /// How many.
    pub requests: u64,
}

/// Counts by words of closed enums, in the order of the words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<(Cow<'static, str>, u64)>);

impl Words {
    /// Counts a word.
    pub fn count(&mut self, word: &'static str) {
        self.add(Cow::Borrowed(word), 1);
    }

    fn add(&mut self, word: Cow<'static, str>, count: u64) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&word)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (word, count)),
        }
    }

    /// How often a word was counted.
    pub fn of(&self, word: &str) -> u64 {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(word));
        at.map_or(0, |at| self.0[at].1)
    }

    /// All words with their counts.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, count)| (&**word, *count))
    }

    /// Whether no word was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        for (word, count) in &other.0 {
            self.add(word.clone(), *count);
        }
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (word, count) in &self.0 {
            map.serialize_entry(word, count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, u64>::deserialize(deserializer)?;
        Ok(Self(
            map.into_iter().map(|(word, count)| (Cow::Owned(word), count)).collect(),
        ))
    }
}

impl Sums {
    /// Adds a request, and what it cost.
    pub fn add_request(&mut self, finished: &Finished, cost: &RequestCost) {
        let record = &finished.record;
        self.requests += 1;
        self.errors += u64::from(is_error(record));
        self.outcomes.count(record.outcome.into());
        self.reasons.count(finished.reason);
        self.prompt_tokens += record.prompt_tokens;
        self.cached_tokens += record.cached_tokens;
        self.expected_tokens += finished.expected_tokens.unwrap_or(0);
        self.completion_tokens += record.completion_tokens;
        self.nano_usd += cost.nano_usd;
        self.saved_nano_usd += cost.saved_nano_usd;
    }

    /// Adds an attempt, with the one that followed it.
    pub fn add_attempt(&mut self, attempt: &FinishedAttempt, next: Option<&FinishedAttempt>) {
        self.attempts += 1;
        self.throttled += u64::from(attempt.outcome == THROTTLED);
        if let Some(next) = next.filter(|next| is_move(attempt, next)) {
            self.add_move((&attempt.deployment, &next.deployment, attempt.outcome), 1);
        }
    }

    fn add_move(&mut self, (from, to, outcome): (&str, &str, &str), requests: u64) {
        let same = |known: &&mut Move| known.from == from && known.to == to && known.outcome == outcome;
        if let Some(known) = self.moves.iter_mut().find(same) {
            known.requests += requests;
        } else if self.moves.len() < MOVES_MAX || from == OTHER {
            let [from, to, outcome] = [from, to, outcome].map(|name| Cow::Owned(name.to_owned()));
            self.moves.push(Move {
                from,
                to,
                outcome,
                requests,
            });
        } else {
            self.add_move((OTHER, OTHER, outcome), requests);
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.outcomes.merge(&other.outcomes);
        self.reasons.merge(&other.reasons);
        self.attempts += other.attempts;
        self.throttled += other.throttled;
        for other in &other.moves {
            self.add_move((&other.from, &other.to, &other.outcome), other.requests);
        }
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.expected_tokens += other.expected_tokens;
        self.completion_tokens += other.completion_tokens;
        self.nano_usd += other.nano_usd;
        self.saved_nano_usd += other.saved_nano_usd;
    }

    /// Requests that went on to another deployment.
    pub fn failovers(&self) -> u64 {
        self.moves.iter().map(|moved| moved.requests).sum()
    }
}

/// Whether a client saw a request fail. What the gateway refused by the client's own limits is none, here as in the recording rules.
fn is_error(record: &UsageRecord) -> bool {
    match record.outcome {
        RequestOutcome::Throttled | RequestOutcome::UpstreamFailed | RequestOutcome::Broken => true,
        RequestOutcome::Refused => record.status >= 500,
        RequestOutcome::Success | RequestOutcome::Rejected | RequestOutcome::ClientGone => false,
    }
}

/// Whether a request went on from one attempt to the next: to another deployment, and not beside it.
pub fn is_move(attempt: &FinishedAttempt, next: &FinishedAttempt) -> bool {
    attempt.deployment != next.deployment && next.reason != BESIDE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::finished::testing::finished;
    use crate::core::topology::Price;

    #[test]
    fn requests_are_counted_by_words_and_written_without_what_is_zero() {
        let mut sums = Sums::default();
        let mut request = finished(0);
        sums.add_request(&request, &RequestCost::default());
        request.record.outcome = RequestOutcome::Broken;
        sums.add_request(&request, &RequestCost::default());
        assert_eq!((sums.requests, sums.errors), (2, 1));
        let written = serde_json::to_string(&sums).expect("json");
        assert_eq!(
            written,
            r#"{"requests":2,"errors":1,"outcomes":{"broken":1,"success":1},"reasons":{"home":2},"prompt_tokens":4000,"cached_tokens":2048,"expected_tokens":2304,"completion_tokens":100}"#
        );
        assert_eq!(serde_json::from_str::<Sums>(&written).expect("read"), sums);
        assert_eq!(serde_json::from_str::<Sums>("{}").expect("read"), Sums::default());
    }

    #[test]
    fn small_requests_add_up_to_what_they_cost() {
        let price = Price {
            input: Some(0.05),
            ..Price::default()
        };
        let mut sums = Sums::default();
        for _ in 0..10 {
            sums.add_request(&finished(0), &RequestCost::new(8, 0, 0, &price));
        }
        assert_eq!(sums.nano_usd, 4_000, "ten times 0.4 millionths");
        let written = serde_json::to_string(&sums).expect("json");
        let mut both: Sums = serde_json::from_str(&written).expect("read");
        both.merge(&sums);
        assert_eq!(both.nano_usd, 8_000, "from the store and from memory");
    }

    #[test]
    fn what_a_clients_own_limits_refuse_is_no_error() {
        let mut sums = Sums::default();
        let mut request = finished(0);
        request.record.outcome = RequestOutcome::Refused;
        for status in [429, 413, 503] {
            request.record.status = status;
            sums.add_request(&request, &RequestCost::default());
        }
        assert_eq!((sums.requests, sums.errors), (3, 1));
    }

    #[test]
    fn going_on_is_counted_where_it_went_and_not_beside() {
        let mut sums = Sums::default();
        let first = finished(0).attempts[0].clone();
        let to = |name: &str, reason| FinishedAttempt {
            deployment: name.into(),
            reason,
            ..first.clone()
        };
        let failed = FinishedAttempt {
            outcome: "throttled",
            ..first.clone()
        };
        sums.add_attempt(&failed, Some(&to("us/two", "failover")));
        sums.add_attempt(&failed, Some(&to("us/two", "hedge")));
        sums.add_attempt(&failed, Some(&to("eu/one", "retry")));
        sums.add_attempt(&first, None);
        assert_eq!((sums.attempts, sums.throttled, sums.failovers()), (4, 3, 1));
        assert_eq!((&*sums.moves[0].from, &*sums.moves[0].to), ("eu/one", "us/two"));
    }

    #[test]
    fn beyond_their_bound_moves_are_counted_together() {
        let mut sums = Sums::default();
        for number in 0..MOVES_MAX + 5 {
            sums.add_move(("a", &number.to_string(), "failed"), 2);
        }
        let others = sums.moves.iter().find(|moved| moved.from == OTHER).expect("others");
        assert_eq!((sums.moves.len(), others.requests), (MOVES_MAX + 1, 10));
        let mut both = sums.clone();
        both.merge(&sums);
        assert_eq!(
            (both.moves.len(), both.failovers()),
            (MOVES_MAX + 1, 2 * sums.failovers())
        );
    }
}
