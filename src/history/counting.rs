//! Takes finished requests and adds them to the interval that runs; once it is over, hands it to the writer.
//!
//! The interval is that of the wall clock when a request is taken, at most a second after its end. A clock that goes back opens an earlier
//! interval again, which the store adds to what it has of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::history::lines::Interval;
use crate::core::history::step::Step;
use crate::core::ids::DeploymentId;
use crate::core::ledger::bill::RequestCost;
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::finished::Finished;
use crate::core::topology::Price;
use crate::history::{History, Recent, WAITING_LINES_MAX};
use crate::telemetry::finished::FinishedConsumer;

/// Where the prices of the present configuration come from.
pub type Prices = dyn Fn() -> Option<Arc<PriceBook>> + Send;

/// Counts requests into a history.
pub struct Counting {
    history: Arc<History>,
    prices: Box<Prices>,
    /// Prices of the book that was used last.
    known: Option<(Arc<PriceBook>, HashMap<DeploymentId, Price>)>,
}

impl Counting {
    /// Counts into this history, by these prices.
    pub fn new(history: Arc<History>, prices: Box<Prices>) -> Self {
        Self {
            history,
            prices,
            known: None,
        }
    }

    fn cost(&mut self, finished: &Finished) -> RequestCost {
        let record = &finished.record;
        let (Some(deployment), Some((book, prices))) = (&record.deployment, &mut self.known) else {
            return RequestCost::default();
        };
        let price = prices
            .entry(deployment.clone())
            .or_insert_with(|| book.price(deployment));
        RequestCost::new(
            record.prompt_tokens,
            record.cached_tokens,
            record.completion_tokens,
            price,
        )
    }

    fn look_up_prices(&mut self) {
        let book = (self.prices)();
        let is_known = match (&self.known, &book) {
            (Some((known, _)), Some(book)) => Arc::ptr_eq(known, book),
            _ => false,
        };
        if !is_known {
            self.known = book.map(|book| (book, HashMap::new()));
        }
    }
}

impl FinishedConsumer for Counting {
    fn take(&mut self, finished: &[Finished]) {
        self.look_up_prices();
        let costs: Vec<RequestCost> = finished.iter().map(|one| self.cost(one)).collect();
        let mut recent = self.history.recent.lock();
        let recent = &mut *recent;
        let minute_ms = Step::Minute.floor(recent.open.start_ms);
        for (one, cost) in finished.iter().zip(&costs) {
            recent.open.add(one, cost);
            recent.slow.look(minute_ms, one);
            recent.telling.add(one);
        }
        let news = recent.slow.take().into_iter();
        recent.slow_news.extend(news.map(|request| (minute_ms, request)));
    }

    fn second(&mut self, now_ms: i64) {
        let start_ms = Step::Seconds.floor(now_ms);
        let mut recent = self.history.recent.lock();
        if recent.open.start_ms == start_ms {
            return;
        }
        recent.close(start_ms);
        recent.telling.tell(&self.history.journal, now_ms);
        drop(recent);
        self.history.over.notify_one();
    }
}

impl Recent {
    /// Ends the interval that runs, and begins another.
    pub(super) fn close(&mut self, start_ms: i64) {
        let over = Arc::new(std::mem::replace(&mut self.open, Interval::new(start_ms)));
        if !over.is_empty() {
            self.closed.push_back(Arc::clone(&over));
        }
        self.latest = over;
        let mut lines: usize = self.closed.iter().map(|interval| interval.len()).sum();
        while lines > WAITING_LINES_MAX && self.closed.len() > 1 {
            if let Some(lost) = self.closed.pop_front() {
                lines -= lost.len();
                self.lost += 1;
            }
        }
        // What finds no room is some of what is slow only.
        self.slow_news.truncate(WAITING_LINES_MAX);
    }
}
