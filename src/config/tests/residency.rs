//! Routes that are bound to regions: what is left of their pools, and what is said of the rest.

use super::mistakes::{check, check_hint, check_warnings};
use super::{SMALL, compile};

/// Two more resources, and a bound on the route.
fn bounded(residency: &str, second_sku: &str) -> String {
    SMALL
        .replace(
            "pools:\n",
            &format!(
                "  - name: fabrikam
    region: francecentral
    endpoint: https://fabrikam.openai.azure.com
    credential: {{api_key: '${{env:AZURE_KEY}}'}}
    deployments:
      - {{name: support, sku: {second_sku}, capacity: 50}}
  - name: tailwind
    region: eastus2
    endpoint: https://tailwind.openai.azure.com
    credential: {{api_key: '${{env:AZURE_KEY}}'}}
    deployments:
      - {{name: support, sku: Standard, capacity: 50}}
pools:
"
            ),
        )
        .replace(
            "- [contoso/support, contoso/spare]",
            "- [contoso/support]\n      - [fabrikam/support, tailwind/support]",
        )
        .replace(
            "    pool: support\n",
            &format!("    pool: support\n    residency: {residency}\n"),
        )
}

/// The deployments that a route with such a bound may use, and the warnings.
fn kept(residency: &str, second_sku: &str) -> (Vec<String>, Vec<String>) {
    let checked = compile(&bounded(residency, second_sku)).expect("compiles");
    let snapshot = &checked.runtime.snapshot;
    let pool = &snapshot.pools[snapshot.routes[0].pool.0];
    let names = pool
        .members()
        .map(|member| snapshot.deployments[member.deployment.0].id.to_string());
    let warnings = checked.warnings.iter().map(|warning| warning.message.clone());
    (
        names.collect(),
        warnings.filter(|warning| warning.starts_with("not used")).collect(),
    )
}

#[test]
fn only_deployments_of_the_regions_are_left() {
    let (names, warnings) = kept("{regions: [swedencentral, francecentral]}", "Standard");
    assert_eq!(names, ["contoso/support", "fabrikam/support"]);
    assert_eq!(
        warnings,
        ["not used for `support-bot`: `tailwind/support` (in eastus2)"]
    );
    let (names, warnings) = kept("{regions: [swedencentral, francecentral, eastus2]}", "Standard");
    assert_eq!((names.len(), warnings), (3, Vec::new()));
}

#[test]
fn what_azure_may_process_elsewhere_must_be_allowed() {
    let bound = "{regions: [swedencentral, francecentral]}";
    for sku in [
        "GlobalStandard",
        "DataZoneStandard",
        "DeveloperTier",
        "GlobalProvisionedManaged",
    ] {
        let (names, warnings) = kept(bound, sku);
        assert_eq!(names, ["contoso/support"], "{sku}");
        assert!(
            warnings[0].contains(&format!("`fabrikam/support` ({sku} may be processed elsewhere)")),
            "{warnings:?}"
        );
    }
    for (sku, allowed) in [
        ("GlobalStandard", "global"),
        ("DataZoneStandard", "data_zone"),
        ("DeveloperTier", "developer"),
    ] {
        let bound = format!("{{regions: [swedencentral, francecentral], allow: [{allowed}]}}");
        assert_eq!(kept(&bound, sku).0, ["contoso/support", "fabrikam/support"], "{sku}");
    }
    // A developer tier deployment is none of the global ones that were allowed.
    assert_eq!(
        kept(
            "{regions: [francecentral, swedencentral], allow: [global]}",
            "DeveloperTier"
        )
        .0
        .len(),
        1
    );
}

#[test]
fn a_bound_that_leaves_nothing_is_a_mistake() {
    check(
        &[(
            "    pool: support\n",
            "    pool: support\n    residency: {regions: [westus]}\n",
        )],
        &[
            "22:5: routes[0].residency: none of the deployments of pool `support` keeps to it: `contoso/support` (in swedencentral), `contoso/spare` (in swedencentral)",
        ],
    );
}

#[test]
fn a_pool_that_is_not_there_has_no_residency_of_another() {
    check(
        &[(
            "    pool: support\n",
            "    pool: suport\n    residency: {regions: [westus]}\n",
        )],
        &["21:5: routes[0].pool: unknown pool `suport`"],
    );
}

#[test]
fn a_misspelt_region_is_told_what_it_is_near_to() {
    check_hint(
        "    pool: support\n",
        "    pool: support\n    residency: {regions: [swedencentrall]}\n",
        "did you mean `swedencentral`?",
    );
    for (written, said) in [
        ("sweden-central", true),
        ("SwedenCentral", true),
        ("swedencentral", false),
        ("northeurope", false),
    ] {
        let told = ["8:5: resources[0].region: `sweden-central` is none of the regions in which fine-tuned models are known to be offered"
            .replace("sweden-central", written)];
        let told: Vec<&str> = told.iter().filter(|_| said).map(String::as_str).collect();
        check_warnings(&[("region: swedencentral", &format!("region: {written}"))], &told);
    }
}

#[test]
fn routes_of_one_pool_may_be_bound_differently() {
    let text = bounded("{regions: [swedencentral]}", "Standard");
    let text = format!("{text}  - name: anywhere\n    pool: support\n");
    let checked = compile(&text).expect("compiles");
    let snapshot = &checked.runtime.snapshot;
    let sizes = snapshot
        .routes
        .iter()
        .map(|route| snapshot.pools[route.pool.0].members().count());
    assert_eq!(sizes.collect::<Vec<_>>(), [1, 3]);
    let names: Vec<String> = snapshot.pools.iter().map(|pool| pool.id.to_string()).collect();
    assert_eq!(names, ["support", "support@support-bot"]);
}
