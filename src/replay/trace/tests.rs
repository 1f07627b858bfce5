//! Every format, plain and compressed, and what is wrong with a line.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::files::{Pick, TraceError, join, read};
use super::*;

fn read_text(name: &str, text: impl AsRef<[u8]>) -> Result<Trace, TraceError> {
    let (folder, text) = (tempfile::tempdir().unwrap(), text.as_ref());
    let path = folder.path().join(name);
    let mut file = File::create(&path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap();
    } else {
        file.write_all(text).unwrap();
    }
    read(&path, None, Pick::OneRoute)
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
        (
            "yesterday,1,2",
            "wrong.jsonl` is not a trace: line 1 is neither a JSON object nor",
        ),
        (
            "listeners:\n  - address: 127.0.0.1:80\n",
            "the formats are JSON lines with `timestamp`",
        ),
        (
            &format!("{REQUESTS}listeners:\n"),
            "line 3: not a request of a known format: neither a JSON object",
        ),
        (
            r#"{"timestamp":0,"input_l"#,
            "line 1: not a request of a known format: it ends too early",
        ),
        (
            r#"{"timestamp":0,"input_length":1,"output_length":1,"hash_ids":[1],"share":1.5}"#,
            "a `share` of 1.5; it is above 0 and at most 1",
        ),
        ("", "holds no request"),
    ] {
        let message = read_text("wrong.jsonl", text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(message.matches("line 1").count() <= 1, "one place is enough: {message}");
    }
    let database = read_text("usage.db", b"SQLite format 3\0\xff\xfe")
        .unwrap_err()
        .to_string();
    assert!(
        database.contains("is not a trace: it is an SQLite database; the formats are"),
        "{database}"
    );
    let missing = read(Path::new("/no/such/trace"), None, Pick::OneRoute).unwrap_err();
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
    let actual = |pick| read(&path, None, pick).map(|trace| (trace.requests.len(), trace.actual));
    let told = |deployments, requests, prompt_tokens, cached_tokens| Actual {
        deployments,
        requests,
        prompt_tokens,
        cached_tokens,
        output_tokens: 10 * requests as u64,
        refused: 0,
    };
    let several = actual(Pick::OneRoute).unwrap_err().to_string();
    assert!(
        several.contains(
            "holds requests of several routes, `a`, `b`, which may not be of one pool; choose one with `--route`"
        ),
        "{several}"
    );
    assert_eq!(actual(Pick::Routes(&["a"])).unwrap(), (2, told(2, 1, 1_000, 512)));
    assert_eq!(actual(Pick::Routes(&["b"])).unwrap(), (1, told(1, 1, 300, 512)));
    for pick in [Pick::All, Pick::Routes(&["b", "a"])] {
        assert_eq!(actual(pick).unwrap(), (3, told(3, 2, 1_300, 1_024)), "{pick:?}");
    }
    let routes = |pick| read(&path, None, pick).map(|trace| (trace.routes.join("+"), trace.left_out.join("+")));
    assert_eq!(routes(Pick::All).unwrap(), ("a+b".to_owned(), String::new()));
    assert_eq!(routes(Pick::Routes(&["b"])).unwrap(), ("b".to_owned(), "a".to_owned()));
    assert_eq!(actual(Pick::Routes(&["a", "c"])).unwrap().0, 2);
    let misspelt = read(&path, None, Pick::Routes(&["a", "c"]))
        .unwrap()
        .warnings
        .join("; ");
    assert_eq!(misspelt, "there is no request of the route `c`; it has `a`, `b`");
    let trace = read(&path, None, Pick::Routes(&["a"])).unwrap();
    let cached: Vec<_> = trace.requests.iter().map(|request| request.cached).collect();
    assert_eq!(cached, [Some(512), None]);
    let other = read(&path, None, Pick::Routes(&["b"])).unwrap();
    assert_eq!(other.requests[0].cached, Some(512), "no more than its one block");
    let counted: Vec<_> = trace.requests.iter().map(|request| request.limit_tokens).collect();
    assert_eq!(counted, [4_000, 1_010]);
    let message = actual(Pick::Routes(&["c"])).unwrap_err().to_string();
    assert!(
        message.ends_with("holds no request of the route `c`; it has `a`, `b`"),
        "{message}"
    );
    std::fs::write(&path, REQUESTS).unwrap();
    let message = actual(Pick::Routes(&["a"])).unwrap_err().to_string();
    assert!(
        message.ends_with("of the route `a`; its requests tell no route"),
        "{message}"
    );
    assert_eq!(actual(Pick::OneRoute).unwrap().1, Actual::default());
}

/// Lines as a gateway writes them: a prompt of two blocks with this opener, and whatever else is told of it.
fn own(at: u32, opener: u32, more: &str) -> String {
    format!(
        r#"{{"timestamp":{at},"input_length":1024,"output_length":{},"hash_ids":[7,{opener}],"block_size":512,"route":"a"{more}}}
"#,
        if more.contains("answered") { 0 } else { 30 }
    )
}

#[test]
fn a_share_is_told_by_every_line_or_by_none() {
    let told = |shares: [&str; 3]| {
        let lines = shares.iter().zip(0..).map(|(share, at)| own(at, at, share));
        let trace = read_text("t.jsonl", lines.collect::<String>()).map_err(|error| error.to_string())?;
        Ok::<_, String>((trace.share, trace.scale(), trace.warnings.join("; ")))
    };
    let tenth = r#","share":0.1"#;
    assert_eq!(told(["", "", ""]), Ok((None, 1.0, String::new())));
    assert_eq!(told([tenth; 3]), Ok((Some(0.1), 10.0, String::new())));
    let (share, _, warning) = told(["", tenth, tenth]).unwrap();
    assert_eq!(share, Some(0.1));
    assert!(
        warning.starts_with("1 of 3 requests do not tell which share"),
        "{warning}"
    );
    let message = told([tenth, tenth, r#","share":1"#]).unwrap_err();
    assert!(
        message.contains("requests of different shares, 0.1 and 1, so"),
        "{message}"
    );
    // As a gateway writes it.
    assert!(
        message.ends_with(r#"the lines that `grep '"share":1.0}'` finds"#),
        "{message}"
    );
}

#[test]
fn what_nobody_answered_is_demand() {
    let answered = r#","deployment":"x","cached_tokens":512,"limit_tokens":1040"#;
    let refused = r#","deployment":null,"answered":false,"limit_tokens":1040"#;
    let text = own(0, 1, answered) + &own(1, 2, refused) + &own(2, 3, answered);
    let trace = read_text("t.jsonl", text).unwrap();
    let told: Vec<_> = trace
        .requests
        .iter()
        .map(|request| (request.was_refused, request.output))
        .collect();
    assert_eq!(
        told,
        [(false, 30), (true, 30), (false, 30)],
        "its answer would have been as long as others"
    );
    assert_eq!(
        (trace.requests[1].cached, trace.requests[1].limit_tokens),
        (None, 1_040)
    );
    let Actual {
        deployments,
        requests,
        refused,
        prompt_tokens,
        ..
    } = trace.actual;
    assert_eq!((deployments, requests, refused, prompt_tokens), (1, 2, 1, 2_048));
}

#[test]
fn the_policy_in_use_is_known_where_all_lines_tell_the_same() {
    let in_use = |first: &str, second: &str| {
        let policy = |name: &str| format!(r#","policy":"{name}""#);
        read_text("t.jsonl", own(0, 1, &policy(first)) + &own(1, 2, &policy(second)))
            .unwrap()
            .in_use
    };
    assert_eq!(in_use("least_busy", "least_busy"), InUse::One(PolicyName::LeastBusy));
    assert_eq!(in_use("least_busy", "nested"), InUse::Several);
    assert_eq!(in_use("of_tomorrow", "of_tomorrow"), InUse::Unknown);
    assert_eq!(read_text("t.jsonl", own(0, 1, "")).unwrap().in_use, InUse::Unknown);
}

#[test]
fn a_line_that_ends_too_early_is_left_out_and_told() {
    let (whole, next) = (own(0, 1, ""), own(9, 2, ""));
    for (text, left, warning) in [
        (
            format!("{whole}{}", &next[..40]),
            1,
            "left out 1 of 2, a line that ends too early (the first is line 2)",
        ),
        // A gateway that begins anew writes on below the line that it left.
        (
            format!("{whole}{}\n{next}", &next[..40]),
            2,
            "left out 1 of 3, a line that ends too early",
        ),
    ] {
        let trace = read_text("t.jsonl", text).unwrap();
        assert_eq!(trace.requests.len(), left);
        assert!(trace.warnings[0].contains(warning), "{:?}", trace.warnings);
    }
    let cut = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9,4808,10\n2023-11-16 18:1";
    assert_eq!(read_text("t.csv", cut).unwrap().requests.len(), 1);
}

#[test]
fn hashes_under_different_keys_are_not_played_as_one() {
    let check = |of_first: &str, of_second: &str| {
        let read = read_text("t.jsonl", own(0, 1, of_first) + &own(1_000, 2, of_second));
        read.map(|trace| trace.warnings.join("; "))
            .map_err(|error| error.to_string())
    };
    let [one, other] = [r#","key_id":"00ff00ff""#, r#","key_id":"12ab12ab""#];
    assert_eq!(check(one, one).unwrap(), "");
    let refused = check(one, other).unwrap_err();
    assert!(
        refused.contains("hashed with different keys, 00ff00ff and 12ab12ab, so")
            && refused.contains(r#"that `grep '"key_id":"12ab12ab"'` finds"#),
        "{refused}"
    );
    let older = check(one, "").unwrap();
    assert!(
        older.starts_with("1 of 2 requests do not tell with which key they were hashed; 00ff00ff"),
        "{older}"
    );
}

#[test]
fn files_are_joined_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let at = |trace: &Trace| trace.requests.iter().map(|request| request.at).collect::<Vec<_>>();
    let since = 1_764_000_000;
    let paths: [PathBuf; 4] = [
        file("trace.jsonl", &own(since + 3_000, 1, "")),
        file("trace.jsonl.1", &own(since, 2, "")),
        file("other.jsonl", &own(since + 1_000, 3, "")),
        file("empty.jsonl", ""),
    ];
    let joined = join(&paths, None, Pick::Routes(&["a"])).unwrap();
    assert_eq!(
        (joined.name.as_str(), at(&joined)),
        ("trace+other", vec![0.0, 1.0, 3.0])
    );
    assert_eq!(joined.distinct_blocks, 4, "the head is the same everywhere");
    assert!(joined.warnings.is_empty(), "{:?}", joined.warnings);
    let foreign = file("foreign.jsonl", &own(since, 4, "").replace("[7,", "[8,"));
    let joined = join(&[&paths[0], &foreign], None, Pick::OneRoute).unwrap();
    assert!(
        joined.warnings[0].contains("no block in common"),
        "{:?}",
        joined.warnings
    );
    let larger = file("larger.jsonl", &own(since, 4, "").replace("512", "1024"));
    let message = join(&[&paths[0], &larger], None, Pick::OneRoute)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("has blocks of 1024 tokens, those before it of 512"),
        "{message}"
    );
    let none = join(&paths, None, Pick::Routes(&["b"])).unwrap_err().to_string();
    assert!(none.ends_with("of the route `b`; it has `a`"), "{none}");
}
