//! The task behind the ledger: adds misses up, looks for drift, writes both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::core::ids::{ClientId, DeploymentId, RouteId};
use crate::core::ledger::cost;
use crate::core::ledger::drift::DriftFinder;
use crate::core::ledger::misses::Cause;
use crate::proxy::misses::{MissLedger, MissRecord, Sampled, Shared};
use crate::storage::StoreError;
use crate::storage::misses::{DriftFound, HOUR_MS, MissStore, MissSum};
use crate::telemetry::events::process::MissStoreFailing;

/// How often the lists are emptied.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often sums and findings are written: what an abrupt end of the process can lose.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Sums that wait for a store that fails; beyond, misses of kinds that are not among them are dropped.
const SUMS_MAX: usize = 65_536;

/// What misses have in common that are one row.
type Key = (i64, RouteId, ClientId, DeploymentId, Cause);

/// The writing side of a [`MissLedger`].
pub struct MissWriter {
    shared: Arc<Shared>,
    store: Arc<dyn MissStore>,
    now_ms: fn() -> i64,
    finder: DriftFinder,
    sums: HashMap<Key, MissSum>,
    /// Millionths of a US dollar that a missed token of the route cost more last, where it was paid per token.
    each: HashMap<RouteId, f64>,
    /// The same as configured: of routes that are not judged nothing else is known.
    usual: HashMap<RouteId, f64>,
    /// Routes that were sampled since the last look for drift.
    sampled: HashSet<RouteId>,
    /// Routes that no longer drift and whose finding is still in the store.
    ended: HashSet<RouteId>,
    is_failing: bool,
}

impl MissWriter {
    /// The writer of a ledger. `now_ms` reads the wall clock, for when drift was seen.
    pub fn new(ledger: &MissLedger, store: Arc<dyn MissStore>, now_ms: fn() -> i64) -> Self {
        Self {
            shared: Arc::clone(&ledger.shared),
            store,
            now_ms,
            finder: DriftFinder::default(),
            sums: HashMap::new(),
            each: HashMap::new(),
            usual: HashMap::new(),
            sampled: HashSet::new(),
            ended: HashSet::new(),
            is_failing: false,
        }
    }

    /// Writes what comes into the ledger, until told to stop; then writes what is left, once.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut write_at = Instant::now() + WRITE_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                // The sender is gone: nobody could tell to stop any more.
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            self.look();
            if Instant::now() >= write_at {
                write_at = Instant::now() + WRITE_EVERY;
                self.write().await;
            }
        }
        self.look();
        self.write().await;
    }

    /// Empties the lists.
    fn look(&mut self) {
        let records = std::mem::take(&mut *self.shared.records.lock());
        for record in records {
            self.add(record);
        }
        let samples = std::mem::take(&mut *self.shared.samples.lock());
        for sampled in samples {
            let Sampled {
                route,
                sample,
                micro_usd_each,
            } = sampled;
            self.finder.add(&route, &sample);
            match micro_usd_each {
                Some(each) => _ = self.usual.insert(route.clone(), each),
                None => _ = self.usual.remove(&route),
            }
            self.sampled.insert(route);
        }
    }

    fn add(&mut self, record: MissRecord) {
        let hour_ms = record.at_ms.div_euclid(HOUR_MS) * HOUR_MS;
        if let Some(each) = record.micro_usd_each.filter(|each| *each > 0.0) {
            self.each.insert(record.route.clone(), each);
        }
        let MissRecord {
            route,
            client,
            deployment,
            cause,
            ..
        } = record;
        let key = (hour_ms, route, client, deployment, cause);
        if self.sums.len() >= SUMS_MAX && !self.sums.contains_key(&key) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let sum = self
            .sums
            .entry(key)
            .or_insert_with_key(|(_, route, client, deployment, _)| MissSum {
                hour_ms,
                route: route.clone(),
                client: client.clone(),
                deployment: deployment.clone(),
                cause,
                requests: 0,
                tokens: 0,
                micro_usd: None,
            });
        sum.requests += 1;
        sum.tokens += record.tokens;
        if let Some(each) = record.micro_usd_each {
            *sum.micro_usd.get_or_insert_default() += cost::micro_usd(record.tokens, each);
        }
    }

    /// Writes sums and findings. What cannot be written stays for the next time.
    async fn write(&mut self) {
        let found = self.find_drift();
        let written = self.write_all(&found).await;
        match written {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                self.sampled.extend(found.into_iter().map(|found| found.route));
                if !std::mem::replace(&mut self.is_failing, true) {
                    MissStoreFailing { error: &error }.emit();
                }
            }
        }
    }

    async fn write_all(&mut self, found: &[DriftFound]) -> Result<(), StoreError> {
        if !self.sums.is_empty() {
            let sums: Vec<MissSum> = self.sums.values().cloned().collect();
            self.store.add_misses(&sums).await?;
            self.sums.clear();
        }
        if !found.is_empty() || !self.ended.is_empty() {
            let ended: Vec<RouteId> = self.ended.iter().cloned().collect();
            self.store.put_drifts(found, &ended).await?;
            self.ended.clear();
        }
        Ok(())
    }

    /// Looks for drift on the routes that were sampled since the last time, and tells requests of it.
    fn find_drift(&mut self) -> Vec<DriftFound> {
        if self.sampled.is_empty() {
            return Vec::new();
        }
        let mut findings = (**self.shared.findings.load()).clone();
        let mut found = Vec::new();
        for route in self.sampled.drain() {
            let Some(drift) = self.finder.finding(&route) else {
                if findings.remove(&route).is_some() {
                    self.ended.insert(route);
                }
                continue;
            };
            findings.insert(route.clone(), drift);
            self.ended.remove(&route);
            let now = self.shared.began.elapsed();
            let requests_a_day = self
                .shared
                .gates
                .lock()
                .peek(&route)
                .map_or(0.0, |gate| gate.requests_a_day(now));
            let tokens_a_day = (requests_a_day * drift.share * f64::from(drift.lost_tokens_per_request)) as u64;
            let each = self.each.get(&route).or_else(|| self.usual.get(&route));
            found.push(DriftFound {
                seen_at_ms: (self.now_ms)(),
                drift,
                tokens_a_day,
                micro_usd_a_day: each.map(|each| cost::micro_usd(tokens_a_day, *each)),
                route,
            });
        }
        self.shared.findings.store(Arc::new(findings));
        found
    }
}
