//! Both ends of a connection, byte by byte: a raw client, and an upstream that plays a script.
//!
//! For what the simulator does not do on purpose, and for what a client library would hide.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::harness::within;

/// Longest head or answer read.
const READ_MAX: usize = 64 * 1024 * 1024;

/// A client's connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Bytes received and not yet taken.
    received: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// Sends bytes for as long as the other side takes them.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Reads until this text has come; returns all up to its end and keeps the rest.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = find(&self.received, end.as_bytes()) {
                    let taken: Vec<u8> = self.received.drain(..at + end.len()).collect();
                    return String::from_utf8(taken).expect("text");
                }
                let read = self.more().await.expect("the connection works");
                let so_far = String::from_utf8_lossy(&self.received);
                assert!(read > 0, "the connection ended before {end:?} came, after {so_far:?}");
            }
        };
        within("bytes", reading).await
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let reading = async {
            while self.received.len() < count {
                assert!(self.more().await.expect("the connection works") > 0, "ended early");
            }
            self.received.drain(..count).collect()
        };
        within("bytes", reading).await
    }

    /// Reads to the connection's end; the second part is false when it ended with a reset.
    pub(crate) async fn read_to_end(&mut self) -> (String, bool) {
        let reading = async {
            loop {
                match self.more().await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        let in_order = within("the connection's end", reading).await;
        let all = std::mem::take(&mut self.received);
        (String::from_utf8_lossy(&all).into_owned(), in_order)
    }

    async fn more(&mut self) -> std::io::Result<usize> {
        assert!(self.received.len() < READ_MAX, "an answer without end");
        self.stream.read_buf(&mut self.received).await
    }
}

/// The head of a request with this body, in the v1 family.
pub(crate) fn head(key: &str, framing: &str) -> String {
    format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {key}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    )
}

/// A whole request.
pub(crate) fn request(key: &str, body: &str) -> String {
    head(key, &format!("content-length: {}", body.len())) + body
}

/// One step of a scripted upstream, after it has read a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Send this, as one write.
    Send(Vec<u8>),
    /// Let other tasks run, so that what was sent can be read by itself.
    Yield,
    /// Wait until told.
    Wait(Arc<Notify>),
    /// End the connection in order.
    Close,
    /// End the connection with a reset.
    Reset,
}

/// An upstream that plays a script for every request it gets, and keeps the connection where the script does not end it.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Starts it; the script gets each request's number, from 0.
    pub(crate) async fn start(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
        let count = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, count) = (Arc::clone(&script), Arc::clone(&count));
                tokio::spawn(async move {
                    // A client that leaves ends its connection's task and nothing else.
                    let _ = play(stream, &*script, &count).await;
                });
            }
        });
        Self { address, seen, task }
    }

    /// Requests read so far.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::Acquire)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(
    mut stream: TcpStream,
    script: &(impl Fn(usize) -> Vec<Step> + Sync),
    count: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while read_request(&mut stream, &mut received).await? {
        let number = count.fetch_add(1, Ordering::AcqRel);
        for step in script(number) {
            match step {
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Step::Yield => tokio::task::yield_now().await,
                Step::Wait(told) => told.notified().await,
                Step::Close => return stream.shutdown().await,
                Step::Reset => return stream.set_zero_linger(),
            }
        }
    }
    Ok(())
}

/// Reads a request with a `content-length`; false at the connection's end.
async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        if let Some(end) = find(received, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let whole = end + 4 + length.unwrap_or(0);
            while received.len() < whole {
                if stream.read_buf(received).await? == 0 {
                    return Ok(false);
                }
            }
            received.drain(..whole);
            return Ok(true);
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(false);
        }
    }
}

/// The head of a stream that ends when its chunks do.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}
