//! The requests of the reference's samples, and where a token may go.

use super::*;
use crate::azure::resources::{Model, NewProperties, Sku};

const MODEL: &str = "gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83";
const DESTINATION: &str =
    "/subscriptions/dst/resourceGroups/dst-rg/providers/Microsoft.CognitiveServices/accounts/dst-account";
const SOURCE: &str =
    "/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account";

fn address(management: &str, api_version: &str) -> ArmAddress {
    ArmAddress {
        management: Url::parse(management).expect("a URL"),
        api_version: api_version.to_owned(),
    }
}

fn azure() -> ArmAddress {
    address("https://management.azure.com/", "2024-10-21")
}

fn id() -> DeploymentArmId {
    format!("{DESTINATION}/deployments/support").parse().expect("an id")
}

fn deployment(source: Option<&str>, source_account: Option<&str>) -> NewDeployment {
    NewDeployment {
        sku: Sku {
            name: "Standard".to_owned(),
            capacity: Some(1),
        },
        properties: NewProperties {
            model: Model {
                format: "OpenAI".to_owned(),
                name: MODEL.to_owned(),
                version: "1".to_owned(),
                source: source.map(str::to_owned),
                source_account: source_account.map(str::to_owned),
            },
            spillover_deployment_name: None,
            rai_policy_name: None,
            version_upgrade_option: None,
        },
    }
}

/// Checks a request against the reference's sample.
#[track_caller]
fn check(request: &ArmRequest, method: &str, version: &str, body: Option<&str>) {
    let url = format!("https://management.azure.com{DESTINATION}/deployments/support?api-version={version}");
    assert_eq!((request.method.as_str(), request.url.as_str()), (method, url.as_str()));
    assert_eq!(request.body.as_deref(), body);
}

#[test]
fn the_four_samples_of_the_reference_are_reproduced() {
    let model = format!(r#""model":{{"format":"OpenAI","name":"{MODEL}","version":"1""#);
    let plain = format!(r#"{{"sku":{{"name":"Standard","capacity":1}},"properties":{{{model}}}}}}}"#);
    let request = azure().create(&id(), &deployment(None, None), None);
    check(&request, "PUT", "2024-10-21", Some(&plain));
    assert_eq!(request.auxiliary_tenant, None);

    let cross_region =
        format!(r#"{{"sku":{{"name":"Standard","capacity":1}},"properties":{{{model},"source":"{SOURCE}"}}}}}}"#);
    check(
        &azure().create(&id(), &deployment(Some(SOURCE), None), None),
        "PUT",
        "2024-10-21",
        Some(&cross_region),
    );

    let cross_tenant = cross_region.replace("\"source\"", "\"sourceAccount\"");
    let request = azure().create(&id(), &deployment(None, Some(SOURCE)), Some("src.example"));
    check(&request, "PUT", "2024-10-01", Some(&cross_tenant));
    assert_eq!(request.auxiliary_tenant.as_deref(), Some("src.example"));

    check(&azure().delete(&id()), "DELETE", "2024-10-21", None);
}

#[test]
fn everything_else_is_where_arm_has_it() {
    let account: AccountId = DESTINATION.parse().expect("an id");
    let arm = address("https://arm.example/base/", "2024-10-01");
    let cases = [
        (arm.deployments(&account), "GET", format!("{DESTINATION}/deployments?api-version=2024-10-01")),
        (arm.skus(&id()), "GET", format!("{DESTINATION}/deployments/support/skus?api-version=2024-10-01")),
        (
            arm.switch(&id(), "pause"),
            "POST",
            format!("{DESTINATION}/deployments/support/pause?api-version=2025-10-01-preview"),
        ),
        (arm.keys(&account), "POST", format!("{DESTINATION}/listKeys?api-version=2024-10-01")),
        (
            arm.accounts("s", Some("g")),
            "GET",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts?api-version=2024-10-01".to_owned(),
        ),
        (
            arm.usages("s", "East US 2"),
            "GET",
            "/subscriptions/s/providers/Microsoft.CognitiveServices/locations/eastus2/usages?api-version=2024-10-01".to_owned(),
        ),
        (
            arm.model_capacities("s", "m&m", "1"),
            "GET",
            "/subscriptions/s/providers/Microsoft.CognitiveServices/modelCapacities?api-version=2024-10-01&modelFormat=OpenAI&\
             modelName=m%26m&modelVersion=1"
                .to_owned(),
        ),
    ];
    for (request, method, path) in cases {
        assert_eq!(request.method.as_str(), method, "{path}");
        assert_eq!(request.url.as_str(), format!("https://arm.example/base{path}"));
    }
    assert!(
        address("https://arm.example/", "2026-03-15-preview")
            .switch(&id(), "resume")
            .url
            .as_str()
            .ends_with("2026-03-15-preview")
    );
}

#[test]
fn a_token_goes_to_its_own_host_only() {
    let arm = azure();
    for (url, expected) in [
        ("https://management.azure.com/subscriptions?x=1", true),
        ("https://management.azure.com:443/x", true),
        ("http://management.azure.com/x", false),
        ("https://management.azure.com:444/x", false),
        ("https://management.azure.com.evil.example/x", false),
        ("https://user@management.azure.com/x", false),
        ("https://evil.example/management.azure.com", false),
    ] {
        assert_eq!(arm.is_own(&Url::parse(url).expect("a URL")), expected, "{url}");
    }
}
