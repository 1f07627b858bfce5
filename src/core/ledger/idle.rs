//! The inactivity clock: when Azure may delete a deployment that nobody calls.
//!
//! Azure deletes a deployment of a fine-tuned model that was created more than 15 days ago and had no successful call for 15
//! days in a row. So the clock starts at its creation and every success starts it anew. Failed calls are not counted
//! as activity: whether Azure does is not published, and the cautious reading costs nothing.

use crate::core::calendar::DAY_MS;

/// When the deployment may be deleted, in milliseconds since the Unix epoch. `created_at_ms` may be the time it was first
/// seen, which is later than its creation; then the true date is earlier, until the first success makes it exact.
/// None while nothing is known of it.
pub fn deletion_at_ms(created_at_ms: Option<i64>, last_success_at_ms: Option<i64>, days: u32) -> Option<i64> {
    let from = created_at_ms.max(last_success_at_ms)?;
    Some(from.saturating_add(i64::from(days) * DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_creation_and_success_counts() {
        assert_eq!(deletion_at_ms(Some(0), None, 15), Some(15 * DAY_MS));
        assert_eq!(deletion_at_ms(Some(0), Some(DAY_MS), 15), Some(16 * DAY_MS));
        assert_eq!(deletion_at_ms(Some(2 * DAY_MS), Some(DAY_MS), 15), Some(17 * DAY_MS));
        assert_eq!(deletion_at_ms(None, Some(5), 1), Some(DAY_MS + 5));
        assert_eq!(deletion_at_ms(None, None, 15), None);
    }
}
