//! Clients that mean harm, one kind after another against the built program: what happened to each, whether others were served meanwhile,
//! and what the gateway's memory was before, at most, and after.

mod flood;
mod framing;
mod http2;
mod slow;

use std::fmt::Write as _;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::target::{self, Memory, Target};
use crate::world::{eventually, setting};

/// What an attack may take of the gateway's memory at most, unless it says otherwise.
const MEMORY_MB_MAX: f64 = 96.0;

/// What may be left when all are over: what the allocator keeps.
const MEMORY_LEFT_MB_MAX: f64 = 48.0;

/// How long the allocator keeps what is not used.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// How long an attack may take, all in all.
const ATTACK_MAX: Duration = Duration::from_secs(30);

/// The longest that another client may wait for its answer meanwhile.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(5);

/// What came of one attack.
struct Row {
    name: &'static str,
    happened: String,
    took: Duration,
    memory: Memory,
    others: target::Others,
}

/// Runs attacks and keeps what came of them.
struct Siege {
    /// Whether the attacks that take long are made too.
    is_long: bool,
    target: Target,
    rows: Vec<Row>,
    complaints: Vec<String>,
}

impl Siege {
    /// Runs an attack; it says what happened, or what should not have.
    async fn attack<F: Future<Output = Result<String, String>>>(
        &mut self,
        name: &'static str,
        memory_mb_max: f64,
        attack: impl FnOnce(target::Aim) -> F,
    ) {
        let others = self.target.serve_others();
        let watch = self.target.watch_memory();
        let began = Instant::now();
        let ended = tokio::time::timeout(ATTACK_MAX, attack(self.target.aim())).await;
        let took = began.elapsed();
        let others = others.stop().await;
        let is_quiet = self.target.is_quiet().await;
        let memory = watch.stop().await;
        let happened = match ended {
            Ok(Ok(happened)) => happened,
            Ok(Err(problem)) => {
                self.complaints.push(format!("{name}: {problem}"));
                problem
            }
            Err(_) => {
                self.complaints
                    .push(format!("{name}: it did not end within {ATTACK_MAX:?}"));
                "no end".to_owned()
            }
        };
        if others.failed > 0 || others.served == 0 || others.slowest > OTHERS_WAIT_MAX {
            self.complaints
                .push(format!("{name}: others were not served: {others:?}"));
        }
        if let Err(problem) = is_quiet {
            self.complaints.push(format!("{name}: {problem}"));
        }
        if memory.most - memory.before > memory_mb_max {
            self.complaints.push(format!(
                "{name}: memory: {memory:?}, {memory_mb_max} MB more may be taken"
            ));
        }
        self.rows.push(Row {
            name,
            happened,
            took,
            memory,
            others,
        });
    }

    /// Waits until the memory that all of it took is given back.
    async fn memory_comes_back(&mut self) {
        let before = self.rows.first().map_or(0.0, |row| row.memory.before);
        let look = || async { Some(self.target.memory_mb()).filter(|now| now - before < MEMORY_LEFT_MB_MAX) };
        if eventually(KEPT_FOR, look).await.is_none() {
            let now = self.target.memory_mb();
            self.complaints.push(format!(
                "{now:.1} MB are taken when all is over, and {before:.1} before"
            ));
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:<26}{:>7}{:>9}{:>9}{:>9}{:>9}{:>10}  {}\n",
            "attack", "s", "before", "most", "after MB", "others", "slowest", "what happened"
        );
        for row in &self.rows {
            writeln!(
                text,
                "{:<26}{:>7.1}{:>9.1}{:>9.1}{:>9.1}{:>9}{:>7} ms  {}",
                row.name,
                row.took.as_secs_f64(),
                row.memory.before,
                row.memory.most,
                row.memory.after,
                row.others.served,
                row.others.slowest.as_millis(),
                row.happened
            )
            .unwrap();
        }
        text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_mean_harm_do_none() {
    let mut siege = Siege {
        is_long: setting("CHAOS_SCENARIOS", 0) > 0,
        target: Target::start().await,
        rows: Vec::new(),
        complaints: Vec::new(),
    };
    framing::all(&mut siege).await;
    slow::all(&mut siege).await;
    flood::all(&mut siege).await;
    http2::all(&mut siege).await;
    siege.memory_comes_back().await;
    println!("{}", siege.table());
    assert!(siege.complaints.is_empty(), "{}", siege.complaints.join("\n"));
}
