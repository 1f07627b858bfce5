//! What the documents say of the gateway's own errors, held complete.

use std::collections::HashSet;

use strum::VariantArray as _;

use super::*;

const CLIENTS: &str = include_str!("../../../docs/clients.md");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// An error for each reason, but for limits: what those answer is tested where they are.
fn samples() -> Vec<ProxyError> {
    let absent = || ProxyError::Absent {
        deployment: "contoso/support".into(),
        region: "eastus2".into(),
        why: Absence::Provisioning,
    };
    let resting = |is_throttled| ProxyError::Resting {
        after: Duration::ZERO,
        is_throttled,
    };
    vec![
        ProxyError::NotServed {
            method: "GET".to_owned(),
            path: "/".to_owned(),
        },
        ProxyError::WrongMethod {
            path: "/".to_owned(),
            allowed: "POST",
        },
        ProxyError::Unauthorized("no key"),
        ProxyError::BodyTooLarge { limit: 1 },
        ProxyError::BodyTooSlow(Duration::ZERO),
        ProxyError::Busy,
        ProxyError::Overloaded,
        ProxyError::Stopping,
        ProxyError::BadHead,
        ProxyError::BadFraming,
        ProxyError::BadHeader {
            name: HeaderName::from_static("x-emberway-timeout"),
            value: "never".to_owned(),
            wanted: "seconds".to_owned(),
        },
        ProxyError::MissingModel(String::new()),
        ProxyError::UnknownModel {
            model: "x".to_owned(),
            known: String::new(),
        },
        ProxyError::PreviousResponseNotFound { name: "x".to_owned() },
        resting(true),
        resting(false),
        ProxyError::Drained { after: None },
        absent(),
        ProxyError::DeploymentMissing {
            deployment: "contoso/support".into(),
            region: "eastus2".into(),
            inactivity_days: None,
        },
        ProxyError::Misconfigured {
            path: "/".to_owned(),
            deployment: "contoso/support".into(),
            region: "eastus2".into(),
        },
        ProxyError::Exhausted(Exhausted::Timeout),
        ProxyError::Exhausted(Exhausted::Unreachable),
        ProxyError::Exhausted(Exhausted::CredentialRefused),
    ]
}

#[test]
fn every_status_and_code_is_in_the_table_for_clients() {
    let samples = samples();
    let shown: HashSet<RefusalReason> = samples.iter().map(ProxyError::reason).collect();
    let missing = RefusalReason::VARIANTS
        .iter()
        .filter(|reason| **reason != RefusalReason::ClientLimited && !shown.contains(reason));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&RefusalReason>::new(), "no sample");
    for error in samples {
        let body: serde_json::Value = serde_json::from_slice(&error.body()).expect("JSON");
        let code = body["error"]["code"].as_str().expect("a code");
        let row = format!("\n| {} | `{code}` |", error.status().as_u16());
        assert!(CLIENTS.contains(&row), "docs/clients.md has no row `{row}`");
    }
}

#[test]
fn every_reason_of_a_refusal_is_told_with_the_log() {
    let (_, told) = OPERATIONS.split_once("### Reasons of refusals\n").expect("a heading");
    let (told, _) = told.split_once("\n## ").expect("a next one");
    for reason in RefusalReason::VARIANTS {
        let word = format!("`{}`", reason.as_ref());
        assert!(told.contains(&word), "docs/operations.md does not tell {word}");
    }
}

#[test]
fn one_other_deployment_is_one() {
    let fenced = |excluded| {
        let error = ProxyError::Fenced {
            error: Box::new(ProxyError::Busy),
            regions: vec!["eastus2".to_owned()],
            excluded,
        };
        error.to_string()
    };
    assert!(fenced(1).ends_with("bound to eastus2, and the other deployment of its pool is not used"));
    assert!(fenced(2).ends_with("and the 2 other deployments of its pool are not used"));
}
