//! Records for tests of the store.

use crate::core::ledger::usage::{Operation, RequestOutcome, UsageRecord, UsageSource};

/// A plain success; tests change what they are about.
pub(super) fn record(number: u32) -> UsageRecord {
    UsageRecord {
        request_id: format!("request-{number}").into(),
        started_at_ms: 1_764_000_000_000 + i64::from(number),
        client: "acme".into(),
        route: "support".into(),
        operation: Operation::Chat,
        deployment: Some("contoso-sweden/support-7".into()),
        region: Some("swedencentral".into()),
        served_region: None,
        spilled_to: None,
        attempts: 1,
        outcome: RequestOutcome::Success,
        status: 200,
        streamed: true,
        source: UsageSource::Reported,
        prompt_tokens: 1_000,
        cached_tokens: 800,
        completion_tokens: 50,
        first_byte_us: Some(200_000),
        first_token_us: Some(250_000),
        total_us: 1_000_000,
        upstream_us: 990_000,
        kept: None,
    }
}
