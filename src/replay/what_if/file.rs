//! The newest requests of a trace file that a gateway writes, for a what-if: a bounded part of its end.
//!
//! Only lines under one key tell what prompts have in common, so those of another key than the last line's are left out.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::core::placement::chain::{BlockId, Chain};
use crate::core::placement::policy::Policy;
use crate::core::placement::view::Ask;
use crate::core::recorded::{TraceRecord, Used};

/// How much of the file's end is read: some ten thousand requests with long prompts.
const TAIL_BYTES: u64 = 32 * 1024 * 1024;

/// What was read.
#[derive(Debug, Default)]
pub struct Newest {
    /// The requests, by arrival.
    pub requests: Vec<Arc<TraceRecord>>,
    /// Share of conversations that they are.
    pub share: f64,
}

#[derive(Deserialize)]
struct Line {
    timestamp: i64,
    input_length: u32,
    output_length: u64,
    block_size: u32,
    hash_ids: Vec<u64>,
    is_first_turn: bool,
    route: String,
    deployment: Option<String>,
    cached_tokens: Option<u64>,
    limit_tokens: u32,
    key_id: String,
    share: f64,
}

/// Reads at most `most` of the newest requests; none where there is no file.
///
/// # Errors
/// When the file cannot be read.
pub fn newest(path: &Path, most: usize) -> io::Result<Newest> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Newest::default()),
        opened => opened?,
    };
    let bytes = file.seek(SeekFrom::End(0))?;
    let start = bytes.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut lines: Vec<Line> = Vec::new();
    // The first one is torn where the file is longer, and a last one while it is being written; both say nothing.
    for line in BufReader::new(file.take(TAIL_BYTES))
        .split(b'\n')
        .skip(usize::from(start > 0))
    {
        lines.extend(serde_json::from_slice::<Line>(&line?).ok());
    }
    let Some((key_id, share)) = lines.last().map(|last| (last.key_id.clone(), last.share)) else {
        return Ok(Newest::default());
    };
    lines.retain(|line| line.key_id == key_id && line.share.to_bits() == share.to_bits());
    lines.sort_by_key(|line| line.timestamp);
    let older = lines.len().saturating_sub(most);
    Ok(Newest {
        requests: lines
            .into_iter()
            .skip(older)
            .map(|line| Arc::new(record(line)))
            .collect(),
        share,
    })
}

fn record(line: Line) -> TraceRecord {
    let ends = (1..).map(|block: u32| block.saturating_mul(line.block_size).min(line.input_length));
    let used = line.cached_tokens.map(|cached_tokens| Used {
        completion_tokens: line.output_length,
        cached_tokens,
        deployment: line.deployment.as_deref().map(Into::into),
    });
    TraceRecord {
        at_ms: line.timestamp,
        chain: Chain::of(line.hash_ids.iter().map(|&id| BlockId(id.into())).zip(ends)),
        prompt_tokens: line.input_length.into(),
        used,
        ask: Ask {
            prompt_tokens: line.input_length,
            total_tokens: line.limit_tokens,
            is_first_turn: line.is_first_turn,
            is_cacheable: true,
            session: None,
            draw: 0,
        },
        route: line.route.into(),
        pool: None,
        policy: Policy::default(),
        took_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, key: &str) -> String {
        format!(
            r#"{{"timestamp":{at},"input_length":300,"output_length":5,"block_size":128,"hash_ids":[1,2,3],"is_first_turn":true,
               "route":"support","policy":"nested","deployment":"a/b","cached_tokens":128,"limit_tokens":316,"key_id":"{key}","share":0.5}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn the_newest_lines_of_one_key_are_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("trace.jsonl");
        assert!(newest(&path, 9).expect("none").requests.is_empty());
        let lines = [
            line(1, "old"),
            line(3, "new"),
            line(2, "new"),
            line(4, "new"),
            "{torn".to_owned(),
        ];
        std::fs::write(&path, lines.join("\n")).expect("written");
        let read = newest(&path, 2).expect("read");
        let at: Vec<i64> = read.requests.iter().map(|request| request.at_ms).collect();
        assert_eq!((at, read.share), (vec![3, 4], 0.5));
        let first = &read.requests[0];
        assert_eq!(
            (first.chain.len(), first.chain.tokens(3), first.ask.total_tokens),
            (3, 300, 316)
        );
        assert_eq!(first.used.as_ref().map(|used| used.cached_tokens), Some(128));
        assert_eq!(
            newest(&path, 9).expect("read").requests.len(),
            3,
            "not those of another key"
        );
    }
}
