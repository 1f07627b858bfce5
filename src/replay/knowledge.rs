//! What one gateway replica knows: what it sent where and when, what is in flight, what answers' headers told it, and where it was
//! refused. Never what is really cached.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::provider::MINUTE;
use crate::core::placement::latency::Latency;
use crate::core::placement::room::Room;

/// One replica's knowledge of all deployments.
#[derive(Debug)]
pub(super) struct Knowledge {
    /// Requests in flight.
    pub(super) in_flight: Vec<u32>,
    /// Their prompt tokens.
    pub(super) in_flight_tokens: Vec<u64>,
    /// Prompt tokens sent, decayed.
    pub(super) sent: Vec<f64>,
    sent_at: f64,
    /// Time to the first token, smoothed.
    pub(super) latency: Vec<Latency>,
    /// Until when it stays away after a refusal.
    pub(super) rests_until: Vec<f64>,
    /// What is known of each minute.
    pub(super) rooms: Vec<Room>,
    /// Which blocks it sent where: for policies that remember.
    pub(super) index: Index,
    ends: BinaryHeap<Reverse<(Ticks, usize, u32)>>,
}

/// Time as an ordered number.
type Ticks = u64;

fn ticks(seconds: f64) -> Ticks {
    (seconds * 1e6) as u64
}

impl Knowledge {
    pub(super) fn new(deployments: usize, blocks: usize, limit: f64) -> Self {
        Self {
            in_flight: vec![0; deployments],
            in_flight_tokens: vec![0; deployments],
            sent: vec![0.0; deployments],
            sent_at: 0.0,
            latency: vec![Latency::default(); deployments],
            rests_until: vec![0.0; deployments],
            rooms: vec![Room::new(limit); deployments],
            index: Index::new(deployments, blocks),
            ends: BinaryHeap::new(),
        }
    }

    /// Ends what has ended by now, and lets what was sent decay.
    pub(super) fn tick(&mut self, now: f64, mean_life: f64) {
        while let Some(&Reverse((at, deployment, tokens))) = self.ends.peek() {
            if at > ticks(now) {
                break;
            }
            self.ends.pop();
            self.in_flight[deployment] -= 1;
            self.in_flight_tokens[deployment] -= u64::from(tokens);
        }
        if now > self.sent_at {
            let factor = ((self.sent_at - now) / mean_life).exp();
            for sent in &mut self.sent {
                *sent *= factor;
            }
            self.sent_at = now;
        }
    }

    /// A request was let in at `now`, and its answer will begin after `first_token` seconds and be over at `end`.
    pub(super) fn admitted(&mut self, deployment: usize, prompt: u32, first_token: f64, end: f64, now: f64) {
        self.latency[deployment].observed(first_token, Duration::from_secs_f64(now));
        self.in_flight[deployment] += 1;
        self.in_flight_tokens[deployment] += u64::from(prompt);
        self.sent[deployment] += f64::from(prompt);
        self.ends.push(Reverse((ticks(end), deployment, prompt)));
    }

    /// The deployments' headers: used tokens of the minute.
    pub(super) fn reported(&mut self, deployment: usize, limit: f64, used: u64, now: f64) {
        let now = Duration::from_secs_f64(now);
        let room = &mut self.rooms[deployment];
        let sent = room.sent(0.0, now);
        room.reported(limit, limit - used as f64, sent, now);
    }

    /// The least busy of those that pass.
    pub(super) fn least_busy(&self, chance: &mut super::chance::Chance, pass: impl Fn(usize) -> bool) -> Option<usize> {
        let passing = || (0..self.in_flight.len()).filter(|&at| pass(at));
        let least = passing().map(|at| self.in_flight[at]).min()?;
        let tied: Vec<usize> = passing().filter(|&at| self.in_flight[at] == least).collect();
        Some(tied[chance.below(tied.len())])
    }
}

/// When each block was last sent to each deployment; exact and unbounded, which the policies that need it take for granted.
#[derive(Debug)]
pub(super) struct Index {
    deployments: usize,
    sent: Vec<f32>,
}

impl Index {
    fn new(deployments: usize, blocks: usize) -> Self {
        Self {
            deployments,
            sent: vec![f32::NEG_INFINITY; deployments * blocks],
        }
    }

    /// Leading blocks of the prompt that were sent to each deployment.
    pub(super) fn matched(&self, blocks: &[u32]) -> Vec<usize> {
        let mut matched = vec![blocks.len(); self.deployments];
        let mut alive: Vec<usize> = (0..self.deployments).collect();
        for (at, &block) in blocks.iter().enumerate() {
            let row = &self.sent[block as usize * self.deployments..][..self.deployments];
            alive.retain(|&deployment| {
                let is_sent = row[deployment] > f32::NEG_INFINITY;
                if !is_sent {
                    matched[deployment] = at;
                }
                is_sent
            });
            if alive.is_empty() {
                break;
            }
        }
        matched
    }

    pub(super) fn record(&mut self, blocks: &[u32], deployment: usize, now: f64) {
        for &block in blocks {
            self.sent[block as usize * self.deployments + deployment] = now as f32;
        }
    }
}

/// Seconds that a replica stays away from a deployment in an outage.
pub(super) const OUTAGE_REST: f64 = MINUTE / 2.0;
