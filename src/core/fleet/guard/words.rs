//! The guard's verdicts in words.

use super::{Action, GuardReason, Verdict};
use crate::core::calendar::{shown_date, shown_span};

impl Verdict {
    /// For people, with the rule's name, since they meet it only as a 404 otherwise.
    pub fn sentence(&self, rule_days: u32) -> String {
        let idle = self.idle_ms.map_or_else(
            || "never called".to_owned(),
            |idle| format!("idle for {}", shown_span(idle)),
        );
        let Some(deletion) = self.deletion_at_ms.map(shown_date) else {
            let why = match self.reason {
                GuardReason::UsedElsewhere => {
                    "Azure would have deleted it by now if nobody else called it, so its policy does not"
                }
                _ => "nothing deletes it",
            };
            return format!("{idle}; {why} ({})", self.reason.as_str());
        };
        let by = if self.is_exact { "on" } else { "by" };
        let rule = match (self.reason, self.next.map(|next| next.action)) {
            (GuardReason::DeveloperTier, _) => "the Developer tier removes it 24 hours after its creation".to_owned(),
            (_, Some(Action::Delete)) => "its policy deletes it when it is idle".to_owned(),
            _ => format!(
                "Azure deletes deployments of fine-tuned models after {rule_days} days without a successful call"
            ),
        };
        let next = self.next.map_or_else(String::new, |next| {
            let cost = next.micro_usd.filter(|cost| *cost > 0.0);
            let cost = cost.map_or_else(String::new, |cost| format!(", {:.6} USD", cost / 1e6));
            format!("; next: `{}` on {}{cost}", next.action.as_str(), shown_date(next.at_ms))
        });
        format!("{idle}; {rule}: {by} {deletion}{next}")
    }
}
