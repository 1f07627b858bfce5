//! The admin API against its own document: schemathesis sends what the document allows and what it forbids, and holds every answer to it.

use emberway::config::secrets::process_variables;

use super::fleet::{folder, interpreter};
use super::{fleet, skip};
use crate::harness::{ADMIN_TOKEN, Setup, World};

/// Seconds that it may send requests for.
const SECONDS: &str = "45";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_api_is_as_its_document_says() {
    let usual = folder().join(".venv/bin/python");
    let python = match interpreter("EMBERWAY_TEST_PYTHON", &usual, &["-c", "import schemathesis"]).await {
        Ok(python) => python,
        Err(reason) => return skip("schemathesis", &reason),
    };
    let world = World::start(Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    })
    .await;
    let settings = folder().join("python/schemathesis.toml");
    let document = format!("http://{}/api/v1/openapi.json", world.gateway.admin_address());
    // It takes it out again to see that it is asked, and knows it by this spelling only.
    let authorization = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let seconds = process_variables("SCHEMATHESIS_SECONDS").unwrap_or_else(|| SECONDS.to_owned());
    let arguments = [
        "-m",
        "schemathesis.cli",
        "--config-file",
        settings.to_str().expect("UTF-8"),
        "--no-color",
        "run",
        &document,
        "--header",
        &authorization,
        "--header",
        "x-emberway-csrf: 1",
        "--checks",
        "all",
        // It does not end.
        "--exclude-path",
        "/api/v1/live",
        "--workers",
        "1",
        "--max-time",
        &seconds,
        "--request-timeout",
        "10",
        "--continue-on-failure",
        "--warnings",
        "off",
    ];
    let said = fleet::run(&python, &arguments, &[]).await;
    assert!(said.contains("No issues found"), "{said}");
}
