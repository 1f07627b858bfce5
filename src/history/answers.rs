//! Answers to questions about the history, from the store and from what is in memory yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::history::ask::{Asked, By, Filter, Latency};
use crate::core::history::gather::{self, Chosen, Gathering};
use crate::core::history::lines::{Key, Kind, Line};
use crate::core::history::shown::{Flows, Heatmap, Series, SlowRequest, Total};
use crate::core::history::slow;
use crate::core::history::step::{Grid, Span, Step, spans};
use crate::core::history::sums::Sums;
use crate::core::history::times::Times;
use crate::history::History;
use crate::storage::StoreError;
use crate::storage::history::StoredEvent;
use crate::storage::history::events::EventsWanted;
use crate::storage::history::reading::{Reading, RowsAsked};
use crate::telemetry::journal::Event;

const ALL_TIMES: [Latency; 3] = [Latency::Ttft, Latency::Total, Latency::Overhead];

/// What an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Rows that were read.
    pub rows: u64,
    /// Histograms that were merged.
    pub histograms: u64,
}

/// Rows of a time, from the store and from memory, as of one moment.
struct Rows<'a> {
    reading: Reading,
    memory: Vec<(i64, Key, Line)>,
    spans: Vec<Span>,
    kind: Kind,
    filter: &'a Filter,
}

impl History {
    /// Figures step by step; at most `points` of them. `now_ms` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn series(
        &self,
        asked: &Asked,
        by: By,
        points: usize,
        now_ms: i64,
    ) -> Result<(Series, Effort), StoreError> {
        let grid = Grid::new(asked.from_ms, asked.to_ms, points, now_ms);
        let time = (grid.from_ms, grid.to_ms, grid.rows);
        let kind = Kind::for_question(by, &asked.filter);
        let mut rows = self.rows(time, &asked.filter, kind, now_ms).await?;
        let chosen = rows.chosen(by).await?;
        let mut gathering = Gathering::new(chosen, Some(grid));
        let mut before_ms = i64::MIN;
        rows.each(&ALL_TIMES, |start_ms, key, line, is_in_order| {
            if is_in_order && start_ms > before_ms {
                before_ms = start_ms;
                gathering.close_before(start_ms);
            }
            gathering.add(start_ms, &key, &line);
        })
        .await?;
        Ok((gathering.series(), rows.effort()))
    }

    /// Figures of the whole time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn totals(&self, asked: &Asked, by: By, now_ms: i64) -> Result<(Vec<Total>, Effort), StoreError> {
        let time = (asked.from_ms, asked.to_ms, Step::Hour);
        let kind = Kind::for_question(by, &asked.filter);
        let mut rows = self.rows(time, &asked.filter, kind, now_ms).await?;
        let chosen = rows.chosen(by).await?;
        let mut gathering = Gathering::new(chosen, None);
        rows.each(&ALL_TIMES, |start_ms, key, line, _| {
            gathering.add(start_ms, &key, &line);
        })
        .await?;
        Ok((gathering.totals(), rows.effort()))
    }

    /// How long requests took, in at most `points` steps.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn heatmap(&self, asked: &Asked, of: Latency, points: usize, now_ms: i64) -> Result<Heatmap, StoreError> {
        let grid = Grid::new(asked.from_ms, asked.to_ms, points, now_ms);
        let time = (grid.from_ms, grid.to_ms, grid.rows);
        let kind = Kind::for_question(By::None, &asked.filter);
        let mut rows = self.rows(time, &asked.filter, kind, now_ms).await?;
        let mut all: BTreeMap<usize, Times> = BTreeMap::new();
        rows.each(&[of], |start_ms, _, line, _| {
            if let Some(point) = grid.point(start_ms) {
                all.entry(point).or_default().add(line.times(of));
            }
        })
        .await?;
        Ok(gather::heatmap(&grid, &all))
    }

    /// Where requests went. `tier_of` knows a deployment's tier in a route's pool.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn flows(
        &self,
        asked: &Asked,
        now_ms: i64,
        tier_of: impl Fn(&str, &str) -> Option<usize>,
    ) -> Result<Flows, StoreError> {
        let time = (asked.from_ms, asked.to_ms, Step::Hour);
        let kind = if asked.filter.client.is_some() {
            Kind::Full
        } else {
            Kind::Flow
        };
        let mut rows = self.rows(time, &asked.filter, kind, now_ms).await?;
        let empty: Arc<str> = "".into();
        let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
        rows.each(&[], |_, key, line, _| {
            let key = Key {
                kind: Kind::Flow,
                client: Arc::clone(&empty),
                ..key
            };
            sums.entry(key).or_default().merge(&line.sums);
        })
        .await?;
        Ok(gather::flows(&sums, tier_of))
    }

    /// The slowest requests, at most so many, the slowest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn slowest(&self, asked: &Asked, of: Latency, limit: usize) -> Result<Vec<SlowRequest>, StoreError> {
        let (mut reading, mut found) = {
            let _still = self.moving.read().await;
            let reading = Reading::begin(self.store.path()).await?;
            let is_asked = |request: &&SlowRequest| is_slow_asked(request, asked);
            let recent = self.recent.lock();
            let news = recent.slow_news.iter().map(|(_, request)| request);
            (reading, news.filter(is_asked).cloned().collect::<Vec<_>>())
        };
        let time = (asked.from_ms, asked.to_ms);
        found.extend(reading.slowest(time, &asked.filter, of, limit).await?);
        Ok(slow::slowest(found, of, limit))
    }

    /// Events, newest first; those after another one oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, wanted: &EventsWanted) -> Result<Vec<Event>, StoreError> {
        let (mut reading, news) = {
            let _still = self.moving.read().await;
            (Reading::begin(self.store.path()).await?, self.journal.unstored())
        };
        let mut events: Vec<Event> = reading.events(wanted).await?.into_iter().filter_map(read).collect();
        events.extend(news.into_iter().filter(|event| is_wanted(event, wanted)));
        let is_after = wanted.after_id.is_some();
        events.sort_by_key(|event| if is_after { event.id } else { u64::MAX - event.id });
        events.truncate(wanted.limit);
        Ok(events)
    }

    async fn rows<'a>(
        &self,
        (from_ms, to_ms, longest): (i64, i64, Step),
        filter: &'a Filter,
        kind: Kind,
        now_ms: i64,
    ) -> Result<Rows<'a>, StoreError> {
        let _still = self.moving.read().await;
        let reading = Reading::begin(self.store.path()).await?;
        let spans = spans(from_ms, to_ms, longest, &reading.marks(), now_ms);
        Ok(Rows {
            memory: self.in_memory(&spans, kind, filter),
            reading,
            spans,
            kind,
            filter,
        })
    }

    /// Lines of these spans that are in memory only.
    fn in_memory(&self, spans: &[Span], kind: Kind, filter: &Filter) -> Vec<(i64, Key, Line)> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return Vec::new();
        };
        let time = first.from_ms..last.to_ms;
        let recent = self.recent.lock();
        let intervals = recent.closed.iter().map(|closed| &**closed).chain([&recent.open]);
        let mut found = Vec::new();
        for interval in intervals.filter(|interval| time.contains(&interval.start_ms)) {
            let asked = |(key, _): &(&Key, &Line)| key.kind == kind && key.is_in(filter);
            let lines = interval.lines().filter(asked);
            found.extend(lines.map(|(key, line)| (interval.start_ms, key.clone(), line.clone())));
        }
        found
    }
}

impl Rows<'_> {
    /// Which groups are told apart.
    async fn chosen(&mut self, by: By) -> Result<Chosen, StoreError> {
        let mut requests: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        if by != By::None {
            for span in self.spans.clone() {
                let asked = RowsAsked {
                    span,
                    kind: self.kind,
                    filter: self.filter,
                    times: &[],
                };
                self.reading.requests_by(asked, by, &mut requests).await?;
            }
            for (_, key, line) in &self.memory {
                *requests.entry(Arc::clone(key.name(by))).or_default() += line.sums.requests;
            }
        }
        Ok(Chosen::new(by, requests))
    }

    /// Hands over all rows: first those in memory, then the others in the order of their times.
    async fn each(
        &mut self,
        times: &[Latency],
        mut take: impl FnMut(i64, Key, Line, bool) + Send,
    ) -> Result<(), StoreError> {
        for (start_ms, key, line) in std::mem::take(&mut self.memory) {
            take(start_ms, key, line, false);
        }
        for span in &self.spans {
            let asked = RowsAsked {
                span: *span,
                kind: self.kind,
                filter: self.filter,
                times,
            };
            self.reading
                .each(asked, |start_ms, key, line| take(start_ms, key, line, true))
                .await?;
        }
        Ok(())
    }

    fn effort(&self) -> Effort {
        Effort {
            rows: self.reading.rows,
            histograms: self.reading.histograms,
        }
    }
}

fn is_slow_asked(request: &SlowRequest, asked: &Asked) -> bool {
    let is = |wanted: &Option<String>, name: Option<&str>| wanted.as_deref().is_none_or(|want| name == Some(want));
    let filter = &asked.filter;
    (asked.from_ms..asked.to_ms).contains(&request.at_ms)
        && is(&filter.route, Some(&request.route))
        && is(&filter.client, Some(&request.client))
        && is(&filter.deployment, request.deployment.as_deref())
        && is(&filter.region, request.region.as_deref())
}

fn is_wanted(event: &Event, wanted: &EventsWanted) -> bool {
    wanted.kind.is_none_or(|kind| event.kind.as_ref() == kind)
        && (wanted.severities.is_empty() || wanted.severities.contains(&event.severity.as_ref()))
        && wanted.before_id.is_none_or(|id| event.id < id)
        && wanted.after_id.is_none_or(|id| event.id > id)
        && wanted.from_ms.is_none_or(|from_ms| event.at_ms >= from_ms)
        && wanted.to_ms.is_none_or(|to_ms| event.at_ms < to_ms)
}

/// An event of the store. One whose words are of a newer version is left out.
fn read(stored: StoredEvent) -> Option<Event> {
    Some(Event {
        id: stored.id,
        at_ms: stored.at_ms,
        severity: stored.severity.parse().ok()?,
        kind: stored.kind.parse().ok()?,
        subject: stored.subject,
        text: stored.text,
        advice: stored.advice,
    })
}
