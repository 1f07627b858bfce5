//! A status where all is well, for tests that change it.

use serde_json::{Value, json};

use crate::cli::status::told::{self, Told};

/// When it was told.
pub(in crate::cli) const NOW_MS: i64 = 1_795_521_600_000;

/// What a gateway tells, changed.
pub(in crate::cli) fn told(change: impl FnOnce(&mut Value)) -> Told {
    let mut status = all_well();
    change(&mut status);
    told::read(&status.to_string()).expect("a status").0
}

fn all_well() -> Value {
    let deployment = |name: &str, region: &str| {
        json!({
            "name": name, "region": region, "in_flight": 3, "breaker": "closed", "alarm": null,
            "limit_tokens_per_minute": 150_000, "limit_used": 0.25, "cache_life_s": 600.0,
            "cooling_until": null, "cooling_until_ms": null, "drained": false, "drained_until_ms": null, "absent": null,
            "last_success_at": "2026-11-24T11:59:58Z", "last_success_at_ms": NOW_MS - 2_000,
            "deletion_at": "2026-12-09T11:59:58Z", "deletion_at_ms": NOW_MS + 1_296_000_000,
            "care": null, "last_failure": null
        })
    };
    let pool = |name: &str, headroom: Value| {
        json!({"name": name, "deployments": 2, "usable": 2, "regions": ["north", "south"], "sent_tokens": 0.0,
               "limit_without": {}, "headroom": headroom})
    };
    json!({
        "at": "2026-11-24T12:00:00Z", "at_ms": NOW_MS, "started_at": "2026-11-22T12:00:00Z", "started_at_ms": NOW_MS - 172_800_000,
        "ready": true, "draining": false, "version": "0.1.0", "requests_running": 6,
        "config": {"generation": 4, "loaded_at": "2026-11-24T09:30:00Z", "loaded_at_ms": NOW_MS - 9_000_000, "last_error": null},
        "fleet": null,
        "pools": [pool("ft", json!({"north": 2.5, "south": 1.8})), pool("embed", json!({}))],
        "deployments": [deployment("a/ft", "north"), deployment("b/ft", "south")],
        "needs": []
    })
}

/// Something that needs somebody, as a gateway tells it.
pub(in crate::cli) fn need(urgency: &str, subject: &str, kind: &str, advice: &str) -> Value {
    json!({"urgency": urgency, "about": "gateway", "subject": subject, "kind": kind, "advice": advice, "at_ms": null})
}
