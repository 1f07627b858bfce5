//! The commands for Azure's control plane, as far as they go without one: what they would send, and what they refuse.

use snapbox::{assert_data_eq, str};

use super::program::Place;

const SOURCE: &str =
    "/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account";

/// Runs `deployment create --dry-run` for the reference's samples, with more flags.
async fn created(more: &[&str]) -> String {
    let mut arguments = vec![
        "deployment",
        "create",
        "--dry-run",
        "--subscription",
        "sub",
        "-g",
        "rg",
        "-n",
        "account",
        "--deployment-name",
        "support",
        "--model-name",
        "gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83",
        "--sku-name",
        "standard",
        "--sku-capacity",
        "1",
    ];
    arguments.extend(more);
    Place::new().run(&arguments).await
}

#[tokio::test]
async fn a_plain_creation_is_shown() {
    assert_data_eq!(
        created(&["--api-version", "2024-10-21"]).await,
        str![[r#"
exit 0
--- stdout
PUT https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21
Authorization: Bearer $TOKEN
Content-Type: application/json

{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1"}}}

curl -X PUT 'https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21' /
  -H "Authorization: Bearer $TOKEN" /
  -H "Content-Type: application/json" /
  -d '{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1"}}}'

az cognitiveservices account deployment create /
  --subscription sub /
  --resource-group rg /
  --name account /
  --deployment-name support /
  --model-name gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83 /
  --model-version 1 /
  --model-format OpenAI /
  --sku-capacity 1 /
  --sku-name Standard

"#]]
    );
}

#[tokio::test]
async fn a_creation_from_another_region_is_shown() {
    let more = ["--api-version", "2024-10-21", "--model-source", SOURCE];
    assert_data_eq!(
        created(&more).await,
        str![[r#"
exit 0
--- stdout
PUT https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21
Authorization: Bearer $TOKEN
Content-Type: application/json

{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1","source":"/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account"}}}

curl -X PUT 'https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21' /
  -H "Authorization: Bearer $TOKEN" /
  -H "Content-Type: application/json" /
  -d '{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1","source":"/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account"}}}'

az cognitiveservices account deployment create /
  --subscription sub /
  --resource-group rg /
  --name account /
  --deployment-name support /
  --model-name gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83 /
  --model-version 1 /
  --model-format OpenAI /
  --model-source /subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account /
  --sku-capacity 1 /
  --sku-name Standard

"#]]
    );
}

#[tokio::test]
async fn a_creation_from_another_tenant_is_shown() {
    let more = ["--source-account", SOURCE, "--auxiliary-tenant", "src.example"];
    assert_data_eq!(
        created(&more).await,
        str![[r#"
exit 0
--- stdout
PUT https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-01
Authorization: Bearer $TOKEN
x-ms-authorization-auxiliary: Bearer $AUXILIARY_TOKEN
Content-Type: application/json

{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1","sourceAccount":"/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account"}}}

curl -X PUT 'https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-01' /
  -H "Authorization: Bearer $TOKEN" /
  -H "x-ms-authorization-auxiliary: Bearer $AUXILIARY_TOKEN" /
  -H "Content-Type: application/json" /
  -d '{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1","sourceAccount":"/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account"}}}'

az rest --method put --url 'https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-01' /
  --headers "x-ms-authorization-auxiliary=Bearer $AUXILIARY_TOKEN" /
  --body '{"sku":{"name":"Standard","capacity":1},"properties":{"model":{"format":"OpenAI","name":"gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83","version":"1","sourceAccount":"/subscriptions/src/resourceGroups/src-rg/providers/Microsoft.CognitiveServices/accounts/src-account"}}}'

"#]]
    );
}

#[tokio::test]
async fn a_deletion_is_shown() {
    let id = "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account";
    let arguments = [
        "deployment",
        "delete",
        "--dry-run",
        "--api-version",
        "2024-10-21",
        "-n",
        id,
        "--deployment-name",
        "support",
    ];
    assert_data_eq!(
        Place::new().run(&arguments).await,
        str![[r#"
exit 0
--- stdout
DELETE https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21
Authorization: Bearer $TOKEN

curl -X DELETE 'https://management.azure.com/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/account/deployments/support?api-version=2024-10-21' /
  -H "Authorization: Bearer $TOKEN"

az cognitiveservices account deployment delete /
  --subscription sub /
  --resource-group rg /
  --name account /
  --deployment-name support

"#]]
    );
}

#[tokio::test]
async fn what_is_not_offered_is_a_warning_or_an_error() {
    let here = [
        "--location",
        "westeurope",
        "--model-name",
        "gpt-4.1-mini-2025-04-14.ft-0",
    ];
    let wish = |strict: bool| async move {
        let mut arguments = vec![
            "deployment",
            "create",
            "--dry-run",
            "--json",
            "--subscription",
            "s",
            "-g",
            "g",
            "-n",
            "account",
        ];
        arguments.extend(["--deployment-name", "support"].iter().chain(&here));
        arguments.extend(strict.then_some("--strict"));
        Place::new().run(&arguments).await
    };
    let warned = wish(false).await;
    assert!(
        warned.starts_with("exit 0") && warned.contains("warning: ") && warned.contains("Azure decides"),
        "{warned}"
    );
    let refused = wish(true).await;
    assert!(
        refused.starts_with("exit 1") && refused.contains("error: "),
        "{refused}"
    );
}

#[tokio::test]
async fn the_configuration_says_where_and_who() {
    let place = Place::new();
    let azure = "azure: { subscription: sub, resource_group: rg, credential: { token: '${env:KEY}' }, management: 'http://127.0.0.1:9/arm' }\n";
    // The client's key is not known here, and not needed.
    let rest = super::CONFIG
        .replace("${env:KEY}", "${env:UNSET}")
        .replace("region: swe", "account: contoso, region: swe");
    place.write("emberway.yaml", &format!("{azure}{rest}"));
    let shown = place
        .run(&[
            "deployment",
            "delete",
            "--dry-run",
            "-n",
            "a",
            "--deployment-name",
            "ft",
        ])
        .await;
    assert_data_eq!(
        shown,
        str![[r#"
exit 0
--- stdout
DELETE http://127.0.0.1:9/arm/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/contoso/deployments/ft?api-version=2024-10-01
Authorization: Bearer $TOKEN

curl -X DELETE 'http://127.0.0.1:9/arm/subscriptions/sub/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/contoso/deployments/ft?api-version=2024-10-01' /
  -H "Authorization: Bearer $TOKEN"

az cognitiveservices account deployment delete /
  --subscription sub /
  --resource-group rg /
  --name contoso /
  --deployment-name ft

"#]]
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    for (arguments, expected) in [
        (
            &["deployment", "list", "-n", "account", "--subscription", "s"][..],
            "which resource group? Give `--resource-group`",
        ),
        (
            &["deployment", "list", "-n", "a/b"],
            "`a/b` is not the ARM id of an account",
        ),
        (
            &["quota", "list", "-l", "eastus2"],
            "which subscription? Give `--subscription`",
        ),
        (
            &[
                "quota",
                "list",
                "-l",
                "eastus2",
                "--subscription",
                "s",
                "--management",
                "http://arm.example",
            ],
            "would carry the token readably",
        ),
        (
            &[
                "deployment",
                "update",
                "--dry-run",
                "-n",
                "account",
                "-g",
                "g",
                "--subscription",
                "s",
                "--deployment-name",
                "d",
                "--capacity",
                "5",
                "--sku",
                "Standart",
            ],
            "there is no SKU `Standart`",
        ),
    ] {
        let shown = Place::new().run(arguments).await;
        assert!(
            shown.starts_with("exit 1") && shown.contains(expected),
            "{arguments:?}: {shown}"
        );
    }
}
