//! Hands the listening sockets of a running gateway to its successor, so that no connection is refused between the two.
//!
//! The running process listens on a Unix socket that only its user can open. A successor connects and gets, in one message, the
//! addresses as the configuration has them and the sockets themselves. It starts with them; when it accepts connections it says so
//! on the same connection, and only then the older one leaves. Whatever goes wrong before, the connection ends without that word,
//! and the older one goes on serving as if nothing had been. If the older one ends meanwhile, the successor has the sockets and
//! starts all the same.
//!
//! Both processes hold the same sockets, with the same queue of connections that wait to be accepted, so none is lost when the older
//! one closes its own. `docs/adr/0015-handover.md` tells why not otherwise.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::telemetry::events::process::{SuccessorCame, SuccessorFailed};

/// Sockets in one handover: every listener that a configuration can have, and the admin listener.
const SOCKETS_MAX: usize = 17;

/// Longest message: each socket's address in some forty bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Connections that wait for the running process.
const BACKLOG: i32 = 8;

/// How long a running process may take to hand its sockets over: it does nothing but send them, unless it is busy with another successor.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a successor may take from having the sockets to accepting connections; one that hangs must not keep later ones out.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// What a successor says when it accepts connections.
const READY: u8 = b'r';
/// What the older process says when it has heard that and begins to leave.
const LEAVING: u8 = b'l';

/// Why sockets cannot be handed over or taken over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Nobody hands anything over there.
    #[error(
        "no running gateway listens on `{path}`; start without `--upgrade`, or name the running one's socket by `--upgrade-socket`"
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process hands its sockets over there.
    #[error(
        "another gateway listens on `{path}`; give each gateway of a machine a path of its own by `--upgrade-socket`"
    )]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The Unix socket cannot be made.
    #[error("cannot listen on `{path}`; its folder must exist and be writable")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The other process is gone, too slow, or says something else.
    #[error("the handover broke off")]
    Broken(#[source] io::Error),
    /// The successor ended, or failed, before it was ready.
    #[error("the successor ended before it was ready; its own log says why")]
    SuccessorGone,
}

/// What comes along with the sockets, in their order.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    /// Addresses as the configuration has them.
    addresses: Vec<SocketAddr>,
}

// === The successor ===

/// Sockets taken over from a running process, which waits to hear that its successor is ready.
#[derive(Debug)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    connection: UnixStream,
}

/// Takes the sockets over from the process that listens on this path. It goes on serving until [`Inherited::ready`].
///
/// # Errors
/// When nobody listens there, or the other process hands nothing over in time.
pub async fn take_over(path: &Path) -> Result<Inherited, HandoverError> {
    let connection = UnixStream::connect(path)
        .await
        .map_err(|source| HandoverError::Nobody {
            path: path.to_owned(),
            source,
        })?;
    let receiving = tokio::time::timeout(ANSWER_WITHIN, receive(&connection)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the running process does not answer");
    let sockets = receiving.map_err(late).flatten().map_err(HandoverError::Broken)?;
    Ok(Inherited { sockets, connection })
}

impl Inherited {
    /// The socket of an address as the configuration has it; none where there was none, or it is taken already.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(known, _)| *known == address)?;
        Some(self.sockets.remove(at).1)
    }

    /// Tells the older process that this one accepts connections. Sockets that were not taken are closed: the configuration does not
    /// name them any more. An older process that is gone meanwhile has nothing to hear.
    pub async fn ready(mut self) {
        let told = async {
            self.connection.write_all(&[READY]).await?;
            let mut answer = [0];
            self.connection.read_exact(&mut answer).await
        };
        if matches!(tokio::time::timeout(ANSWER_WITHIN, told).await, Ok(Ok(_))) {
            tracing::info!("took over from an older process, which finishes what it began");
        } else {
            tracing::warn!("the older process is gone, or does not answer");
        }
    }
}

async fn receive(connection: &UnixStream) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
    let mut text = vec![0; MESSAGE_BYTES_MAX];
    let (length, sockets) = loop {
        connection.readable().await?;
        match connection.try_io(Interest::READABLE, || receive_once(connection, &mut text)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => break received?,
        }
    };
    if length == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it handed nothing over"));
    }
    let Message { addresses } = serde_json::from_slice(&text[..length])?;
    if addresses.len() != sockets.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "as many addresses as sockets are needed",
        ));
    }
    let sockets = sockets.into_iter().map(TcpListener::from);
    addresses
        .into_iter()
        .zip(sockets)
        .map(|(address, socket)| {
            socket.set_nonblocking(true)?;
            Ok((address, socket))
        })
        .collect()
}

fn receive_once(connection: &UnixStream, text: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        connection,
        &mut [IoSliceMut::new(text)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    Ok((received.bytes, sockets))
}

// === The running process ===

/// How far a handover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody asks.
    Waiting,
    /// A successor has the sockets and is not ready.
    UnderWay,
    /// A successor is ready.
    Done,
}

/// An offer to hand sockets over. Dropped, it is withdrawn.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    /// Device and number of the Unix socket's file, to remove no other.
    file: Option<(u64, u64)>,
    sockets: Arc<Mutex<Vec<(SocketAddr, TcpListener)>>>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

/// Offers sockets, by the addresses that the configuration has, to whoever connects to this path, which only this user can. What is left
/// there by a process that has ended is replaced; with `replace` also what a running one has, as its successor does.
///
/// # Errors
/// When another gateway offers there, or the socket cannot be made.
pub async fn offer(
    path: &Path,
    sockets: Vec<(SocketAddr, TcpListener)>,
    replace: bool,
) -> Result<Offer, HandoverError> {
    if !replace && UnixStream::connect(path).await.is_ok() {
        return Err(HandoverError::Taken { path: path.to_owned() });
    }
    let listener = listen(path).map_err(|source| HandoverError::Listen {
        path: path.to_owned(),
        source,
    })?;
    let file = file_of(path);
    let sockets = Arc::new(Mutex::new(sockets));
    let (sender, progress) = watch::channel(Progress::Waiting);
    Ok(Offer {
        path: path.to_owned(),
        file,
        task: tokio::spawn(serve(listener, Arc::clone(&sockets), sender)),
        sockets,
        progress,
    })
}

impl Offer {
    /// Resolves when a successor is ready.
    pub async fn taken(&self) {
        let mut progress = self.progress.clone();
        if progress.wait_for(|progress| *progress == Progress::Done).await.is_err() {
            // Nobody can come any more.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a handover that is under way to end, well or badly; resolves at once where none is.
    pub async fn settled(&self) {
        let mut progress = self.progress.clone();
        // A sender that is gone has ended it.
        let _ = progress.wait_for(|progress| *progress != Progress::UnderWay).await;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.task.abort();
        self.sockets.lock().clear();
        if self.file.is_some() && file_of(&self.path) == self.file {
            // What is left there is replaced by the next process.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A Unix socket at this path from the first moment for this user alone, in place of whatever is there.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    remove_if_there(&beside)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file that `bind` makes gets this mode.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&beside)?)?;
    let listening = rustix::net::listen(&socket, BACKLOG)
        .map_err(io::Error::from)
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = listening {
        remove_if_there(&beside)?;
        return Err(error);
    }
    UnixListener::from_std(socket.into())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Serves successors one after another, until one is ready.
async fn serve(
    listener: UnixListener,
    sockets: Arc<Mutex<Vec<(SocketAddr, TcpListener)>>>,
    progress: watch::Sender<Progress>,
) {
    loop {
        let mut connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a successor");
                // Others may close files meanwhile; without the pause this would spin.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        progress.send_replace(Progress::UnderWay);
        let handed = hand_over(&mut connection, &sockets).await;
        progress.send_replace(if handed.is_ok() {
            Progress::Done
        } else {
            Progress::Waiting
        });
        match handed {
            Ok(()) => return,
            Err(error) => SuccessorFailed { error: &error }.emit(),
        }
    }
}

/// Hands the sockets to one successor, and waits for it to be ready or gone.
async fn hand_over(
    connection: &mut UnixStream,
    sockets: &Mutex<Vec<(SocketAddr, TcpListener)>>,
) -> Result<(), HandoverError> {
    let pid = connection.peer_cred().ok().and_then(|peer| peer.pid());
    send(connection, sockets).await.map_err(HandoverError::Broken)?;
    SuccessorCame { pid }.emit();
    let mut said = [0];
    match tokio::time::timeout(READY_WITHIN, connection.read_exact(&mut said)).await {
        Ok(Ok(_)) if said == [READY] => {}
        // It ended, says what it should not, or hangs.
        Ok(_) | Err(_) => return Err(HandoverError::SuccessorGone),
    }
    // It accepts connections, whether or not it hears that this was understood.
    let _ = connection.write_all(&[LEAVING]).await;
    Ok(())
}

async fn send(connection: &UnixStream, sockets: &Mutex<Vec<(SocketAddr, TcpListener)>>) -> io::Result<()> {
    loop {
        connection.writable().await?;
        match connection.try_io(Interest::WRITABLE, || send_once(connection, sockets)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
}

/// One message, far below what a fresh connection's buffer takes.
fn send_once(connection: &UnixStream, sockets: &Mutex<Vec<(SocketAddr, TcpListener)>>) -> io::Result<()> {
    let sockets = sockets.lock();
    let addresses = sockets.iter().map(|(address, _)| *address).collect();
    let text = serde_json::to_vec(&Message { addresses })?;
    let rights: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(io::Error::other("more sockets than a message can carry"));
    }
    let sent = rustix::net::sendmsg(connection, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    if sent < text.len() {
        return Err(io::Error::other("the message was not taken whole"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
