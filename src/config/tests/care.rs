//! What is declared of resources and deployments for the control plane: what is accepted, what is refused, and how it is said.

use super::azure::shown;
use super::mistakes::{edited, problems};
use super::{SMALL, compile};
use crate::config::checked::azure::{DeclaredModel, Inactivity, InactivityPolicy, ModelSource};
use crate::core::arm_id::AccountId;

const TOKEN: &str =
    "azure: {subscription: s, resource_group: g, credential: {token: '${env:ARM_TOKEN}'}}\nlisteners:\n";

/// Compiles the small file after replacing texts, and expects these problems: line, place, message, hint.
#[track_caller]
fn check(edits: &[(&str, &str)], expected: &[&str]) {
    let shown: Vec<String> = problems(edits).iter().map(shown).collect();
    assert_eq!(shown, expected);
}

/// The same for a file that compiles with warnings.
#[track_caller]
fn check_warnings(edits: &[(&str, &str)], expected: &[&str]) {
    let checked = compile(&edited(edits)).unwrap_or_else(|errors| panic!("{errors}"));
    let shown: Vec<String> = checked.warnings.iter().map(shown).collect();
    assert_eq!(shown, expected);
}

/// Edits that make `contoso` a managed resource whose deployment `support` has these fields.
#[track_caller]
fn check_declared(fields: &str, expected: &[&str]) {
    let deployment = format!("capacity: 50, {fields}}}");
    check(
        &[
            ("listeners:\n", TOKEN),
            ("    deployments:", "    account: contoso\n    deployments:"),
            ("capacity: 50}", &deployment),
        ],
        expected,
    );
}

#[test]
fn a_declared_fleet_is_compiled() {
    let declared = "capacity: 50, fine_tuned_model: gpt-4.1-mini-2025-04-14.ft-0, source: /subscriptions/S2/resourceGroups/g2/providers/Microsoft.CognitiveServices/accounts/source, source_tenant: Fabrikam.example, inactivity: {policy: keep}}";
    let text = SMALL
        .replace(
            "listeners:\n",
            "azure: {subscription: s, resource_group: g, credential: {token: '${env:ARM_TOKEN}'}, tenants: [{tenant: fabrikam.example, credential: {azure_cli: {}}}]}\nlisteners:\n",
        )
        .replace("    deployments:", "    account: contoso\n    deployments:")
        .replace("capacity: 50}", declared)
        .replace("capacity: 150}", "capacity: 50, model: gpt-4.1, model_version: 2025-04-14, inactivity: {policy: delete_after, days: 3, warn_after_days: 2}}");
    let checked = compile(&text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings.len(), 1, "of unlike models: {:?}", checked.warnings);
    let care = &checked.runtime.care;
    assert_eq!(
        care.accounts,
        [Some(AccountId::try_new("s", "g", "contoso").expect("names"))]
    );
    assert_eq!(
        care.deployments[0].model,
        Some(DeclaredModel {
            name: "gpt-4.1-mini-2025-04-14.ft-0".to_owned(),
            version: "1".to_owned(),
            source: Some(ModelSource {
                account: AccountId::try_new("S2", "g2", "source").expect("names"),
                tenant: Some("Fabrikam.example".to_owned()),
            }),
        })
    );
    assert_eq!(
        care.deployments[0].inactivity,
        Some(Inactivity {
            policy: InactivityPolicy::Keep {
                organic_after_days: 12,
                keepalive_after_days: 13
            },
            warn_after_days: 10,
        })
    );
    let other = care.deployments[1].clone();
    assert_eq!(
        other.model.map(|model| (model.name, model.version, model.source)),
        Some(("gpt-4.1".to_owned(), "2025-04-14".to_owned(), None))
    );
    assert_eq!(
        other.inactivity,
        Some(Inactivity {
            policy: InactivityPolicy::DeleteAfter { days: 3 },
            warn_after_days: 2
        })
    );
}

#[test]
fn declarations_need_a_control_plane() {
    check(
        &[(
            "    deployments:",
            "    account: /subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/contoso\n    deployments:",
        )],
        &[
            "11: resources[0].account: `account` needs Azure's control plane, and there is no `azure`; add the section `azure` with a `credential`",
        ],
    );
    check(
        &[("capacity: 50}", "capacity: 50, inactivity: {policy: recreate}}")],
        &[
            "12: resources[0].deployments[0].inactivity.policy: only a deployment of a managed resource can be made or deleted; add `account` to its resource",
        ],
    );
    // Requests need no control plane.
    check_warnings(&[("capacity: 50}", "capacity: 50, inactivity: {policy: keep}}")], &[]);
}

#[test]
fn accounts_are_found() {
    let account = "    account: contoso\n    deployments:";
    check(
        &[
            (
                "listeners:\n",
                "azure: {credential: {azure_cli: {}}, subscription: s}\nlisteners:\n",
            ),
            ("    deployments:", account),
        ],
        &[
            "12: resources[0].account: `contoso` is a name alone, and `azure` does not say in which subscription and resource group; set `azure.subscription` and `azure.resource_group`, or give the account's id: `/subscriptions/…/resourceGroups/…/providers/Microsoft.CognitiveServices/accounts/…`, as `az cognitiveservices account show --query id` prints it",
        ],
    );
    check(
        &[
            ("listeners:\n", TOKEN),
            ("    deployments:", "    account: a/b\n    deployments:"),
        ],
        &[
            "12: resources[0].account: `a/b` is not the ARM id of an account; the account's name, or `/subscriptions/…/resourceGroups/…/providers/Microsoft.CognitiveServices/accounts/…`, as `az cognitiveservices account show --query id` prints it",
        ],
    );
    let other = "pools:\n";
    check(
        &[
            ("listeners:\n", TOKEN),
            ("    deployments:", account),
            (
                other,
                "  - name: again\n    region: eastus2\n    endpoint: https://again.example\n    credential: {api_key: '${env:AZURE_KEY}'}\n    account: CONTOSO\n    deployments: [{name: a, sku: Standard}]\npools:\n",
            ),
        ],
        &[
            "20: resources[1].account: resource `contoso` has this account too; an account is one resource; give it all its deployments",
        ],
    );
}

#[test]
fn mistakes_of_declarations_are_told() {
    let at = "14: resources[0].deployments[0]";
    check_declared(
        "model_version: '2'",
        &[&format!(
            "{at}.model_version: `2` is the version of no model; add `fine_tuned_model` or `model`"
        )],
    );
    check_declared(
        "source: other",
        &[&format!(
            "{at}.source: there is no `fine_tuned_model` that could come from there; add `fine_tuned_model`, or leave `source` out: base models come from no account"
        )],
    );
    check_declared(
        "fine_tuned_model: m, source_tenant: t",
        &[
            "14: resources[0].deployments[0].source_tenant: `azure.tenants` has no tenant `t`; add it to `azure.tenants`, with how to log in there",
            "14: resources[0].deployments[0].source_tenant: there is no `source` that could be of this tenant; add `source`: the account that holds the model",
        ],
    );
    check_declared(
        "inactivity: {policy: keep}",
        &[
            "14: resources[0].deployments[0].inactivity.policy: a deployment cannot be made again without its model and capacity; add `capacity` and `fine_tuned_model` (or `model` and `model_version`)",
        ],
    );
    check_declared(
        "fine_tuned_model: m, inactivity: {policy: delete_after}",
        &[
            "14: resources[0].deployments[0].inactivity.days: `delete_after` needs `days`; the idle days after which the gateway deletes it",
        ],
    );
    check_declared(
        "fine_tuned_model: m, inactivity_days: 0, inactivity: {policy: expire}",
        &[
            "14: resources[0].deployments[0].inactivity: with `inactivity_days: 0` Azure never deletes it; leave one of the two out",
        ],
    );
    check_declared(
        "fine_tuned_model: m, inactivity: {policy: keep, keepalive_after_days: 15}",
        &[
            "14: resources[0].deployments[0].inactivity.keepalive_after_days: after 15 days Azure may have deleted it already: `inactivity_days` is 15; at least a day earlier",
        ],
    );
    check_declared(
        "fine_tuned_model: m, inactivity: {policy: keep, organic_after_days: 14}",
        &[
            "14: resources[0].deployments[0].inactivity.organic_after_days: `14` is later than `keepalive_after_days`, so no real request is ever sent there; 13 at most",
        ],
    );
    check_declared(
        "fine_tuned_model: m, inactivity_days: 1, inactivity: {policy: keep}",
        &[
            "14: resources[0].deployments[0].inactivity.policy: after 1 days Azure may have deleted it already: `inactivity_days` is 1; at least a day earlier",
        ],
    );
    check_declared(
        "inactivity: {policy: kep}",
        &[
            "14: resources[0].deployments[0].inactivity.policy: `kep` is not one of the possible values; did you mean `keep`?",
        ],
    );
}

#[test]
fn what_a_declaration_does_in_vain_is_remarked_upon() {
    let check = |sku: &str, fields: &str, expected: &[&str]| {
        let deployment = format!("sku: {sku}, capacity: 50, fine_tuned_model: m, {fields}}}");
        check_warnings(
            &[
                ("listeners:\n", TOKEN),
                ("    deployments:", "    account: contoso\n    deployments:"),
                ("sku: Standard, capacity: 50}", &deployment),
            ],
            expected,
        );
    };
    check(
        "Standard",
        "source: CONTOSO",
        &[
            "14: resources[0].deployments[0].source: the model comes from the account that it is deployed in, which needs no `source`; leave it out",
        ],
    );
    check(
        "DeveloperTier",
        "inactivity: {policy: keep}",
        &[
            "14: resources[0].deployments[0].inactivity.policy: no request keeps a `DeveloperTier` deployment beyond 24 hours; `recreate` makes it again when it is needed, with `at_once: true` each day",
        ],
    );
    check(
        "Standard",
        "inactivity: {policy: expire, at_once: true}",
        &[
            "14: resources[0].deployments[0].inactivity.at_once: `at_once` has no effect without `policy: recreate`; leave it out",
        ],
    );
    check(
        "Standard",
        "inactivity: {policy: recreate, days: 3, organic_after_days: 4}",
        &[
            "14: resources[0].deployments[0].inactivity.organic_after_days: `organic_after_days` has no effect without `policy: keep`; leave it out",
            "14: resources[0].deployments[0].inactivity.days: `days` has no effect without `policy: delete_after`; leave it out",
        ],
    );
    check(
        "Standard",
        "inactivity: {policy: delete_after, days: 16}",
        &[
            "14: resources[0].deployments[0].inactivity.days: `16` is never reached: Azure deletes it after `inactivity_days` (15); `policy: expire` leaves it to Azure",
        ],
    );
}

#[test]
fn a_client_does_not_have_the_gateways_own_name() {
    check(
        &[("name: team", "name: emberway")],
        &[
            "4: clients[0].name: `emberway` is the gateway's own name in usage records, for its calls against inactivity; take another name",
        ],
    );
}

#[test]
fn a_pool_of_unlike_models_is_remarked_upon() {
    let unlike = |pool: &str| {
        let text = edited(&[
            ("listeners:\n", TOKEN),
            ("    deployments:", "    account: contoso\n    deployments:"),
            ("capacity: 50}", "capacity: 50, fine_tuned_model: m1}"),
            ("capacity: 150}", "capacity: 150, fine_tuned_model: m2}"),
            ("  - name: support\n", pool),
        ]);
        let checked = compile(&text).unwrap_or_else(|errors| panic!("{errors}"));
        checked.warnings.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(
        unlike("  - name: support\n"),
        [
            "18: pools[0].tiers: `contoso/spare` runs m2 (version 1), others run m1 (version 1): failover between them changes answers; deploy the same model, or declare them equivalent; put it into another pool, or add `equivalent_models`"
        ]
    );
    assert_eq!(
        unlike("  - name: support\n    equivalent_models: [[m1, m2]]\n"),
        Vec::<String>::new()
    );
}

#[test]
fn the_kill_switch_needs_no_restart() {
    let install = |writes: bool| {
        let azure = format!(
            "azure: {{subscription: s, resource_group: g, writes: {writes}, credential: {{token: '${{env:ARM_TOKEN}}'}}}}\nlisteners:\n"
        );
        compile(&SMALL.replace("listeners:\n", &azure)).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let (on, off) = (install(true), install(false));
    assert_eq!(
        crate::config::diff::needs_restart(&on.install, &off.install),
        Vec::<&str>::new()
    );
    assert!(on.runtime.care.writes && !off.runtime.care.writes);
}
