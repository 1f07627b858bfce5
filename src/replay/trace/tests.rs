//! Every format, plain and compressed, and what is wrong with a line.

use std::io::Write as _;

use super::*;

fn read_text(name: &str, text: &str) -> Result<Trace, TraceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut file = File::create(&path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
    } else {
        file.write_all(text.as_bytes()).unwrap();
    }
    read(&path, None, None)
}

const REQUESTS: &str = r#"{"timestamp":0,"input_length":1000,"output_length":10,"hash_ids":[7,8]}
{"timestamp":1500,"input_length":1100,"output_length":20,"hash_runs":[[7,2],[40,1]],"head_blocks":1}
"#;

#[test]
fn requests_plain_and_compressed() {
    let plain = read_text("t.jsonl", REQUESTS).unwrap();
    assert_eq!(
        (plain.name.as_str(), plain.block_tokens, plain.distinct_blocks),
        ("t", 512, 3)
    );
    let second = &plain.requests[1];
    assert_eq!((second.at, second.prompt, second.limit_tokens), (1.5, 1_100, 1_120));
    assert_eq!(*second.raw, [7, 8, 40]);
    assert_eq!(second.chain.ids()[..2], plain.requests[0].chain.ids()[..]);
    assert_eq!(second.chain.tokens(3), 1_100);
    assert_eq!([plain.requests[0].is_first_turn, second.is_first_turn], [true, false]);
    assert_eq!(read_text("t.jsonl.gz", REQUESTS).unwrap(), plain);
}

#[test]
fn conversations_share_nothing_and_fill_an_hour() {
    let text = r#"{"id":"a","block_size":64,"requests":[{"t":0.0,"in":100,"out":1,"runs":[[1,2]]},{"t":9.0,"in":200,"out":1,"runs":[[1,4]]}]}
{"id":"b","block_size":64,"requests":[{"t":0.0,"in":100,"out":1,"runs":[[1,2]]}]}
"#;
    let trace = read_text("c.jsonl", text).unwrap();
    assert_eq!(
        (trace.requests.len(), trace.block_tokens, trace.distinct_blocks),
        (3, 64, 6)
    );
    assert!(trace.requests.iter().all(|request| request.at < 3_600.0));
}

#[test]
fn a_table_of_lengths_has_prompts_that_share_nothing() {
    let text =
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.0,110,27\n";
    let trace = read_text("lengths.csv", text).unwrap();
    assert_eq!((trace.requests.len(), trace.distinct_blocks), (2, 11));
    assert!(
        (trace.requests[1].at - 1.020_04).abs() < 1e-6,
        "{}",
        trace.requests[1].at
    );
}

#[test]
fn a_wrong_line_is_named() {
    for (text, part) in [
        (
            "{}",
            "line 1: not a request of a known format: missing field `timestamp`",
        ),
        (
            r#"{"timestamp":0,"input_length":1,"output_length":1}"#,
            "neither `hash_ids` nor `hash_runs`",
        ),
        (
            r#"{"timestamp":0,"input_length":1,"output_length":1,"hash_runs":[[0,99999999999]]}"#,
            "a prompt of 99999999999 blocks",
        ),
        ("yesterday,1,2", "line 1"),
        ("", "holds no request"),
    ] {
        let message = read_text("wrong.jsonl", text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let missing = read(Path::new("/no/such/trace"), None, None).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read the trace `/no/such/trace`");
}

#[test]
fn what_really_happened_is_read_and_a_route_can_be_picked() {
    let text = r#"{"timestamp":0,"input_length":1000,"output_length":10,"hash_ids":[7,8],"route":"a","deployment":"x","cached_tokens":512,"limit_tokens":4000,"status":200}
{"timestamp":5,"input_length":1000,"output_length":10,"hash_ids":[7,9],"route":"a","deployment":"y"}
{"timestamp":9,"input_length":300,"output_length":10,"hash_ids":[5],"route":"b","deployment":"z","cached_tokens":700,"block_size":512}
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    std::fs::write(&path, text).unwrap();
    let actual = |route| read(&path, None, route).map(|trace| (trace.requests.len(), trace.actual));
    let told = |deployments, requests, prompt_tokens, cached_tokens| Actual {
        deployments,
        requests,
        prompt_tokens,
        cached_tokens,
        output_tokens: 10 * requests as u64,
    };
    assert_eq!(actual(None).unwrap(), (3, told(3, 2, 1_300, 1_024)));
    assert_eq!(actual(Some("a")).unwrap(), (2, told(2, 1, 1_000, 512)));
    let trace = read(&path, None, None).unwrap();
    let cached: Vec<_> = trace.requests.iter().map(|request| request.cached).collect();
    assert_eq!(cached, [Some(512), None, Some(512)], "no more than its one block");
    let counted: Vec<_> = trace.requests.iter().map(|request| request.limit_tokens).collect();
    assert_eq!(counted, [4_000, 1_010, 310]);
    let message = actual(Some("c")).unwrap_err().to_string();
    assert!(
        message.ends_with("holds no request of the route `c`; it has `a`, `b`"),
        "{message}"
    );
    std::fs::write(&path, REQUESTS).unwrap();
    let message = actual(Some("a")).unwrap_err().to_string();
    assert!(
        message.ends_with("of the route `a`; its requests tell no route"),
        "{message}"
    );
    assert_eq!(actual(None).unwrap().1, Actual::default());
}
