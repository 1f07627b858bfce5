//! Who may write to ARM now: one write an account at a time, since ARM refuses a second one, and not more of them in a minute than the
//! settings allow.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::core::arm_id::AccountId;

/// Accounts whose locks are remembered before those that nobody holds are forgotten.
const ACCOUNTS_MAX: usize = 1_024;
const MINUTE: Duration = Duration::from_mins(1);

/// Lets writes in, one an account.
#[derive(Debug)]
pub struct Gate {
    accounts: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<()>>>>,
    /// When the last minute's writes were sent.
    sent: Mutex<VecDeque<Instant>>,
    per_minute: usize,
}

impl Gate {
    /// At most so many writes a minute; at least 1.
    pub fn new(per_minute: u32) -> Self {
        Self {
            accounts: Mutex::default(),
            sent: Mutex::default(),
            per_minute: (per_minute as usize).max(1),
        }
    }

    /// Waits until no other write of this process runs on the account. It is left when the guard is dropped.
    pub async fn enter(&self, account: &AccountId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut accounts = self.accounts.lock();
            if accounts.len() >= ACCOUNTS_MAX {
                accounts.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(accounts.entry(account.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Waits until one more request may be sent.
    pub async fn pace(&self) {
        while let Some(wait) = self.take(Instant::now()) {
            // Until the oldest write is a minute ago: the limit is by time.
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a place, or says how long none is free.
    fn take(&self, now: Instant) -> Option<Duration> {
        let mut sent = self.sent.lock();
        while sent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE)
        {
            sent.pop_front();
        }
        match sent.front() {
            Some(first) if sent.len() >= self.per_minute => {
                Some(MINUTE.saturating_sub(now.saturating_duration_since(*first)))
            }
            _ => {
                sent.push_back(now);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountId {
        AccountId::try_new("s", "g", name).expect("names")
    }

    #[tokio::test]
    async fn one_write_an_account() {
        let gate = Arc::new(Gate::new(10));
        let first = gate.enter(&account("contoso")).await;
        // Another account is free, the same one in other letters is not.
        drop(gate.enter(&account("fabrikam")).await);
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { drop(gate.enter(&account("CONTOSO")).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.expect("enters");
    }

    #[test]
    fn so_many_a_minute() {
        let gate = Gate::new(2);
        let start = Instant::now();
        let waits = [0, 10, 20, 60, 61].map(|at| gate.take(start + Duration::from_secs(at)));
        assert_eq!(
            waits,
            [
                None,
                None,
                Some(Duration::from_secs(40)),
                None,
                Some(Duration::from_secs(9))
            ]
        );
    }
}
