//! Listening: binds addresses first, so that a taken port is a clear error, then serves them on the current runtime.
//!
//! pingora's `Server` is not used: it owns the process's runtimes and signals, ends with a fixed sleep, and cannot be run twice in
//! one process. Its `Service` is handed sockets that are bound already, and stops accepting when told; requests that run
//! go on. The same code serves in production and in tests, which bind port 0.

use std::net::SocketAddr;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::apps::HttpServerOptions;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::Fds;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::checked::{Listener, TlsFiles};
use crate::proxy::Gateway;
use crate::proxy::front::Front;
use crate::proxy::server::Server;

/// Connections that wait to be accepted, at most; the kernel's own bound may be lower.
const BACKLOG: u32 = 4096;

/// An HTTP/2 connection without requests is closed after this long; otherwise it would stay for ever.
const H2_IDLE_MAX: Duration = Duration::from_mins(5);

/// Window sizes for HTTP/2 uploads: the protocol's 64 KiB would allow only that much a round trip.
const H2_STREAM_WINDOW: u32 = 1024 * 1024;
const H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// A bound address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that was given where port 0 was asked for.
    pub address: SocketAddr,
    socket: std::net::TcpListener,
    settings: Listener,
}

impl Bound {
    /// Another handle of its socket, with the address as it was configured.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn copy(&self) -> std::io::Result<(SocketAddr, std::net::TcpListener)> {
        Ok((self.settings.address, self.socket.try_clone()?))
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refuses it.
    #[error("cannot listen on `{address}`{hint}", hint = hint(source))]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate of listener `{address}`: {message}")]
    Tls {
        /// Which listener.
        address: SocketAddr,
        /// Why.
        message: String,
    },
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            " (another program listens there; stop it, or change `address` in the configuration)"
        }
        std::io::ErrorKind::PermissionDenied => " (ports below 1024 need privileges; use a higher port)",
        std::io::ErrorKind::AddrNotAvailable => " (this machine does not have that address)",
        _ => "",
    }
}

/// Binds an address.
///
/// # Errors
/// When the operating system refuses.
pub fn bind_address(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let bind = || {
        let socket = if address.is_ipv4() {
            tokio::net::TcpSocket::new_v4()
        } else {
            tokio::net::TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bind().map_err(|source| ListenError::Bind { address, source })
}

/// Binds every listener of whose address `inherit` has no socket already. On an error those bound already are closed again.
///
/// # Errors
/// When the operating system refuses one.
pub fn bind(
    listeners: &[Listener],
    mut inherit: impl FnMut(SocketAddr) -> Option<std::net::TcpListener>,
) -> Result<Vec<Bound>, ListenError> {
    listeners
        .iter()
        .map(|settings| {
            let socket = match inherit(settings.address) {
                Some(socket) => socket,
                None => bind_address(settings.address)?,
            };
            let address = socket.local_addr().map_err(|source| ListenError::Bind {
                address: settings.address,
                source,
            })?;
            Ok(Bound {
                address,
                socket,
                settings: settings.clone(),
            })
        })
        .collect()
}

/// Serves the bound addresses on the current runtime until `stop` becomes true; then no connection is accepted any more, idle ones
/// are closed, and running requests go on. The tasks end when accepting has ended.
///
/// # Errors
/// When a certificate cannot be used.
pub fn serve(
    gateway: &Arc<Gateway>,
    bound: Vec<Bound>,
    stop: &watch::Receiver<bool>,
) -> Result<JoinSet<()>, ListenError> {
    let mut tasks = JoinSet::new();
    for Bound {
        address,
        socket,
        settings,
    } in bound
    {
        let name = address.to_string();
        // pingora's own read buffer is 64 KiB for each connection; its sessions read into buffers of their own anyway.
        let mut endpoint = ListenerConfig::tcp(&name).l4_buffer(L4BufferSettings::default().read(0));
        if let Some(files) = &settings.tls {
            endpoint = endpoint.tls(tls(address, files)?);
        }
        let mut service = Service::new("gateway".to_owned(), Front(Arc::new(server(gateway, &settings))));
        service.add_listener(endpoint);
        let mut sockets = Fds::new();
        sockets.add(name, socket.into_raw_fd());
        let stop = stop.clone();
        tasks.spawn(async move {
            service
                .start_service(Some(Arc::new(Mutex::new(sockets))), stop, 1)
                .await;
        });
    }
    Ok(tasks)
}

/// What serves one listener's requests.
fn server(gateway: &Arc<Gateway>, settings: &Listener) -> Server {
    let mut options = HttpServerOptions::default();
    options.h2c = settings.h2c;
    options.h2_idle_timeout = Some(H2_IDLE_MAX);
    // pingora's bounds on header lists and streams stay; only the windows grow.
    let mut h2 = default_h2_options();
    h2.initial_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW);
    Server {
        gateway: Arc::clone(gateway),
        options,
        h2,
    }
}

/// Certificate and key, and HTTP/2 offered beside HTTP/1.1.
fn tls(address: SocketAddr, files: &TlsFiles) -> Result<TlsSettings, ListenError> {
    let unusable = |message: String| ListenError::Tls { address, message };
    let text = |path: &Path| {
        path.to_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| unusable("path is not UTF-8".to_owned()))
    };
    let mut tls = TlsSettings::intermediate(&text(&files.certificate)?, &text(&files.key)?)
        .map_err(|error| unusable(error.to_string()))?;
    tls.enable_h2();
    Ok(tls)
}
