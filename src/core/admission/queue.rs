//! A bounded queue of waiting requests: first by priority, then in turn among clients, then by arrival.
//!
//! A client with a thousand waiting requests does not keep another one's single request waiting: within a priority, whoever's
//! turn was longest ago is next. When the queue is full, a request of a higher priority takes the place of the youngest one of the lowest.
//!
//! Pure; linear in the requests that wait, which are at most a few thousand, whenever one comes or goes.

use std::collections::HashMap;

use serde::Serialize;
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

/// How urgent a request is; the first goes first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does.
    Batch,
}

/// A place in the queue. Later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Requests that wait.
#[derive(Debug, Default)]
pub struct WaitQueue {
    waiting: Vec<Waiting>,
    tickets: u64,
    /// Which turn each client had last; only of clients that wait.
    last_turn: HashMap<u64, u64>,
    turns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    ticket: Ticket,
    client: u64,
    priority: Priority,
}

/// What became of a request that wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It waits.
    Waits(Ticket),
    /// It waits in the place of this one, which must go.
    Instead(Ticket, Ticket),
    /// There is no place.
    Full,
}

impl WaitQueue {
    /// A request of a client's, by any number that names it for good, wants to wait with at most `most` others.
    pub fn enter(&mut self, client: u64, priority: Priority, most: usize) -> Entered {
        let mut evicted = None;
        if self.waiting.len() >= most {
            let lowest = self.waiting.iter().max_by_key(|other| (other.priority, other.ticket));
            let Some(lowest) = lowest.filter(|lowest| lowest.priority > priority) else {
                return Entered::Full;
            };
            let ticket = lowest.ticket;
            self.remove(ticket);
            evicted = Some(ticket);
        }
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.waiting.push(Waiting {
            ticket,
            client,
            priority,
        });
        evicted.map_or(Entered::Waits(ticket), |evicted| Entered::Instead(ticket, evicted))
    }

    /// Who is next.
    pub fn first(&self) -> Option<Ticket> {
        let key = |waiting: &&Waiting| {
            let last_turn = self.last_turn.get(&waiting.client).copied().unwrap_or(0);
            (waiting.priority, last_turn, waiting.ticket)
        };
        self.waiting.iter().min_by_key(key).map(|waiting| waiting.ticket)
    }

    /// One goes, since its turn has come.
    pub fn go(&mut self, ticket: Ticket) {
        let Some(gone) = self.remove(ticket) else { return };
        self.turns += 1;
        if self.waiting.iter().any(|other| other.client == gone.client) {
            self.last_turn.insert(gone.client, self.turns);
        }
    }

    /// One gives up. Without effect where it does not wait any more.
    pub fn leave(&mut self, ticket: Ticket) {
        self.remove(ticket);
    }

    /// Whether it still waits.
    pub fn holds(&self, ticket: Ticket) -> bool {
        self.waiting.iter().any(|waiting| waiting.ticket == ticket)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        let gone = self.waiting.remove(at);
        if !self.waiting.iter().any(|other| other.client == gone.client) {
            self.last_turn.remove(&gone.client);
        }
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(queue: &mut WaitQueue, client: u64, priority: Priority) -> Ticket {
        match queue.enter(client, priority, 100) {
            Entered::Waits(ticket) => ticket,
            other => unreachable!("{other:?}"),
        }
    }

    /// The clients in the order in which they go.
    fn order(queue: &mut WaitQueue) -> Vec<(u64, Priority)> {
        std::iter::from_fn(|| {
            let ticket = queue.first()?;
            let waiting = *queue.waiting.iter().find(|waiting| waiting.ticket == ticket)?;
            queue.go(ticket);
            Some((waiting.client, waiting.priority))
        })
        .collect()
    }

    #[test]
    fn clients_take_turns_and_each_ones_requests_go_by_arrival() {
        let mut queue = WaitQueue::default();
        for client in [1, 1, 1, 1, 2, 3, 2] {
            enter(&mut queue, client, Priority::Interactive);
        }
        let clients: Vec<u64> = order(&mut queue).into_iter().map(|(client, _)| client).collect();
        assert_eq!(clients, [1, 2, 3, 1, 2, 1, 1]);
        assert!(queue.is_empty() && queue.last_turn.is_empty());
    }

    #[test]
    fn batch_goes_last_and_leaves_first() {
        let mut queue = WaitQueue::default();
        let batch = [
            enter(&mut queue, 1, Priority::Batch),
            enter(&mut queue, 2, Priority::Batch),
        ];
        let urgent = enter(&mut queue, 3, Priority::Interactive);
        assert_eq!(queue.first(), Some(urgent));
        assert_eq!(queue.enter(4, Priority::Batch, 3), Entered::Full);
        let Entered::Instead(newest, evicted) = queue.enter(4, Priority::Interactive, 3) else {
            unreachable!("the younger of the two batch requests goes");
        };
        assert_eq!(evicted, batch[1]);
        assert!(queue.holds(newest) && !queue.holds(evicted) && queue.len() == 3);
        let priorities: Vec<Priority> = order(&mut queue).into_iter().map(|(_, priority)| priority).collect();
        assert_eq!(
            priorities,
            [Priority::Interactive, Priority::Interactive, Priority::Batch]
        );
    }

    #[test]
    fn who_gives_up_is_not_waited_for() {
        let mut queue = WaitQueue::default();
        let first = enter(&mut queue, 1, Priority::Interactive);
        let second = enter(&mut queue, 1, Priority::Interactive);
        queue.leave(first);
        queue.leave(first);
        assert_eq!(queue.first(), Some(second));
        queue.go(second);
        assert_eq!(queue.first(), None);
    }
}
