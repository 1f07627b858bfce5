//! The official management library for Python, and `azure-identity`, against the simulated control plane over TLS. It prints a table of
//! what was done, to be seen with `cargo test --test it -- --nocapture python_management`.

use std::path::Path;

use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};

use super::fleet::{folder, interpreter, run};
use super::skip;

/// Two accounts; what takes minutes takes a second, or the library would wait for it.
const SCENARIO: &str = r"
starts_at: 2026-06-01T00:00:00Z
engine: {time_scale: 0}
arm:
  tls: generated
  subscription: 11111111-1111-4111-8111-111111111111
  durations: {create_s: 1, create_provisioned_s: 1, update_s: 1, delete_s: 1, propagation_s: 0}
  limits: {page_size: 2}
  quota: [{location: swedencentral, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: 200}]
accounts:
  - name: destination
    region: swedencentral
    api_keys: [first, second]
    fine_tuned_models: [{model: gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef}]
  - name: source
    region: northcentralus
    fine_tuned_models: [{model: gpt-4.1-nano-2025-04-14.ft-fedcba9876543210fedcba9876543210, checkpoints: [ftchkpt-1]}]
";

async fn world(directory: &Path) -> Simulator {
    let certificate = format!("tls: generated\n  certificate_to: {}/arm.pem", directory.display());
    let scenario = Scenario::parse(&SCENARIO.replace("tls: generated", &certificate)).expect("a scenario");
    simulator::start(scenario).await.expect("a simulator")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_management_library_works_as_against_azure() {
    let usual = folder().join(".venv/bin/python");
    let probe = "import azure.mgmt.cognitiveservices, azure.identity";
    let python = match interpreter("EMBERWAY_TEST_PYTHON", &usual, &["-c", probe]).await {
        Ok(python) => python,
        Err(reason) => return skip("control_plane.py", &reason),
    };
    let directory = tempfile::tempdir().expect("a directory");
    let simulator = world(directory.path()).await;
    let arm = simulator.arm().expect("a control plane");
    let (tls, plain, control) = (arm.tls_url().expect("TLS"), arm.url(), simulator.control_url());
    let certificate = arm.certificate().expect("a certificate").display().to_string();
    let endpoint = format!("{plain}/msi/token");
    let environment = [
        ("SIM_ARM_URL", tls.as_str()),
        ("SIM_CONTROL", &control),
        ("REQUESTS_CA_BUNDLE", &certificate),
        ("IDENTITY_ENDPOINT", &endpoint),
        ("IDENTITY_HEADER", "sim-identity-header"),
    ];
    let program = folder().join("python/control_plane.py");
    println!(
        "{}",
        run(&python, &[program.to_str().expect("UTF-8")], &environment).await
    );
}
