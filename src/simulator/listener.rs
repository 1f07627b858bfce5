//! One account's front door: sockets in, requests to the data plane; can be shut like a region in an outage.
//!
//! Connections are served by hyper, HTTP/1.1 and HTTP/2 by prior knowledge or ALPN. Stopping drops the
//! listener and every connection at once, mid-byte, with a TCP reset; starting binds the same address again. A
//! stopped account's port is free for others to take meanwhile, so a start can fail.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::simulator::data_plane::{Site, serve};
use crate::simulator::world::{Account, World};

/// Connections an account holds at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 20_000;
/// Longest time for a request head, and for a connection to idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 1_000;

/// Ends one connection from inside a request.
#[derive(Debug, Default)]
pub struct ConnectionEnd {
    asked: Notify,
    abrupt: AtomicBool,
}

impl ConnectionEnd {
    /// Resets the connection: the peer sees RST, not an orderly close.
    pub fn reset(&self) {
        self.abrupt.store(true, Ordering::Release);
        self.asked.notify_one();
    }
}

/// A socket that closes with a reset when its connection was told to.
struct Socket {
    stream: TcpStream,
    end: Arc<ConnectionEnd>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.end.abrupt.load(Ordering::Acquire) {
            // Should this fail, the peer sees an orderly close instead: still the end of the connection.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// An account's listener, open or shut.
pub struct Listener {
    world: Arc<World>,
    account: Arc<Account>,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    open: tokio::sync::Mutex<Option<Open>>,
}

struct Open {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds and starts serving.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn open(world: Arc<World>, account: Arc<Account>, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let socket = TcpListener::bind(account.spec.address).await?;
        let address = socket.local_addr()?;
        let listener = Self {
            world,
            account,
            address,
            tls,
            open: tokio::sync::Mutex::new(None),
        };
        *listener.open.lock().await = Some(listener.run(socket));
        Ok(listener)
    }

    /// Where it listens, also while it is shut.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL without a path.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The account behind it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether it is open.
    pub async fn is_open(&self) -> bool {
        self.open.lock().await.is_some()
    }

    /// Shuts it: when this returns, connects are refused and every connection is gone.
    pub async fn stop(&self) {
        let Some(open) = self.open.lock().await.take() else {
            return;
        };
        open.stop.send_replace(true);
        // An error would mean that the task panicked; it is gone in either case.
        let _ = open.task.await;
    }

    /// Begins to shut it without waiting for the end, for owners that are being dropped.
    pub fn let_go(&self) {
        // When the lock is taken, a stop or start is under way on a task that its own owner ends.
        if let Ok(mut open) = self.open.try_lock() {
            open.take();
        }
    }

    /// Opens it again on the same address; does nothing when it is open.
    ///
    /// # Errors
    /// When the address has been taken meanwhile.
    pub async fn start(&self) -> io::Result<()> {
        let mut open = self.open.lock().await;
        if open.is_none() {
            *open = Some(self.run(TcpListener::bind(self.address).await?));
        }
        Ok(())
    }

    fn run(&self, socket: TcpListener) -> Open {
        let (stop, stopped) = watch::channel(false);
        let (world, account, tls) = (Arc::clone(&self.world), Arc::clone(&self.account), self.tls.clone());
        let task = tokio::spawn(accept(socket, world, account, tls, stopped));
        Open { stop, task }
    }
}

async fn accept(
    socket: TcpListener,
    world: Arc<World>,
    account: Arc<Account>,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let may_stop = stopped.clone();
    loop {
        let accepted = tokio::select! {
            // An error means that the listener's owner is gone, which is a stop too.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept_one(&socket, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let site = Site {
            world: Arc::clone(&world),
            account: Arc::clone(&account),
            connection: Arc::new(ConnectionEnd::default()),
        };
        let (tls, stopped) = (tls.clone(), may_stop.clone());
        connections.spawn(async move {
            connection(stream, site, tls, stopped).await;
            drop(place);
        });
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

async fn accept_one(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, _)) => {
            // Without this the small writes of a stream would wait for acknowledgements; failure only costs speed.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "the simulator cannot accept a connection");
            // Out of descriptors, most likely: give others time to close instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, site: Site, tls: Option<TlsAcceptor>, mut stopped: watch::Receiver<bool>) {
    let end = Arc::clone(&site.connection);
    let socket = Socket {
        stream,
        end: Arc::clone(&end),
    };
    let served = async {
        match tls {
            None => speak_http(socket, site).await,
            Some(tls) => match tls.accept(socket).await {
                Ok(stream) => speak_http(stream, site).await,
                Err(error) => tracing::debug!(%error, "a TLS handshake with the simulator failed"),
            },
        }
    };
    // Pinned here, so that the socket is dropped after the branch below has said how.
    tokio::pin!(served);
    tokio::select! {
        () = &mut served => {}
        () = end.asked.notified() => {}
        _ = stopped.wait_for(|stopped| *stopped) => end.abrupt.store(true, Ordering::Release),
    }
}

async fn speak_http<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, site: Site) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(serve(site, request.map(Body::new)).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS);
    // Broken connections are the client's business, or ours on purpose.
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the simulator ended early");
    }
}
