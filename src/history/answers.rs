//! Answers to questions about the history, from the store and from what is in memory yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::history::ask::{Asked, By, Filter, Latency};
use crate::core::history::gather::{self, Chosen, Gathering};
use crate::core::history::lines::{Key, Kind, Line};
use crate::core::history::shown::{Figures, Flows, Heatmap, Series, SlowRequest, Time, Total};
use crate::core::history::slow;
use crate::core::history::step::{Grid, Known, Span, Step, spans};
use crate::core::history::sums::Sums;
use crate::core::history::times::Times;
use crate::history::{History, moment};
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

/// Figures of a time and of the one before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// Those of the time.
    pub now: Figures,
    /// Which time they are of; none where nothing is kept of it.
    pub now_time: Option<Time>,
    /// Those of the time before it: as long, and up to its beginning.
    pub before: Figures,
    /// Which time those are of; none where nothing is kept of it.
    pub before_time: Option<Time>,
    /// Whether records of all of it are kept.
    pub before_is_whole: bool,
}

/// Rows of a time, from the store and from memory, as of one moment.
struct Rows<'a> {
    reading: Reading,
    memory: Vec<(i64, Key, Line)>,
    spans: Vec<Span>,
    /// Which time they are of; none where nothing is kept, and of what has not come yet.
    time: Option<Time>,
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
        let kind = Kind::for_question(by, &asked.filter);
        let (grid, mut rows) = self.grid_rows(asked, points, kind, now_ms).await?;
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

    /// Figures of the whole time, and which time they are of: a longer one where only longer rows are kept, a shorter one where records
    /// begin later or the time has not come yet; none where nothing is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn totals(&self, asked: &Asked, by: By, now_ms: i64) -> Result<(Vec<Total>, Option<Time>), StoreError> {
        let kind = Kind::for_question(by, &asked.filter);
        let mut rows = self.whole_rows(asked, kind, now_ms).await?;
        let chosen = rows.chosen(by).await?;
        let mut gathering = Gathering::new(chosen, None);
        rows.each(&ALL_TIMES, |start_ms, key, line, _| {
            gathering.add(start_ms, &key, &line);
        })
        .await?;
        Ok((gathering.totals(), rows.time))
    }

    /// Figures of a time and of the one before it. The time before ends with the first row of the time itself: otherwise an hour in which
    /// both border on each other, of which only the whole is kept, would count in both.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn compared(&self, asked: &Asked, now_ms: i64) -> Result<Compared, StoreError> {
        let sum = |totals: Vec<Total>| totals.into_iter().next().map(|total| total.total).unwrap_or_default();
        let (now, now_time) = self.totals(asked, By::None, now_ms).await?;
        let (from_ms, to_ms) = now_time.map_or((asked.from_ms, asked.to_ms), |time| (time.from_ms, time.to_ms));
        let before = Asked {
            from_ms: (from_ms - (to_ms - from_ms)).max(0),
            to_ms: from_ms,
            filter: asked.filter.clone(),
        };
        let (then, before_time) = self.totals(&before, By::None, now_ms).await?;
        Ok(Compared {
            now: sum(now),
            now_time,
            before: sum(then),
            before_time,
            before_is_whole: before_time.is_some_and(|time| time.from_ms <= before.from_ms),
        })
    }

    /// How long requests took, in at most `points` steps.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn heatmap(&self, asked: &Asked, of: Latency, points: usize, now_ms: i64) -> Result<Heatmap, StoreError> {
        let kind = Kind::for_question(By::None, &asked.filter);
        let (grid, mut rows) = self.grid_rows(asked, points, kind, now_ms).await?;
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
        let kind = if asked.filter.client.is_some() {
            Kind::Full
        } else {
            Kind::Flow
        };
        let mut rows = self.whole_rows(asked, kind, now_ms).await?;
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
        Ok(gather::flows(rows.time, &sums, tier_of))
    }

    /// The slowest requests, at most so many, the slowest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn slowest(&self, asked: &Asked, of: Latency, limit: usize) -> Result<Vec<SlowRequest>, StoreError> {
        let is_asked = |request: &&SlowRequest| is_slow_asked(request, asked);
        let look = |memory: moment::InMemory| memory.slow().filter(is_asked).cloned().collect::<Vec<_>>();
        let (mut reading, mut found) = self.moment(look).await?;
        let time = (asked.from_ms, asked.to_ms);
        found.extend(reading.slowest(time, &asked.filter, of, limit).await?);
        Ok(slow::slowest(found, of, limit))
    }

    /// Events, newest first; those after another one oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, wanted: &EventsWanted) -> Result<Vec<Event>, StoreError> {
        let look = |memory: moment::InMemory| {
            let news = self.journal.unstored().into_iter();
            news.filter(|event| !memory.is_stored(event.id) && is_wanted(event, wanted))
                .collect::<Vec<_>>()
        };
        let (mut reading, news) = self.moment(look).await?;
        let mut events: Vec<Event> = reading.events(wanted).await?.into_iter().filter_map(read).collect();
        events.extend(news);
        let is_after = wanted.after_id.is_some();
        events.sort_by_key(|event| if is_after { event.id } else { u64::MAX - event.id });
        events.truncate(wanted.limit);
        Ok(events)
    }

    /// Rows for points, and how those follow each other.
    async fn grid_rows<'a>(
        &self,
        asked: &'a Asked,
        points: usize,
        kind: Kind,
        now_ms: i64,
    ) -> Result<(Grid, Rows<'a>), StoreError> {
        self.rows(&asked.filter, kind, now_ms, |known| {
            let grid = Grid::new(asked.from_ms, asked.to_ms, points, &known.kept, now_ms);
            (grid, spans(grid.from_ms, grid.to_ms, grid.rows, known))
        })
        .await
    }

    /// Rows for a whole time.
    async fn whole_rows<'a>(&self, asked: &'a Asked, kind: Kind, now_ms: i64) -> Result<Rows<'a>, StoreError> {
        let found = self.rows(&asked.filter, kind, now_ms, |known| {
            ((), spans(asked.from_ms, asked.to_ms, Step::Hour, known))
        });
        let ((), rows) = found.await?;
        Ok(rows)
    }

    /// Rows of these spans.
    async fn rows<'a, T>(
        &self,
        filter: &'a Filter,
        kind: Kind,
        now_ms: i64,
        spans: impl FnOnce(&Known) -> (T, Vec<Span>),
    ) -> Result<(T, Rows<'a>), StoreError> {
        let look = |memory: moment::InMemory| (memory.closed(), memory.open(kind, filter));
        let (reading, (closed, mut memory)) = self.moment(look).await?;
        let (found, spans) = spans(&Known {
            marks: reading.marks(),
            kept: reading.kept(),
            now_ms,
        });
        let time_ms = spans.first().map_or(0, |span| span.from_ms)..spans.last().map_or(0, |span| span.to_ms);
        for interval in &closed {
            memory.extend(moment::lines(interval, kind, filter));
        }
        memory.retain(|(start_ms, _, _)| time_ms.contains(start_ms));
        let time = Time {
            from_ms: time_ms.start,
            to_ms: time_ms.end.min(now_ms),
        };
        let rows = Rows {
            reading,
            memory,
            spans,
            time: (time.from_ms < time.to_ms).then_some(time),
            kind,
            filter,
        };
        Ok((found, rows))
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
