//! What the admin listener can ask of the history and the journal, with what only the running gateway knows: what deployments cost for
//! being there, and in which tier of a pool they are.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::admin::history::{EventQueries, EventsAsked, HistoryError, HistoryQueries};
use crate::app::history::hosting::Hosting;
use crate::app::money::Prices;
use crate::core::history::ask::{Asked, By, Latency, POINTS_MAX};
use crate::core::history::shown::{Flows, Heatmap, Latest, Money, Series, Slowest, Summary, Time, Total};
use crate::core::history::step::KEPT_MS;
use crate::core::ledger::life;
use crate::core::recovery::absence::Absence;
use crate::history::History;
use crate::proxy::Gateway;
use crate::storage::StoreError;
use crate::storage::history::events::EventsWanted;
use crate::telemetry::clock;
use crate::telemetry::journal::{Event, Severity};

/// Questions that are answered at once: each takes a processor for moments.
const QUESTIONS_MAX: usize = 2;
/// How long a question waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Requests and events that are told at once.
const LISTED_MAX: usize = 1_000;

/// Answers questions about history and events.
pub(in crate::app) struct Answers {
    history: Arc<History>,
    gateway: Weak<Gateway>,
    prices: Arc<Prices>,
    places: Semaphore,
}

impl Answers {
    pub(super) fn new(history: Arc<History>, gateway: &Arc<Gateway>, prices: &Arc<Prices>) -> Self {
        Self {
            history,
            gateway: Arc::downgrade(gateway),
            prices: Arc::clone(prices),
            places: Semaphore::new(QUESTIONS_MAX),
        }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, HistoryError> {
        match tokio::time::timeout(WAIT_MAX, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // It is never closed; a question that cannot be asked is as one too many.
            Ok(Err(_)) | Err(_) => Err(HistoryError::Busy),
        }
    }

    /// A place to answer a question about a time that can be asked for.
    async fn place_for(&self, asked: &Asked) -> Result<SemaphorePermit<'_>, HistoryError> {
        let (from_ms, to_ms) = (asked.from_ms, asked.to_ms);
        let long_ms = to_ms.checked_sub(from_ms).unwrap_or(i64::MAX);
        if from_ms < 0 || long_ms <= 0 || long_ms > KEPT_MS {
            return Err(HistoryError::Range { from_ms, to_ms });
        }
        self.place().await
    }

    fn region_of(&self, deployment: &str) -> Option<String> {
        let live = self.gateway.upgrade()?.live.load_full();
        let snapshot = &live.config.runtime.snapshot;
        let found = snapshot.deployments.iter().find(|known| &**known.id == deployment)?;
        Some(snapshot.resources[found.resource.0].region.to_string())
    }

    /// The tier of a deployment in a route's pool.
    fn tier_of(&self, route: &str, deployment: &str) -> Option<usize> {
        let live = self.gateway.upgrade()?.live.load_full();
        let snapshot = &live.config.runtime.snapshot;
        let route = snapshot.routes.iter().find(|known| &**known.id == route)?;
        let is_it = |tier: &Vec<_>| {
            let mut members = tier.iter();
            members.any(|member: &crate::core::topology::Member| {
                &**snapshot.deployments[member.deployment.0].id == deployment
            })
        };
        snapshot.pools[route.pool.0].tiers.iter().position(is_it)
    }

    /// What the deployments of a question cost in its time; none where it is about some of their requests only.
    async fn hosting(&self, asked: &Asked) -> Result<Option<Hosting>, HistoryError> {
        let filter = &asked.filter;
        if filter.route.is_some() || filter.client.is_some() {
            return Ok(None);
        }
        let Some(book) = self.prices.book() else {
            return Ok(None);
        };
        let lives = self.history.lives().await.map_err(refused)?;
        let now_ms = clock::now_ms();
        let hour_usd = |life: &life::Life| book.hour_usd(&life.deployment, life.sku, life.capacity);
        let tenures = life::tenures(&lives, |id| book.is_configured(id), hour_usd, now_ms);
        let mut hosting = Vec::new();
        for tenure in tenures {
            let micro_usd = tenure.micro_usd(asked.from_ms, asked.to_ms.min(now_ms));
            let region = self.region_of(&tenure.deployment).unwrap_or_default();
            let is_asked = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|want| want == name);
            if is_asked(&filter.deployment, &tenure.deployment) && is_asked(&filter.region, &region) {
                hosting.push((
                    tenure.deployment,
                    region,
                    micro_usd.map(|micro_usd| micro_usd as f64 / 1e6),
                ));
            }
        }
        Ok(Some(Hosting(hosting)))
    }

    /// The same for all of them together in the time that the other figures of an answer are of.
    async fn hosting_in(&self, asked: &Asked, time: Option<Time>) -> Result<Option<f64>, HistoryError> {
        let Some(Time { from_ms, to_ms }) = time else {
            return Ok(None);
        };
        let filter = asked.filter.clone();
        let hosting = self.hosting(&Asked { from_ms, to_ms, filter }).await?;
        Ok(hosting.and_then(|hosting| hosting.of("", By::None)))
    }

    /// What an hour of the deployments of a question costs now, without those that Azure does not have; none where no price is known, or
    /// where it is about some of their requests only.
    fn hosting_per_hour(&self, asked: &Asked) -> Option<f64> {
        if asked.filter.route.is_some() || asked.filter.client.is_some() {
            return None;
        }
        let (book, gateway) = (self.prices.book()?, self.gateway.upgrade()?);
        let live = gateway.live.load_full();
        let snapshot = &live.config.runtime.snapshot;
        let is_asked = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|want| want == name);
        let mut hour_usd = None;
        for (deployment, known) in snapshot.deployments.iter().zip(&live.deployments) {
            let region = &snapshot.resources[deployment.resource.0].region;
            if !is_asked(&asked.filter.deployment, &deployment.id) || !is_asked(&asked.filter.region, region) {
                continue;
            }
            let price = match known.state.absent.get() {
                Some(Absence::Missing) => Some(0.0),
                _ => book.price(&deployment.id).hour,
            };
            if let Some(usd) = price {
                *hour_usd.get_or_insert(0.0) += usd;
            }
        }
        hour_usd
    }
}

#[async_trait]
impl HistoryQueries for Answers {
    async fn series(&self, asked: &Asked, by: By, points: usize) -> Result<Series, HistoryError> {
        let _place = self.place_for(asked).await?;
        let points = points.clamp(1, POINTS_MAX);
        let found = self.history.series(asked, by, points, clock::now_ms()).await;
        let (mut series, _) = found.map_err(refused)?;
        if let Some(hosting) = self.hosting(asked).await? {
            hosting.enter_series(by, &mut series);
        }
        Ok(series)
    }

    async fn totals(&self, asked: &Asked, by: By) -> Result<Vec<Total>, HistoryError> {
        let _place = self.place_for(asked).await?;
        let found = self.history.totals(asked, by, clock::now_ms()).await;
        let (mut totals, _) = found.map_err(refused)?;
        if let Some(hosting) = self.hosting(asked).await? {
            hosting.enter_totals(by, &mut totals);
        }
        Ok(totals)
    }

    async fn summary(&self, asked: &Asked) -> Result<Summary, HistoryError> {
        let _place = self.place_for(asked).await?;
        let found = self.history.compared(asked, clock::now_ms()).await.map_err(refused)?;
        let (mut now, mut before) = (found.now, found.before);
        now.hosting_usd = self.hosting_in(asked, found.now_time).await?;
        before.hosting_usd = self.hosting_in(asked, found.before_time).await?;
        Ok(Summary {
            money: Money {
                hosting_usd_per_hour: self.hosting_per_hour(asked),
                token_usd: now.token_usd,
                saved_usd: now.saved_usd,
            },
            now,
            now_time: found.now_time,
            before,
            before_time: found.before_time,
            before_is_whole: found.before_is_whole,
        })
    }

    async fn heatmap(&self, asked: &Asked, of: Latency, points: usize) -> Result<Heatmap, HistoryError> {
        let _place = self.place_for(asked).await?;
        let points = points.clamp(1, POINTS_MAX);
        let found = self.history.heatmap(asked, of, points, clock::now_ms()).await;
        found.map_err(refused)
    }

    async fn slowest(&self, asked: &Asked, of: Latency, limit: usize) -> Result<Slowest, HistoryError> {
        let _place = self.place_for(asked).await?;
        let found = self.history.slowest(asked, of, limit.clamp(1, LISTED_MAX)).await;
        Ok(Slowest {
            requests: found.map_err(refused)?,
        })
    }

    async fn flows(&self, asked: &Asked) -> Result<Flows, HistoryError> {
        let _place = self.place_for(asked).await?;
        let tier_of = |route: &str, deployment: &str| self.tier_of(route, deployment);
        let found = self.history.flows(asked, clock::now_ms(), tier_of).await;
        found.map_err(refused)
    }

    fn latest(&self) -> Latest {
        self.history.latest()
    }
}

#[async_trait]
impl EventQueries for Answers {
    async fn events(&self, asked: &EventsAsked) -> Result<Vec<Event>, HistoryError> {
        let _place = self.place().await?;
        let severities = [Severity::Info, Severity::Warn, Severity::Error];
        let wanted = EventsWanted {
            kind: asked.kind.map(<&str>::from),
            severities: match asked.severity {
                None => Vec::new(),
                Some(least) => severities
                    .into_iter()
                    .filter(|one| *one >= least)
                    .map(<&str>::from)
                    .collect(),
            },
            before_id: asked.before_id,
            after_id: None,
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            limit: asked.limit.clamp(1, LISTED_MAX),
        };
        self.history.events(&wanted).await.map_err(refused)
    }

    async fn events_after(&self, id: u64, most: usize) -> Result<Vec<Event>, HistoryError> {
        let most = most.clamp(1, LISTED_MAX);
        if let Some(held) = self.history.journal().after(id, most) {
            return Ok(held);
        }
        let _place = self.place().await?;
        let wanted = EventsWanted {
            after_id: Some(id),
            limit: most,
            ..EventsWanted::default()
        };
        self.history.events(&wanted).await.map_err(refused)
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.history.journal().newest()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn refused(error: StoreError) -> HistoryError {
    HistoryError::Store(error.to_string())
}
