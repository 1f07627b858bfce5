//! A fleet for tests: `eu/one` and `us/two`, and a request that failed at the first and was answered by the second.

use std::path::Path;
use std::sync::Arc;

use crate::config::load::compile_text;
use crate::core::ledger::finished::testing::finished;
use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::otlp::place::Places;

const CONFIG: &str = "\
listeners: [{address: '127.0.0.1:0'}]
clients: [{name: shop, keys: ['${env:KEY}']}]
resources:
  - {name: eu, region: swedencentral, endpoint: 'https://eu.openai.azure.com', credential: {api_key: '${env:KEY}'},
     deployments: [{name: one, sku: Standard, model: gpt-4.1-mini}]}
  - {name: us, region: eastus2, endpoint: 'https://us.example.com:8443', credential: {api_key: '${env:KEY}'},
     deployments: [{name: two, sku: Standard}]}
pools: [{name: support, tiers: [[eu/one], [us/two]]}]
routes: [{name: support, pool: support}]
";

/// Where the fleet is.
pub(crate) fn places() -> Places {
    let variables = |_: &str| Some("a-key-that-is-long-enough-for-all".to_owned());
    let checked = compile_text(CONFIG, Path::new("test.yaml"), &variables).expect("a configuration");
    let snapshot = checked.runtime.snapshot;
    Places::new(Box::new(move || Arc::clone(&snapshot)))
}

/// A request that was throttled at `us/two` after 20 ms and answered by `eu/one`.
pub(crate) fn failed_over(started_at_ms: i64) -> Finished {
    let mut request = finished(started_at_ms);
    request.record.attempts = 2;
    request.attempts[0].began_us = 21_000;
    request.attempts[0].reason = "failover";
    let throttled = FinishedAttempt {
        deployment: "us/two".into(),
        region: "eastus2".into(),
        reason: "home",
        outcome: "throttled",
        status: 429,
        began_us: 1_000,
        headers_us: 19_000,
        total_us: 19_000,
        retry_after_ms: Some(7_500),
        maybe_billed: false,
        answers: false,
    };
    request.attempts.insert(0, throttled);
    request
}
