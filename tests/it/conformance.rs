//! What RFC 9113 and RFC 7541 ask of a server, held against the gateway's listeners: with prior knowledge and over TLS.
//!
//! The cases are those of h2spec, which is the usual tool for it but no library of ours: section by section as it numbers them (RFC
//! 7540's numbers), each with frames that a client library would not send and what must come back. `make conformance` prints the
//! table. What the HTTP/2 implementation does otherwise on purpose is in [`KNOWN`], with the reason; one that does as the RFC says
//! after all must leave the list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Setup, World};
use crate::tls::{certify, files};

mod connection;
mod frames;
mod messages;
mod peer;

use peer::{Expect, PROTOCOL_ERROR, Peer, Step, Wire};

/// A case: what is sent, and what must come of it.
struct Case {
    section: &'static str,
    what: &'static str,
    /// The client's settings; none to begin without a handshake.
    settings: Option<Vec<(u16, u32)>>,
    steps: Vec<Step>,
    expect: Expect,
}

/// After a handshake with these frames.
fn case(section: &'static str, what: &'static str, frames: &[Vec<u8>], expect: Expect) -> Case {
    Case {
        section,
        what,
        settings: Some(Vec::new()),
        steps: vec![Step::Send(frames.concat())],
        expect,
    }
}

/// What the HTTP/2 implementation (the h2 crate) does in another way than the RFC has it, always, and why that is borne.
struct Known {
    reason: &'static str,
    /// What comes instead, which is held as well.
    instead: Expect,
    /// Sections and what they are about.
    cases: &'static [(&'static str, &'static str)],
}

const KNOWN: &[Known] = &[
    Known {
        reason: "the connection ends as it must, but its GOAWAY says PROTOCOL_ERROR instead of FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR \
                 or COMPRESSION_ERROR: h2 has one code for every frame that it cannot read",
        instead: Expect::ConnectionError(&[PROTOCOL_ERROR]),
        cases: &[
            ("4.3", "a header block that is none"),
            ("6.3", "PRIORITY of another length than 5"),
            ("6.4", "RST_STREAM of another length than 4"),
            ("6.5", "an acknowledgement with content"),
            ("6.5", "SETTINGS of a length that is no multiple of 6"),
            ("6.5.2", "INITIAL_WINDOW_SIZE above 2^31 - 1"),
            ("6.7", "PING of another length than 8"),
            ("6.9", "WINDOW_UPDATE of another length than 4"),
            ("6.9.2", "a later INITIAL_WINDOW_SIZE above 2^31 - 1"),
            ("HPACK 2.3.3", "a field of an index that is not there"),
            ("HPACK 2.3.3", "a literal whose name's index is not there"),
            ("HPACK 4.2", "the table's size changes at the block's end"),
            ("HPACK 5.2", "Huffman padding of more than seven bits"),
            ("HPACK 5.2", "Huffman padding by zeros"),
            ("HPACK 5.2", "Huffman text that holds the end"),
            ("HPACK 6.1", "a field of index 0"),
            ("HPACK 6.3", "a table larger than the server allows"),
        ],
    },
    Known {
        reason: "the connection ends with PROTOCOL_ERROR instead of the stream with STREAM_CLOSED: h2 takes a frame that a stream cannot \
                 get any more for a broken client, as RFC 9113, 5.4.1, allows for any stream's error",
        instead: Expect::ConnectionError(&[PROTOCOL_ERROR]),
        cases: &[
            ("5.1", "half closed: DATA"),
            ("5.1", "half closed: HEADERS"),
            ("5.1", "closed by RST_STREAM: HEADERS"),
            ("5.1", "closed: HEADERS"),
            ("6.1", "DATA of a stream that is not open"),
        ],
    },
    Known {
        reason: "the request is answered: h2 does not look at trailers' names. The gateway neither reads trailers nor passes them on",
        instead: Expect::Answer(1),
        cases: &[("8.1.2.1", "a pseudo-header in trailers")],
    },
];

fn known(section: &str, what: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.cases.contains(&(section, what)))
}

/// How to reach a listener.
struct Door {
    name: &'static str,
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Door {
    async fn open(&self) -> Box<dyn Wire> {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = tls.connect(name, stream).await.expect("a handshake");
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                Box::new(stream)
            }
        }
    }

    async fn run(&self, case: Case) -> Result<(), String> {
        let mut peer = Peer::new(self.open().await);
        if let Some(settings) = &case.settings {
            peer.shake_hands(settings).await?;
        }
        peer.play(case.steps).await?;
        peer.judge(case.expect).await
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let sections = [connection::cases(), frames::cases(), messages::cases()];
    sections.into_iter().flatten()
}

/// By section: passed, known, failed.
type Table = BTreeMap<&'static str, [usize; 3]>;

/// Runs every case through a door, and fails with those that failed.
async fn conform(door: Door) {
    let (mut table, mut problems) = (Table::new(), String::new());
    // Each is played by itself; those that are known to differ a second time, to see that they differ as is known.
    for (case, again) in cases().zip(cases()) {
        let (section, what) = (case.section, case.what);
        let result = door.run(case).await;
        let instead = match known(section, what) {
            Some(known) => Some(
                door.run(Case {
                    expect: known.instead,
                    ..again
                })
                .await,
            ),
            None => None,
        };
        let counted = match (result, instead) {
            (Ok(()), None) => 0,
            (Err(_), Some(Ok(()))) => 1,
            (Ok(()), Some(_)) => {
                let _ = writeln!(
                    problems,
                    "{section} {what}: as the RFC has it, so it is no known difference"
                );
                2
            }
            (Err(seen), None | Some(Err(_))) => {
                let _ = writeln!(problems, "{section} {what}: {seen}");
                2
            }
        };
        table.entry(section).or_default()[counted] += 1;
    }
    show(door.name, &table);
    assert!(problems.is_empty(), "{}:\n{problems}", door.name);
}

/// Shown whether the test passes or not.
fn show(name: &str, table: &Table) {
    let mut text = format!("HTTP/2, {name}\nsection    passed  known  failed\n");
    let mut sums = [0; 3];
    let mut sections: Vec<_> = table.iter().collect();
    sections.sort_by_key(|(section, _)| order(section));
    for (section, counts) in sections {
        let [passed, known, failed] = counts;
        let _ = writeln!(text, "{section:<10} {passed:>6} {known:>6} {failed:>7}");
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let [passed, known, failed] = sums;
    let _ = writeln!(text, "all        {passed:>6} {known:>6} {failed:>7}");
    for Known { reason, cases, .. } in KNOWN {
        let _ = writeln!(text, "known: {reason}:");
        for (section, what) in *cases {
            let _ = writeln!(text, "    {section} {what}");
        }
    }
    std::io::stderr().write_all(text.as_bytes()).expect("told");
}

/// Sections by their numbers; those of HPACK after those of HTTP/2.
fn order(section: &str) -> (bool, Vec<u32>) {
    let numbers = section.trim_start_matches("HPACK ").split('.');
    (
        section.starts_with("HPACK"),
        numbers.filter_map(|part| part.parse().ok()).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_speaks_http2_as_the_rfc_has_it() {
    let world = World::start(Setup::default()).await;
    let door = Door {
        name: "prior knowledge (h2c)",
        address: world.address(),
        tls: None,
    };
    conform(door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_listener_speaks_http2_as_the_rfc_has_it() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let certificate = certify(directory.path());
    let setup = Setup {
        listener: files(directory.path(), "certificate", "key"),
        ..Setup::default()
    };
    let world = World::start_in(setup, directory).await;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let door = Door {
        name: "TLS",
        address: world.address(),
        tls: Some(TlsConnector::from(Arc::new(config))),
    };
    conform(door).await;
}
