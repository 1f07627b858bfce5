//! What is sent for a step, and what is made of answers.

use url::Url;

use super::*;
use crate::azure::error::Refusal;
use crate::core::arm_id::AccountId;
use crate::core::fleet::actual::DeploymentSettings;
use crate::core::fleet::declared::{Declared, ModelSource};
use crate::core::fleet::finding::FindingKind;
use crate::core::fleet::key::{DeploymentKey, ModelRef};
use crate::core::fleet::policy::Policy;
use crate::core::ids::{DeploymentId, Region};
use crate::core::topology::Sku as SkuKind;
use crate::fleet::declaration::Terms;

const SOURCE: &str = "/subscriptions/o/resourceGroups/h/providers/Microsoft.CognitiveServices/accounts/source";

/// `east/ft`, of a model of another tenant.
fn declaration(capacity: Option<u32>) -> Declaration {
    let account = AccountId::try_new("s", "g", "east").expect("an id");
    let declared = DeclaredDeployment {
        settings: DeploymentSettings::default(),
        key: DeploymentKey::new(key_of(&account), "ft"),
        id: DeploymentId::from("east/ft"),
        azure_name: "ft".to_owned(),
        region: Region::from("northcentralus"),
        model: Some(ModelRef::fine_tuned("m.ft-1")),
        source: Some(ModelSource {
            account: SOURCE.to_owned(),
            tenant: Some("other.example".to_owned()),
        }),
        sku: SkuKind::Standard,
        capacity,
        policy: Policy::Keep,
        quota: None,
    };
    let terms = Terms {
        arm_id: account.deployment("ft").expect("an id"),
        price: None,
        rule_days: None,
        days: None,
        created_at_ms: None,
    };
    Declaration {
        writes: true,
        terms: [(declared.id.clone(), terms)].into(),
        declared: Declared {
            accounts: vec![key_of(&account)],
            deployments: vec![declared],
            pools: Vec::new(),
        },
        accounts: vec![account],
    }
}

fn step(kind: StepKind, name: &str) -> Step {
    let account = AccountId::try_new("S", "G", "East").expect("an id");
    Step {
        kind,
        key: DeploymentKey::new(key_of(&account), name),
        of: format!("east/{name}"),
        incarnation_ms: None,
        why: FindingKind::Missing,
        text: "does it".to_owned(),
    }
}

fn sent(declaration: &Declaration, step: &Step) -> Option<(String, Option<String>)> {
    let address = ArmAddress {
        management: Url::parse("https://arm.example/").expect("a URL"),
        api_version: "2025-06-01".to_owned(),
    };
    let shown = ActualDeployment {
        settings: DeploymentSettings::default(),
        model: ModelRef::fine_tuned("m.ft-1"),
        sku_name: "Standard".to_owned(),
        capacity: Some(7),
        state: crate::core::fleet::actual::Provisioning::Succeeded,
        is_paused: false,
        created_at_ms: None,
        retires_at_ms: None,
    };
    let request = request(&address, declaration, step, Some(&shown))?;
    let version = request.url.query().unwrap_or_default();
    let line = format!("{} {version}", request.shown());
    assert_eq!(request.auxiliary_tenant.is_some(), request.method == "PUT");
    Some((line, request.body))
}

#[test]
fn each_step_is_one_request() {
    let declaration_of = declaration;
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/east/deployments";
    let declaration = declaration_of(Some(50));
    for kind in [StepKind::Create, StepKind::Replace] {
        let (line, body) = sent(&declaration, &step(kind, "ft")).expect("a write");
        assert_eq!(line, format!("PUT {id}/ft api-version=2024-10-01"));
        let body = body.expect("a body");
        assert!(
            body.contains(r#""capacity":50"#) && body.contains(&format!(r#""sourceAccount":"{SOURCE}""#)),
            "{body}"
        );
    }
    for (capacity, expected) in [(Some(50), 50), (None, 7)] {
        let (line, body) = sent(&declaration_of(capacity), &step(StepKind::Raise, "ft")).expect("a write");
        assert_eq!(line, format!("PATCH {id}/ft api-version=2025-06-01"));
        assert_eq!(
            body.expect("a body"),
            format!(r#"{{"sku":{{"name":"Standard","capacity":{expected}}}}}"#)
        );
    }
    // What nobody declares can be deleted, and nothing else be done with it.
    let (line, body) = sent(&declaration, &step(StepKind::Delete, "junk")).expect("a write");
    assert_eq!((line, body), (format!("DELETE {id}/junk api-version=2025-06-01"), None));
    assert_eq!(sent(&declaration, &step(StepKind::Create, "junk")), None);
    assert_eq!(sent(&declaration, &step(StepKind::Drain, "ft")), None);
    assert_eq!(sent(&declaration_of(None), &step(StepKind::Create, "ft")), None);
}

#[test]
fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
    let refusal = |status, code: &str| {
        AzureError::Refused(Box::new(Refusal {
            status,
            code: code.to_owned(),
            message: String::new(),
            request_id: None,
            wait_s: None,
        }))
    };
    let refused = |code: &str| Answer::Refused { code: code.to_owned() };
    let throttled = Answer::Throttled { retry_at_ms: 60_005 };
    for (kind, outcome, expected) in [
        (StepKind::Create, Ok(201), Answer::Taken),
        (
            StepKind::Create,
            Err(refusal(Some(409), "RequestConflict")),
            Answer::Conflict,
        ),
        (
            StepKind::Create,
            Err(refusal(Some(409), "InvalidResourceState")),
            Answer::Failed,
        ),
        (StepKind::Create, Err(refusal(Some(429), "TooManyRequests")), throttled),
        (StepKind::Create, Err(refusal(Some(503), "status 503")), Answer::Failed),
        (
            StepKind::Create,
            Err(refusal(Some(400), "InsufficientQuota")),
            refused("InsufficientQuota"),
        ),
        (
            StepKind::Raise,
            Err(refusal(Some(404), "ResourceNotFound")),
            refused("ResourceNotFound"),
        ),
        (
            StepKind::Delete,
            Err(refusal(Some(404), "ResourceNotFound")),
            Answer::Taken,
        ),
        (
            StepKind::Delete,
            Err(AzureError::Unwitnessed("full".into())),
            refused("no_audit"),
        ),
        (StepKind::Delete, Err(AzureError::WritesOff), refused("writes_off")),
    ] {
        let shown = format!("{kind:?} {outcome:?}");
        assert_eq!(answer(&step(kind, "ft"), &outcome, 5), expected, "{shown}");
    }
}
