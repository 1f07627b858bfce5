//! TLS on both sides: what the gateway offers, and what it insists on.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use emberway::simulator::record::Ending;
use http::Version;

use crate::harness::{KEY, STREAM, Setup, V1, WHOLE, World, client, eventually, read};
use crate::wire::{Wire, request};

/// Makes a certificate for this machine, as `cert.pem` and `key.pem`.
pub(crate) fn certify(directory: &Path) -> String {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let certificate = made.cert.pem();
    std::fs::write(directory.join("cert.pem"), &certificate).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    certificate
}

/// A listener's files in this directory, under these names of the setting's.
pub(crate) fn files(directory: &Path, certificate: &str, key: &str) -> String {
    let directory = directory.display();
    format!("tls: {{ {certificate}: '{directory}/cert.pem', {key}: '{directory}/key.pem' }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_listener_offers_http2_and_http1() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let certificate = certify(directory.path());
    let setup = Setup {
        listener: files(directory.path(), "certificate", "key"),
        ..Setup::default()
    };
    let world = World::start_in(setup, directory).await;
    let trusted = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let url = format!("https://localhost:{}{V1}", world.address().port());
    for (version, only_http1) in [(Version::HTTP_2, false), (Version::HTTP_11, true)] {
        let client = client(|builder| {
            let builder = builder
                .add_root_certificate(trusted.clone())
                .resolve("localhost", world.address());
            if only_http1 { builder.http1_only() } else { builder }
        });
        for question in [WHOLE, STREAM] {
            let sent = client
                .post(&url)
                .header("api-key", KEY)
                .body(question)
                .send()
                .await
                .unwrap();
            assert_eq!(sent.version(), version);
            let answer = read(sent).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(question == WHOLE || answer.text().ends_with("data: [DONE]\n\n"));
        }
    }
    let plain = format!("http://{}{V1}", world.address());
    assert!(
        world.client.post(plain).body(WHOLE).send().await.is_err(),
        "no plain HTTP there"
    );
}

/// A world whose simulator speaks TLS with a certificate in this directory.
async fn secured(directory: &Path, resource: &'static str) -> World {
    World::start(Setup {
        account: files(directory, "certificate_file", "key_file"),
        engine: "base_latency_ms: 1, prefill_us_per_token: 0, decode_tokens_per_s: 100, min_output_tokens: 60",
        resource,
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_nobody_vouches_for_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let world = secured(directory.path(), "").await;
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(world.requests().len(), 0, "nothing was sent");
}

/// The gateway trusts what the machine trusts, which a process is told by `SSL_CERT_FILE` when it starts: so this runs the next
/// test in a process of its own.
#[test]
fn an_upstream_that_the_machine_trusts_is_used() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tls::inside_a_process_that_trusts_the_upstream", "--ignored"])
        .env("SSL_CERT_FILE", directory.path().join("cert.pem"))
        .stdin(Stdio::null());
    let ended = command.output().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `an_upstream_that_the_machine_trusts_is_used`, which sets SSL_CERT_FILE"]
async fn inside_a_process_that_trusts_the_upstream() {
    let file = std::env::var_os("SSL_CERT_FILE").expect("set by the test before");
    let directory = Path::new(&file).parent().unwrap();
    for (resource, version) in [("", "HTTP/1.1"), ("http2: true", "HTTP/2.0")] {
        let world = secured(directory, resource).await;
        let answer = world.ask(WHOLE).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let stream = world.ask(STREAM).await;
        assert!(stream.text().ends_with("data: [DONE]\n\n"), "{stream:?}");
        let versions: Vec<_> = world
            .requests()
            .into_iter()
            .map(|request| request.http_version)
            .collect();
        assert_eq!(versions, [version, version]);
        let made = r#"emberway_upstream_connections_total{resource="a",reused="false"}"#;
        assert_eq!(
            world.metric(made).await,
            Some(1.0),
            "{version}: the connection is used again"
        );

        // A client that leaves cancels its own answer; over HTTP/2 another one goes on over the same connection.
        let mut stays = Wire::connect(world.address()).await;
        stays.send(request(KEY, STREAM)).await;
        // Two requests that arrive at the same instant may each open a connection; this is about one joining another.
        stays.read_until("\"delta\":{\"content\":").await;
        let mut leaves = Wire::connect(world.address()).await;
        leaves.send(request(KEY, STREAM)).await;
        leaves.read_until("\"delta\":{\"content\":").await;
        drop(leaves);
        eventually("the cancellation upstream", || async {
            let requests = world.requests();
            let cancelled = requests
                .iter()
                .filter(|request| request.outcome.ending == Ending::Cancelled);
            (cancelled.count() == 1).then_some(())
        })
        .await;
        stays.read_until("data: [DONE]\n\n").await;
        let connections = if version == "HTTP/2.0" { 1.0 } else { 2.0 };
        assert_eq!(world.metric(made).await, Some(connections), "{version}");
    }
}
