//! Each kind of answer, and what is made of it.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::cli::doctor::report::State;
use crate::config::checked::azure::DeclaredModel;
use crate::config::load::compile_text;
use crate::core::topology::Snapshot;

/// 2026-11-26 16:00:00 UTC.
const NOW_MS: i64 = 1_795_708_800_000;
const DATE: &str = "Thu, 26 Nov 2026 16:00:00 GMT";

fn world() -> (std::sync::Arc<Snapshot>, DeclaredDeployment) {
    let text = "listeners: [{ address: '127.0.0.1:8080' }]\n\
        azure: { subscription: 11111111-1111-4111-8111-111111111111, resource_group: g, credential: { token: '${env:T}' } }\n\
        clients: [{ name: c, keys: ['${env:K}'] }]\n\
        resources: [{ name: a, region: swedencentral, account: contoso, endpoint: 'https://a.example', credential: { api_key: '${env:K}' }, \
        deployments: [{ name: ft, sku: Standard, capacity: 50, fine_tuned_model: gpt-4.1-mini-2025-04-14.ft-1, price: { input: 1, output: 4 } }] }]\n\
        pools: [{ name: p, tiers: [[a/ft]] }]\nroutes: [{ name: r, pool: p }]\n";
    let variables = |name: &str| Some(format!("a-secret-of-sufficient-length-for-{name}"));
    let checked =
        compile_text(text, Path::new("emberway.yaml"), &variables).unwrap_or_else(|errors| panic!("{errors}"));
    (checked.runtime.snapshot, checked.runtime.care.deployments[0].clone())
}

fn answered(status: u16, body: &serde_json::Value) -> Answered {
    Answered {
        status,
        date: Some(DATE.to_owned()),
        limit_tokens: None,
        body: body.to_string().into_bytes(),
    }
}

#[test]
fn a_resource_takes_the_credential_or_says_why_not() {
    let (snapshot, _) = world();
    let check = |status: u16, state: State, part: &str| {
        let body = json!({"error": {"code": "x", "message": "said so"}});
        let found = of_resource(&snapshot.resources[0], &answered(status, &body), NOW_MS);
        assert_eq!(
            (found[0].state, found[0].what.contains(part)),
            (state, true),
            "{status}: {found:?}"
        );
        assert_eq!(found[1].what, "the clocks agree");
    };
    check(200, State::Ok, "`2024-10-21`");
    check(401, State::Fail, "refuses the credential: said so");
    check(403, State::Fail, "denies access");
    check(404, State::Fail, "does not know what was asked (404)");
    check(429, State::Warn, "throttled");
    check(503, State::Fail, "answers 503");
}

#[test]
fn clocks_may_differ_a_little() {
    let check = |ahead_s: i64, state: State, part: &str| {
        let found = clock("a", DATE, NOW_MS + ahead_s * 1_000);
        assert_eq!(
            (found.state, found.what.contains(part)),
            (state, true),
            "{ahead_s}: {found:?}"
        );
    };
    check(30, State::Ok, "agree");
    check(-30, State::Ok, "agree");
    check(31, State::Warn, "31 s ahead of");
    check(-299, State::Warn, "299 s behind");
    check(300, State::Fail, "tokens are refused");
    check(-86_400, State::Fail, "86400 s behind");
    assert_eq!(clock("a", "yesterday", NOW_MS).state, State::Skipped);
}

#[test]
fn a_call_says_what_it_cost_and_whether_the_limit_is_as_configured() {
    let (snapshot, _) = world();
    let deployment = &snapshot.deployments[0];
    let call = |status: u16, limit: Option<u64>| {
        let mut answered = answered(status, &json!({"error": {"code": "x", "message": "said so"}}));
        answered.limit_tokens = limit;
        let called = Called {
            outcome: Ok(answered),
            usage: Some((8, 16)),
            took_ms: 12,
        };
        of_call(deployment, &called)
    };
    let found = call(200, Some(50_000));
    assert_eq!(
        (found.state, found.what.as_str()),
        (
            State::Ok,
            "answers a chat in 12 ms; 8 and 16 tokens, 0.0000720 US dollars"
        )
    );
    let found = call(200, Some(20_000));
    assert!(
        found.state == State::Warn && found.what.contains("tell 20000 tokens a minute, `capacity` is 50000"),
        "{found:?}"
    );
    for (status, state, part) in [
        (404, State::Fail, "is not there: said so"),
        (410, State::Fail, "retired"),
        (423, State::Fail, "paused"),
        (429, State::Warn, "throttled"),
        (500, State::Fail, "with 500: said so"),
    ] {
        let found = call(status, None);
        assert_eq!((found.state, found.what.contains(part)), (state, true), "{found:?}");
    }
    let called = Called {
        outcome: Err("reset".to_owned()),
        usage: None,
        took_ms: 1,
    };
    assert_eq!(of_call(deployment, &called).state, State::Fail);
}

#[test]
fn a_deployment_is_as_declared_or_what_differs_is_told() {
    let (snapshot, declared) = world();
    let check = |change: &str, value: serde_json::Value, state: State, part: &str| {
        let mut listed = json!({
            "name": "ft", "sku": {"name": "Standard", "capacity": 50},
            "properties": {"model": {"format": "OpenAI", "name": "gpt-4.1-mini-2025-04-14.ft-1", "version": "1"}, "provisioningState": "Succeeded"},
        });
        *listed.pointer_mut(change).unwrap_or_else(|| panic!("no {change}")) = value;
        let listed: Listed = serde_json::from_value(listed).expect("a deployment");
        let found = of_deployment(&snapshot.deployments[0], &declared, &[listed]);
        assert_eq!((found.state, found.what.contains(part)), (state, true), "{found:?}");
    };
    check("/name", "FT".into(), State::Ok, "as declared: Standard, 50 units");
    check("/name", "other".into(), State::Fail, "not there");
    check("/sku/capacity", 20.into(), State::Warn, "a capacity of 20, not 50");
    check(
        "/sku/name",
        "GlobalStandard".into(),
        State::Fail,
        "`GlobalStandard`, not `Standard`",
    );
    check(
        "/properties/provisioningState",
        "Failed".into(),
        State::Fail,
        "`Failed`",
    );
    check("/properties/model/name", "gpt-4o".into(), State::Fail, "runs `gpt-4o`");
    check("/properties/model/version", "2".into(), State::Fail, "version `2`");
}

#[test]
fn accounts_are_in_their_regions_and_quota_is_left() {
    let (snapshot, _) = world();
    let account =
        |location: &str| serde_json::from_value(json!({"name": "a", "location": location})).expect("an account");
    assert_eq!(
        of_account(&snapshot.resources[0], &account("Sweden Central")).state,
        State::Ok
    );
    assert_eq!(
        of_account(&snapshot.resources[0], &account("eastus2")).state,
        State::Fail
    );
    let quota = |used: f64| {
        let usage = json!({"name": {"value": "OpenAI.Standard.x"}, "currentValue": used, "limit": 100.0});
        of_quota("swedencentral", &[serde_json::from_value(usage).expect("a usage")])
    };
    assert_eq!(quota(0.0).state, State::Ok);
    assert_eq!(quota(89.0).state, State::Ok);
    assert!(
        quota(90.0).what.contains("`OpenAI.Standard.x` 90 of 100"),
        "{:?}",
        quota(90.0)
    );
}

#[test]
fn an_endpoint_is_the_accounts_own() {
    let (snapshot, _) = world();
    let check = |host: &str, properties: serde_json::Value, expected: Option<State>| {
        let mut resource = snapshot.resources[0].clone();
        host.clone_into(&mut resource.endpoint.host);
        let account = json!({"name": "contoso", "location": "swedencentral", "properties": properties});
        let account: Account = serde_json::from_value(account).expect("an account");
        let found = of_endpoint(&resource, &account);
        assert_eq!(found.as_ref().map(|found| found.state), expected, "{host}: {found:?}");
    };
    let own = || json!({"endpoint": "https://Contoso.openai.azure.com/"});
    check("contoso.openai.azure.com", own(), Some(State::Ok));
    check("other.openai.azure.com", own(), Some(State::Fail));
    check("other.services.ai.azure.com", own(), Some(State::Fail));
    // Somebody's gateway before it.
    check("api.example", own(), Some(State::Warn));
    check("openai.azure.com.example", own(), Some(State::Warn));
    let foundry = json!({"endpoint": "https://contoso.cognitiveservices.azure.com/",
        "endpoints": {"OpenAI Language Model Instance API": "https://contoso.openai.azure.com/"}});
    check("contoso.openai.azure.com", foundry, Some(State::Ok));
    check("contoso.openai.azure.com", json!({}), None);
    check("contoso.openai.azure.com", json!({"endpoint": "no URL"}), None);
}

#[test]
fn a_model_that_serves_no_chat_is_not_sent_one() {
    let (snapshot, declared) = world();
    let check = |base: Option<&str>, own: Option<&str>, expected: Option<&str>| {
        let mut deployment = snapshot.deployments[0].clone();
        deployment.model = base.map(str::to_owned);
        let mut declared = declared.clone();
        declared.model = declared.model.zip(own).map(|(model, name)| DeclaredModel {
            name: name.to_owned(),
            ..model
        });
        let found = without_chat(&deployment, &declared);
        let what = expected.map(|model| format!("not called: its model `{model}` serves no chat"));
        assert_eq!(found.as_ref().map(|found| found.what.clone()), what);
        assert!(found.is_none_or(|found| found.state == State::Skipped));
    };
    check(None, None, None);
    check(Some("gpt-4.1-mini"), Some("gpt-4.1-mini-2025-04-14.ft-1"), None);
    check(Some("text-embedding-3-large"), None, Some("text-embedding-3-large"));
    check(None, Some("babbage-002.ft-1"), Some("babbage-002.ft-1"));
    check(Some("gpt-35-turbo-instruct"), None, Some("gpt-35-turbo-instruct"));
    check(Some("gpt-4o-Realtime-preview"), None, Some("gpt-4o-Realtime-preview"));
}
