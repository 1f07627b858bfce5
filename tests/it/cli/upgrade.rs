//! A gateway is replaced by another process while clients and operators ask: nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::ends::prepared;
use super::program::{Gateway, signal};
use crate::harness::{KEY, STREAM, Setup, V1, WHOLE, client, eventually, records_in, within};
use crate::tls::{certify, files};
use crate::wire::{Wire, request};

/// A client that believes what it is told: as long as an answer does not say that its connection ends, the connection takes another
/// request. It never tries again.
struct Strict {
    address: SocketAddr,
    keeps: bool,
    stream: Option<TcpStream>,
}

impl Strict {
    /// Asks once; the answer's status, or how it failed.
    async fn ask(&mut self, text: &str) -> Result<u16, String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address)
                .await
                .map_err(|error| format!("cannot connect: {error}"))?,
        };
        let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
        stream
            .write_all(text.as_bytes())
            .await
            .map_err(|error| failed("cannot send", error))?;
        let mut got = Vec::new();
        loop {
            let head = String::from_utf8_lossy(&got).into_owned();
            if let Some((head, body)) = head.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next());
                let length: usize = length.ok_or("no length")?.parse().map_err(|_| "no length")?;
                if body.len() >= length {
                    if self.keeps && !head.contains("connection: close") {
                        self.stream = Some(stream);
                    }
                    let status = head.split(' ').nth(1).ok_or("no status")?;
                    return status.parse().map_err(|_| "no status".to_owned());
                }
            }
            let read = stream.read_buf(&mut got).await;
            if read.map_err(|error| failed("cannot read", error))? == 0 {
                return Err(format!("ended after {:?}", String::from_utf8_lossy(&got)));
            }
        }
    }
}

/// Clients and operators that ask without a pause until told to stop, on kept and on new connections.
struct Crowd {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<String>>,
}

impl Crowd {
    fn start(gateway: &Gateway) -> Self {
        let mut crowd = Self {
            stop: Arc::default(),
            asked: Arc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..8 {
            crowd.add(gateway.address, number % 2 == 0, request(KEY, WHOLE), true);
        }
        for _ in 0..2 {
            crowd.add_http2(gateway.address);
        }
        for keeps in [true, false] {
            let ready = "GET /readyz HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned();
            crowd.add(gateway.admin, keeps, ready, false);
        }
        crowd
    }

    fn add(&mut self, address: SocketAddr, keeps: bool, text: String, counts: bool) {
        let (stop, asked) = (Arc::clone(&self.stop), Arc::clone(&self.asked));
        let mut client = Strict {
            address,
            keeps,
            stream: None,
        };
        self.tasks.spawn(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Acquire) {
                match within("an answer", client.ask(&text)).await {
                    Ok(200) => _ = asked.fetch_add(usize::from(counts), Ordering::AcqRel),
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        });
    }

    /// A client of a library, on one HTTP/2 connection for as long as that lasts.
    fn add_http2(&mut self, address: SocketAddr) {
        let (stop, asked) = (Arc::clone(&self.stop), Arc::clone(&self.asked));
        let client = client(reqwest::ClientBuilder::http2_prior_knowledge);
        self.tasks.spawn(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Acquire) {
                let request = client
                    .post(format!("http://{address}{V1}"))
                    .header("api-key", KEY)
                    .body(WHOLE);
                match request.send().await.map_err(|error| format!("{error:?}")) {
                    Ok(answer) if answer.status() == 200 => match answer.bytes().await {
                        Ok(_) => _ = asked.fetch_add(1, Ordering::AcqRel),
                        Err(error) => failures.push(format!("{error:?}")),
                    },
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        });
    }

    /// Waits for so many answers more.
    async fn after(&self, more: usize) {
        let until = self.asked.load(Ordering::Acquire) + more;
        eventually("answers", || async {
            (self.asked.load(Ordering::Acquire) >= until).then_some(())
        })
        .await;
    }

    /// Stops all; how many answers there were, and what failed.
    async fn end(mut self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Release);
        let mut failures = Vec::new();
        while let Some(client) = self.tasks.join_next().await {
            failures.extend(client.expect("no panic"));
        }
        (self.asked.load(Ordering::Acquire), failures)
    }
}

fn quick() -> Setup {
    Setup {
        engine: "base_latency_ms: 2, prefill_us_per_token: 0, decode_tokens_per_s: 10000, min_output_tokens: 20, max_output_tokens: 20",
        shutdown: "delay: 0s, drain: 6s",
        ..Setup::default()
    }
}

const SOCKET: [&str; 2] = ["--upgrade-socket", "upgrade.sock"];
const UPGRADE: [&str; 3] = ["--upgrade", "--upgrade-socket", "upgrade.sock"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_takes_over_and_nobody_notices() {
    let (_sim, place, config) = prepared(&quick()).await;
    let mut old = Gateway::start_with(&place, &config, &SOCKET, &[]).await;
    let crowd = Crowd::start(&old);
    crowd.after(1_000).await;
    // A connection that is only open.
    let mut idle = Strict {
        address: old.address,
        keeps: true,
        stream: None,
    };
    assert_eq!(idle.ask(&request(KEY, WHOLE)).await, Ok(200));
    let new = Gateway::start_with(&place, &config, &UPGRADE, &[]).await;
    assert_eq!((new.address, new.admin), (old.address, old.admin));
    old.logs("leaving to the successor").await;
    crowd.after(1_000).await;
    // The idle connection's next request is answered, and told that it was the last.
    assert!(idle.stream.is_some(), "it may be used again");
    assert_eq!(idle.ask(&request(KEY, WHOLE)).await, Ok(200));
    assert!(idle.stream.is_none(), "it was the last");
    let status = old.ended().await;
    assert_eq!(status.code(), Some(0));
    crowd.after(200).await;
    let (asked, failures) = crowd.end().await;
    assert!(failures.is_empty(), "{} failed: {failures:?}", failures.len());
    assert!(asked >= 2_200, "{asked}");
    new.terminate().await;
    assert_eq!(new.ended().await.code(), Some(0));
    assert!(!place.path("upgrade.sock").exists());
    // Not one record is lost between the two.
    assert_eq!(records_in(place.path("").as_path()).await.len(), asked + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_began_in_the_older_process_completes_there() {
    let setup = Setup {
        engine: "base_latency_ms: 0, prefill_us_per_token: 0, decode_tokens_per_s: 30, min_output_tokens: 60, max_output_tokens: 60",
        ..quick()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let old = Gateway::start_with(&place, &config, &SOCKET, &[]).await;
    let mut wire = Wire::connect(old.address).await;
    wire.send(request(KEY, STREAM)).await;
    wire.read_until("\"content\"").await;
    let new = Gateway::start_with(&place, &config, &UPGRADE, &[]).await;
    let rest = wire.read_until("data: [DONE]\n\n").await;
    assert!(!rest.contains("\"error\""), "{rest}");
    assert_eq!(old.ended().await.code(), Some(0));
    // A new one is answered by the successor.
    let mut wire = Wire::connect(new.address).await;
    wire.send(request(KEY, WHOLE)).await;
    assert!(wire.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_fails_changes_nothing() {
    let (_sim, place, config) = prepared(&quick()).await;
    let mut old = Gateway::start_with(&place, &config, &SOCKET, &[]).await;
    let crowd = Crowd::start(&old);
    crowd.after(100).await;
    let good = std::fs::read_to_string(&config).expect("the configuration");
    // One does not compile; one has the sockets already when it fails.
    place.write("wrong.yaml", &good.replace("pool: ft", "pool: nowhere"));
    place.write("failing.yaml", &good.replace("/usage.db", "/no/such/folder/usage.db"));
    for (file, code) in [("wrong.yaml", 78), ("failing.yaml", 1)] {
        let arguments = [&["run", "--config", file][..], &UPGRADE].concat();
        let said = place.run(&arguments).await;
        assert!(said.starts_with(&format!("exit {code}\n")), "{said}");
        if code == 1 {
            old.logs("no successor took over; this process goes on serving").await;
        }
        crowd.after(100).await;
    }
    // And the next is served.
    let new = Gateway::start_with(&place, &config, &UPGRADE, &[]).await;
    assert_eq!(old.ended().await.code(), Some(0));
    crowd.after(100).await;
    let (_, failures) = crowd.end().await;
    assert!(failures.is_empty(), "{} failed: {failures:?}", failures.len());
    new.terminate().await;
    assert_eq!(new.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_must_be_somebody_to_take_over_from() {
    let (_sim, place, _config) = prepared(&quick()).await;
    let said = place.run(&["run", "--upgrade"]).await;
    assert!(said.contains("name it by `--upgrade-socket`"), "{said}");
    let said = place.run(&[&["run"][..], &UPGRADE].concat()).await;
    assert!(said.starts_with("exit 1\n"), "{said}");
    assert!(said.contains("no running gateway listens on `upgrade.sock`"), "{said}");
}

/// A client's TLS that trusts one certificate.
fn trusting(certificate: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Shakes hands and asks; the beginning of the answer.
async fn ask_by_tls(connector: &TlsConnector, stream: TcpStream) -> String {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    stream.write_all(request(KEY, WHOLE).as_bytes()).await.expect("sent");
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).await.expect("an answer");
    String::from_utf8_lossy(&beginning).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_comes_with_the_successor_and_a_late_handshake_is_served() {
    // Both sides of the test's own client need one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = tempfile::tempdir().expect("a directory");
    let old_certificate = certify(certificates.path());
    let setup = Setup {
        listener: files(certificates.path(), "certificate", "key"),
        ..quick()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut old = Gateway::start_with(&place, &config, &SOCKET, &[]).await;
    // Two that the older process accepts, one of them before it has said a word of TLS.
    let late = TcpStream::connect(old.address).await.expect("a connection");
    let early = TcpStream::connect(old.address).await.expect("a connection");
    let trusts_old = trusting(&old_certificate);
    assert_eq!(
        within("an answer", ask_by_tls(&trusts_old, early)).await,
        "HTTP/1.1 200"
    );
    let trusts_new = trusting(&certify(certificates.path()));
    let new = Gateway::start_with(&place, &config, &UPGRADE, &[]).await;
    old.logs("leaving to the successor").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(within("an answer", ask_by_tls(&trusts_old, late)).await, "HTTP/1.1 200");
    let fresh = TcpStream::connect(new.address).await.expect("a connection");
    assert_eq!(
        within("an answer", ask_by_tls(&trusts_new, fresh)).await,
        "HTTP/1.1 200"
    );
    assert_eq!(old.ended().await.code(), Some(0));
}

/// Ends a process that is nobody's child here.
struct Ends(u32);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = std::process::Command::new("kill")
            .args(["-KILL", &self.0.to_string()])
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigquit_starts_a_successor_and_sighup_reloads_under_load() {
    let (_sim, place, config) = prepared(&quick()).await;
    let mut old = Gateway::start_with(&place, &config, &SOCKET, &[]).await;
    let crowd = Crowd::start(&old);
    for _ in 0..5 {
        crowd.after(100).await;
        old.signal("HUP").await;
        old.logs("configuration reloaded").await;
    }
    old.signal("QUIT").await;
    let started = old.logs("started a successor").await;
    let id = u32::try_from(started["pid"].as_u64().expect("its id")).expect("fits");
    let _ends = Ends(id);
    old.logs("leaving to the successor").await;
    // Once more is no reason to hurry.
    old.signal("QUIT").await;
    crowd.after(500).await;
    old.logs("drained").await;
    let status = within("the end", old.process.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
    crowd.after(100).await;
    let (_, failures) = crowd.end().await;
    assert!(failures.is_empty(), "{} failed: {failures:?}", failures.len());
    signal(id, "TERM").await;
    old.logs("drained").await;
}
