//! A client's connection as a whole: how many there may be, and how long one may say nothing at its beginning.
//!
//! pingora calls [`Front`] for each connection, after TLS, and `Front` lets [`Server`] answer the requests on it. A connection over
//! `limits.connections` is closed without a word: reading its request first, so that a refusal would be read, would be to serve
//! it. Client libraries take that for a failed connection and try again. Handshakes are not counted; pingora ends them after 60 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;

use crate::proxy::activity::Phase;
use crate::proxy::server::{LAST_MOMENT, Server};
use crate::telemetry::events::ConnectionRefused;

/// The length of HTTP/2's preface, of which pingora waits for every byte before it tells HTTP/2 from HTTP/1.1.
const H2_PREFACE_BYTES: usize = 24;

/// Counts client connections.
#[derive(Debug, Default)]
pub struct ClientConnections {
    open: AtomicUsize,
    refused: AtomicU64,
    none_left: Notify,
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
struct Open(Arc<ClientConnections>);

impl ClientConnections {
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Connections closed at once since the process started, because there were enough.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until none is open.
    pub async fn none_open(&self) {
        loop {
            let mut woken = std::pin::pin!(self.none_left.notified());
            // Registered before looking, so that the last one's wake-up cannot fall between the two.
            woken.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            woken.await;
        }
    }

    /// Counts one more, unless there are so many already.
    fn enter(self: &Arc<Self>, limit: usize) -> Option<Open> {
        let one_more = |open: usize| (open < limit).then_some(open + 1);
        let counted = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if counted.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Open(Arc::clone(self)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

/// What pingora calls for each connection of one listener.
pub struct Front(pub Arc<Server>);

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let gateway = &self.0.gateway;
        let (limit, head_time) = {
            let live = gateway.live.load();
            let limits = &live.config.runtime.limits;
            (limits.connections, limits.head_time)
        };
        let Some(_open) = gateway.clients.enter(limit) else {
            ConnectionRefused { limit }.emit();
            stream.shutdown().await;
            return None;
        };
        // Accepted just before the listener closed: a drain is to wait for the request that is probably on its way.
        let is_closing = gateway.activity.phase() == Phase::Closing;
        let last_moment = is_closing.then(|| gateway.activity.enter());
        let serving = async {
            if self.is_told_apart_by_bytes(&stream) && !begins(&mut stream, head_time).await {
                return None;
            }
            self.0.process_new(stream, shutdown).await
        };
        let Some(running) = last_moment else {
            return serving.await;
        };
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            biased;
            reused = &mut serving => return reused,
            () = tokio::time::sleep(LAST_MOMENT) => drop(running),
        }
        serving.await
    }

    async fn cleanup(&self) {
        self.0.cleanup().await;
    }
}

impl Front {
    /// Whether pingora reads the connection's first bytes to know its protocol, which it would do without a limit.
    fn is_told_apart_by_bytes(&self, stream: &Stream) -> bool {
        let is_tls = stream.get_ssl_digest().is_some();
        self.0.options.h2c && !is_tls && !matches!(stream.selected_alpn_proto(), Some(ALPN::H2))
    }
}

/// Waits for the first bytes of a connection, within a limit.
async fn begins(stream: &mut Stream, limit: Duration) -> bool {
    let mut first = [0; H2_PREFACE_BYTES];
    let peeked = tokio::time::timeout(limit, stream.try_peek(&mut first)).await;
    // False where the stream cannot look ahead; then pingora does not look either.
    matches!(peeked, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arc_swap::ArcSwap;
    use pingora::apps::HttpServerOptions;
    use pingora::protocols::http::v2::server::default_h2_options;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::watch;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::config::checked::WhenFull;
    use crate::config::load;
    use crate::proxy::Gateway;
    use crate::proxy::activity::Activity;
    use crate::proxy::body::ByteBudget;
    use crate::proxy::connections::Connections;
    use crate::proxy::misses::MissLedger;
    use crate::proxy::overload::Overload;
    use crate::proxy::pins::Pins;
    use crate::proxy::state::Live;
    use crate::storage::kept::ResponseStore;
    use crate::storage::sqlite::SqliteStore;
    use crate::storage::writer::{QueueSettings, usage_queue};
    use crate::telemetry::finished::FinishedQueue;
    use crate::telemetry::metrics::Metrics;

    const CONFIG: &str = "
listeners: [{address: 127.0.0.1:0}]
clients: [{name: desk, keys: ['${env:KEY}']}]
resources:
  - {name: a, region: r, endpoint: 'https://a.invalid', credential: {api_key: '${env:KEY}'}, deployments: [{name: ft, sku: Standard}]}
pools: [{name: ft, tiers: [[a/ft]]}]
routes: [{name: bot, pool: ft}]
";

    /// A gateway that is not wired to any listener.
    async fn gateway(directory: &Path) -> Arc<Gateway> {
        let key = |_: &str| Some("a-key-that-is-long-enough".to_owned());
        let checked = load::compile_text(CONFIG, Path::new("test.yaml"), &key).expect("compiles");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let live = Live::build(Arc::new(checked), &metrics, None).expect("a picture");
        let store = SqliteStore::open(&directory.join("usage.db")).await.expect("a store");
        let settings = QueueSettings {
            capacity: 1,
            keep_days: None,
        };
        let store = Arc::new(store);
        let pins = Pins::load(Arc::clone(&store) as Arc<dyn ResponseStore>)
            .await
            .expect("loaded");
        let (usage, _) = usage_queue(settings, store, || 0, Box::new(|_| {}));
        Arc::new(Gateway {
            live: ArcSwap::from_pointee(live),
            clients: Arc::default(),
            refresh: crate::proxy::refresh::CredentialRefresh::default(),
            tokens: crate::proxy::refresh::CredentialRefresh::default(),
            connections: Connections::start(1),
            budget: ByteBudget::new(1),
            metrics,
            usage,
            pins: Arc::new(pins),
            misses: MissLedger::new(&[], std::time::Instant::now()),
            trace: None,
            recent: None,
            tracing: None,
            finished: FinishedQueue::default(),
            when_full: WhenFull::Drop,
            activity: Arc::default(),
            overload: Overload::default(),
            drains: parking_lot::Mutex::default(),
            memory: crate::proxy::placing::Memory::default(),
        })
    }

    /// A connection that pingora accepted just before the listener closed.
    fn accepted_last(gateway: &Arc<Gateway>) -> (DuplexStream, JoinHandle<()>) {
        let server = Server {
            gateway: Arc::clone(gateway),
            options: HttpServerOptions::default(),
            h2: default_h2_options(),
        };
        let (ours, theirs) = duplex(4096);
        gateway.activity.enter_phase(Phase::Closing);
        let serving = tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(true);
            Arc::new(Front(Arc::new(server)))
                .process_new(Box::new(theirs), &stopped)
                .await;
        });
        (ours, serving)
    }

    /// Waits for something to run; far longer than it takes.
    async fn until_running(activity: &Activity) {
        let looking = async {
            while activity.running() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
        looked.expect("it counts as running");
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_request_on_a_connection_that_was_accepted_last() {
        let directory = tempfile::tempdir().expect("directory");
        let gateway = gateway(directory.path()).await;
        let (mut client, serving) = accepted_last(&gateway);
        until_running(&gateway.activity).await;
        client.write_all(b"GET /nothing HTTP/1.1\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        serving.await.expect("no panic");
        assert_eq!(gateway.activity.running(), 0);
    }

    #[tokio::test]
    async fn it_does_not_wait_for_one_that_says_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let gateway = gateway(directory.path()).await;
        let started = tokio::time::Instant::now();
        let (_client, serving) = accepted_last(&gateway);
        until_running(&gateway.activity).await;
        tokio::time::pause();
        gateway.activity.none_running().await;
        serving.await.expect("no panic");
        let waited = started.elapsed();
        assert!((LAST_MOMENT..LAST_MOMENT * 2).contains(&waited), "{waited:?}");
    }

    #[test]
    fn connections_are_counted_up_to_the_limit() {
        let clients = Arc::new(ClientConnections::default());
        let first = clients.enter(2).expect("room");
        let _second = clients.enter(2).expect("room");
        assert!(clients.enter(2).is_none());
        assert_eq!((clients.open(), clients.refused()), (2, 1));
        drop(first);
        assert!(clients.enter(1).is_none(), "the limit may have become smaller");
        assert!(clients.enter(2).is_some());
        assert_eq!((clients.open(), clients.refused()), (1, 2));
    }
}
