//! Injected misbehaviour: which fault, if any, does this request meet?
//!
//! A fault is data: where it applies, how often, and what happens. The book keeps those in force in the order they
//! were added; the first that matches a request and whose chance comes up is taken, and a counted fault is gone when
//! its count is. With no fault in force the hot path reads one atomic. What a fault does to the wire is carried out in
//! `data_plane` and `body`; this file only chooses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::simulator::chance::draw_unit;
use crate::simulator::presets::Preset;

/// Faults in force at once; more is a test that forgot to clean up.
const MAX_FAULTS: usize = 1_000;

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only on this account; on all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only on deployments of this name; on all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Only on streams, or only on whole answers.
    #[serde(default)]
    pub applies_to: AppliesTo,
    /// For this many requests; until removed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// For this part of matching requests, 0 to 1; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What happens.
    pub action: Action,
}

/// Which requests a fault looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliesTo {
    /// All.
    #[default]
    Any,
    /// Requests with `stream: true`.
    Streams,
    /// The others.
    WholeAnswers,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answer with one of the service's known failures.
    Preset(Preset),
    /// Answer with exactly this.
    Respond(Canned),
    /// Wait before the response head, then serve normally.
    Delay {
        /// How long.
        ms: u64,
    },
    /// Never send a response head; the connection stays open.
    Hang,
    /// Send the head and this many chunks, then nothing more; the connection stays open.
    Stall {
        /// Chunks sent first.
        #[serde(default)]
        after_chunks: u32,
    },
    /// Send the head and this many chunks, then close the connection without ending the body.
    Cut {
        /// Chunks sent first.
        #[serde(default)]
        after_chunks: u32,
    },
    /// Reset the connection (TCP RST) instead of sending a response; with HTTP/2, all its other streams too.
    Reset,
    /// Put an error object into a stream that began with 200, and end it there.
    StreamError {
        /// Chunks sent first: 0 is before the annotation chunk, 1 right after it.
        #[serde(default)]
        after_chunks: u32,
    },
    /// End a stream properly but without `[DONE]`.
    OmitDone,
    /// Announce a `content-length` larger than the body of a whole answer, then close.
    ShortBody {
        /// Bytes announced and never sent.
        missing_bytes: u64,
    },
    /// Wait this long before each chunk of a stream, on top of the model's own pace.
    SlowDrip {
        /// How long.
        ms: u64,
    },
    /// Lower a standard deployment's token limit, as the service does under pressure. Stays until removed and takes
    /// nothing of other faults' requests.
    ReduceLimit {
        /// The part left, 0 to 1.
        ratio: f64,
    },
}

/// A response given word for word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// Status code.
    pub status: u16,
    /// The body: a string is sent as it is, anything else as JSON; empty when absent.
    #[serde(default)]
    pub body: Option<Value>,
    /// Header fields added, such as `retry-after: "86400"`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Wait before the head.
    #[serde(default)]
    pub delay_ms: u64,
    /// Answer before the request's body was read. Under `/openai/v1` the deployment is not known then, so a fault
    /// that names one does not match there.
    #[serde(default)]
    pub before_body: bool,
}

/// What is known of a request when a fault is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its account.
    pub account: &'a str,
    /// Its deployment, when known.
    pub deployment: Option<&'a str>,
    /// Whether it asks for a stream, when known.
    pub stream: Option<bool>,
}

impl Fault {
    /// A fault for every request everywhere, until removed.
    pub fn new(action: Action) -> Self {
        Self {
            account: None,
            deployment: None,
            applies_to: AppliesTo::Any,
            count: None,
            probability: None,
            action,
        }
    }

    /// The same, on one account only.
    pub fn on_account(mut self, name: &str) -> Self {
        self.account = Some(name.to_owned());
        self
    }

    /// The same, on deployments of one name only.
    pub fn on_deployment(mut self, name: &str) -> Self {
        self.deployment = Some(name.to_owned());
        self
    }

    /// The same, for this many requests.
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// With the problem in words.
    pub fn check(&self) -> Result<(), String> {
        if self.probability.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
            return Err("probability is 0 to 1".to_owned());
        }
        match &self.action {
            Action::ReduceLimit { ratio } if !(0.0..=1.0).contains(ratio) => Err("ratio is 0 to 1".to_owned()),
            Action::Respond(canned) => canned.check(),
            _ => Ok(()),
        }
    }

    fn matches(&self, target: Target<'_>) -> bool {
        let streams = match self.applies_to {
            AppliesTo::Any => true,
            AppliesTo::Streams => target.stream == Some(true),
            AppliesTo::WholeAnswers => target.stream == Some(false),
        };
        streams
            && self.account.as_deref().is_none_or(|name| name == target.account)
            && self
                .deployment
                .as_deref()
                .is_none_or(|name| Some(name) == target.deployment)
    }
}

impl Canned {
    fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err(format!("status `{}` is not 200 to 599", self.status));
        }
        for (name, value) in &self.headers {
            let fits = http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok();
            if !fits {
                return Err(format!("`{name}` is not a header field"));
            }
        }
        Ok(())
    }
}

/// A fault in force, with its number.
#[derive(Debug, Clone, Serialize)]
pub struct FaultInForce {
    /// What removes it.
    pub id: u64,
    /// Requests that met it so far.
    pub met: u64,
    /// The fault; `count` is what is left.
    pub fault: Fault,
}

/// Why a fault was not taken up.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// A value is out of range.
    #[error("the fault is wrong: {0}")]
    Invalid(String),
    /// Too many already.
    #[error("`{MAX_FAULTS}` faults are in force; remove some first")]
    TooMany,
}

/// The faults in force.
#[derive(Debug)]
pub struct FaultBook {
    seed: u64,
    /// Number of entries, read without the lock.
    active: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    draws: u64,
    faults: Vec<FaultInForce>,
}

impl FaultBook {
    /// No faults.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            active: AtomicUsize::new(0),
            entries: Mutex::default(),
        }
    }

    /// Puts a fault in force and returns its number.
    ///
    /// # Errors
    /// When it breaks a rule or there are too many.
    pub fn add(&self, fault: Fault) -> Result<u64, FaultError> {
        fault.check().map_err(FaultError::Invalid)?;
        let mut entries = self.entries.lock();
        if entries.faults.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        entries.next_id += 1;
        let id = entries.next_id;
        entries.faults.push(FaultInForce { id, met: 0, fault });
        self.active.store(entries.faults.len(), Ordering::Release);
        Ok(id)
    }

    /// Removes one; false when it is not in force.
    pub fn remove(&self, id: u64) -> bool {
        let mut entries = self.entries.lock();
        let before = entries.faults.len();
        entries.faults.retain(|entry| entry.id != id);
        self.active.store(entries.faults.len(), Ordering::Release);
        entries.faults.len() < before
    }

    /// Removes all.
    pub fn clear(&self) {
        self.entries.lock().faults.clear();
        self.active.store(0, Ordering::Release);
    }

    /// Those in force, oldest first.
    pub fn list(&self) -> Vec<FaultInForce> {
        self.entries.lock().faults.clone()
    }

    /// The action for a request whose body has not been read: only faults that answer before it.
    pub fn take_before_body(&self, target: Target<'_>) -> Option<Action> {
        self.take(target, true)
    }

    /// The action for a request whose body has been read.
    pub fn take_after_body(&self, target: Target<'_>) -> Option<Action> {
        self.take(target, false)
    }

    /// The part of a standard deployment's token limit in force, 1 normally.
    pub fn limit_reduction(&self, account: &str, deployment: &str) -> f64 {
        if self.active.load(Ordering::Acquire) == 0 {
            return 1.0;
        }
        let target = Target {
            account,
            deployment: Some(deployment),
            stream: None,
        };
        let entries = self.entries.lock();
        let ratio = |entry: &FaultInForce| match entry.fault.action {
            Action::ReduceLimit { ratio } if entry.fault.matches(target) => Some(ratio),
            _ => None,
        };
        entries.faults.iter().find_map(ratio).unwrap_or(1.0)
    }

    fn take(&self, target: Target<'_>, before_body: bool) -> Option<Action> {
        if self.active.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut entries = self.entries.lock();
        let Entries { draws, faults, .. } = &mut *entries;
        let index = faults.iter().position(|entry| {
            let early = matches!(&entry.fault.action, Action::Respond(canned) if canned.before_body);
            let passive = matches!(entry.fault.action, Action::ReduceLimit { .. });
            if passive || early != before_body || !entry.fault.matches(target) {
                return false;
            }
            *draws += 1;
            entry
                .fault
                .probability
                .is_none_or(|part| draw_unit(self.seed, ("fault", *draws)) < part)
        })?;
        let entry = &mut faults[index];
        entry.met += 1;
        let action = entry.fault.action.clone();
        if let Some(count) = &mut entry.fault.count {
            *count = count.saturating_sub(1);
            if *count == 0 {
                faults.remove(index);
                self.active.store(faults.len(), Ordering::Release);
            }
        }
        Some(action)
    }
}

#[cfg(test)]
mod tests;
