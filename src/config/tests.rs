//! Whole files through [`super::load`]: what is accepted, what is refused, and how it is said.

mod admin;
mod alerts;
mod azure;
mod care;
mod mistakes;
mod prices;
mod remarks;
mod repository;
mod residency;
mod telemetry;
mod use_limits;

use std::path::Path;

use crate::config::checked::Checked;
use crate::config::errors::ConfigErrors;
use crate::config::load;

/// The smallest file that compiles.
pub(super) const SMALL: &str = "\
listeners:
  - address: 127.0.0.1:0
clients:
  - name: team
    keys: ['${env:TEAM_KEY}']
resources:
  - name: contoso
    region: swedencentral
    endpoint: https://contoso.openai.azure.com
    credential: {api_key: '${env:AZURE_KEY}'}
    deployments:
      - {name: support, sku: Standard, capacity: 50}
      - {name: spare, sku: Standard, capacity: 150}
pools:
  - name: support
    tiers:
      - [contoso/support, contoso/spare]
routes:
  - name: support-bot
    aliases: [gpt-4.1-support]
    pool: support
";

pub(super) fn variables(name: &str) -> Option<String> {
    match name {
        "TEAM_KEY" => Some("team-key-team-key-team-key".to_owned()),
        "OTHER_KEY" => Some("other-key-other-key-other".to_owned()),
        "AZURE_KEY" => Some("azure-key".to_owned()),
        "ARM_TOKEN" => Some("a-token".to_owned()),
        "AZURE_TENANT_ID" => Some("contoso.onmicrosoft.com".to_owned()),
        "AZURE_CLIENT_ID" => Some("client".to_owned()),
        "HOOK" => Some("https://hooks.example.com/T0/secret".to_owned()),
        "SHORT_KEY" => Some("short".to_owned()),
        "EMPTY" => Some(String::new()),
        "TWO_LINES" => Some("one\ntwo".to_owned()),
        "HOST" => Some("https://fabrikam.openai.azure.com".to_owned()),
        _ => None,
    }
}

pub(super) fn compile(text: &str) -> Result<Checked, ConfigErrors> {
    load::compile_text(text, Path::new("test.yaml"), &variables)
}

#[test]
fn the_smallest_file_compiles() {
    let checked = compile(SMALL).expect("compiles");
    assert_eq!(checked.warnings, []);
}

#[test]
fn whole_numbers_may_be_written_as_fractions() {
    let text = SMALL.replace("capacity: 50", "capacity: 5e1") + "health: {consecutive_failures: 2.0}\n";
    let runtime = compile(&text).expect("compiles").runtime;
    assert_eq!(runtime.snapshot.deployments[0].capacity, Some(50));
    assert_eq!(runtime.health.consecutive_failures, 2);
}
