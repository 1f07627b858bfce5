//! What is in a trace, what is not, and that no conversation is torn.

use std::collections::HashSet;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::core::placement::chain::{ChainBuilder, ChainKey};
use crate::core::placement::policy::Policy;
use crate::core::placement::view::Ask;
use crate::core::recorded::Used;

fn options(directory: &tempfile::TempDir) -> TraceOptions {
    TraceOptions {
        path: directory.path().join("trace.jsonl"),
        share: 0.25,
        key: [7; 32],
        rotate_bytes: 1 << 20,
        keep: 3,
    }
}

fn chain(segments: &[&str]) -> Chain {
    let mut builder = ChainBuilder::new(ChainKey::new("pool"));
    for segment in segments {
        builder.push(segment.as_bytes());
        builder.cut();
    }
    builder.finish()
}

fn record(chain: Chain) -> TraceRecord {
    TraceRecord {
        at_ms: 1_764_000_000_123,
        chain,
        prompt_tokens: 300,
        used: Some(Used {
            completion_tokens: 20,
            cached_tokens: 128,
            deployment: Some("contoso/support".into()),
        }),
        ask: Ask {
            prompt_tokens: 300,
            total_tokens: 400,
            is_first_turn: true,
            is_cacheable: true,
            session: None,
            draw: 0,
        },
        route: "support".into(),
        pool: Some("pool".into()),
        policy: Policy::LeastBusy,
        took_ms: 250,
    }
}

fn lines(options: &TraceOptions) -> Vec<Value> {
    let text = std::fs::read_to_string(&options.path).expect("there is a file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

#[tokio::test]
async fn a_line_has_all_that_replay_needs_and_the_end_flushes() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options(&directory);
    let (queue, writer) = start(options.clone(), Box::new(|_| {})).expect("started");
    let answered = record(chain(&["system", &"a".repeat(1_100)]));
    queue.record(answered.clone());
    queue.record(TraceRecord { used: None, ..answered });
    assert!(writer.finish(Duration::from_secs(20)).await);
    let mut lines = lines(&options);
    let ids = lines[0]["hash_ids"].take();
    let key_id = Keyed::new(options.key).id();
    assert_eq!(ids.as_array().map(Vec::len), Some(3), "276 tokens in steps of 128");
    assert_eq!(lines[1]["hash_ids"].take(), ids);
    assert_eq!(
        lines,
        [
            json!({
                "timestamp": 1_764_000_000_123_u64, "input_length": 300, "output_length": 20, "block_size": 128, "hash_ids": null,
                "is_first_turn": true, "route": "support", "policy": "least_busy", "deployment": "contoso/support", "cached_tokens": 128,
                "limit_tokens": 400, "key_id": key_id, "share": 0.25,
            }),
            json!({
                "timestamp": 1_764_000_000_123_u64, "input_length": 300, "output_length": 0, "block_size": 128, "hash_ids": null,
                "is_first_turn": true, "route": "support", "policy": "least_busy", "deployment": null, "limit_tokens": 400,
                "answered": false, "key_id": key_id, "share": 0.25,
            })
        ]
    );
    assert_eq!(queue.stats().written.load(Ordering::Relaxed), 2);
    queue.record(record(chain(&["late"])));
    assert_eq!(
        queue.stats().dropped.load(Ordering::Relaxed),
        1,
        "nobody writes any more"
    );
}

#[test]
fn equal_beginnings_have_equal_ids_of_53_bits_under_one_key_only() {
    let keyed = Keyed::new([1; 32]);
    let (head, long) = ("h".repeat(1_024), "x".repeat(2_000));
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let (first, second) = (chain(&[&head, &long, &a]), chain(&[&head, &long, &b, "c"]));
    let (first, second) = (keyed.ids(&first), keyed.ids(&second));
    let total = (1_024 + 2_000 + 40_u32) / 4;
    assert_eq!(first.len() as u32, total.div_ceil(128));
    assert_eq!(first[..5], second[..5], "640 tokens are alike, block by block");
    assert_ne!(first[5], second[5]);
    assert!(first.iter().all(|id| id >> ID_BITS == 0));
    let other: HashSet<u64> = Keyed::new([2; 32]).ids(&chain(&[&head, &long])).into_iter().collect();
    assert!(first.iter().all(|id| !other.contains(id)));
}

#[tokio::test]
async fn a_start_with_another_key_or_share_begins_a_new_file_and_one_with_the_same_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = options(&directory);
    let other_key = TraceOptions {
        key: [8; 32],
        ..first.clone()
    };
    let other_share = TraceOptions {
        share: 0.5,
        ..first.clone()
    };
    for options in [&first, &first, &other_key, &other_share] {
        let (queue, writer) = start(options.clone(), Box::new(|_| {})).expect("started");
        queue.record(record(chain(&["prompt"])));
        assert!(writer.finish(Duration::from_secs(20)).await);
    }
    let key_ids = |name: &str| {
        let path = directory.path().join(name);
        let lines = lines(&TraceOptions { path, ..first.clone() });
        let told = lines
            .iter()
            .map(|line| line["key_id"].as_str().expect("an id").to_owned());
        told.collect::<Vec<_>>()
    };
    let [of_first, of_other] = [[7; 32], [8; 32]].map(|key| Keyed::new(key).id());
    assert_eq!(key_ids("trace.jsonl.2"), [of_first.clone(), of_first.clone()]);
    assert_eq!(key_ids("trace.jsonl.1"), [of_other]);
    assert_eq!(of_first.len(), 8);
    assert_eq!(key_ids("trace.jsonl"), [of_first], "of another share");
}

#[test]
fn messages_that_end_blocks_do_not_lengthen_the_ids() {
    let keyed = Keyed::new([1; 32]);
    let short_messages = chain(&["a few words of twenty"; 60]);
    assert_eq!(short_messages.len(), 60);
    let ids = keyed.ids(&short_messages);
    assert_eq!(ids.len(), 3, "315 tokens");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
    assert!(keyed.ids(&Chain::default()).is_empty());
}

#[test]
fn a_share_of_openers_is_in_and_it_is_the_keys_choice() {
    let directory = tempfile::tempdir().expect("a directory");
    let (queue, _writer) = start(options(&directory), Box::new(|_| {})).expect("started");
    let with = |key, share| TraceQueue {
        keyed: Keyed::new([key; 32]),
        share,
        ..queue.clone()
    };
    let (quarter, other, all) = (with(7, 0.25), with(8, 0.25), with(7, 1.0));
    let count = |takes: &dyn Fn(BlockId) -> bool| (0..8_000).filter(|&id| takes(BlockId(id))).count();
    let share = count(&|id| quarter.has(id));
    assert!((1_850..2_150).contains(&share), "{share}");
    assert_eq!(count(&|id| all.has(id)), 8_000);
    let both = count(&|id| quarter.has(id) && other.has(id));
    assert!((400..600).contains(&both), "{both}: one key tells nothing of the other");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_once_and_its_records_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("folder");
    std::fs::create_dir(&folder).expect("made");
    let told = Arc::new(Mutex::new(Vec::new()));
    let options = TraceOptions {
        path: folder.join("trace.jsonl"),
        rotate_bytes: 1,
        ..options(&directory)
    };
    let observer = {
        let told = Arc::clone(&told);
        Box::new(move |error: Option<&std::io::Error>| told.lock().push(error.is_some()))
    };
    let (queue, writer) = start(options.clone(), observer).expect("started");
    std::fs::remove_dir_all(&folder).expect("removed");
    // The first goes to the open file, which has no name any more; each further one needs another file.
    for _ in 0..3 {
        queue.record(record(chain(&["prompt"])));
    }
    assert!(writer.finish(Duration::from_secs(20)).await);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&queue.stats().written), count(&queue.stats().dropped)), (0, 3));
    assert_eq!(*told.lock(), [true]);
    let missing = start(options, Box::new(|_| {}));
    assert!(missing.is_err(), "its folder is missing");
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (sender, _receiver) = sync_channel(2);
    let queue = TraceQueue {
        sender,
        keyed: Keyed::new([0; 32]),
        share: 1.0,
        stats: Arc::default(),
    };
    (0..5).for_each(|_| queue.record(record(chain(&["prompt"]))));
    assert_eq!(queue.stats().dropped.load(Ordering::Relaxed), 3);
}
