//! Azure for whoever applies a plan: looks through one client, writes through another that asks once and gives up at once, since trying
//! again is decided by who keeps the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::azure::arm::Arm;
use crate::azure::follow::Patience;
use crate::core::calendar::MINUTE_MS;
use crate::core::fleet::actual::{Actual, Quota};
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::journal::Answer;
use crate::core::fleet::key::QuotaKey;
use crate::core::fleet::step::Step;
use crate::fleet::apply::{Answered, Plane, Time};
use crate::fleet::declaration::Declaration;
use crate::fleet::quota::Place;
use crate::fleet::{look, order, quota};

/// How old what was read of quota may be: it changes by what is written, which takes longer.
const QUOTA_KEPT_MS: i64 = MINUTE_MS;

/// How long the client for writes waits for what: a write is sent once, and a conflict is an answer.
pub fn patience_of_writes() -> Patience {
    Patience {
        tries: 1,
        conflict: Duration::ZERO,
        ..Patience::default()
    }
}

/// Azure Resource Manager.
pub struct OverArm<'a> {
    /// Reads.
    pub reader: &'a Arm,
    /// Writes; made with [`patience_of_writes`].
    pub writer: &'a Arm,
    /// What should be.
    pub declaration: &'a Declaration,
    /// What Azure offers.
    pub catalogue: &'a Catalogue,
    /// Where quota is read.
    pub places: &'a BTreeSet<Place>,
    /// The time.
    pub time: &'a dyn Time,
    /// When quota was read, and what.
    pub quota: Mutex<Option<(i64, BTreeMap<QuotaKey, Quota>)>>,
    /// Told what could not be read.
    pub problem: &'a (dyn Fn(&str) + Send + Sync),
}

impl OverArm<'_> {
    async fn quotas(&self) -> BTreeMap<QuotaKey, Quota> {
        let now_ms = self.time.now_ms();
        let kept = self.quota.lock().clone();
        if let Some((at_ms, quotas)) = kept
            && (0..QUOTA_KEPT_MS).contains(&(now_ms - at_ms))
        {
            return quotas;
        }
        let (quotas, problems) = quota::read(self.reader, self.places).await;
        for problem in &problems {
            (self.problem)(problem);
        }
        *self.quota.lock() = Some((now_ms, quotas.clone()));
        quotas
    }
}

#[async_trait]
impl Plane for OverArm<'_> {
    async fn look(&self) -> Actual {
        let mut actual = Actual::default();
        let accounts = &self.declaration.accounts;
        let now_ms = self.time.now_ms();
        for (account, error) in look::look(self.reader, accounts, self.catalogue, &mut actual, now_ms).await {
            let name = account.name();
            (self.problem)(&format!(
                "account `{name}` cannot be read, so nothing is done in it: {error}"
            ));
        }
        actual.quotas = self.quotas().await;
        actual
    }

    async fn write(&self, step: &Step, actual: &Actual) -> Answered {
        let shown = actual.find(&step.key);
        let request = order::request(self.writer.address(), self.declaration, step, shown);
        let (Some(id), Some(request)) = (order::arm_id(self.declaration, step), request) else {
            // Plans have no such steps; nothing is sent.
            let code = "incomplete".to_owned();
            return Answered {
                answer: Answer::Refused { code },
                problem: Some("the configuration does not say enough".to_owned()),
            };
        };
        let sent = self.writer.submit(&id, &request).await;
        Answered {
            answer: order::answer(step, &sent, self.time.now_ms()),
            problem: sent.err().map(|error| with_cause(&error)),
        }
    }
}

/// An error with what caused it.
fn with_cause(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
