//! The control plane's listener: plain HTTP and, with a certificate, TLS on the same port; can be shut like ARM in an outage.
//!
//! The first byte of a connection tells which of the two it is, so one address serves curl and those clients that send a token over
//! TLS only.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::simulator::arm::http::serve;
use crate::simulator::arm::plane::Plane;
use crate::simulator::world::World;

/// Connections held at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1_000;
/// Longest time for a request head, and for the first byte.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// How a TLS connection begins: a handshake record.
const HANDSHAKE: u8 = 0x16;

/// The listener, open or shut.
pub struct ArmListener {
    world: Arc<World>,
    plane: Arc<Plane>,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    /// A certificate that was generated, and its text.
    certificate: Option<PathBuf>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// A way to speak TLS.
#[derive(Default)]
pub struct Secured {
    /// What it is spoken by.
    pub acceptor: Option<TlsAcceptor>,
    /// The certificate to trust, where it was made here.
    pub certificate: Option<PathBuf>,
}

impl ArmListener {
    /// Starts serving on a socket.
    ///
    /// # Errors
    /// When the socket has no address.
    pub async fn open(world: Arc<World>, plane: Arc<Plane>, socket: TcpListener, secured: Secured) -> io::Result<Self> {
        let listener = Self {
            address: socket.local_addr()?,
            world,
            plane,
            tls: secured.acceptor,
            certificate: secured.certificate,
            task: tokio::sync::Mutex::new(None),
        };
        *listener.task.lock().await = Some(listener.run(socket));
        Ok(listener)
    }

    /// The control plane behind it.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// Where it listens, also while it is shut.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL over plain HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL over TLS, when it has a certificate.
    pub fn tls_url(&self) -> Option<String> {
        self.tls.as_ref().map(|_| format!("https://{}", self.address))
    }

    /// The certificate to trust, where it was made here.
    pub fn certificate(&self) -> Option<&PathBuf> {
        self.certificate.as_ref()
    }

    /// Whether it is open.
    pub async fn is_open(&self) -> bool {
        self.task.lock().await.is_some()
    }

    /// Shuts it: when this returns, connects are refused and every connection is being dropped.
    pub async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
            // It says that it was aborted, which is what was asked for.
            let _ = task.await;
        }
    }

    /// Opens it again on the same address; does nothing when it is open.
    ///
    /// # Errors
    /// When the address has been taken meanwhile.
    pub async fn start(&self) -> io::Result<()> {
        let mut task = self.task.lock().await;
        if task.is_none() {
            *task = Some(self.run(TcpListener::bind(self.address).await?));
        }
        Ok(())
    }

    /// Begins to shut it without waiting, for owners that are being dropped, and takes the certificate away that was made.
    pub fn let_go(&self) {
        if let Ok(mut task) = self.task.try_lock()
            && let Some(task) = task.take()
        {
            task.abort();
        }
        if let Some(certificate) = &self.certificate {
            // Gone already, or not ours to remove: nothing depends on it.
            let _ = std::fs::remove_file(certificate);
        }
    }

    fn run(&self, socket: TcpListener) -> JoinHandle<()> {
        let (world, plane, tls) = (Arc::clone(&self.world), Arc::clone(&self.plane), self.tls.clone());
        tokio::spawn(accept(socket, world, plane, tls))
    }
}

async fn accept(socket: TcpListener, world: Arc<World>, plane: Arc<Plane>, tls: Option<TlsAcceptor>) {
    // Dropped with this task, which ends all of them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let (world, plane, tls) = (Arc::clone(&world), Arc::clone(&plane), tls.clone());
                    connections.spawn(connection(stream, world, plane, tls));
                }
                Err(error) => {
                    tracing::warn!(%error, "the simulated control plane cannot accept a connection");
                    // Out of descriptors, most likely: give others time to close instead of spinning.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>, plane: Arc<Plane>, tls: Option<TlsAcceptor>) {
    // Failure only costs speed.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return speak(stream, world, plane, false).await;
    };
    let mut first = [0];
    let peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await;
    match peeked {
        Ok(Ok(1)) if first[0] == HANDSHAKE => match tls.accept(stream).await {
            Ok(stream) => speak(stream, world, plane, true).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake with the simulated control plane failed"),
        },
        Ok(Ok(1)) => speak(stream, world, plane, false).await,
        // Closed, broken or silent before it said anything.
        _ => {}
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    world: Arc<World>,
    plane: Arc<Plane>,
    is_tls: bool,
) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (world, plane) = (Arc::clone(&world), Arc::clone(&plane));
        async move { Ok::<_, Infallible>(serve(world, plane, is_tls, request.map(Body::new)).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the simulated control plane ended early");
    }
}
