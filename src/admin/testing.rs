//! Sources for tests of the admin listener: each test sets what it asks.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::Sources;
use super::access::Access;
use super::api::ApiSources;
use super::api::answer::Refusal;
use super::api::config::Configuration;
use super::api::config::shapes::{
    Applied, ApplyBody, ConfigText, Judgement, RestoreBody, Version, VersionText, WhatIf,
};
use crate::storage::StoreError;
use crate::storage::audit::{AuditEntry, AuditStore};

/// Sources of which nothing is asked, open to everybody.
pub(super) fn sources() -> Sources {
    Sources {
        metrics: Box::new(|| Ok(String::new())),
        status: Box::new(|| panic!("nobody asks for it")),
        explain: Box::new(|_, _, _| panic!("nobody asks for it")),
        drains: Box::new(|_| panic!("nobody asks for it")),
        access: Access::default(),
        api: ApiSources {
            is_demo: false,
            audit: Arc::new(Remembered::default()),
            configuration: Arc::new(Unasked),
        },
    }
}

/// A configuration that may be changed, and of which nothing else is asked.
struct Unasked;

#[async_trait]
impl Configuration for Unasked {
    fn writable(&self) -> Result<(), String> {
        Ok(())
    }
    async fn shown(&self) -> Result<ConfigText, Refusal> {
        panic!("nobody asks for it")
    }
    async fn check(&self, _: String, _: bool) -> Result<Judgement, Refusal> {
        panic!("nobody asks for it")
    }
    async fn what_if(&self, _: String, _: u64, _: bool) -> Result<WhatIf, Refusal> {
        panic!("nobody asks for it")
    }
    async fn apply(&self, _: String, _: ApplyBody) -> Result<Applied, Refusal> {
        panic!("nobody asks for it")
    }
    async fn versions(&self) -> Result<Vec<Version>, Refusal> {
        panic!("nobody asks for it")
    }
    async fn version(&self, _: i64) -> Result<VersionText, Refusal> {
        panic!("nobody asks for it")
    }
    async fn restore(&self, _: String, _: i64, _: RestoreBody) -> Result<Applied, Refusal> {
        panic!("nobody asks for it")
    }
}

/// An audit in memory.
#[derive(Default)]
struct Remembered(Mutex<Vec<AuditEntry>>);

#[async_trait]
impl AuditStore for Remembered {
    async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.lock().push(entry.clone());
        Ok(())
    }

    async fn audit(&self, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let entries = self.0.lock();
        let wanted = entries.iter().rev().filter(|entry| entry.at_ms >= since_ms);
        Ok(wanted.take(most as usize).cloned().collect())
    }
}
