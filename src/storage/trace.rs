//! A trace of what came: lengths, times and hashes of prompts, which `emberway replay` plays and from which no prompt can be read.
//!
//! A request leaves its numbers in a bounded queue and goes on; one thread writes lines ([`mod@file`]). What finds no room, or cannot be
//! written, is dropped and counted.
//!
//! **Which requests.** A share of *conversations*, not of requests: requests drawn at random would leave turns without those
//! before them, and a replay would find less cached than there was. All turns of a conversation begin alike up to the end of the
//! first message of the user (the *opener*), so a keyed hash of the prompt up to there decides. A hash of a fixed depth would not
//! do: all conversations with one long system prompt would be in or out together. So the trace is thinner, and what conversations
//! share (tools, system prompts) is in it. Each line tells the share, so that replay can reckon what all traffic costs, and files
//! can be joined and put aside.
//!
//! **Also those that nobody answered.** They are demand: what two more deployments would have saved cannot be told without them.
//!
//! **Hashes.** Each id is SHA-256 over a key and the id of a block, cut to the 53 bits that a JSON number keeps; the block's id is
//! itself a hash of the prompt up to its end. Without the key nobody can tell whether a known text was among the prompts. Ids stand
//! for steps of 128 tokens: the first block that ends at or after the step. Lines of different keys have nothing in common, so each
//! tells its key's own id (32 bits of a hash), by which a reader tells them apart; a file that was written with another key, or
//! another share, is put aside when the first line comes.
//!
//! Cost of a request that is in: a copy of its chain (at most 5 KiB); of any other, one hash.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::core::placement::chain::{BlockId, Chain};
use crate::core::recorded::TraceRecord;
use crate::storage::trace::file::Rotating;

mod file;
pub mod recent;

/// Requests that wait to be written: at most 5 KiB each.
const QUEUE: usize = 1_024;
/// How long a line may wait in memory before it is in the file.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Tokens that an id stands for.
const BLOCK_TOKENS: u32 = 128;
/// What a JSON number keeps in every reader.
const ID_BITS: u32 = 53;

/// How a trace is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceOptions {
    /// The file that is written; older ones are `path.1`, `path.2`, and so on.
    pub path: PathBuf,
    /// Share of conversations, above 0 and at most 1.
    pub share: f64,
    /// Key of all hashes. Traces whose ids are to be compared need the same one.
    pub key: [u8; 32],
    /// Size of a file, in bytes, beyond which the next is begun.
    pub rotate_bytes: u64,
    /// Older files that are kept.
    pub keep: u32,
}

/// Tells of the trace's file: an error when writing begins to fail, none when it works again. Called on the writing thread.
pub type TraceObserver = Box<dyn Fn(Option<&std::io::Error>) + Send>;

/// Where requests leave what the trace is to have. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct TraceQueue {
    sender: SyncSender<Message>,
    keyed: Keyed,
    share: f64,
    stats: Arc<TraceStats>,
}

/// Counters since the process started.
#[derive(Debug, Default)]
pub struct TraceStats {
    /// Records written.
    pub written: AtomicU64,
    /// Records lost because the queue was full or the file could not be written.
    pub dropped: AtomicU64,
}

/// The writing thread.
#[derive(Debug)]
pub struct TraceWriter {
    sender: SyncSender<Message>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Debug)]
enum Message {
    Record(Box<TraceRecord>),
    /// Write what came before this, and end.
    Stop,
}

/// Begins a trace, or goes on with the one that is there.
///
/// # Errors
/// When the file cannot be opened for appending, or there can be no further thread.
pub fn start(options: TraceOptions, observer: TraceObserver) -> std::io::Result<(TraceQueue, TraceWriter)> {
    let (sender, receiver) = sync_channel(QUEUE);
    let queue = TraceQueue {
        sender: sender.clone(),
        keyed: Keyed::new(options.key),
        share: options.share,
        stats: Arc::default(),
    };
    let key_id = queue.keyed.id();
    let continues = |line: &[u8]| {
        let told: Option<Told> = serde_json::from_slice(line).ok();
        told.is_some_and(|told| told.key_id == key_id && told.share.to_bits() == queue.share.to_bits())
    };
    let file = Rotating::open(options.path, options.rotate_bytes, options.keep, continues)?;
    let writing = Writing {
        file,
        keyed: queue.keyed.clone(),
        key_id,
        share: queue.share,
        stats: Arc::clone(&queue.stats),
        observer,
        buffered: 0,
        is_failing: false,
    };
    let thread = std::thread::Builder::new()
        .name("emberway-trace".to_owned())
        .spawn(move || writing.run(&receiver))?;
    Ok((queue, TraceWriter { sender, thread }))
}

impl TraceQueue {
    /// Whether the conversation whose prompt up to its opener has this id is in the trace.
    pub fn has(&self, opener: BlockId) -> bool {
        // 2^53 values, of which the first `share` are in.
        (self.keyed.draw(*b"share", opener) as f64) < self.share * (1_u64 << ID_BITS) as f64
    }

    /// Leaves a request without ever waiting; where the queue is full it is dropped and counted.
    pub fn record(&self, record: TraceRecord) {
        if self.sender.try_send(Message::Record(Box::new(record))).is_err() {
            self.stats.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters.
    pub fn stats(&self) -> &TraceStats {
        &self.stats
    }
}

impl TraceWriter {
    /// Writes what was left so far and ends the thread, at most within `limit`. Says whether it did.
    pub async fn finish(self, limit: Duration) -> bool {
        let ending = tokio::task::spawn_blocking(move || {
            // Fails where the thread has ended already.
            let _ = self.sender.send(Message::Stop);
            self.thread.join().is_ok()
        });
        matches!(tokio::time::timeout(limit, ending).await, Ok(Ok(true)))
    }
}

/// Hashes with the trace's key.
#[derive(Debug, Clone)]
struct Keyed(Sha256);

impl Keyed {
    fn new(key: [u8; 32]) -> Self {
        Self(Sha256::new_with_prefix(key))
    }

    /// What tells this key from others, and nothing else of it.
    fn id(&self) -> String {
        format!("{:08x}", self.draw(*b"keyid", BlockId::default()) as u32)
    }

    /// 53 bits for an id, for one purpose.
    fn draw(&self, purpose: [u8; 5], id: BlockId) -> u64 {
        let digest = self
            .0
            .clone()
            .chain_update(purpose)
            .chain_update(id.0.to_le_bytes())
            .finalize();
        let mut first = [0; size_of::<u64>()];
        first.copy_from_slice(&digest[..size_of::<u64>()]);
        u64::from_le_bytes(first) >> (u64::BITS - ID_BITS)
    }

    /// The ids of a prompt, one for each step of [`BLOCK_TOKENS`], the last one perhaps shorter.
    fn ids(&self, chain: &Chain) -> Vec<u64> {
        let total = chain.tokens(chain.len());
        let mut block = 0;
        (1..=total.div_ceil(BLOCK_TOKENS))
            .map(|step| {
                let end = (step * BLOCK_TOKENS).min(total);
                while chain.tokens(block + 1) < end {
                    block += 1;
                }
                self.draw(*b"block", chain.ids()[block])
            })
            .collect()
    }
}

/// What the thread works with.
struct Writing {
    file: Rotating,
    keyed: Keyed,
    key_id: String,
    share: f64,
    stats: Arc<TraceStats>,
    observer: TraceObserver,
    /// Lines that are not in the file yet.
    buffered: u64,
    is_failing: bool,
}

impl Writing {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        loop {
            match receiver.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
                Ok(Message::Record(record)) => self.write(&record),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= flush_at {
                flush_at = Instant::now() + FLUSH_EVERY;
                self.flush();
            }
        }
        self.flush();
    }

    fn write(&mut self, record: &TraceRecord) {
        self.buffered += 1;
        match self.line(record).and_then(|line| self.file.write(&line)) {
            Ok(()) => {}
            Err(error) => self.failed(&error),
        }
    }

    /// Brings lines into the file. Only then they count as written.
    fn flush(&mut self) {
        if self.buffered == 0 {
            return;
        }
        match self.file.flush() {
            Ok(()) => {
                self.stats
                    .written
                    .fetch_add(std::mem::take(&mut self.buffered), Ordering::Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    (self.observer)(None);
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    /// What was not known to be in the file yet counts as lost.
    fn failed(&mut self, error: &std::io::Error) {
        self.stats
            .dropped
            .fetch_add(std::mem::take(&mut self.buffered), Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_failing, true) {
            (self.observer)(Some(error));
        }
    }

    fn line(&self, record: &TraceRecord) -> std::io::Result<Vec<u8>> {
        let used = record.used.as_ref();
        let line = Line {
            timestamp: record.at_ms,
            input_length: record.prompt_tokens,
            output_length: used.map_or(0, |used| used.completion_tokens),
            block_size: BLOCK_TOKENS,
            hash_ids: self.keyed.ids(&record.chain),
            is_first_turn: record.ask.is_first_turn,
            route: &record.route,
            policy: record.policy.into(),
            deployment: used.and_then(|used| used.deployment.as_ref()).map(|id| &***id),
            cached_tokens: used.map(|used| used.cached_tokens),
            limit_tokens: record.ask.total_tokens.into(),
            answered: used.is_none().then_some(false),
            key_id: &self.key_id,
            share: self.share,
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// A line of the trace, in the format that replay reads; the members from `route` on are for other readers.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: i64,
    input_length: u64,
    output_length: u64,
    block_size: u32,
    hash_ids: Vec<u64>,
    is_first_turn: bool,
    route: &'a str,
    policy: &'static str,
    /// Null where nobody answered.
    deployment: Option<&'a str>,
    /// Missing where nobody answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    limit_tokens: u64,
    /// False where nobody answered, else missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<bool>,
    /// Which key the hashes are under.
    key_id: &'a str,
    share: f64,
}

/// What a line that is there tells of how it was written.
#[derive(Deserialize)]
struct Told {
    key_id: String,
    share: f64,
}

#[cfg(test)]
mod tests;
