//! The control plane over sockets: plain and TLS on one port, outages, and the control listener.

use reqwest::{Client, StatusCode};

use super::*;
use crate::simulator::{Simulator, start};

struct Running {
    simulator: Simulator,
    client: Client,
}

impl Running {
    async fn new(arm: &str) -> Self {
        // A second installation fails, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let yaml = SCENARIO.replace("MINI", MINI).replace("FULL", FULL);
        let yaml = yaml
            .replace("create_s: 60,", "create_s: 0,")
            .replace("propagation_s: 30", "propagation_s: 0");
        let yaml = yaml.replace("  subscription: sub\n", &format!("  subscription: sub\n{arm}"));
        Self {
            simulator: start(Scenario::parse(&yaml).unwrap()).await.unwrap(),
            client: Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap(),
        }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let request = self.client.request(method.parse().unwrap(), url);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn one_port_speaks_plain_http_and_tls_by_a_generated_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arm.pem");
    let running = Running::new(&format!("  tls: generated\n  certificate_to: {}\n", file.display())).await;
    let arm = running.simulator.arm().unwrap();
    assert_eq!(arm.certificate(), Some(&file));
    let path = "/subscriptions?api-version=2022-12-01";
    let plain = running
        .client
        .get(format!("{}{path}", arm.url()))
        .bearer_auth("sim-arm-token");
    assert_eq!(plain.send().await.unwrap().status(), 200);
    let root = reqwest::Certificate::from_pem(&std::fs::read(&file).unwrap()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = arm.tls_url().unwrap();
    let secure = client
        .get(format!("{url}{path}"))
        .bearer_auth("sim-arm-token")
        .send()
        .await
        .unwrap();
    assert_eq!(secure.status(), 200);
    let described = client.get(format!("{url}/metadata/endpoints")).send().await.unwrap();
    let described: Value = described.json().await.unwrap();
    assert_eq!(described[0]["authentication"]["loginEndpoint"], url);
    drop(running);
    assert!(!file.exists(), "it would be trusted for nothing");
}

#[tokio::test]
async fn the_control_plane_goes_and_comes_back_and_tells_what_it_has() {
    let running = Running::new("").await;
    let arm = running.simulator.arm().unwrap();
    let url = format!("{}{}", arm.url(), deployment("north", "support"));
    let put = || {
        running
            .client
            .put(&url)
            .bearer_auth("sim-arm-token")
            .json(&wanted("Standard", 5, MINI))
            .send()
    };
    assert_eq!(running.control("POST", "/control/arm/stop", Value::Null).await.0, 204);
    assert!(put().await.unwrap_err().is_connect());
    assert_eq!(running.control("POST", "/control/arm/start", Value::Null).await.0, 204);
    assert_eq!(put().await.unwrap().status(), 201);
    let (_, state) = running.control("GET", "/control/arm", Value::Null).await;
    assert_eq!(
        (&state["open"], &state["calls_total"], &state["calls"][0]["status"]),
        (&json!(true), &json!(1), &json!(201))
    );
    let shown = &state["deployments"][0];
    assert_eq!((&shown["name"], &shown["serves"]), (&json!("support"), &json!(true)));
    assert!(shown["ends_at"].as_str().unwrap().starts_with("2026-01-30T"));

    let fault = json!({"action": {"respond": {"status": 503, "code": "ServiceUnavailable"}}});
    assert_eq!(running.control("POST", "/control/arm/faults", fault).await.1["id"], 1);
    assert_eq!(put().await.unwrap().status(), 503);
    assert_eq!(
        running.control("DELETE", "/control/arm/faults/1", Value::Null).await.0,
        204
    );
    assert_eq!(
        running.control("DELETE", "/control/arm/faults/1", Value::Null).await.0,
        404
    );

    let gone = "/control/accounts/north/deployments/support";
    assert_eq!(running.control("DELETE", gone, Value::Null).await.0, 204);
    assert_eq!(running.control("DELETE", gone, Value::Null).await.0, 404);
    let (_, bill) = running.control("GET", "/control/bill", Value::Null).await;
    assert_eq!(bill["deployments"][0]["deleted_by"], "control");
    let seconds = 9 * 365 * 86_400;
    let (_, moved) = running
        .control("POST", "/control/clock/advance", json!({"seconds": seconds}))
        .await;
    assert!(moved["at"].as_str().unwrap().starts_with("2035-01-"), "{moved}");
}

#[tokio::test]
async fn a_scenario_without_a_control_plane_has_none() {
    let yaml = "accounts: [{name: a, region: r, deployments: []}]";
    let simulator = start(Scenario::parse(yaml).unwrap()).await.unwrap();
    assert!(simulator.arm().is_none());
    assert!(simulator.control().bill().is_err());
}
