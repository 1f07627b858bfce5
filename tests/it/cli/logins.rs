//! The program's own way to log in where it runs as an app of Azure: by the variables that App Service and Container Apps set.

use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};

use super::program::Place;

async fn world() -> (Simulator, Place) {
    let text = "arm: {}\naccounts:\n  - { name: east, region: northcentralus,\n\
                \x20     deployments: [{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, sku: Standard, capacity: 10 }] }\n";
    let sim = simulator::start(Scenario::parse(text).expect("a scenario")).await;
    let sim = sim.expect("a simulator");
    let url = sim.arm().expect("a control plane").url();
    let place = Place::new();
    place.write(
        "emberway.yaml",
        &format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: usage.db }}\n\
             azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{url}',\n\
             \x20 credential: {{ managed_identity: {{}} }} }}\n\
             clients: [{{ name: desk, keys: ['${{env:KEY}}'] }}]\nresources:\n\
             \x20 - {{ name: east, region: northcentralus, account: east, endpoint: 'http://127.0.0.1:9', credential: {{ api_key: '${{env:KEY}}' }},\n\
             \x20     deployments: [{{ name: ft, sku: Standard, capacity: 10 }}] }}\n\
             pools: [{{ name: ft, tiers: [[east/ft]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n"
        ),
    );
    (sim, place)
}

/// Lists deployments as an app with this header; exit code, and what was said.
async fn listed(sim: &Simulator, place: &Place, header: &str) -> (Option<i32>, String) {
    let endpoint = format!("{}/msi/token", sim.arm().expect("a control plane").url());
    let mut command = place.command(&["deployment", "list", "--config", "emberway.yaml", "-n", "east"]);
    command
        .env("IDENTITY_ENDPOINT", endpoint)
        .env("IDENTITY_HEADER", header);
    let output = command.output().await.expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_logs_in_by_the_endpoint_that_its_variables_name() {
    let (sim, place) = world().await;
    let (code, said) = listed(&sim, &place, "sim-identity-header").await;
    assert!(code == Some(0) && said.contains("ft"), "{said}");
    let (_, calls) = sim.arm().expect("a control plane").plane().calls.list();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(paths.first(), Some(&"/msi/token"), "{paths:?}");
    let (code, said) = listed(&sim, &place, "wrong").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("cannot log in by `managed_identity`") && said.contains("X-IDENTITY-HEADER is missing or wrong"),
        "{said}"
    );
}
