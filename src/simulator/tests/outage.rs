//! Accounts that go and come back, and TLS.

use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn a_stopped_account_refuses_and_drops_everything_and_comes_back_on_its_address() {
    check_outage(|client| client).await;
}

#[tokio::test]
async fn an_outage_drops_the_streams_of_http_2_too() {
    check_outage(reqwest::ClientBuilder::http2_prior_knowledge).await;
}

async fn check_outage(adapt: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) {
    let yaml = SCENARIO.replace("time_scale: 0", "time_scale: 1, decode_tokens_per_s: 0.5");
    let mut bench = Bench::of(&yaml).await;
    bench.client = adapt(Client::builder().no_proxy().timeout(PATIENCE)).build().unwrap();
    let address = bench.simulator.accounts()[0].address;
    let mut response = bench.ask("chat", &streamed()).await;
    response.chunk().await.unwrap().unwrap();

    bench.control().stop_account("north").await.unwrap();
    let broken = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended properly"),
            Err(error) => break error,
        }
    };
    assert!(!broken.is_timeout(), "{broken:?}");
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(bench.ended().await.outcome.ending, Ending::Cancelled);

    bench.control().start_account("north").await.unwrap();
    bench.control().start_account("north").await.unwrap();
    let mut body = hello();
    body["max_tokens"] = json!(1);
    assert_eq!(bench.simulator.accounts()[0].address, address);
    assert_eq!(bench.ask("ptu", &body).await.status(), 200);
}

#[tokio::test]
async fn outages_and_state_are_reachable_over_http() {
    let bench = Bench::new().await;
    let url = bench.simulator.control_url();
    let post = |path: &str| bench.client.post(format!("{url}{path}")).send();
    assert_eq!(post("/control/accounts/nowhere/stop").await.unwrap().status(), 404);
    assert_eq!(post("/control/accounts/north/stop").await.unwrap().status(), 204);
    let state = || async {
        let response = bench.client.get(format!("{url}/control/state")).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    assert_eq!(state().await["listeners"][0]["open"], false);
    assert_eq!(post("/control/accounts/north/start").await.unwrap().status(), 204);
    assert_eq!(bench.ask("chat", &hello()).await.status(), 200);
    assert_eq!(state().await["accounts"][0]["counts"]["by_status"]["200"], 1);
    let requests = bench
        .client
        .get(format!("{url}/control/requests?last=5"))
        .send()
        .await
        .unwrap();
    assert_eq!(requests.json::<Value>().await.unwrap()[0]["deployment"], "chat");
    let advance = bench
        .client
        .post(format!("{url}/control/clock/advance"))
        .json(&json!({"seconds": 90}));
    assert!(
        advance.send().await.unwrap().json::<Value>().await.unwrap()["at_ms"]
            .as_u64()
            .unwrap()
            >= 90_000
    );
    assert_eq!(post("/control/reset").await.unwrap().status(), 204);
    assert_eq!(state().await["accounts"][0]["counts"]["requests"], 0);
}

#[tokio::test]
async fn shutting_down_frees_the_addresses() {
    let bench = Bench::new().await;
    let address = bench.simulator.accounts()[0].address;
    let control = bench.control().clone();
    bench.simulator.shutdown().await;
    assert_eq!(
        TcpStream::connect(address).await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    assert_eq!(control.state().accounts.len(), 1);
}

#[tokio::test]
async fn tls_listeners_speak_http_2_and_1() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, generated.cert.pem()).unwrap();
    std::fs::write(&key, generated.signing_key.serialize_pem()).unwrap();
    let tls = format!(
        "region: swedencentral\n    tls: {{certificate_file: '{}', key_file: '{}'}}",
        certificate.display(),
        key.display()
    );
    let simulator = start(Scenario::parse(&SCENARIO.replace("region: swedencentral", &tls)).unwrap())
        .await
        .unwrap();
    let url = simulator.accounts()[0].url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"));
    let root = reqwest::Certificate::from_pem(generated.cert.pem().as_bytes()).unwrap();
    for (http1_only, expect) in [(true, reqwest::Version::HTTP_11), (false, reqwest::Version::HTTP_2)] {
        let builder = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .tls_certs_only([root.clone()]);
        let builder = builder.resolve("localhost", simulator.accounts()[0].address);
        let client = if http1_only { builder.http1_only() } else { builder }.build().unwrap();
        let request = client
            .post(format!("{url}{}", classic("chat")))
            .header("api-key", "key")
            .json(&streamed());
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, expect));
        assert!(response.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    }
}
