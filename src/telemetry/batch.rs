//! A writer that gathers lines and writes them out from a thread of its own, a few dozen times a second.
//!
//! Writing a line is copying it into a buffer: no system call and no wake-up of another thread, unless the buffer was empty. Waking
//! a thread for every line would cost more than the line. The buffer is bounded: when whatever reads the output is too slow, lines
//! are dropped and counted rather than requests delayed. Dropping the [`BatchGuard`] writes out what waits, as far as the output
//! takes it in [`LAST_MAX`]: a reader that is stuck must not keep the process from ending. A process that is killed loses the lines
//! of the last [`GATHER`].

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// How long the first line waits for others.
const GATHER: Duration = Duration::from_millis(20);

/// How long the last lines may take to be written.
pub const LAST_MAX: Duration = Duration::from_secs(2);

/// Bytes that may wait: some 8,000 lines.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The writing side, cheap to clone.
#[derive(Debug, Clone)]
pub struct BatchWriter(Arc<Shared>);

/// Keeps the writing thread going; dropping it writes out what waits and ends the thread.
#[derive(Debug)]
pub struct BatchGuard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    last_max: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    ended: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    is_over: bool,
    has_ended: bool,
}

/// Starts a thread that writes lines to `out`.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start(out: impl Write + Send + 'static) -> io::Result<(BatchWriter, BatchGuard)> {
    let shared = Arc::new(Shared::default());
    let thread = {
        let shared = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("emberway-log".to_owned())
            .spawn(move || write_out(&shared, out))?
    };
    Ok((
        BatchWriter(Arc::clone(&shared)),
        BatchGuard {
            shared,
            thread: Some(thread),
            last_max: LAST_MAX,
        },
    ))
}

/// Writes batches until the guard is dropped and nothing waits.
fn write_out(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let mut waiting = shared.waiting.lock();
        while waiting.bytes.is_empty() && !waiting.is_over {
            shared.changed.wait(&mut waiting);
        }
        if !waiting.is_over {
            // Ends early only when the guard is dropped.
            shared.changed.wait_for(&mut waiting, GATHER);
        }
        std::mem::swap(&mut waiting.bytes, &mut batch);
        let is_over = waiting.is_over;
        drop(waiting);
        // There is nowhere left to report that the log cannot be written.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        if is_over {
            shared.waiting.lock().has_ended = true;
            shared.ended.notify_one();
            return;
        }
    }
}

impl BatchGuard {
    /// Lines dropped so far because the output was too slow.
    pub fn dropped_lines(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes out what waits and ends the thread, which it says; not where the output takes it too slowly. Lines after that are lost.
    /// Waits at most [`LAST_MAX`], and dropping the guard afterwards not at all.
    pub fn end(&self) -> bool {
        let mut waiting = self.shared.waiting.lock();
        waiting.is_over = true;
        self.shared.changed.notify_one();
        let is_writing = |waiting: &mut Waiting| !waiting.has_ended;
        let waited = self
            .shared
            .ended
            .wait_while_for(&mut waiting, is_writing, self.last_max);
        !waited.timed_out()
    }
}

impl Drop for BatchGuard {
    fn drop(&mut self) {
        // Who has waited for the end does not wait again: if it was not in time then, the output is stuck.
        let (was_told, has_ended) = {
            let waiting = self.shared.waiting.lock();
            (waiting.is_over, waiting.has_ended)
        };
        let is_over = if was_told { has_ended } else { self.end() };
        if let Some(thread) = self.thread.take().filter(|_| is_over) {
            // A panic of the writing thread has been printed by its own hook.
            let _ = thread.join();
        }
    }
}

impl Write for &BatchWriter {
    /// Takes a whole line, or drops it whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting.lock();
        if waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for BatchWriter {
    type Writer = &'a BatchWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands every write to the test, and waits for leave before each.
    struct Gate {
        written: mpsc::Sender<Vec<u8>>,
        leave: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (BatchWriter, BatchGuard, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (written, read) = mpsc::channel();
        let (give, leave) = mpsc::channel();
        let (writer, guard) = start(Gate { written, leave }).expect("thread");
        (writer, guard, read, give)
    }

    #[test]
    fn lines_are_gathered_in_order_and_flushed_at_the_end() {
        let (writer, guard, read, leave) = gated();
        for n in 0..100 {
            writeln!(&writer, "line {n}").expect("takes");
        }
        for _ in 0..200 {
            leave.send(()).expect("running");
        }
        drop(guard);
        let pieces: Vec<Vec<u8>> = read.iter().collect();
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!(String::from_utf8(pieces.concat()).expect("text"), lines.concat());
        assert!(pieces.len() < 100, "{} writes for 100 lines", pieces.len());
    }

    #[test]
    fn a_stuck_output_drops_lines_and_never_blocks() {
        let (writer, guard, _read, leave) = gated();
        let line = vec![b'x'; WAITING_BYTES_MAX / 4];
        for _ in 0..20 {
            (&writer).write_all(&line).expect("never blocks");
        }
        assert!(guard.dropped_lines() >= 8, "{}", guard.dropped_lines());
        drop(leave);
        drop(guard);
    }

    #[test]
    fn a_stuck_output_does_not_keep_the_process_from_ending() {
        let (writer, mut guard, _read, leave) = gated();
        guard.last_max = Duration::from_millis(20);
        writeln!(&writer, "never read").expect("takes");
        let (ended, is_ended) = mpsc::channel();
        std::thread::spawn(move || {
            drop(guard);
            ended.send(())
        });
        let waited = is_ended.recv_timeout(Duration::from_secs(20));
        // Before the test ends with an error, so that no thread is left.
        drop(leave);
        waited.expect("it ends");
    }

    #[test]
    fn a_stuck_output_is_waited_for_once() {
        let (writer, mut guard, _read, leave) = gated();
        writeln!(&writer, "never read").expect("takes");
        guard.last_max = Duration::from_millis(20);
        assert!(!guard.end());
        guard.last_max = Duration::from_hours(1);
        let (ended, is_ended) = mpsc::channel();
        std::thread::spawn(move || {
            drop(guard);
            ended.send(())
        });
        let waited = is_ended.recv_timeout(Duration::from_secs(20));
        drop(leave);
        waited.expect("it does not wait again");
    }
}
