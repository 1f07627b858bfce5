//! A TCP proxy that stands before an account and misbehaves when told: what a network does that an HTTP server cannot.
//!
//! It keeps what came back on every connection, so that what a client got can be compared with what was sent. Only the way back is made
//! slow: a request that arrives late would look like an attempt that was made late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Bytes kept of one connection: more than a scenario's answers come to.
const TRANSCRIPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the proxy behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    /// It passes everything on.
    Clear,
    /// It passes every piece back after so many milliseconds.
    Late(u64),
    /// It passes back so many bytes a second.
    Narrow(u64),
    /// It resets what is open, and every new connection.
    Reset,
    /// It accepts, and never answers; what is open goes on.
    HalfOpen,
    /// It forwards nothing any more, and keeps all connections; what is caught in it never goes on.
    Blackhole,
    /// It closes a connection when so many more bytes of requests have passed.
    CutUp(usize),
    /// It closes a connection when so many more bytes of answers have passed.
    CutDown(usize),
    /// It refuses connections, and resets what is open.
    Refuse,
}

/// A running proxy. Dropping it ends it with its connections.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    mood: watch::Sender<Mood>,
    transcripts: Arc<Mutex<Vec<Transcript>>>,
    task: JoinHandle<()>,
}

/// What came back on one connection.
type Transcript = Arc<Mutex<Vec<u8>>>;

impl Proxy {
    /// Listens on a free port and passes on to this address.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        // Bound and never listening: it holds the port while connections are refused.
        let holder = socket("127.0.0.1:0".parse().unwrap());
        let address = holder.local_addr().unwrap();
        let (mood, watched) = watch::channel(Mood::Clear);
        let transcripts = Arc::<Mutex<Vec<Transcript>>>::default();
        let kept = Arc::clone(&transcripts);
        let listener = socket(address).listen(1024).expect("a listener");
        let task = tokio::spawn(async move {
            accept(address, listener, upstream, watched, kept).await;
            drop(holder);
        });
        Self {
            address,
            mood,
            transcripts,
            task,
        }
    }

    /// Behaves so from now on.
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// What came back on each connection so far.
    pub(crate) fn transcripts(&self) -> Vec<Vec<u8>> {
        self.transcripts.lock().iter().map(|one| one.lock().clone()).collect()
    }

    /// Ends it, and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // It was cancelled, which is what is wanted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).expect("a port");
    socket
}

/// Accepts until it is dropped; while connections are refused nothing listens.
async fn accept(
    address: SocketAddr,
    first: TcpListener,
    upstream: SocketAddr,
    mut mood: watch::Receiver<Mood>,
    transcripts: Arc<Mutex<Vec<Transcript>>>,
) {
    let mut listener = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let now = *mood.borrow_and_update();
        if now == Mood::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = socket(address).listen(1024).ok();
        }
        tokio::select! {
            changed = mood.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Ok((client, _)) = next(listener.as_ref()) => {
                let transcript = Transcript::default();
                transcripts.lock().push(Arc::clone(&transcript));
                connections.spawn(serve(client, upstream, mood.clone(), transcript));
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// How a connection ended.
enum End {
    /// As it does: both sides have said all.
    Quiet,
    /// Suddenly: the client sees a reset.
    Reset,
}

async fn serve(mut client: TcpStream, upstream: SocketAddr, mut mood: watch::Receiver<Mood>, transcript: Transcript) {
    let now = *mood.borrow_and_update();
    let end = match now {
        Mood::Reset | Mood::Refuse => End::Reset,
        Mood::HalfOpen | Mood::Blackhole => {
            swallow(&mut client).await;
            End::Quiet
        }
        _ => carry(&mut client, upstream, mood, &transcript).await,
    };
    if matches!(end, End::Reset) {
        // A connection that is closed already cannot be reset, which is as well.
        let _ = client.set_zero_linger();
    }
}

/// Reads and answers nothing, until the other side gives up.
async fn swallow(client: &mut TcpStream) {
    let mut piece = vec![0; PIECE_BYTES];
    while client.read(&mut piece).await.is_ok_and(|read| read > 0) {}
}

async fn carry(
    client: &mut TcpStream,
    upstream: SocketAddr,
    mood: watch::Receiver<Mood>,
    transcript: &Transcript,
) -> End {
    let Ok(mut upstream) = TcpStream::connect(upstream).await else {
        return End::Reset;
    };
    // Small answers are not to wait for one another.
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let mut interrupted = mood.clone();
    let end = {
        let (from_client, to_client) = client.split();
        let (from_upstream, to_upstream) = upstream.split();
        let up = pump(from_client, to_upstream, mood.clone(), Way::Up);
        let down = pump(from_upstream, to_client, mood, Way::Down(transcript));
        tokio::select! {
            ends = async { tokio::try_join!(up, down) } => match ends {
                Ok(_) => Some(End::Quiet),
                Err(end) => Some(end),
            },
            mood = interrupted.wait_for(|mood| matches!(mood, Mood::Reset | Mood::Refuse | Mood::Blackhole)) => match mood.map(|mood| *mood) {
                Ok(Mood::Blackhole) => None,
                _ => Some(End::Reset),
            },
        }
    };
    if let Some(end) = end {
        return end;
    }
    // The upstream is kept too, and learns nothing.
    swallow(client).await;
    End::Quiet
}

/// Which way bytes go.
enum Way<'a> {
    Up,
    Down(&'a Transcript),
}

/// Passes bytes on until they end.
async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut mood: watch::Receiver<Mood>,
    way: Way<'_>,
) -> Result<(), End> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut since_mood = 0;
    loop {
        let read = tokio::select! {
            read = from.read(&mut piece) => read.map_err(|_| End::Reset)?,
            changed = mood.changed() => {
                since_mood = 0;
                changed.map_err(|_| End::Quiet)?;
                continue;
            }
        };
        if read == 0 {
            // The other side may have gone meanwhile.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let now = *mood.borrow();
        let left = match (&way, now) {
            (Way::Up, Mood::CutUp(after)) | (Way::Down(_), Mood::CutDown(after)) => after.saturating_sub(since_mood),
            _ => usize::MAX,
        };
        let passed = &piece[..read.min(left)];
        since_mood += passed.len();
        if let Way::Down(transcript) = &way {
            slow(now, passed.len()).await;
            let mut kept = transcript.lock();
            if kept.len() < TRANSCRIPT_BYTES_MAX {
                kept.extend_from_slice(passed);
            }
        }
        to.write_all(passed).await.map_err(|_| End::Reset)?;
        if read > left {
            return Err(End::Quiet);
        }
    }
}

/// Takes the time that these bytes take now.
async fn slow(mood: Mood, bytes: usize) {
    let time = match mood {
        Mood::Late(ms) => Duration::from_millis(ms),
        Mood::Narrow(per_second) => Duration::from_secs_f64(bytes as f64 / per_second.max(1) as f64),
        _ => return,
    };
    tokio::time::sleep(time).await;
}
